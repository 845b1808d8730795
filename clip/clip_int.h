/* What clip.c, session.c, layout.c and id.c share. */
#ifndef EIDETIC_CLIP_CLIP_INT_H
#define EIDETIC_CLIP_CLIP_INT_H

#include "clip/arch.h"

struct clip {
    const struct clip_arch *arch;
    struct clip_model model;
    struct clip_source src;
    struct clip_opts opts;
    struct tokenizer *tokenizer;
    struct clip_info info;
    char *name, *license; /* info's strings that are made up here */
    const char *traits[5];
    char *trait_config; /* one of them */
};

#define CLIP_TRAIT_CONFIG "eidetic.open_clip_config"

/* layout.c. Release takes a zeroed struct. */
enum status clip_source_open(struct clip_source *s, const char *path, struct error *err);
void clip_source_release(struct clip_source *s);

/* half.c: opens the copy in f16, where there is one of these very weights. */
void clip_half_open(struct clip_source *s);

/* id.c: the id of the weights, where finding it out reads none of them; false: it would. */
bool clip_weights_known(const struct clip_source *s, char id[33]);
/* Hex of a hash of the source's weights and the preprocessing line. */
enum status clip_id_make(char id[33], const struct clip_source *s, const struct clip_model *m,
                         struct error *err);

#endif
