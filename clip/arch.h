/* What a model family is to the rest of clip/: one file in clip/arch/ that ends in one of these
 * structs, and one line in arch_list.c. docs/ADDING-A-MODEL.md walks through it.
 *
 *     const struct clip_arch clip_arch_mine = {
 *         .name = "my vit", .probe = probe, .open = open_model,
 *         .image = image, .text = text, .states = states};
 *
 * A family maps names and config onto tensors in open(), and computes towers with ops in
 * image()/text(); files, tokenizing, batching, normalising to unit length, ids and errors around it
 * are done for it. Thread rule: a model is immutable after open; everything mutable comes in
 * through struct clip_run. */
#ifndef EIDETIC_CLIP_ARCH_H
#define EIDETIC_CLIP_ARCH_H

#include "clip/clip.h"
#include "clip/preprocess.h"
#include "core/arena.h"
#include "nn/ops.h"
#include "nn/packs.h"
#include "nn/weights.h"
#include <jansson.h>

struct clip_vit_text;

/* What layout.c found at the user's path; NULL where there is none. */
struct clip_source {
    const char *path;  /* as the user named it */
    char *dir;         /* the folder of config and tokenizer files */
    char *config_path; /* config.json, open_clip_config.json or <stem>.json */
    json_t *config;
    bool open_clip;     /* the config is OpenCLIP's, not Hugging Face's */
    bool openai;        /* the file carries the three buffers that only OpenAI's own files have */
    bool ours;          /* config.json's model_type begins with eidetic_ */
    const char *layout; /* "hugging face folder", ... */
    struct weights *weights;
    struct weights *half; /* a copy of some tensors, matrices in f16 (half.c); NULL: none */
    char prefix[64];      /* what stands before every name ("module.", "state_dict."), often "" */
    bool undotted; /* behind the prefix names have no dots (Stable Diffusion's averaged weights) */
};

/* A tensor that open() took from the file and that its towers read there, by its whole name. */
struct clip_taken {
    struct clip_taken *next;
    struct tensor t;
    bool small; /* of clip_load_small */
    char name[];
};

/* Filled by open(); clip_close releases what is in it (the arena with everything taken from it). */
struct clip_model {
    void *data;               /* the family's own struct, from the arena */
    struct arena arena;       /* small converted tensors; lives as long as the model */
    struct packs *packs;      /* of its matrices, for all sessions; made before open() */
    struct clip_taken *parts; /* what clip_load_matrix and clip_load_small gave */
    struct clip_preprocess pre;
    enum tokenizer_kind tokenizer;
    const char *tokenizer_dir; /* a folder, or NULL = the data compiled in; copied at once */
    int dim, context, vocab;   /* vocab: rows of the token table */
    int image_layers, text_layers, image_width, text_width, patch;
    const struct clip_vit_text *vit_text; /* where sentences go through CLIP's own tower, or NULL */
    float logit_scale, logit_bias;        /* logit_scale as multiplied: already exp'd */
    const char *license;                  /* borrowed from the weights' metadata, or NULL */
    const char *note;  /* what was guessed ("gelu by default"), or NULL; static */
    const char *trait; /* metadata that a copy needs, as its value is "true", or NULL */
    /* What else than weights and preprocessing changes a vector; part of the id. */
    char recipe[128];
    /* Another model whose image tower this one uses: closed with it; NULL for most. */
    struct clip *image;
    int input_side; /* image() gets only this many rows and columns, from the top left; 0 = all */
    int image_batch, text_batch; /* how many the towers like at a time; 0 = 8 and 32 */
    bool int8_near_f32; /* pictures in int8 keep a median cosine of 0.999 to f32, as measured */
    bool image_alone;   /* pictures one by one, a thread each: for towers whose maps fill a cache */
    int places, place_width; /* of look()'s states; 0 where the family has none */
};

/* One call's surroundings. */
struct clip_run {
    struct backend *be;
    struct arena *arena; /* rewound by the caller */
    clip_trace_fn *trace;
    void *trace_ctx;
    void (*passed)(void *ctx); /* called wherever something could be traced; or NULL */
    void *passed_ctx;
    const char *tower;            /* "image" or "text", the first word of trace names */
    bool circular;                /* convolutions of sampler/nets wrap round at the edges */
    const uint8_t *const *pixels; /* image(): the pictures as they were prepared, in bytes */
    struct error *err;
    enum status status; /* sticky: the first failure of clip_run_tensor */
};
struct clip_tokens {
    int n, context;
    const int32_t *ids; /* [n, context], padded */
    const int32_t *len; /* [n] ids before padding, end token included; at least 1 */
};

struct clip_arch {
    const char *name;
    bool (*probe)(const struct clip_source *src); /* cheap: is it mine? */
    enum status (*open)(struct clip_model *m, const struct clip_source *src,
                        const struct clip_opts *o, struct error *err);
    /* x [B, side, side, 3] f32, normalised -> y [B, dim], not yet unit length. */
    enum status (*image)(const struct clip_model *m, struct clip_run *r, const struct tensor *x,
                         struct tensor *y);
    /* The same in one pass with the states of the picture's places before they are pooled: p [B,
     * places, place_width]. NULL: none. */
    enum status (*look)(const struct clip_model *m, struct clip_run *r, const struct tensor *x,
                        struct tensor *y, struct tensor *p);
    /* y [n, dim], not yet unit length. */
    enum status (*text)(const struct clip_model *m, struct clip_run *r, const struct clip_tokens *t,
                        struct tensor *y);
    /* One text: y [1, context, text_width], and which of the context keys count. */
    enum status (*states)(const struct clip_model *m, struct clip_run *r,
                          const struct clip_tokens *t, struct tensor *y, uint8_t *mask);
};
extern const struct clip_arch
    *const clip_arch_list[]; /* NULL-terminated, in the order they are asked */

/* An f32 tensor from the run's arena. On failure data is NULL and r->status is set for good, so
 * that a family takes all its buffers first and checks once, before the first op. */
struct tensor clip_run_tensor(struct clip_run *r, int ndim, const int64_t *dims);
void *clip_run_array(struct clip_run *r, int64_t n, size_t size);
/* Calls the trace hook, if any, with "<tower>.<what>" ("<tower>.<what>.<i>" when i >= 0). */
void clip_run_trace(struct clip_run *r, const char *what, int i, const struct tensor *t);

/* States of the text tower before pooling and head for who cuts texts himself: n ids, at most the
 * context, with begin and end tokens -> y [1, context, text_width]; what stands behind them is as
 * the family's states() leaves it. Not synchronised. */
enum status clip_run_states(const struct clip *c, struct clip_run *r, const int32_t *ids, int n,
                            struct tensor *y);

/* The text tower of a model that has CLIP's own and was opened with it, or NULL. */
const struct clip_vit_text *clip_vit_text_of(const struct clip *c);

/* Reading weights, sticky as well: take everything, then check l.status once. Names are src's
 * prefix and the printf'd rest. Shapes are exact; anything else is one sentence naming file and
 * tensor. */
struct clip_loader {
    struct clip_model *m;
    const struct clip_source *src;
    struct error *err;
    enum status status;
};
/* The file's whole name of one; false: it is cut off. */
bool clip_source_name(const struct clip_source *src, char *name, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
bool clip_load_has(const struct clip_loader *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Dimension i of a tensor that may be there; 0 where it is not, or not from 1 to most. */
int clip_load_dim(const struct clip_loader *l, int i, int most, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* A matrix as it lies in the file, in any weight dtype; dims beyond the second are folded into it.
 */
struct tensor clip_load_matrix(struct clip_loader *l, int ndim, const int64_t *dims,
                               const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* A small tensor (norms, biases, positions) converted to f32. */
struct tensor clip_load_small(struct clip_loader *l, int ndim, const int64_t *dims, const char *fmt,
                              ...) __attribute__((format(printf, 4, 5)));
/* A [rows, cols] matrix that the reference multiplies from the right (x @ w): comes back as f32
 * [cols, rows]. */
struct tensor clip_load_turned(struct clip_loader *l, int64_t rows, int64_t cols, const char *fmt,
                               ...) __attribute__((format(printf, 4, 5)));
/* One number, from a scalar or a [1] tensor. */
float clip_load_number(struct clip_loader *l, float otherwise, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Rows [from, from + n) of a matrix, scales with them. */
struct tensor clip_tensor_rows(const struct tensor *t, int64_t from, int64_t n);

#endif
