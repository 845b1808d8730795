/* CLIP's two transformer towers, whatever the file calls their tensors. hf_clip.c and open_clip.c
 * fill them.
 *
 *     image: patches -> + class token -> + positions -> [ln_pre] -> layers
 *            -> pool and ln_post -> projection
 *     text:  tokens -> + positions -> causal layers -> ln_final
 *            -> the end token's state -> projection */
#ifndef EIDETIC_CLIP_ARCH_VIT_H
#define EIDETIC_CLIP_ARCH_VIT_H

#include "clip/arch/transformer.h"

enum clip_pool {
    CLIP_POOL_FIRST,  /* the class token; the begin token */
    CLIP_POOL_MEAN,   /* of all but the class token */
    CLIP_POOL_ARGMAX, /* at the largest id, which is the end token in CLIP's vocabulary */
    CLIP_POOL_LAST,
    CLIP_POOL_EOS, /* at the first id that equals eos */
};

struct clip_vit_image {
    int size, patch, grid;
    struct clip_transformer t;
    struct tensor patches;     /* [D, 3 * patch * patch], (c, y, x) order */
    struct tensor class_token; /* [D] */
    struct tensor positions;   /* [1 + grid * grid, D] */
    struct clip_norm ln_pre, ln_post;
    enum clip_pool pool;
    bool norm_after_pool;
    struct clip_linear proj; /* [dim, D] */
};
struct clip_vit_text {
    int context;
    struct clip_transformer t;
    struct tensor tokens;    /* [vocab, D] */
    struct tensor positions; /* [context, D] */
    struct clip_norm ln_final;
    enum clip_pool pool;
    int eos;
    struct clip_linear proj; /* [dim, D]; w.data NULL = none */
};
struct clip_vit {
    struct clip_vit_image image;
    struct clip_vit_text text;
};

enum status clip_vit_run_image(const struct clip_model *m, struct clip_run *r,
                               const struct tensor *x, struct tensor *y);
enum status clip_vit_run_text(const struct clip_model *m, struct clip_run *r,
                              const struct clip_tokens *t, struct tensor *y);
enum status clip_vit_run_states(const struct clip_model *m, struct clip_run *r,
                                const struct clip_tokens *t, struct tensor *y, uint8_t *mask);
/* Fills the model's sizes, and batches that keep activations in a few dozen MB; call last in
 * open(). */
void clip_vit_describe(struct clip_model *m, const struct clip_vit *v);

#endif
