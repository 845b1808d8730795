/* A chain of blocks, newest first. The surprising part: a rewind to zero with more than one block
 * frees them all and asks for one of the peak size next time, so a steady caller ends with a single
 * block. Until then the largest block that a rewind frees is kept for the next push: a first touch
 * of fresh memory costs more than much of what is computed in it. */
#include "core/arena.h"
#include "core/mem.h"
#include <assert.h>

struct arena_block {
    struct arena_block *prev;
    size_t size, start; /* start: bytes handed out before this block */
    size_t used;
    unsigned char *base;
};

enum { ALIGN = 64, MIN_BLOCK = 1 << 16 };

static void free_block(struct arena *a, struct arena_block *b)
{
    if (!b)
        return;
    if (a->memory)
        a->memory->free(a->memory, b->base);
    else
        mem_free(b->base);
    mem_free(b);
}

static struct arena_block *new_block(struct arena *a, size_t size)
{
    struct arena_block *b = mem_alloc(sizeof *b);
    unsigned char *base = !b          ? NULL
                          : a->memory ? a->memory->alloc(a->memory, size)
                                      : mem_aligned(size, ALIGN);
    if (!base) {
        mem_free(b);
        return NULL;
    }
    *b = (struct arena_block){.size = size, .base = base};
    return b;
}

static bool push_block(struct arena *a, size_t need)
{
    size_t size = MIN_BLOCK;
    if (a->used * 2 > size)
        size = a->used * 2 < (size_t)256 << 20 ? a->used * 2 : (size_t)256 << 20;
    if (!a->head && a->peak > size)
        size = a->peak;
    if (need > size)
        size = need;
    struct arena_block *b = a->spare;
    a->spare = NULL;
    if (b && b->size < need) {
        free_block(a, b);
        b = NULL;
    }
    if (!b && !(b = new_block(a, size)))
        return false;
    b->prev = a->head;
    b->start = a->used;
    b->used = 0;
    a->head = b;
    return true;
}

void *arena_alloc(struct arena *a, size_t size)
{
    size_t need;
    if (add_overflow_size(size, ALIGN - 1, &need))
        return NULL;
    need &= ~(size_t)(ALIGN - 1);
    if (a->limit && (need > a->limit || a->used > a->limit - need))
        return NULL;
    if ((!a->head || a->head->size - a->head->used < need) && !push_block(a, need))
        return NULL;
    void *p = a->head->base + a->head->used;
    a->head->used += need;
    a->used += need;
    if (a->used > a->peak)
        a->peak = a->used;
    return p;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    size_t bytes;
    return mul_overflow_size(n, size, &bytes) ? NULL : arena_alloc(a, bytes);
}

size_t arena_mark(const struct arena *a)
{
    return a->used;
}

static void pop_block(struct arena *a)
{
    struct arena_block *b = a->head;
    a->head = b->prev;
    if (a->spare && a->spare->size >= b->size) {
        free_block(a, b);
        return;
    }
    free_block(a, a->spare);
    a->spare = b;
}

void arena_rewind(struct arena *a, size_t mark)
{
    assert(mark <= a->used);
    while (a->head && a->head->prev && a->head->start >= mark)
        pop_block(a);
    if (a->head && mark == 0 && a->head->size < a->peak)
        arena_release(a); /* too small for next time: one block of the peak size follows */
    if (a->head)
        a->head->used = mark - a->head->start;
    a->used = mark;
}

void arena_release(struct arena *a)
{
    while (a->head)
        pop_block(a);
    free_block(a, a->spare);
    a->spare = NULL;
    a->used = 0;
}

bool arena_reserve(struct arena *a, size_t size)
{
    arena_rewind(a, 0);
    if (a->head && a->head->size >= size)
        return true;
    arena_release(a);
    a->peak = a->peak > size ? a->peak : size;
    return push_block(a, size);
}
