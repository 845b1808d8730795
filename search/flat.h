/* The exact scan: one query against every row, the k best kept, bound by memory.
 *
 *     struct flat_scan a = {.blocks = b, .n_blocks = nb, .dim = 512, .query = q, .k = 10};
 *     struct flat_hit hits[10];
 *     size_t n = flat_topk(&a, pool, hits, &err);
 *
 * Kernels are chosen once by core/cpu.h: plain C (kept for ever), AVX2 + F16C, AVX-512,
 * AVX-512 with VNNI for bytes. */
#ifndef EIDETIC_SEARCH_FLAT_H
#define EIDETIC_SEARCH_FLAT_H

#include "core/cpu.h"
#include "core/threads.h"
#include "db/vectors.h"
#include "search/vecfile.h"

/* Weights for rows of bytes: w[j] is about unit * (128 * high[j] + low[j]), |128 high + low| <=
 * FLAT_U8_MOST, so that DB_MAX_DIM products fit 32 bits in every version and the sums are exact. */
#define FLAT_U8_MOST 8191
struct flat_u8 {
    int16_t whole[DB_MAX_DIM]; /* 128 * high + low */
    int8_t high[DB_MAX_DIM], low[DB_MAX_DIM];
    float unit;
};
void flat_u8_init(struct flat_u8 *q, const float *w, size_t dim);

/* scores[i] = sum_j rows[i, j] * q[j], f32 sums; rows contiguous [n, dim], unaligned allowed. */
struct flat_ops {
    void (*f16)(float *scores, const uint16_t *rows, size_t n, size_t dim, const float *q);
    void (*f32)(float *scores, const float *rows, size_t n, size_t dim, const float *q);
    /* scores[i] = sum_j rows[i, j] * q->whole[j], exact and then rounded to f32: the same bits in
     * every version. */
    void (*u8)(float *scores, const uint8_t *rows, size_t n, size_t dim, const struct flat_u8 *q);
    void (*to_f16)(uint16_t *out, const float *in, size_t n); /* to nearest even */
    void (*to_f32)(float *out, const uint16_t *in, size_t n);
    const char *name;
};
void flat_ops_init(struct flat_ops *ops, enum cpu_level level);
/* The kernel files' own tables, each over the one before. */
void flat_ops_ref(struct flat_ops *ops);
void flat_ops_avx2(struct flat_ops *ops);
void flat_ops_avx512(struct flat_ops *ops);
void flat_ops_vnni(struct flat_ops *ops);

struct flat_hit {
    int64_t image;
    float score;
    size_t row;
};
struct flat_scan {
    const struct vec_block *blocks;
    size_t n_blocks;
    int dim;
    const struct flat_ops *ops; /* NULL = the best of this machine */
    const float *query;
    size_t k;
    size_t from_row;     /* rows before it are passed over */
    const uint8_t *keep; /* bit per row number: scanned; NULL = all */
    /* out */
    double sum, sum2;
    size_t scored;
};
/* Best first (score descending, image ascending), NaN scores dropped; *n at most k. hits: room for
 * k. */
enum status flat_topk(struct flat_scan *a, struct pool *pool, struct flat_hit *hits, size_t *n,
                      struct error *err);
/* The heap behind it, for merging: order of hits, worst at the root. */
void flat_heap_push(struct flat_hit *heap, size_t *n, size_t k, struct flat_hit h);
void flat_sort(struct flat_hit *hits, size_t n);

#endif
