/* What a family of captioners is to the rest of caption/: one file in caption/families/ that ends
 * in one of these structs, and one line in families.c.
 *
 *     const struct captioner_family captioner_family_mine = {
 *         .name = "mine", .probe = probe, .open = open_model, .begin = begin};
 *
 * open() maps names and config onto tensors and fills c->lm; begin() computes what the decoder is
 * told of a picture and runs the prompt; tokenizing, decoding, caches, ids and errors around it are
 * done for it. docs/ADDING-A-CAPTIONER.md walks through it. */
#ifndef EIDETIC_CAPTION_FAMILY_H
#define EIDETIC_CAPTION_FAMILY_H

#include "caption/captioner.h"
#include "caption/lm.h"
#include "clip/config.h"

/* What lies at the user's path. */
struct captioner_source {
    const char *path;  /* as named */
    char *dir;         /* the folder of config and tokenizer files */
    char *file;        /* the weight file */
    char *config_path; /* config.json in dir, or NULL */
    json_t *config;    /* NULL where there is none */
};

struct captioner {
    const struct captioner_family *family;
    struct captioner_source at;
    struct clip_model m; /* arena, packs and preprocessing */
    struct clip_source src;
    struct weights *weights, *more; /* more: a second file (GPT-2's own), or NULL */
    struct tokenizer *tokenizer;
    struct lm lm;
    void *data;    /* the family's own, from the arena */
    int32_t first; /* the token that every sentence begins with; -1: none */
    int32_t eos[DECODE_MAX_EOS];
    int n_eos;
    const char *prompt; /* left out of the captions; NULL = none */
    int prefix;         /* places before the prompt's tokens in the decoder's context */
    struct captioner_info info;
};

struct captioner_family {
    const char *name;
    /* By config and by the names of the folder's files; w NULL: not opened. */
    bool (*probe)(const struct captioner_source *s, const struct weights *w);
    enum status (*open)(struct captioner *c, struct clip_loader *l, struct error *err);
    /* The picture and ids [n] into the empty cache; logits [vocab] of what follows. */
    enum status (*begin)(const struct captioner *c, struct clip_run *r,
                         const struct captioner_input *in, const int32_t *ids, int64_t n,
                         struct lm_cache *cache, float *logits);
};
extern const struct captioner_family *const captioner_families[]; /* ends with NULL */

/* families/gpt2.c: a GPT-2 of "<stem>wte.weight" and so on; heads 0 = the width over 64. */
enum status captioner_load_gpt2(struct captioner *c, struct clip_loader *l, const json_t *config,
                                const char *stem);

#endif
