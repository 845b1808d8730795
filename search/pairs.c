/* All pairs that are alike. Cells are those of stored vectors spread over the selection, not of a
 * trained clustering: a pair above 0.9 moves little against a centre, so that both nearly always
 * have one of their nearest in common, and training would cost more than it saves. */
#include "search/pairs.h"
#include "core/mem.h"
#include "search/search_int.h"
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { GROUP = 128, CENTRES_MOST = 8192 };

struct list {
    struct search_pair *pair;
    size_t n, cap;
    bool failed;
};

struct pairing {
    struct search *s;
    const struct pairs_opts *o;
    size_t n, dim, cells;
    uint16_t *rows; /* [n, dim] of f16, in the order of their cells */
    int64_t *images;
    _Atomic uint16_t *partners; /* how many a row has */
    float *centres;             /* [cells, dim] */
    uint32_t *visitor;          /* rows, by cell; NULL = all, where there is one cell */
    size_t *start;              /* [cells + 1], of a cell's rows */
    size_t *visits;             /* [cells + 1], of a cell's visitors */
    struct list *found;         /* [threads] */
    uint64_t *scored;           /* [threads] */
    size_t tasks;
    struct {
        size_t cell, at, n;
    } * task;
};

static void add(struct list *l, int64_t a, int64_t b, float score)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 256;
        void *grown = mem_realloc_array(l->pair, cap, sizeof *l->pair);
        if (!grown) {
            l->failed = true;
            return;
        }
        l->pair = grown;
        l->cap = cap;
    }
    l->pair[l->n++] = (struct search_pair){a < b ? a : b, a < b ? b : a, score};
}

/* Up to GROUP rows of a cell, which stay in the cache, against everyone who visits it. */
static void compare(void *ctx, int i, int thread)
{
    struct pairing *p = ctx;
    size_t cell = p->task[i].cell, at = p->task[i].at, n = p->task[i].n;
    const uint16_t *rows = p->rows + at * p->dim;
    float query[DB_MAX_DIM], score[GROUP];
    bool all = p->cells == 1;
    for (size_t v = p->visits[cell]; v < p->visits[cell + 1]; v++) {
        size_t x = all ? v : p->visitor[v];
        bool home = x >= p->start[cell] && x < p->start[cell + 1];
        if ((home && x >= at + n) || p->partners[x] > PAIRS_MOST) /* met by a later row's task */
            continue;
        p->s->ops.to_f32(query, p->rows + x * p->dim, p->dim);
        p->s->ops.f16(score, rows, n, p->dim, query);
        p->scored[thread] += n;
        for (size_t j = 0; j < n; j++) {
            if (!(score[j] >= p->o->least) || (home && at + j <= x))
                continue;
            atomic_fetch_add_explicit(&p->partners[x], 1, memory_order_relaxed);
            add(&p->found[thread], p->images[x], p->images[at + j], score[j]);
        }
    }
}

/* The selected rows, in the view's order. */
static enum status gather(struct pairing *p, struct error *err)
{
    const struct view *v = &p->s->view;
    const uint8_t *keep = p->s->chosen.keep;
    size_t n = 0, cells;
    p->rows =
        mul_overflow_size(p->n, p->dim, &cells) ? NULL : mem_array(cells + 1, sizeof *p->rows);
    p->images = mem_array(p->n + 1, sizeof *p->images);
    p->partners = mem_zarray(p->n + 1, sizeof *p->partners);
    if (!p->rows || !p->images || !p->partners)
        return error_set(err, ST_NOMEM, "out of memory (%zu vectors)", p->n);
    for (size_t b = 0; b < v->n_blocks; b++) {
        const struct vec_block *k = &v->blocks[b];
        for (size_t i = 0; i < k->n; i++) {
            size_t row = k->first + i;
            if (keep && !(keep[row / 8] >> (row % 8) & 1))
                continue;
            if (n == p->n)
                return error_set(err, ST_INTERNAL, "more vectors than were counted");
            uint16_t *to = p->rows + n * p->dim;
            if (k->f32)
                p->s->ops.to_f16(to, (const float *)k->rows + i * p->dim, p->dim);
            else
                memcpy(to, (const uint16_t *)k->rows + i * p->dim, p->dim * sizeof *to);
            p->images[n++] = k->images[i];
        }
    }
    p->n = n;
    return ST_OK;
}

/* Rows spread over the selection; one that is nearly another is no centre of its own, or the cells
 * round it would part what belongs together. */
static enum status choose_centres(struct pairing *p, struct error *err)
{
    size_t want = (size_t)(2 * sqrt((double)p->n)), n = 0;
    want = want > CENTRES_MOST ? CENTRES_MOST : want;
    float *score = mem_array(want, sizeof *score);
    p->centres = mem_array(want * p->dim, sizeof *p->centres);
    if (!score || !p->centres) {
        mem_free(score);
        return error_set(err, ST_NOMEM, "out of memory (%zu cells)", want);
    }
    for (size_t i = 0; i < want; i++) {
        float *c = p->centres + n * p->dim;
        bool alike = false;
        p->s->ops.to_f32(c, p->rows + i * p->n / want * p->dim, p->dim);
        p->s->ops.f32(score, p->centres, n, p->dim, c);
        for (size_t k = 0; k < n && !alike; k++)
            alike = score[k] >= p->o->least;
        n += !alike;
    }
    mem_free(score);
    p->cells = n;
    return ST_OK;
}

struct assigning {
    struct pairing *p;
    uint32_t *nearest; /* [n, PAIRS_PROBES], best first; UINT32_MAX: fewer cells */
    float *scores;     /* [threads, cells] */
};

static void assign(void *ctx, int i, int thread)
{
    struct assigning *a = ctx;
    struct pairing *p = a->p;
    float query[DB_MAX_DIM], *score = a->scores + (size_t)thread * p->cells;
    size_t end = ((size_t)i + 1) * GROUP < p->n ? ((size_t)i + 1) * GROUP : p->n;
    for (size_t x = (size_t)i * GROUP; x < end; x++) {
        uint32_t *best = a->nearest + x * PAIRS_PROBES;
        p->s->ops.to_f32(query, p->rows + x * p->dim, p->dim);
        p->s->ops.f32(score, p->centres, p->cells, p->dim, query);
        for (int k = 0; k < PAIRS_PROBES; k++)
            best[k] = UINT32_MAX;
        for (uint32_t c = 0; c < p->cells; c++) {
            int k = PAIRS_PROBES;
            while (k > 0 && (best[k - 1] == UINT32_MAX || score[best[k - 1]] < score[c]))
                k--;
            if (k == PAIRS_PROBES)
                continue;
            memmove(best + k + 1, best + k, (size_t)(PAIRS_PROBES - 1 - k) * sizeof *best);
            best[k] = c;
        }
    }
}

/* Puts the rows of a cell side by side; order[i] is where row i went. */
static enum status sort_rows(struct pairing *p, const uint32_t *nearest, size_t *order,
                             struct error *err)
{
    uint16_t *rows = mem_array(p->n * p->dim, sizeof *rows);
    int64_t *images = mem_array(p->n, sizeof *images);
    size_t *at = mem_dup(p->start, (p->cells + 1) * sizeof *at);
    bool ok = rows && images && at;
    for (size_t x = 0; ok && x < p->n; x++) {
        size_t to = at[nearest[x * PAIRS_PROBES]]++;
        memcpy(rows + to * p->dim, p->rows + x * p->dim, p->dim * sizeof *rows);
        images[to] = p->images[x];
        order[x] = to;
    }
    mem_free(at);
    if (!ok) {
        mem_free(rows);
        mem_free(images);
        return error_set(err, ST_NOMEM, "out of memory (%zu vectors)", p->n);
    }
    mem_free(p->rows);
    mem_free(p->images);
    p->rows = rows;
    p->images = images;
    return ST_OK;
}

static enum status fill_cells(struct pairing *p, const uint32_t *nearest, struct error *err)
{
    size_t *order = mem_array(p->n, sizeof *order), *at = NULL, visits = 0;
    enum status rc = order ? ST_OK : error_set(err, ST_NOMEM, "out of memory");
    for (size_t i = 0; !rc && i < p->n * PAIRS_PROBES; i++) {
        if (nearest[i] == UINT32_MAX)
            continue;
        p->start[nearest[i] + 1] += i % PAIRS_PROBES == 0;
        p->visits[nearest[i] + 1]++;
        visits++;
    }
    for (size_t c = 0; !rc && c < p->cells; c++) {
        p->start[c + 1] += p->start[c];
        p->visits[c + 1] += p->visits[c];
    }
    if (!rc)
        rc = sort_rows(p, nearest, order, err);
    p->visitor = rc ? NULL : mem_array(visits + 1, sizeof *p->visitor);
    at = rc ? NULL : mem_dup(p->visits, (p->cells + 1) * sizeof *at);
    if (!rc && (!p->visitor || !at))
        rc = error_set(err, ST_NOMEM, "out of memory");
    for (size_t i = 0; !rc && i < p->n * PAIRS_PROBES; i++)
        if (nearest[i] != UINT32_MAX)
            p->visitor[at[nearest[i]]++] = (uint32_t)order[i / PAIRS_PROBES];
    mem_free(at);
    mem_free(order);
    return rc;
}

static enum status make_cells(struct pairing *p, struct error *err)
{
    size_t threads = (size_t)pool_threads(p->s->pool);
    bool one = p->n <= (p->o->exact_below ? p->o->exact_below : PAIRS_EXACT);
    enum status rc = ST_OK;
    p->cells = 1;
    if (!one)
        rc = choose_centres(p, err);
    if (rc)
        return rc;
    p->start = mem_zarray(p->cells + 1, sizeof *p->start);
    p->visits = mem_zarray(p->cells + 1, sizeof *p->visits);
    if (!p->start || !p->visits)
        return error_set(err, ST_NOMEM, "out of memory");
    if (one || p->cells == 1) {
        p->cells = 1;
        p->start[1] = p->visits[1] = p->n;
        return ST_OK;
    }
    struct assigning a = {.p = p,
                          .nearest = mem_array(p->n * PAIRS_PROBES, sizeof *a.nearest),
                          .scores = mem_array(threads * p->cells, sizeof *a.scores)};
    if (a.nearest && a.scores) {
        pool_for(p->s->pool, (int)((p->n + GROUP - 1) / GROUP), assign, &a);
        rc = fill_cells(p, a.nearest, err);
    } else {
        rc = error_set(err, ST_NOMEM, "out of memory (%zu vectors)", p->n);
    }
    mem_free(a.nearest);
    mem_free(a.scores);
    return rc;
}

static enum status make_tasks(struct pairing *p, struct error *err)
{
    p->task = mem_array(p->n / GROUP + p->cells + 1, sizeof *p->task);
    if (!p->task)
        return error_set(err, ST_NOMEM, "out of memory");
    for (size_t c = 0; c < p->cells; c++)
        for (size_t at = p->start[c]; at < p->start[c + 1]; at += GROUP) {
            p->task[p->tasks].cell = c;
            p->task[p->tasks].at = at;
            p->task[p->tasks++].n = p->start[c + 1] - at < GROUP ? p->start[c + 1] - at : GROUP;
        }
    return ST_OK;
}

static int by_ids(const void *a, const void *b)
{
    const struct search_pair *x = a, *y = b;
    if (x->a != y->a)
        return x->a < y->a ? -1 : 1;
    return x->b < y->b ? -1 : x->b > y->b;
}

static enum status collect(struct pairing *p, struct search_pairs *out, struct error *err)
{
    int threads = pool_threads(p->s->pool);
    size_t n = 0;
    bool failed = false;
    for (int i = 0; i < threads; i++) {
        n += p->found[i].n;
        failed |= p->found[i].failed;
        out->scored += p->scored[i];
    }
    out->pair = failed ? NULL : mem_array(n + 1, sizeof *out->pair);
    if (!out->pair)
        return error_set(err, ST_NOMEM, "out of memory (%zu pairs)", n);
    for (int i = 0; i < threads; i++) {
        if (p->found[i].n)
            memcpy(out->pair + out->n, p->found[i].pair, p->found[i].n * sizeof *out->pair);
        out->n += p->found[i].n;
    }
    qsort(out->pair, out->n, sizeof *out->pair, by_ids);
    n = 0;
    for (size_t i = 0; i < out->n; i++) /* both may have visited the other's cell */
        if (!n || by_ids(&out->pair[n - 1], &out->pair[i]) != 0)
            out->pair[n++] = out->pair[i];
    out->n = n;
    out->exact = p->cells == 1;
    return ST_OK;
}

static void release(struct pairing *p)
{
    for (int i = 0; p->found && i < pool_threads(p->s->pool); i++)
        mem_free(p->found[i].pair);
    mem_free(p->found);
    mem_free(p->scored);
    mem_free(p->task);
    mem_free(p->visitor);
    mem_free(p->start);
    mem_free(p->visits);
    mem_free(p->centres);
    mem_free(p->partners);
    mem_free(p->images);
    mem_free(p->rows);
}

/* In portions, so that a person sees how far it is. */
static void compare_all(struct pairing *p)
{
    enum { PORTION = 64 };
    struct pairing rest = *p;
    for (size_t at = 0; at < p->tasks; at += PORTION) {
        rest.task = p->task + at;
        size_t n = p->tasks - at < PORTION ? p->tasks - at : PORTION;
        pool_for(p->s->pool, (int)n, compare, &rest);
        if (p->o->progress)
            p->o->progress(p->o->ctx, at + n, p->tasks);
    }
}

enum status search_pairs(struct search *s, const struct db_filter *filter,
                         const struct pairs_opts *o, struct search_pairs *out, struct error *err)
{
    struct pairing p = {.s = s, .o = o, .dim = (size_t)s->model.dim};
    size_t threads = (size_t)pool_threads(s->pool);
    *out = (struct search_pairs){0};
    enum status rc = selection_make(s, filter, err);
    if (rc)
        return rc;
    p.n = out->pictures = s->chosen.n;
    p.found = mem_zarray(threads, sizeof *p.found);
    p.scored = mem_zarray(threads, sizeof *p.scored);
    if (!p.found || !p.scored || p.n >= UINT32_MAX)
        rc = error_set(err, ST_NOMEM, "out of memory");
    if (!rc)
        rc = gather(&p, err);
    if (!rc)
        rc = make_cells(&p, err);
    if (!rc)
        rc = make_tasks(&p, err);
    if (!rc)
        compare_all(&p);
    if (!rc)
        rc = collect(&p, out, err);
    release(&p);
    if (rc)
        search_pairs_release(out);
    return rc;
}

void search_pairs_release(struct search_pairs *p)
{
    mem_free(p->pair);
    *p = (struct search_pairs){0};
}
