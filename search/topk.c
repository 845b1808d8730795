/* One query: filter, scan or index, exact scores, moments. */
#include "core/mem.h"
#include "search/search_int.h"
#include <math.h>
#include <string.h>

#define RESCORE_MAX 4096
#define SAMPLE 4096
#define SAMPLE_RUN 8 /* neighbours in it, read together */

static bool bit(const uint8_t *bits, size_t i)
{
    return bits[i / 8] >> (i % 8) & 1;
}

/* Is id in the ascending list? Rows come mostly in the order of ids, so the cursor is mostly right.
 */
static bool listed(const struct db_idset *set, int64_t id, size_t *cursor)
{
    size_t c = *cursor;
    for (int step = 0; step < 8 && c < set->n && set->ids[c] < id; step++)
        c++;
    if (c < set->n && set->ids[c] < id) { /* far behind */
        size_t lo = c, hi = set->n;
        while (lo < hi) {
            size_t mid = lo + (hi - lo) / 2;
            if (set->ids[mid] < id)
                lo = mid + 1;
            else
                hi = mid;
        }
        c = lo;
    } else if (c > 0 && set->ids[c - 1] >= id) { /* ahead */
        size_t lo = 0, hi = c;
        while (lo < hi) {
            size_t mid = lo + (hi - lo) / 2;
            if (set->ids[mid] < id)
                lo = mid + 1;
            else
                hi = mid;
        }
        c = lo;
    }
    *cursor = c;
    return c < set->n && set->ids[c] == id;
}

/* The view's rows that the ids leave. */
static enum status mark_rows(const struct view *v, struct selection *c, struct error *err)
{
    const struct db_idset *set = &c->set;
    size_t cursor = 0;
    c->plain = set->except;
    c->n = v->n_rows - v->n_dead;
    if (set->except && set->n == 0 && !v->n_dead)
        return ST_OK;
    c->keep = mem_zalloc(v->n_rows / 8 + 1);
    if (!c->keep)
        return error_set(err, ST_NOMEM, "out of memory (%zu rows)", v->n_rows);
    c->n = 0;
    for (size_t b = 0; b < v->n_blocks; b++) {
        const struct vec_block *k = &v->blocks[b];
        for (size_t i = 0; i < k->n; i++) {
            size_t row = k->first + i;
            if (v->dead && bit(v->dead, row))
                continue;
            if (set->n ? listed(set, k->images[i], &cursor) == set->except : !set->except)
                continue;
            c->keep[row / 8] |= (uint8_t)(1 << row % 8);
            c->n++;
        }
    }
    return ST_OK;
}

enum status selection_make(struct search *s, const struct db_filter *filter, struct error *err)
{
    char *key;
    struct selection *c = &s->chosen;
    enum status rc = db_filter_key(s->db, filter, &key, err);
    if (rc)
        return rc;
    if (c->key && !strcmp(c->key, key)) {
        mem_free(key);
        return ST_OK;
    }
    selection_release(c);
    rc = db_filter_run(s->db, filter, &c->set, err);
    if (!rc)
        rc = mark_rows(&s->view, c, err);
    if (rc) {
        mem_free(key);
        selection_release(c);
        return rc;
    }
    c->key = key;
    return ST_OK;
}

/* Rows [row, row + n) of a block, n at most SAMPLE_RUN. Those of the file are read into `room`
 * rather than looked at in the map: a few rows here and there would bring most of it into the
 * process, since a touch maps many pages. room NULL: from the map. */
static void score_rows(const struct search *s, size_t block, size_t row, size_t n, const float *q,
                       uint16_t *room, float *scores)
{
    const struct vec_block *b = &s->view.blocks[block];
    size_t dim = (size_t)s->model.dim, at = row - b->first;
    if (b->f32) {
        s->ops.f32(scores, (const float *)b->rows + at * dim, n, dim, q);
        return;
    }
    const uint16_t *rows = (const uint16_t *)b->rows + at * dim;
    if (room && vecfile_read(&s->view.file, rows, n * dim * sizeof *rows, room))
        rows = room;
    s->ops.f16(scores, rows, n, dim, q);
}

static uint16_t *score_room(const struct search *s)
{
    return mem_array((size_t)s->model.dim, SAMPLE_RUN * sizeof(uint16_t));
}

static void finish_moments(struct search_result *r, double sum, double sum2, size_t n)
{
    r->moments_n = n;
    r->mean = n ? sum / (double)n : 0;
    double var = n ? sum2 / (double)n - r->mean * r->mean : 0;
    r->sd = var > 0 ? sqrt(var) : 0;
}

/* Runs of rows spread evenly over the archive, the same for every query. */
static void sample_moments(const struct search *s, const float *q, struct search_result *r)
{
    const struct view *v = &s->view;
    double sum = 0, sum2 = 0;
    size_t n = 0, block = 0, m, want = v->n_rows < SAMPLE ? v->n_rows : SAMPLE;
    float scores[SAMPLE_RUN];
    uint16_t *room = score_room(s);
    for (size_t i = 0; i < want; i += SAMPLE_RUN) {
        size_t row = i, end;
        if (want == SAMPLE)
            row = (size_t)((unsigned __int128)i * v->n_rows / want);
        end = want - i < SAMPLE_RUN ? want : row + SAMPLE_RUN;
        for (; row < end; row += m) {
            const struct vec_block *b = &v->blocks[block];
            m = 0;
            if (row >= b->first + b->n) {
                block++;
                continue;
            }
            m = b->first + b->n - row < end - row ? b->first + b->n - row : end - row;
            score_rows(s, block, row, m, q, room, scores);
            for (size_t k = 0; k < m; k++) {
                if (v->dead && bit(v->dead, row + k))
                    continue;
                sum += scores[k];
                sum2 += (double)scores[k] * scores[k];
                n++;
            }
        }
    }
    mem_free(room);
    finish_moments(r, sum, sum2, n);
}

struct picking { /* the best so far, as a heap */
    struct flat_hit *hits;
    size_t n, k, scored;
};

static enum status scan(struct search *s, const float *q, size_t from_row, const uint8_t *keep,
                        struct picking *p, double *sum, double *sum2, struct error *err)
{
    struct flat_scan a = {
        .blocks = s->view.blocks,
        .n_blocks = s->view.n_blocks,
        .dim = s->model.dim,
        .ops = &s->ops,
        .query = q,
        .k = p->k,
        .from_row = from_row,
        .keep = keep,
    };
    struct flat_hit *hits = mem_array(p->k ? p->k : 1, sizeof *hits);
    size_t n;
    if (!hits)
        return error_set(err, ST_NOMEM, "out of memory (%zu best)", p->k);
    enum status rc = flat_topk(&a, s->pool, hits, &n, err);
    for (size_t i = 0; !rc && i < n; i++)
        flat_heap_push(p->hits, &p->n, p->k, hits[i]);
    p->scored += a.scored;
    if (sum) {
        *sum = a.sum;
        *sum2 = a.sum2;
    }
    mem_free(hits);
    return rc;
}

/* The index's candidates that are alive and kept, scored exactly. Looks further until k survive. */
static enum status ask_index(struct search *s, const float *q, const uint8_t *keep, double share,
                             struct picking *p, struct error *err)
{
    const struct view *v = &s->view;
    size_t want = p->k + p->k / 2 + 64, found = 0;
    struct flat_hit *hits = mem_array(want, sizeof *hits);
    struct vindex_query ask = {
        .q = q,
        .n = want,
        .effort = 1 / share, /* what is kept is spread over more lists */
        .blocks = v->blocks,
        .n_blocks = v->n_blocks,
        .below = s->tail_from, /* the tail is scanned anyway */
        .keep = keep,
        .pool = s->pool,
    };
    bool all = false;
    uint16_t *room = score_room(s);
    enum status rc = hits ? ST_OK : error_set(err, ST_NOMEM, "out of memory (%zu best)", want);
    for (; !rc; ask.effort *= 2) {
        rc = s->kind->search(s->index, &ask, hits, &found, &all, err);
        if (rc || found >= p->k || all)
            break;
    }
    for (size_t i = 0; !rc && i < found; i++) {
        size_t block = vec_block_of(v->blocks, v->n_blocks, hits[i].row);
        score_rows(s, block, hits[i].row, 1, q, room, &hits[i].score);
        flat_heap_push(p->hits, &p->n, p->k, hits[i]);
    }
    p->scored += found;
    mem_free(room);
    mem_free(hits);
    return rc;
}

enum status search_score(struct search *s, const float *q, int64_t image, float *score, bool *have,
                         struct error *err)
{
    float row[DB_MAX_DIM];
    enum status rc = db_vectors_get(s->db, s->model.id, &image, 1, s->model.dim, row, have, err);
    if (!rc && *have)
        s->ops.f32(score, row, 1, (size_t)s->model.dim, q);
    return rc;
}

/* The best again from SQLite's f32; a row that is gone by now drops out. */
static enum status rescore(struct search *s, const float *q, struct picking *p, struct error *err)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->n; i++) {
        struct flat_hit h = p->hits[i];
        bool have;
        enum status rc = search_score(s, q, h.image, &h.score, &have, err);
        if (rc)
            return rc;
        if (have)
            p->hits[kept++] = h;
    }
    p->n = kept;
    return ST_OK;
}

enum status search_unit_query(const float *q, size_t dim, float *out, struct error *err)
{
    double s = 0;
    for (size_t i = 0; i < dim; i++)
        s += (double)q[i] * q[i];
    s = sqrt(s);
    if (!(s > 0 && isfinite(s)))
        return error_set(err, ST_FORMAT, "the query's vector has no direction");
    for (size_t i = 0; i < dim; i++)
        out[i] = (float)(q[i] / s);
    return ST_OK;
}

static enum status pick(struct search *s, const float *q, const uint8_t *keep, bool plain,
                        struct picking *p, struct search_result *r, struct error *err)
{
    size_t live = s->view.n_rows - s->view.n_dead;
    double share = live ? (double)r->candidates / (double)live : 0, sum, sum2;
    enum status rc;
    size_t n = 0;
    const struct flat_hit *known = ahead_find(s, q, p->k, &n);
    for (size_t i = 0; i < n; i++)
        flat_heap_push(p->hits, &p->n, p->k, known[i]);
    if (known) {
        r->exact = true;
        p->scored = r->candidates;
        sample_moments(s, q, r);
        return ST_OK;
    }
    r->exact = !s->kind || share < 0.05 || p->k >= r->candidates || p->k > live / 8;
    if (r->exact) {
        rc = scan(s, q, 0, keep, p, &sum, &sum2, err);
        if (!rc && plain)
            finish_moments(r, sum, sum2, p->scored);
        else if (!rc)
            sample_moments(s, q, r);
        return rc;
    }
    rc = ask_index(s, q, keep, share, p, err);
    if (!rc)
        rc = scan(s, q, s->tail_from, keep, p, NULL, NULL, err);
    if (!rc)
        sample_moments(s, q, r);
    return rc;
}

enum status search_topk(struct search *s, const float *query, const struct db_filter *filter,
                        size_t k, struct search_result *r, struct error *err)
{
    *r = (struct search_result){0};
    struct picking p = {0};
    bool own;
    size_t dim = (size_t)s->model.dim;
    float q[DB_MAX_DIM];
    enum status rc = search_unit_query(query, dim, q, err);
    if (rc || (rc = snapshot_begin(s->db, &own, err)))
        return rc;
    rc = selection_make(s, filter, err);
    r->candidates = rc ? 0 : s->chosen.n;
    if (r->candidates == 0)
        goto out;
    bool precise = k <= RESCORE_MAX;
    p.k =
        precise ? k + k / 4 + 16 : k; /* f16 may swap neighbours, so a few more are scored again */
    if (p.k > r->candidates)
        p.k = r->candidates;
    p.hits = mem_array(p.k, sizeof *p.hits);
    r->hits = mem_array(k < p.k ? k : p.k, sizeof *r->hits);
    if (!p.hits || !r->hits)
        rc = error_set(err, ST_NOMEM, "out of memory (%zu best)", k);
    if (!rc)
        rc = pick(s, q, s->chosen.keep, s->chosen.plain, &p, r, err);
    if (!rc && precise)
        rc = rescore(s, q, &p, err);
    if (rc)
        goto out;
    flat_sort(p.hits, p.n);
    r->n = k < p.n ? k : p.n;
    r->scored = p.scored;
    for (size_t i = 0; i < r->n; i++)
        r->hits[i] = (struct search_hit){p.hits[i].image, p.hits[i].score, 0, 0};
out:
    snapshot_end(s->db, own);
    mem_free(p.hits);
    if (rc)
        search_result_release(r);
    return rc;
}
