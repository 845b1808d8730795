/* What a backend is made of, for nn/ alone. A backend is one file that ends in a struct
 * backend_kind plus one line in backends.c; its struct begins with struct backend and fills every
 * slot of an op table. Slots get arguments whose shapes ops.c has asserted, so they check nothing.
 *
 * Slots return nothing: an op that cannot go on (no scratch memory, a device call that failed)
 * calls backend_fail, which keeps the first failure, and leaves y as it is. */
#ifndef EIDETIC_NN_BACKEND_INT_H
#define EIDETIC_NN_BACKEND_INT_H

#include "nn/backend.h"
#include "nn/ops.h"

struct op_table {
    void (*linear)(struct backend *be, struct tensor *y, const struct tensor *x,
                   const struct tensor *w, const struct tensor *b, enum act act,
                   const struct tensor *r);
    void (*matmul)(struct backend *be, struct tensor *y, const struct tensor *x,
                   const struct tensor *w);
    void (*layernorm)(struct backend *be, struct tensor *y, const struct tensor *x,
                      const struct tensor *w, const struct tensor *b, float eps);
    void (*groupnorm)(struct backend *be, struct tensor *y, const struct tensor *x,
                      const struct tensor *e, const struct tensor *w, const struct tensor *b,
                      const struct groupnorm_opts *o);
    void (*l2norm)(struct backend *be, struct tensor *y, const struct tensor *x, float eps);
    void (*softmax)(struct backend *be, struct tensor *y, const struct tensor *x, float scale);
    void (*act)(struct backend *be, struct tensor *y, const struct tensor *x, enum act act);
    void (*add)(struct backend *be, struct tensor *y, const struct tensor *x,
                const struct tensor *r);
    void (*mul)(struct backend *be, struct tensor *y, const struct tensor *x,
                const struct tensor *r);
    void (*scale)(struct backend *be, struct tensor *y, const struct tensor *x, float s);
    void (*embedding)(struct backend *be, struct tensor *y, const struct tensor *table,
                      const struct tensor *ids);
    void (*attention)(struct backend *be, struct tensor *y, const struct tensor *q,
                      const struct tensor *k, const struct tensor *v, const struct attn_opts *o);
    void (*conv2d)(struct backend *be, struct tensor *y, const struct tensor *x,
                   const struct tensor *w, const struct tensor *b, const struct conv_opts *o);
    void (*depthwise)(struct backend *be, struct tensor *y, const struct tensor *x,
                      const struct tensor *w, const struct tensor *b, const struct conv_opts *o);
    /* NULL, or false: not here. The only slot that a backend may leave out: it is made of others.
     */
    bool (*mbconv)(struct backend *be, struct tensor *y, const struct tensor *x,
                   const struct mbconv_weights *w, const struct conv_opts *o,
                   const struct tensor *r);
    void (*mean_tokens)(struct backend *be, struct tensor *y, const struct tensor *x,
                        const int32_t *len);
    void (*nearest)(struct backend *be, struct tensor *score, struct tensor *row,
                    const struct tensor *q, const struct tensor *v, const uint8_t *keep);
    void (*normalize_u8)(struct backend *be, struct tensor *y, const struct tensor *x, float alpha,
                         const float mean[3], const float std[3]);
    void (*patchify)(struct backend *be, struct tensor *y, const struct tensor *x, int p);
    void (*upsample2x)(struct backend *be, struct tensor *y, const struct tensor *x);
    void (*concat)(struct backend *be, struct tensor *y, const struct tensor *a,
                   const struct tensor *b);
    void (*convert)(struct backend *be, struct tensor *y, const struct tensor *x);
};

struct backend_kind {
    const char *prefix; /* "cpu", "cuda": what stands before the ':' of a name */
    /* variant: what stands behind the ':', or NULL. */
    enum status (*open)(struct backend **be, const char *variant, enum precision precision,
                        int threads, struct error *err);
    void (*close)(struct backend *be);
    void (*sync)(struct backend *be); /* waits for queued work and may call backend_fail; or NULL */
    /* Of a device of its own memory; else NULL. */
    struct arena_memory *(*memory)(struct backend *be);
    void (*upload)(struct backend *be, const struct tensor *t);
    void (*download)(struct backend *be, const struct tensor *t);
    size_t (*room)(struct backend *be);
    struct arena_memory *(*staging)(struct backend *be);
    void (*send)(struct backend *be, const struct tensor *t);
    void (*fetch)(struct backend *be, const struct tensor *t, int slot);
    void (*wait)(struct backend *be, int slot);
    enum status (*repeat)(struct backend *be, struct arena *a, const char *key,
                          enum status (*f)(void *ctx), void *ctx);
    /* Writes at most max names that `open` takes on this machine; returns how many. */
    int (*names)(const char **out, int max);
};

struct backend {
    const struct backend_kind *kind;
    const struct op_table *ops;
    struct pool *pool; /* NULL: the caller's thread only */
    struct error failure;
    enum precision precision;
    char name[32];
};

/* The list in backends.c, NULL-terminated: the only place where a build option adds one. */
extern const struct backend_kind *const backend_kinds[];

/* Keeps the first failure. Only from the thread that called the op. */
void backend_fail(struct backend *be, enum status code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
