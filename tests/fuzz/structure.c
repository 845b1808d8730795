#include "tests/fuzz/structure.h"
#include "core/mem.h"
#include <string.h>

#define RECORDS 512 /* of a level; those after them are left alone */
#define DEEPEST 12

/* What is to be done, and what is to be put in when it is a crossing. */
struct job {
    uint32_t random;
    const struct grammar *from; /* the grammar of the record put in */
    const uint8_t *put;         /* NULL: a mutation */
    size_t put_n;
};

struct level {
    size_t n, at[RECORDS];
    struct record r[RECORDS];
};

void structure_put_le(uint8_t *p, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        p[i] = (uint8_t)(i < 8 ? v >> 8 * i : 0);
}

void structure_put_be(uint8_t *p, uint64_t v, size_t bytes)
{
    for (size_t i = bytes; i-- > 0; v >>= 8)
        p[i] = (uint8_t)v;
}

static uint32_t below(struct job *j, size_t n)
{
    j->random ^= j->random << 13; /* Marsaglia's xorshift */
    j->random ^= j->random >> 17;
    j->random ^= j->random << 5;
    return n ? j->random % (uint32_t)n : 0;
}

static size_t mutate(uint8_t *d, size_t n, size_t cap)
{
    return cap ? LLVMFuzzerMutate(d, n, cap) : n; /* libFuzzer wants room */
}

static size_t size_of(const struct record *r)
{
    return r->head + r->body + r->tail;
}

static void level_read(struct level *l, const struct grammar *g, const uint8_t *d, size_t n)
{
    l->n = 0;
    for (size_t at = g->prefix; at < n && l->n < RECORDS; at += size_of(&l->r[l->n++])) {
        struct record *r = &l->r[l->n];
        *r = (struct record){0};
        if (!g->next(r, d, n, at, l->n) || !size_of(r) || r->head > n - at ||
            r->body > n - at - r->head || r->tail > n - at - r->head - r->body)
            return;
        l->at[l->n] = at;
    }
}

/* Puts M bytes in the place of LEN bytes at AT. Returns the new size: the old one if they do not
 * fit. */
static size_t splice(uint8_t *d, size_t n, size_t cap, size_t at, size_t len, const void *bytes,
                     size_t m)
{
    if (n - len > cap || m > cap - (n - len))
        return n;
    memmove(d + at + m, d + at + len, n - at - len);
    if (m)
        memcpy(d + at, bytes, m);
    return n - len + m;
}

static void counted(const struct grammar *g, uint8_t *d, size_t n, size_t index, int delta)
{
    if (g->count && n >= g->prefix)
        g->count(d, index, delta);
}

/* Puts a copy of M bytes, a record, before the I-th. */
static size_t put_before(const struct grammar *g, uint8_t *d, size_t n, size_t cap,
                         const struct level *l, size_t i, const uint8_t *bytes, size_t m)
{
    uint8_t *copy = mem_dup(bytes, m ? m : 1); /* they may lie in D */
    size_t after = copy ? splice(d, n, cap, l->at[i], 0, copy, m) : n;
    mem_free(copy);
    if (after != n)
        counted(g, d, after, i, 1);
    return after;
}

/* Takes out the I-th record, M bytes at AT. */
static size_t take_out(const struct grammar *g, uint8_t *d, size_t n, size_t cap, size_t at,
                       size_t m, size_t i)
{
    n = splice(d, n, cap, at, m, NULL, 0);
    counted(g, d, n, i, -1);
    return n;
}

static size_t change(const struct grammar *g, uint8_t *d, size_t n, size_t cap, struct job *j,
                     int depth);

/* Changes what lies in the I-th record from SKIP bytes on: as the records of G, or as bytes where
 * G is NULL. */
static size_t change_body(const struct grammar *outer, uint8_t *d, size_t n, size_t cap,
                          const struct level *l, size_t i, const struct grammar *g, size_t skip,
                          struct job *j, int depth)
{
    const struct record *r = &l->r[i];
    size_t at = l->at[i] + r->head + skip, m = r->body - skip, room = m + (cap - n);
    uint8_t *copy = mem_alloc(room ? room : 1);
    if (!copy)
        return n;
    if (m)
        memcpy(copy, d + at, m);
    size_t changed = g ? change(g, copy, m, room, j, depth + 1) : mutate(copy, m, room);
    n = splice(d, n, cap, at, m, copy, changed);
    mem_free(copy);
    if (outer->resize)
        outer->resize(d + l->at[i], r, skip + changed);
    return n;
}

static size_t change_record(const struct grammar *g, uint8_t *d, size_t n, size_t cap,
                            const struct level *l, size_t i, struct job *j, int depth)
{
    size_t other = below(j, l->n), m = size_of(&l->r[i]);
    const uint8_t *at = d + l->at[i];
    switch (below(j, 8)) {
    case 0:
        return take_out(g, d, n, cap, l->at[i], m, i);
    case 1:
        return put_before(g, d, n, cap, l, other, at, m);
    case 2: { /* moved: put in its new place, then taken out of its old one */
        size_t more = put_before(g, d, n, cap, l, other, at, m);
        if (more == n || other == i)
            return more;
        return take_out(g, d, more, cap, l->at[i] + (other < i ? m : 0), m, i);
    }
    case 3:
        if (!l->r[i].head)
            break;
        mutate(d + l->at[i], l->r[i].head, l->r[i].head); /* may call it shorter: the bytes stay */
        return n;
    }
    return change_body(g, d, n, cap, l, i, NULL, 0, j, depth);
}

/* An entry of twelve bytes is changed, or takes a part of another one: its tag, type, count or
 * value. */
static size_t change_entry(const struct grammar *g, uint8_t *d, size_t n, size_t cap, struct job *j)
{
    static const struct {
        size_t at, n;
    } part[] = {{0, 2}, {2, 2}, {4, 4}, {8, 4}, {0, 12}, {4, 8}};
    size_t to = g->entry(d, n, below(j, SIZE_MAX)), from = g->entry(d, n, below(j, SIZE_MAX));
    uint32_t k = below(j, 2 * sizeof part / sizeof *part);
    if (!to || !from)
        return mutate(d, n, cap);
    if (k < sizeof part / sizeof *part)
        memmove(d + to + part[k].at, d + from + part[k].at, part[k].n);
    else
        mutate(d + to, 12, 12);
    return n;
}

static size_t change(const struct grammar *g, uint8_t *d, size_t n, size_t cap, struct job *j,
                     int depth)
{
    size_t skip = 0;
    if (g->entry)
        return change_entry(g, d, n, cap, j);
    struct level *l = mem_alloc(sizeof *l);
    if (!l)
        return n;
    level_read(l, g, d, n);
    if (!l->n) {
        n = j->put ? n : mutate(d, n, cap);
    } else {
        size_t i = below(j, l->n);
        const struct grammar *in = g->inside ? g->inside(d + l->at[i], &l->r[i], i, &skip) : NULL;
        if (in && skip <= l->r[i].body && depth < DEEPEST && below(j, 4))
            n = change_body(g, d, n, cap, l, i, in, skip, j, depth);
        else if (!j->put)
            n = change_record(g, d, n, cap, l, i, j, depth);
        else if (j->from == g)
            n = put_before(g, d, n, cap, l, i, j->put, j->put_n);
    }
    mem_free(l);
    return n;
}

/* Finds a record of D anywhere in its structure. */
static void choose(struct job *j, const struct grammar *g, const uint8_t *d, size_t n, int depth)
{
    size_t skip = 0;
    struct level *l = g->next ? mem_alloc(sizeof *l) : NULL;
    if (!l)
        return;
    level_read(l, g, d, n);
    if (l->n) {
        size_t i = below(j, l->n);
        const struct record *r = &l->r[i];
        const uint8_t *at = d + l->at[i];
        const struct grammar *in = g->inside ? g->inside(at, r, i, &skip) : NULL;
        j->from = g;
        j->put = at;
        j->put_n = size_of(r);
        if (in && skip < r->body && depth < DEEPEST && below(j, 4))
            choose(j, in, at + r->head + skip, r->body - skip, depth + 1);
    }
    mem_free(l);
}

size_t structure_mutate(const struct grammar *g, uint8_t *d, size_t n, size_t cap, unsigned seed)
{
    struct job j = {.random = seed * 2654435761u | 1};
    if (n > cap || !below(&j, 5))
        return mutate(d, n, cap);
    return change(g, d, n, cap, &j, 0);
}

size_t structure_cross(const struct grammar *g, uint8_t *d, size_t n, size_t cap, const uint8_t *b,
                       size_t nb, unsigned seed)
{
    struct job j = {.random = seed * 2654435761u | 1};
    choose(&j, g, b, nb, 0);
    if (!j.put) { /* tables: the first part of the one, the rest of the other */
        size_t from = below(&j, nb + 1), keep = below(&j, n + 1);
        size_t m = nb - from < cap - keep ? nb - from : cap - keep;
        if (m)
            memcpy(d + keep, b + from, m);
        return keep + m;
    }
    return change(g, d, n, cap, &j, 0);
}
