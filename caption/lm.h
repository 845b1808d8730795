/* A language model that says the next word: the decoders of all captioners, with a cache of keys
 * and values so that each word costs one token's work.
 *
 *     struct lm_cache c = {0};
 *     lm_cache_init(&c, be, &lm, 5, 80, &err);             // up to 5 sentences of 80 tokens
 *     lm_embed(&run, &lm, ids, n, &x);                     // x [n, D]: the prompt
 *     lm_prefill(&run, &lm, &c, &x, logits);               // row 0; logits [vocab] of what follows
 *     lm_step(&run, &lm, &c, 5, tokens, parents, logits);  // row i: parent's tokens and one more
 *     lm_cache_release(&c);
 *
 * Pre-norm (GPT-2, Radford et al. 2019) or post-norm (BERT), with learned positions, causal; where
 * `cross` is set each layer also attends to a memory (a picture's states) behind its own tokens, as
 * BLIP's text decoder does. Follows transformers' GPT2LMHeadModel and BlipTextLMHeadModel in eval
 * mode. Everything is an op, in f32. Thread rule: a struct lm is shared, a cache and a run belong
 * to one thread. */
#ifndef EIDETIC_CAPTION_LM_H
#define EIDETIC_CAPTION_LM_H

#include "clip/arch/transformer.h"

struct lm_layer {
    struct clip_norm ln1, ln_cross, ln2;
    struct clip_linear q, k, v, o;
    struct clip_linear cross_q, cross_k, cross_v, cross_o; /* where lm.cross */
    struct clip_linear fc1, fc2;
};
struct lm {
    int width, heads, layers, hidden, vocab, context;
    int memory_width; /* where cross */
    float eps;
    enum act act;
    bool post_norm, cross;
    struct tensor tokens, positions;    /* [vocab, D], [context, D] */
    struct clip_norm norm_in, norm_out; /* of the embeddings, before the head; w.data NULL: none */
    struct clip_linear head_dense;      /* BERT's transform before the head; w.data NULL: none */
    struct clip_norm head_norm;
    struct clip_linear head; /* [vocab, D] */
    struct lm_layer *layer;
};
/* Takes zeroed layers from the model's arena. */
enum status lm_init(struct lm *lm, struct clip_loader *l);

struct lm_cache {
    struct arena arena;     /* of all below; the backend's own memory on a device */
    float *data, *spare;    /* [layers][k, v][rows][cap][D]; the spare is written when rows move */
    float *memory;          /* [layers][k, v][tokens][D], where cross */
    int64_t rows, cap, len; /* len: tokens that each row holds */
    int64_t memory_len;
};
/* c: zeroed, or of a sentence before, whose memory is used again: a device's records of steps are
 * of use for as long as it does not move. */
enum status lm_cache_init(struct lm_cache *c, struct backend *be, const struct lm *lm, int64_t rows,
                          int64_t cap, struct error *err);
void lm_cache_release(struct lm_cache *c); /* takes a zeroed struct */

/* y [n, D] = the table's rows; ids that the table lacks are ST_FORMAT. */
enum status lm_embed(struct clip_run *r, const struct lm *lm, const int32_t *ids, int64_t n,
                     struct tensor *y);
/* The memory's keys and values for all layers: m [M, memory_width]. Before lm_prefill. */
enum status lm_remember(struct clip_run *r, const struct lm *lm, struct lm_cache *c,
                        const struct tensor *m);
/* Empties the cache, then x [T, D] without positions into row 0. */
enum status lm_prefill(struct clip_run *r, const struct lm *lm, struct lm_cache *c,
                       const struct tensor *x, float *logits);
/* Row i becomes row parent[i] of before and token[i]; logits [n, vocab] of what follows each. The
 * cache must have room. */
enum status lm_step(struct clip_run *r, const struct lm *lm, struct lm_cache *c, int64_t n,
                    const int32_t *token, const int32_t *parent, float *logits);

#endif
