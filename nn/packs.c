/* The store of packs: a list that only grows, read without a lock. */
#include "nn/packs.h"
#include "core/file.h"
#include "core/mem.h"
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

struct packs {
    pthread_mutex_t making;
    _Atomic(struct pack *) first;
};

struct packs *packs_new(void)
{
    struct packs *p = mem_zalloc(sizeof *p);
    if (p)
        pthread_mutex_init(&p->making, NULL);
    return p;
}

void packs_clear(struct packs *p)
{
    for (struct pack *k = atomic_load(&p->first), *next; k; k = next) {
        next = k->next;
        k->free(k);
    }
    atomic_store(&p->first, NULL);
}

void packs_free(struct packs *p)
{
    if (!p)
        return;
    packs_clear(p);
    pthread_mutex_destroy(&p->making);
    mem_free(p);
}

int packs_count(struct packs *p)
{
    int n = 0;
    for (const struct pack *k = atomic_load(&p->first); k; k = k->next)
        n++;
    return n;
}

static struct pack *find(struct packs *p, const void *data, int kind, int64_t n, int64_t k)
{
    struct pack *s = atomic_load_explicit(&p->first, memory_order_acquire);
    while (s && (s->data != data || s->kind != kind || s->n != n || s->k != k))
        s = s->next;
    return s;
}

struct pack *packs_get(const struct tensor *w, int kind, int64_t n, int64_t k,
                       struct pack *(*make)(void *ctx), void *ctx)
{
    struct packs *p = w->packs;
    struct pack *s = find(p, w->data, kind, n, k);
    if (s)
        return s;
    pthread_mutex_lock(&p->making);
    s = find(p, w->data, kind, n, k); /* another thread may have been faster */
    if (!s && (s = make(ctx))) {
        size_t bytes = 0;
        s->data = w->data;
        s->kind = kind;
        s->n = n;
        s->k = k;
        s->next = atomic_load(&p->first);
        atomic_store_explicit(&p->first, s, memory_order_release);
        if (w->mapped && dtype_bytes(w->dtype, (size_t)tensor_count(w), &bytes))
            file_map_give_back(w->data, bytes);
    }
    pthread_mutex_unlock(&p->making);
    return s;
}
