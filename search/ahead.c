/* Queries that were looked for together. What was found is of the rows that are open now, so it is
 * forgotten where these are closed. */
#include "core/mem.h"
#include "search/search_int.h"
#include <string.h>

void ahead_release(struct ahead *a)
{
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

/* One block's rows into every query's best. */
static enum status look_at(struct search *s, const struct search_nearest *by,
                           const struct vec_block *b, float *score, float *row, struct error *err)
{
    struct ahead *a = &s->ahead;
    size_t k = b->n < SEARCH_AHEAD ? b->n : SEARCH_AHEAD;
    struct search_rows rows = {b->rows, b->f32, b->n, s->model.dim, s->era};
    if (k == 0)
        return ST_OK;
    enum status rc = by->run(by->ctx, &rows, a->q, a->m, k, score, row, err);
    for (size_t i = 0; i < a->m && !rc; i++)
        for (size_t t = 0; t < k; t++) {
            size_t at = (size_t)row[i * k + t];
            flat_heap_push(a->hits + i * SEARCH_AHEAD, &a->n[i], SEARCH_AHEAD,
                           (struct flat_hit){.image = b->images[at],
                                             .score = score[i * k + t],
                                             .row = b->first + at});
        }
    return rc;
}

enum status search_ahead(struct search *s, const struct search_nearest *by, const float *queries,
                         size_t m, struct error *err)
{
    size_t dim = (size_t)s->model.dim;
    enum status rc = search_refresh(s, err);
    ahead_release(&s->ahead);
    if (rc || m == 0 || s->view.n_dead)
        return rc;
    float *score = mem_array(m * SEARCH_AHEAD, sizeof *score);
    float *row = mem_array(m * SEARCH_AHEAD, sizeof *row);
    rc = ahead_alloc(&s->ahead, m, dim, err);
    if (!rc && (!score || !row))
        rc = error_set(err, ST_NOMEM, "out of memory for %zu queries", m);
    for (size_t i = 0; i < m && !rc; i++)
        rc = search_unit_query(queries + i * dim, dim, s->ahead.q + i * dim, err);
    for (size_t b = 0; b < s->view.n_blocks && !rc; b++)
        rc = look_at(s, by, &s->view.blocks[b], score, row, err);
    mem_free(score);
    mem_free(row);
    if (rc)
        ahead_release(&s->ahead);
    return rc;
}

const struct flat_hit *ahead_find(const struct search *s, const float *q, size_t k, size_t *n)
{
    const struct ahead *a = &s->ahead;
    size_t dim = (size_t)s->model.dim;
    for (size_t i = 0; i < a->m && k <= SEARCH_AHEAD; i++)
        if (!memcmp(a->q + i * dim, q, dim * sizeof *q)) {
            *n = a->n[i];
            return a->hits + i * SEARCH_AHEAD;
        }
    return NULL;
}
