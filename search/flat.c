/* The exact scan over blocks of rows. Work is cut into chunks of fixed size, not by thread, so that
 * the sums (and so the moments) are the same however many threads there are. */
#include "search/flat.h"
#include "core/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 4096 /* rows of one task; a multiple of 64 */
#define GROUP 64   /* rows scored at a time: bits of a word */

void flat_ops_init(struct flat_ops *ops, enum cpu_level level)
{
    flat_ops_ref(ops);
    if (level >= CPU_AVX2)
        flat_ops_avx2(ops);
    if (level >= CPU_AVX512)
        flat_ops_avx512(ops);
    if (level >= CPU_AVX512VNNI)
        flat_ops_vnni(ops);
}

void flat_u8_init(struct flat_u8 *q, const float *w, size_t dim)
{
    float most = 0;
    for (size_t j = 0; j < dim; j++)
        most = fabsf(w[j]) > most ? fabsf(w[j]) : most;
    q->unit = most > 0 && isfinite(most) ? most / FLAT_U8_MOST : 0;
    for (size_t j = 0; j < dim; j++) {
        int x = q->unit > 0 ? (int)lrintf(w[j] / q->unit) : 0;
        x = x > FLAT_U8_MOST ? FLAT_U8_MOST : x < -FLAT_U8_MOST ? -FLAT_U8_MOST : x;
        int high = (x + 8192 + 64) / 128 - 64; /* to nearest, so that low is -64 to 63 */
        q->whole[j] = (int16_t)x;
        q->high[j] = (int8_t)high;
        q->low[j] = (int8_t)(x - high * 128);
    }
}

static bool better(const struct flat_hit *a, const struct flat_hit *b)
{
    return a->score > b->score || (a->score == b->score && a->image < b->image);
}

void flat_heap_push(struct flat_hit *heap, size_t *n, size_t k, struct flat_hit h)
{
    size_t i;
    if (h.score != h.score || k == 0)
        return;
    if (*n < k) {
        for (i = (*n)++; i > 0 && better(&heap[(i - 1) / 2], &h); i = (i - 1) / 2)
            heap[i] = heap[(i - 1) / 2];
        heap[i] = h;
        return;
    }
    if (!better(&h, &heap[0]))
        return;
    for (i = 0;;) {
        size_t c = 2 * i + 1;
        if (c >= k)
            break;
        if (c + 1 < k && better(&heap[c], &heap[c + 1]))
            c++;
        if (!better(&h, &heap[c]))
            break;
        heap[i] = heap[c];
        i = c;
    }
    heap[i] = h;
}

static int compare(const void *a, const void *b)
{
    const struct flat_hit *x = a, *y = b;
    return better(x, y) ? -1 : better(y, x);
}

void flat_sort(struct flat_hit *hits, size_t n)
{
    if (n > 1)
        qsort(hits, n, sizeof *hits, compare);
}

struct chunk {
    size_t block, start, n; /* rows of one block */
    double sum, sum2;
    size_t scored;
};

struct scanning {
    const struct flat_scan *a;
    const struct flat_ops *ops;
    struct chunk *chunks;
    struct flat_hit *heaps; /* [threads, k] */
    size_t *counts;
    size_t k;
};

/* Scores rows [at, at + n), n <= GROUP, and offers those of `wanted`. */
static void score_rows(struct scanning *s, struct chunk *c, size_t at, size_t n, uint64_t wanted,
                       int thread)
{
    const struct vec_block *b = &s->a->blocks[c->block];
    struct flat_hit *heap = s->heaps + (size_t)thread * s->k;
    size_t dim = (size_t)s->a->dim, *count = &s->counts[thread];
    float scores[GROUP];
    if (b->f32)
        s->ops->f32(scores, (const float *)b->rows + at * dim, n, dim, s->a->query);
    else
        s->ops->f16(scores, (const uint16_t *)b->rows + at * dim, n, dim, s->a->query);
    c->scored += (size_t)__builtin_popcountll(wanted);
    for (; wanted; wanted &= wanted - 1) {
        size_t j = (size_t)__builtin_ctzll(wanted);
        c->sum += scores[j];
        c->sum2 += (double)scores[j] * scores[j];
        if (*count < s->k || scores[j] >= heap[0].score)
            flat_heap_push(heap, count, s->k,
                           (struct flat_hit){.image = b->images[at + j],
                                             .score = scores[j],
                                             .row = b->first + at + j});
    }
}

/* Bits [bit, bit + n) of keep, n <= 64; bytes without one of them are not touched. */
static uint64_t bits_of(const uint8_t *keep, size_t bit, size_t n)
{
    size_t bytes = (bit % 8 + n + 7) / 8;
    uint64_t w = 0;
    keep += bit / 8;
    for (size_t i = 0; i < bytes && i < 8; i++)
        w |= (uint64_t)keep[i] << (8 * i);
    w >>= bit % 8;
    if (bytes > 8)
        w |= (uint64_t)keep[8] << (64 - bit % 8);
    return n < 64 ? w & ((UINT64_C(1) << n) - 1) : w;
}

/* Memory is read faster in a row than here and there: where the filter keeps a good part of the
 * rows, the others are scored too. */
static bool is_dense(uint64_t wanted, size_t n)
{
    return (size_t)__builtin_popcountll(wanted) * 3 >= n;
}

static void scan_chunk(void *ctx, int i, int thread)
{
    struct scanning *s = ctx;
    struct chunk *c = &s->chunks[i];
    const uint8_t *keep = s->a->keep;
    size_t first = s->a->blocks[c->block].first, end = c->start + c->n, n;
    for (size_t at = c->start; at < end; at += n) {
        n = end - at < GROUP ? end - at : GROUP;
        uint64_t wanted = ~UINT64_C(0) >> (GROUP - n);
        if (keep)
            wanted = bits_of(keep, first + at, n);
        if (is_dense(wanted, n)) {
            score_rows(s, c, at, n, wanted, thread);
            continue;
        }
        for (; wanted; wanted &= wanted - 1)
            score_rows(s, c, at + (size_t)__builtin_ctzll(wanted), 1, 1, thread);
    }
}

static size_t cut_chunks(const struct flat_scan *a, struct chunk *chunks)
{
    size_t n = 0;
    for (size_t b = 0; b < a->n_blocks; b++) {
        const struct vec_block *block = &a->blocks[b];
        size_t start = a->from_row > block->first ? a->from_row - block->first : 0;
        for (; start < block->n; start += CHUNK, n++)
            if (chunks)
                chunks[n] = (struct chunk){
                    .block = b,
                    .start = start,
                    .n = block->n - start < CHUNK ? block->n - start : CHUNK,
                };
    }
    return n;
}

enum status flat_topk(struct flat_scan *a, struct pool *pool, struct flat_hit *hits, size_t *n,
                      struct error *err)
{
    struct flat_ops best;
    flat_ops_init(&best, a->ops ? CPU_REF : cpu_level_max());
    size_t threads = (size_t)pool_threads(pool), n_chunks = cut_chunks(a, NULL), rows = 0;
    for (size_t b = 0; b < a->n_blocks; b++)
        rows += a->blocks[b].n;
    size_t k = a->k < rows ? a->k : rows, cells;
    struct scanning s = {.a = a, .ops = a->ops ? a->ops : &best, .k = k};
    enum status rc = ST_OK;
    *n = 0;
    a->sum = a->sum2 = 0;
    a->scored = 0;
    if (n_chunks == 0 || k == 0)
        return ST_OK;
    s.chunks = mem_zarray(n_chunks, sizeof *s.chunks);
    s.heaps = mul_overflow_size(threads, k, &cells) ? NULL : mem_array(cells, sizeof *s.heaps);
    s.counts = mem_zarray(threads, sizeof *s.counts);
    if (!s.chunks || !s.heaps || !s.counts || n_chunks > INT32_MAX) {
        rc = error_set(err, ST_NOMEM, "out of memory (%zu best of %zu rows)", k, rows);
        goto out;
    }
    cut_chunks(a, s.chunks);
    pool_for(pool, (int)n_chunks, scan_chunk, &s);
    for (size_t i = 0; i < n_chunks; i++) {
        a->sum += s.chunks[i].sum;
        a->sum2 += s.chunks[i].sum2;
        a->scored += s.chunks[i].scored;
    }
    for (size_t t = 0; t < threads; t++)
        for (size_t i = 0; i < s.counts[t]; i++)
            flat_heap_push(hits, n, k, s.heaps[t * k + i]);
    flat_sort(hits, *n);
out:
    mem_free(s.counts);
    mem_free(s.heaps);
    mem_free(s.chunks);
    return rc;
}
