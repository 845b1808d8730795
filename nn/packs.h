/* Packs: what backends make of weights once and keep, such as panels in bf16 or int8. One store for
 * all backends that compute with the same weights, owned by whoever owns these.
 *
 *     struct packs *p = packs_new();
 *     w.use = TENSOR_WEIGHT, w.packs = p;          // of each matrix; its backends do the rest
 *     ... op_linear(be, &y, &x, &w, ...) ...       // any backends, any threads
 *     packs_free(p);                               // before or with the weights' memory
 *
 * A pack is found by its weights' address, which is why the store must not outlive them: other
 * weights may come to lie there. Pages of a mapped file whose matrix has been packed are given back
 * to the system (they are read again where something else needs them), so that weights do not lie
 * in memory twice. Thread rule: any thread but for packs_free and packs_clear; one thread packs at
 * a time, and who looks up a pack that is there waits for nobody. */
#ifndef EIDETIC_NN_PACKS_H
#define EIDETIC_NN_PACKS_H

#include "nn/tensor.h"

struct packs;

struct packs *packs_new(void);    /* NULL: no memory */
void packs_free(struct packs *p); /* takes NULL */
/* Drops all packs, before some of the weights' memory goes; nobody may be using them. */
void packs_clear(struct packs *p);
int packs_count(struct packs *p); /* for tests */

/* For backends: how a pack begins. */
struct pack {
    const void *data; /* of the weights */
    int kind;         /* the maker's own number */
    int64_t n, k;
    void (*free)(struct pack *p);
    struct pack *next;
};

/* The pack of w's [n, k] values of this kind; where there is none, what make(ctx) returns (all but
 * the first four fields and `next` filled in) is kept. NULL where make returned NULL. */
struct pack *packs_get(const struct tensor *w, int kind, int64_t n, int64_t k,
                       struct pack *(*make)(void *ctx), void *ctx);

#endif
