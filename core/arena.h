/* A bump allocator that is rewound, for activations: after the first call at the largest size
 * it never asks the system again.
 *
 *     struct arena a = {0};                    // grows on demand
 *     size_t mark = arena_mark(&a);
 *     float *x = arena_alloc(&a, n * sizeof *x); // 64-byte aligned, uninitialised; NULL: no memory
 *     arena_rewind(&a, mark);
 *     arena_release(&a);
 *
 * Blocks come from the heap, or from where `memory` says, which must outlive the arena's memory.
 * They are a chain, so earlier pointers stay valid while it grows; a rewind to 0 merges
 * the chain into one block. Thread rule: one thread at a time. */
#ifndef EIDETIC_CORE_ARENA_H
#define EIDETIC_CORE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena_block;

struct arena_memory {
    void *(*alloc)(struct arena_memory *m, size_t size); /* 64-byte aligned, or NULL */
    void (*free)(struct arena_memory *m, void *p);
};

struct arena {
    struct arena_block *head;    /* the block in use; earlier ones hang behind it */
    struct arena_block *spare;   /* the largest that a rewind has freed */
    size_t used;                 /* bytes handed out over all blocks */
    size_t peak;                 /* the largest `used` so far */
    size_t limit;                /* refuse beyond this; 0 = no limit */
    struct arena_memory *memory; /* of the blocks; NULL = the heap */
};

void *arena_alloc(struct arena *a, size_t size);
void *arena_array(struct arena *a, size_t n, size_t size); /* n * size checked */
size_t arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, size_t mark); /* frees what came after the mark */
void arena_release(struct arena *a);
/* Empties the arena and makes it one block of at least `size` bytes. False: there is no memory, and
 * the arena has none either. */
bool arena_reserve(struct arena *a, size_t size);

#endif
