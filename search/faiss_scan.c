/* Scanning FAISS's inverted lists. The order of work matters: with a filter the row is looked up
 * first and only kept rows are scored; without one all are scored and only the few that would enter
 * the heap are looked up. */
#include "search/faiss_scan.h"
#include "core/mem.h"
#include "search/faiss_int.h"
#include <string.h>

#define GROUP 256 /* rows scored at a time */

enum status ivf_lists_init(struct ivf_lists *l, struct FaissIndex_H *index, struct error *err)
{
    *l = (struct ivf_lists){0};
    FaissIndexIVF *ivf = faiss_IndexIVF_cast(index);
    const float *ranges = eidetic_faiss_ranges(index); /* vmin, then vdiff */
    size_t dim = (size_t)faiss_Index_d(index), n = ivf ? faiss_IndexIVF_nlist(ivf) : 0, cells;
    if (!ranges || dim < 1 || dim > DB_MAX_DIM || n < 1)
        return error_set(err, ST_FORMAT, "not an index of bytes");
    if (!mul_overflow_size(n + 2, dim, &cells))
        l->centroids = mem_array(cells, sizeof *l->centroids);
    l->list = mem_array(n, sizeof *l->list);
    if (!l->centroids || !l->list)
        return error_set(err, ST_NOMEM, "out of memory (%zu lists)", n);
    if (faiss_Index_reconstruct_n(faiss_IndexIVF_quantizer(ivf), 0, (idx_t)n, l->centroids) != 0)
        return error_set(err, ST_FORMAT, "no centroids: %.120s", faiss_get_last_error());
    float *offset = l->centroids + n * dim, *scale = offset + dim;
    for (size_t j = 0; j < dim; j++) {
        offset[j] = ranges[j] + ranges[dim + j] / 510;
        scale[j] = ranges[dim + j] / 255;
    }
    l->offset = offset;
    l->scale = scale;
    l->n = n;
    l->dim = dim;
    flat_ops_init(&l->ops, cpu_level_max());
    for (size_t i = 0; i < n; i++)
        eidetic_faiss_list(ivf, i, &l->list[i].codes, &l->list[i].gens, &l->list[i].n);
    return ST_OK;
}

void ivf_lists_release(struct ivf_lists *l)
{
    mem_free(l->centroids);
    mem_free(l->list);
    *l = (struct ivf_lists){0};
}

struct scan {
    const struct ivf_lists *l;
    const struct vindex_query *q;
    struct flat_u8 w;
    float base;
    struct flat_hit *probe; /* lists, best first: .row is the list, .score q.centroid */
    struct flat_hit *heaps; /* [threads, n] */
    size_t *counts;
};

/* One list as one thread sees it. */
struct walk {
    const struct scan *s;
    const struct ivf_list *list;
    struct flat_hit *heap;
    size_t *count;
    float base;
};

static void offer(struct walk *w, size_t row, size_t block, float score)
{
    const struct vec_block *b = &w->s->q->blocks[block];
    flat_heap_push(
        w->heap, w->count, w->s->q->n,
        (struct flat_hit){.image = b->images[row - b->first], .score = score, .row = row});
}

static void score_rows(const struct walk *w, float *scores, size_t at, size_t n)
{
    const struct ivf_lists *l = w->s->l;
    l->ops.u8(scores, w->list->codes + at * l->dim, n, l->dim, &w->s->w);
    for (size_t i = 0; i < n; i++)
        scores[i] = w->base + w->s->w.unit * scores[i];
}

static void walk_all(struct walk *w, size_t at, size_t n)
{
    const struct vindex_query *q = w->s->q;
    float scores[GROUP];
    size_t block;
    score_rows(w, scores, at, n);
    for (size_t i = 0; i < n; i++) {
        if (*w->count == q->n && scores[i] < w->heap[0].score)
            continue;
        size_t row = vec_find(q->blocks, q->n_blocks, w->list->gens[at + i], &block);
        if (row < q->below)
            offer(w, row, block, scores[i]);
    }
}

static void walk_kept(struct walk *w, size_t at, size_t n)
{
    const struct vindex_query *q = w->s->q;
    float scores[GROUP];
    size_t rows[GROUP], blocks[GROUP];
    bool kept[GROUP + 1];
    for (size_t i = 0; i < n; i++) {
        rows[i] = vec_find(q->blocks, q->n_blocks, w->list->gens[at + i], &blocks[i]);
        kept[i] = rows[i] < q->below && (q->keep[rows[i] / 8] >> (rows[i] % 8) & 1);
    }
    kept[n] = false;
    for (size_t i = 0; i < n; i++) {
        size_t from = i;
        while (kept[i])
            i++;
        if (i > from)
            score_rows(w, scores, at + from, i - from);
        for (size_t j = from; j < i; j++)
            offer(w, rows[j], blocks[j], scores[j - from]);
    }
}

static void scan_list(void *ctx, int i, int thread)
{
    struct scan *s = ctx;
    struct walk w = {
        .s = s,
        .list = &s->l->list[s->probe[i].row],
        .heap = s->heaps + (size_t)thread * s->q->n,
        .count = &s->counts[thread],
        .base = s->base + s->probe[i].score,
    };
    for (size_t at = 0; at < w.list->n; at += GROUP) {
        size_t n = w.list->n - at < GROUP ? w.list->n - at : GROUP;
        if (s->q->keep)
            walk_kept(&w, at, n);
        else
            walk_all(&w, at, n);
    }
}

/* The lists to look at, and the query as integer weights. */
static size_t prepare(struct scan *s, size_t nprobe)
{
    const struct ivf_lists *l = s->l;
    const float *q = s->q->q;
    float scores[GROUP], weights[DB_MAX_DIM];
    size_t n = 0;
    for (size_t i = 0; i < l->n; i += GROUP) {
        size_t m = l->n - i < GROUP ? l->n - i : GROUP;
        l->ops.f32(scores, l->centroids + i * l->dim, m, l->dim, q);
        for (size_t j = 0; j < m; j++)
            flat_heap_push(
                s->probe, &n, nprobe,
                (struct flat_hit){.image = (int64_t)(i + j), .score = scores[j], .row = i + j});
    }
    flat_sort(s->probe, n);
    double base = 0;
    for (size_t j = 0; j < l->dim; j++) {
        base += (double)q[j] * l->offset[j];
        weights[j] = q[j] * l->scale[j];
    }
    s->base = (float)base;
    flat_u8_init(&s->w, weights, l->dim);
    return n;
}

enum status ivf_scan(const struct ivf_lists *l, const struct vindex_query *q, size_t nprobe,
                     struct flat_hit *hits, size_t *found, struct error *err)
{
    size_t threads = (size_t)pool_threads(q->pool), cells;
    struct scan *s = mem_zalloc(sizeof *s);
    enum status rc = ST_OK;
    *found = 0;
    if (!s)
        return error_set(err, ST_NOMEM, "out of memory");
    s->l = l;
    s->q = q;
    s->probe = mem_array(nprobe, sizeof *s->probe);
    s->heaps = mul_overflow_size(threads, q->n, &cells) ? NULL : mem_array(cells, sizeof *s->heaps);
    s->counts = mem_zarray(threads, sizeof *s->counts);
    if (!s->probe || !s->heaps || !s->counts) {
        rc = error_set(err, ST_NOMEM, "out of memory (%zu candidates)", q->n);
        goto out;
    }
    pool_for(q->pool, (int)prepare(s, nprobe), scan_list, s);
    for (size_t t = 0; t < threads; t++)
        for (size_t i = 0; i < s->counts[t]; i++)
            flat_heap_push(hits, found, q->n, s->heaps[t * q->n + i]);
out:
    mem_free(s->counts);
    mem_free(s->heaps);
    mem_free(s->probe);
    mem_free(s);
    return rc;
}
