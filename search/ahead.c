/* Queries that were looked for together. What was found is of the rows that are open now, so it is
 * forgotten where these are closed. */
#include "core/mem.h"
#include "search/search_int.h"
#include <string.h>

void ahead_release(struct ahead *a)
{
    mem_free(a->key);
    mem_free(a->q);
    mem_free(a->hits);
    mem_free(a->n);
    *a = (struct ahead){0};
}

static enum status ahead_alloc(struct ahead *a, size_t m, size_t dim, struct error *err)
{
    size_t cells = 0;
    bool fits = !mul_overflow_size(m, SEARCH_AHEAD, &cells);
    *a = (struct ahead){.m = m, .n = mem_zarray(m, sizeof *a->n)};
    a->q = mem_array(m * dim, sizeof *a->q);
    a->hits = fits ? mem_array(cells, sizeof *a->hits) : NULL;
    return a->q && a->hits && a->n ? ST_OK
                                   : error_set(err, ST_NOMEM, "out of memory for %zu queries", m);
}

/* Bits [first, first + n) of all, from bit 0 on. */
static uint8_t *bits_of(const uint8_t *all, size_t first, size_t n)
{
    uint8_t *y = mem_zalloc(n / 8 + 1);
    for (size_t i = 0; y && i < n; i++)
        y[i / 8] |= (uint8_t)((all[(first + i) / 8] >> (first + i) % 8 & 1) << i % 8);
    return y;
}

/* One block's rows into every query's best. */
static enum status look_at(struct search *s, const struct search_nearest *by,
                           const struct vec_block *b, float *score, float *row, struct error *err)
{
    struct ahead *a = &s->ahead;
    size_t k = b->n < SEARCH_AHEAD ? b->n : SEARCH_AHEAD;
    const uint8_t *all = s->chosen.keep;
    uint8_t *keep = all && k ? bits_of(all, b->first, b->n) : NULL;
    struct search_rows rows = {b->rows, b->f32, b->n, keep, s->model.dim, s->era};
    if (k == 0)
        return ST_OK;
    enum status rc = all && !keep ? error_set(err, ST_NOMEM, "out of memory (%zu rows)", b->n)
                                  : by->run(by->ctx, &rows, a->q, a->m, k, score, row, err);
    for (size_t i = 0; i < a->m && !rc; i++)
        for (size_t t = 0; t < k && row[i * k + t] >= 0; t++) {
            size_t at = (size_t)row[i * k + t];
            flat_heap_push(a->hits + i * SEARCH_AHEAD, &a->n[i], SEARCH_AHEAD,
                           (struct flat_hit){.image = b->images[at],
                                             .score = score[i * k + t],
                                             .row = b->first + at});
        }
    mem_free(keep);
    return rc;
}

/* The filter's rows, and what they are known by. */
static enum status choose(struct search *s, const struct db_filter *filter, struct error *err)
{
    bool own;
    enum status rc = snapshot_begin(s->db, &own, err);
    if (rc)
        return rc;
    rc = selection_make(s, filter, err);
    if (!rc && !(s->ahead.key = mem_strdup(s->chosen.key)))
        rc = error_set(err, ST_NOMEM, "out of memory");
    snapshot_end(s->db, own);
    return rc;
}

enum status search_ahead(struct search *s, const struct search_nearest *by, const float *queries,
                         size_t m, const struct db_filter *filter, struct error *err)
{
    size_t dim = (size_t)s->model.dim;
    enum status rc = search_refresh(s, err);
    ahead_release(&s->ahead);
    if (rc || m == 0)
        return rc;
    float *score = mem_array(m * SEARCH_AHEAD, sizeof *score);
    float *row = mem_array(m * SEARCH_AHEAD, sizeof *row);
    rc = ahead_alloc(&s->ahead, m, dim, err);
    if (!rc)
        rc = choose(s, filter, err);
    if (!rc && (!score || !row))
        rc = error_set(err, ST_NOMEM, "out of memory for %zu queries", m);
    for (size_t i = 0; i < m && !rc; i++)
        rc = search_unit_query(queries + i * dim, dim, s->ahead.q + i * dim, err);
    for (size_t b = 0; b < s->view.n_blocks && !rc; b++)
        rc = look_at(s, by, &s->view.blocks[b], score, row, err);
    for (size_t i = 0; i < m && !rc; i++)
        flat_sort(s->ahead.hits + i * SEARCH_AHEAD, s->ahead.n[i]);
    mem_free(score);
    mem_free(row);
    if (rc)
        ahead_release(&s->ahead);
    return rc;
}

/* Of equal scores a device takes the first rows, a scan the smallest ids: where those at the end
 * of what was found reach up to the k-th, others of them may be missing. */
static bool is_enough(const struct flat_hit *hits, size_t n, size_t k)
{
    return n < SEARCH_AHEAD || (k < n && hits[k - 1].score > hits[n - 1].score);
}

const struct flat_hit *ahead_find(const struct search *s, const float *q, size_t k, size_t *n)
{
    const struct ahead *a = &s->ahead;
    size_t dim = (size_t)s->model.dim;
    if (!a->key || strcmp(a->key, s->chosen.key) != 0)
        return NULL;
    for (size_t i = 0; i < a->m; i++)
        if (!memcmp(a->q + i * dim, q, dim * sizeof *q)) {
            const struct flat_hit *hits = a->hits + i * SEARCH_AHEAD;
            if (!is_enough(hits, a->n[i], k))
                return NULL;
            *n = a->n[i];
            return hits;
        }
    return NULL;
}
