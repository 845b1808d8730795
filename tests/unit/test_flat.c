/* The exact scan: every kernel against the reference, and the k best against sorting everything. */
#include "core/mem.h"
#include "core/rng.h"
#include "search/flat.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static float as_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static void each_level(void (*test)(const struct flat_ops *ops, const struct flat_ops *ref))
{
    struct flat_ops ref, ops;
    flat_ops_ref(&ref);
    for (int level = CPU_REF; level <= (int)cpu_level_max(); level++) {
        flat_ops_init(&ops, (enum cpu_level)level);
        test(&ops, &ref);
    }
}

static void halves(const struct flat_ops *ops, const struct flat_ops *ref)
{
    float f[65536], back[65536];
    uint16_t h[65536], again[65536];
    for (uint32_t i = 0; i < 65536; i++)
        h[i] = (uint16_t)i;
    ops->to_f32(f, h, 65536);
    ref->to_f32(back, h, 65536);
    for (uint32_t i = 0; i < 65536; i++)
        assert_true(f[i] == back[i] || (isnan(f[i]) && isnan(back[i])));
    ops->to_f16(again, f, 65536);
    for (uint32_t i = 0; i < 65536; i++)
        if (!isnan(f[i]))
            assert_int_equal(again[i], i);
    struct rng r = {.state = 1};
    for (int round = 0; round < 20; round++) { /* any float, also between halves and out of range */
        for (int i = 0; i < 4096; i++)
            f[i] = i % 3 ? rng_normal(&r) : as_float((uint32_t)rng_u64(&r));
        ops->to_f16(again, f, 4096);
        ref->to_f16(h, f, 4096);
        for (int i = 0; i < 4096; i++)
            if (!isnan(f[i]))
                assert_int_equal(again[i], h[i]);
    }
}

static void halves_convert_alike_at_every_level(void **state)
{
    (void)state;
    each_level(halves);
}

static void dots(const struct flat_ops *ops, const struct flat_ops *ref)
{
    struct rng r = {.state = 2};
    static const size_t dims[] = {1, 3, 7, 8, 15, 16, 17, 31, 33, 64, 100, 384, 513};
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        size_t dim = dims[d], n = 11;
        /* Exact sizes, so that a sanitizer sees a read past the end. */
        float *rows = mem_array(n * dim, sizeof *rows), *q = mem_array(dim, sizeof *q);
        uint16_t *half = mem_array(n * dim, sizeof *half);
        for (size_t i = 0; i < n * dim; i++)
            rows[i] = rng_normal(&r) / sqrtf((float)dim);
        for (size_t i = 0; i < dim; i++)
            q[i] = rng_normal(&r) / sqrtf((float)dim);
        ref->to_f16(half, rows, n * dim);
        for (size_t m = 0; m <= n; m++) {
            float a[12], b[12];
            a[m] = b[m] = 77; /* a guard behind the output */
            ops->f16(a, half, m, dim, q);
            ref->f16(b, half, m, dim, q);
            for (size_t i = 0; i < m; i++)
                assert_true(fabsf(a[i] - b[i]) < 2e-6f);
            assert_true(a[m] == 77);
            ops->f32(a, rows, m, dim, q);
            ref->f32(b, rows, m, dim, q);
            for (size_t i = 0; i < m; i++)
                assert_true(fabsf(a[i] - b[i]) < 2e-6f);
            assert_true(a[m] == 77);
        }
        mem_free(half);
        mem_free(q);
        mem_free(rows);
    }
}

static void dot_products_agree_at_every_level(void **state)
{
    (void)state;
    each_level(dots);
}

static void bytes(const struct flat_ops *ops, const struct flat_ops *ref)
{
    struct rng r = {.state = 5};
    static const size_t dims[] = {1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 384, 513, DB_MAX_DIM};
    struct flat_u8 *q = mem_alloc(sizeof *q);
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        size_t dim = dims[d], n = 7;
        uint8_t *rows = mem_alloc(n * dim);
        float *w = mem_array(dim, sizeof *w), a[8], b[8];
        for (int round = 0; round < 3; round++) { /* the last: the greatest sums there can be */
            for (size_t i = 0; i < n * dim; i++)
                rows[i] = round == 2 ? 255 : (uint8_t)rng_below(&r, 256);
            for (size_t j = 0; j < dim; j++)
                w[j] = round == 2 ? -3 : rng_normal(&r) * (j % 50 ? 1 : 20);
            flat_u8_init(q, w, dim);
            for (size_t j = 0; j < dim; j++) {
                assert_int_equal(q->whole[j], q->high[j] * 128 + q->low[j]);
                assert_true(fabsf(q->whole[j] * q->unit - w[j]) <= 0.51f * q->unit);
            }
            for (size_t m = 0; m <= n; m++) {
                a[m] = 77;
                ops->u8(a, rows, m, dim, q);
                ref->u8(b, rows, m, dim, q);
                for (size_t i = 0; i < m; i++)
                    assert_true(a[i] == b[i]);
                assert_true(a[m] == 77);
            }
        }
        mem_free(w);
        mem_free(rows);
    }
    flat_u8_init(q, (float[2]){0, 0}, 2);
    assert_true(q->unit == 0 && q->whole[0] == 0 && q->whole[1] == 0);
    mem_free(q);
}

static void sums_of_bytes_are_the_same_at_every_level(void **state)
{
    (void)state;
    each_level(bytes);
}

/* 3 blocks of unequal size, the last in f32, with equal scores among them. */
struct data {
    struct vec_block blocks[3];
    int64_t *images;
    float *f32;
    uint16_t *f16;
    size_t n;
};
#define DIM 24

static void make(struct data *d)
{
    struct rng r = {.state = 3};
    size_t sizes[3] = {10000, 1, 777}, at = 0;
    struct flat_ops ops;
    flat_ops_ref(&ops);
    d->n = 10778;
    d->images = mem_array(d->n, sizeof *d->images);
    d->f32 = mem_array(d->n * DIM, sizeof *d->f32);
    d->f16 = mem_array(d->n * DIM, sizeof *d->f16);
    for (size_t i = 0; i < d->n; i++) {
        d->images[i] = (int64_t)(d->n - i) * 3;
        for (int j = 0; j < DIM; j++) /* few values, so that many rows score the same */
            d->f32[i * DIM + (size_t)j] = j < 4 ? (float)rng_below(&r, 3) : 0;
    }
    ops.to_f16(d->f16, d->f32, d->n * DIM);
    for (int b = 0; b < 3; at += sizes[b++])
        d->blocks[b] = (struct vec_block){.images = d->images + at,
                                          .rows = b == 2 ? (void *)(d->f32 + at * DIM)
                                                         : (void *)(d->f16 + at * DIM),
                                          .f32 = b == 2,
                                          .n = sizes[b],
                                          .first = at};
}

static void release(struct data *d)
{
    mem_free(d->images);
    mem_free(d->f32);
    mem_free(d->f16);
}

static void the_k_best_are_those_of_sorting(void **state)
{
    (void)state;
    struct data d;
    make(&d);
    float q[DIM] = {1, 0.5f, -1, 0.25f};
    struct flat_hit *all = mem_array(d.n, sizeof *all), *hits = mem_array(d.n, sizeof *hits);
    uint8_t *keep = mem_zalloc(d.n / 8 + 1);
    struct rng r = {.state = 4};
    struct pool *pool = pool_new(3);
    for (int round = 0; round < 24; round++) {
        size_t n = 0, got, from = round % 3 == 2 ? 9990 + (size_t)round : 0;
        double sum = 0;
        bool masked = round % 2;
        for (size_t i = 0; i < d.n; i++) {
            bool k = rng_below(&r, round % 4 == 1 ? 100 : 2) == 0;
            keep[i / 8] = (uint8_t)((keep[i / 8] & ~(1 << i % 8)) | k << i % 8);
            if ((masked && !k) || i < from)
                continue;
            float s = 0;
            for (int j = 0; j < DIM; j++)
                s += q[j] * d.f32[i * DIM + (size_t)j];
            all[n++] = (struct flat_hit){d.images[i], s, i};
            sum += s;
        }
        flat_sort(all, n);
        size_t k = round < 8 ? 10 : round < 16 ? 1 : d.n + 5;
        struct flat_scan a = {.blocks = d.blocks,
                              .n_blocks = 3,
                              .dim = DIM,
                              .query = q,
                              .k = k,
                              .from_row = from,
                              .keep = masked ? keep : NULL};
        struct error err;
        assert_int_equal(flat_topk(&a, round % 5 ? pool : NULL, hits, &got, &err), ST_OK);
        assert_int_equal(got, n < k ? n : k);
        assert_int_equal(a.scored, n);
        assert_true(fabs(a.sum - sum) < 1e-6 * (fabs(sum) + 1));
        for (size_t i = 0; i < got; i++) {
            assert_true(hits[i].score == all[i].score);
            assert_int_equal(hits[i].image, all[i].image);
            assert_int_equal(hits[i].row, all[i].row);
        }
    }
    pool_free(pool);
    mem_free(keep);
    mem_free(hits);
    mem_free(all);
    release(&d);
}

static void nothing_and_nan_are_no_hits(void **state)
{
    (void)state;
    int64_t images[2] = {1, 2};
    float rows[2] = {NAN, 1}, q = 1;
    struct vec_block b = {.images = images, .rows = rows, .f32 = true, .n = 2};
    struct flat_scan a = {.blocks = &b, .n_blocks = 1, .dim = 1, .query = &q, .k = 5};
    struct flat_hit hits[5];
    size_t n;
    assert_int_equal(flat_topk(&a, NULL, hits, &n, NULL), ST_OK);
    assert_true(n == 1 && hits[0].image == 2);
    a.n_blocks = 0;
    assert_int_equal(flat_topk(&a, NULL, hits, &n, NULL), ST_OK);
    assert_int_equal(n, 0);
}

static void memory_failures_are_reported(void **state)
{
    (void)state;
    struct data d;
    make(&d);
    float q[DIM] = {1};
    struct flat_hit hits[3];
    size_t n;
    enum status rc = ST_NOMEM;
    for (uint64_t i = 1; rc; i++) {
        struct flat_scan a = {.blocks = d.blocks, .n_blocks = 3, .dim = DIM, .query = q, .k = 3};
        mem_fail_at(i, false);
        rc = flat_topk(&a, NULL, hits, &n, NULL);
        mem_fail_at(0, false);
        assert_true(rc == ST_OK || rc == ST_NOMEM);
        assert_true(i < 20);
    }
    release(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves_convert_alike_at_every_level),
        cmocka_unit_test(dot_products_agree_at_every_level),
        cmocka_unit_test(sums_of_bytes_are_the_same_at_every_level),
        cmocka_unit_test(the_k_best_are_those_of_sorting),
        cmocka_unit_test(nothing_and_nan_are_no_hits),
        cmocka_unit_test(memory_failures_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
