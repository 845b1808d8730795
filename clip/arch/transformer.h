/* Stacks of transformer layers, shared by the families.
 *
 *     struct clip_transformer t = {.width = 768, .heads = 12, .layers = 12, .hidden = 3072, ...};
 *     ... fill t.layer[i] ...
 *     if (clip_transformer_run(r, &t, &x, NULL)) return r->status;    // x [B,T,D], in place
 *
 * Pre-norm (CLIP, Radford et al. 2021):  x += ls1 * attn(ln1(x));  x += ls2 * fc2(act(fc1(ln2(x))))
 * Post-norm (BERT, Devlin et al. 2019):  x = ln1(x + attn(x));     x = ln2(x + fc2(act(fc1(x)))) */
#ifndef EIDETIC_CLIP_ARCH_TRANSFORMER_H
#define EIDETIC_CLIP_ARCH_TRANSFORMER_H

#include "clip/arch.h"

struct clip_linear {
    struct tensor w, b; /* [N,K], [N]; b.data NULL = none */
};
struct clip_norm {
    struct tensor w, b; /* [D], [D]; w.data NULL = no norm here */
};
struct clip_layer {
    struct clip_norm ln1, ln2;
    struct clip_linear q, k, v, o, fc1, fc2;
    struct clip_linear qkv; /* the three as the file holds them, in one; w.data NULL = apart */
    struct tensor ls1, ls2; /* LayerScale [D], data NULL = none */
};
struct clip_transformer {
    int width, heads, layers, hidden;
    float eps;
    enum act act;
    bool causal, post_norm;
    struct clip_layer *layer;
};

/* Takes zeroed layers from the model's arena. */
enum status clip_transformer_init(struct clip_transformer *t, struct clip_loader *l);
/* What files call a layer's parts. */
struct clip_layer_names {
    const char *ln1, *q, *k, *v, *o, *ln2, *fc1, *fc2;
    const char *qkv; /* in place of q, k and v: their rows in one, without "weight" and "bias" */
    int first;       /* the first layer's number */
};
/* The layers, of which each part is "<stem><i>.<name>"; init included. Sticky. */
void clip_transformer_load(struct clip_transformer *t, struct clip_loader *l, const char *stem,
                           const struct clip_layer_names *n);
/* x [B,T,D] in place; kv_len [B] as op_attention's, or NULL. Traces "block.<i>". */
enum status clip_transformer_run(struct clip_run *r, const struct clip_transformer *t,
                                 struct tensor *x, const int32_t *kv_len);
/* The same, of which only y [B,D] is wanted: the states of token at[b] of each sequence. The last
 * layer is computed for these alone, unless a trace watches. x is used up. */
enum status clip_transformer_pick(struct clip_run *r, const struct clip_transformer *t,
                                  struct tensor *x, const int32_t *at, struct tensor *y);

/* y [n, D] = the states of x [B,T,D] at flat token numbers ids [n]. */
void clip_gather_run(struct clip_run *r, struct tensor *y, const struct tensor *x,
                     const struct tensor *ids);
void clip_linear_run(struct clip_run *r, struct tensor *y, const struct tensor *x,
                     const struct clip_linear *w, enum act act, const struct tensor *residual);
void clip_norm_run(struct clip_run *r, struct tensor *y, const struct tensor *x,
                   const struct clip_norm *n, float eps);

/* "<stem>.weight" [n, k] and, when bias, "<stem>.bias" [n]. */
struct clip_linear clip_load_linear(struct clip_loader *l, int64_t n, int64_t k, bool bias,
                                    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
struct clip_norm clip_load_norm(struct clip_loader *l, int64_t d, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
