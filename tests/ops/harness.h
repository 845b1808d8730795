/* The op harness: every op on every backend of backend_list(), each with 1, 2 and 3 threads,
 * against cpu:ref.
 *
 *     struct harness h;
 *     harness_open(&h);
 *     check_op(&h, "layernorm 3x17", run, &ctx, NULL, 3 * 17, tolerance(1e-6f, 1e-6f));
 *     harness_close(&h);
 *
 * check_op gives each run an output that starts off any alignment but a float's, between guard
 * bytes; runs twice; wants the same bits both times and with any number of threads (splits depend
 * on shapes alone; on a device they do nothing); and compares with the reference within a tolerance
 * that the caller gives reasons for. Values are said to differ when |y - ref| > abs + rel * |ref|,
 * or one of them is NaN.
 */
#ifndef EIDETIC_TESTS_OPS_HARNESS_H
#define EIDETIC_TESTS_OPS_HARNESS_H

#include "core/mem.h"
#include "core/rng.h"
#include "nn/ops.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_BACKENDS = 16, THREAD_COUNTS = 3, GUARD = 256 };

struct harness {
    struct backend *ref;
    struct backend *be[MAX_BACKENDS][THREAD_COUNTS];
    int n;
    struct rng rng;
};

static inline void harness_open(struct harness *h)
{
    struct error err;
    *h = (struct harness){.rng = {20240611}};
    assert_int_equal(backend_open(&h->ref, "cpu:ref", 2, &err), ST_OK);
    const char *only = getenv("EIDETIC_TEST_BACKENDS"); /* what their names begin with */
    for (const char *const *name = backend_list(); *name; name++) {
        assert_in_range(h->n, 0, MAX_BACKENDS - 1);
        if (only && strncmp(*name, only, strlen(only)) != 0)
            continue;
        for (int t = 0; t < THREAD_COUNTS; t++)
            if (backend_open(&h->be[h->n][t], *name, t + 1, &err) != ST_OK)
                fail_msg("%s", err.text);
        print_message("backend %s is %s\n", *name, backend_name(h->be[h->n][0]));
        h->n++;
    }
    if (only && h->n == 0)
        fail_msg("no backend's name begins with %s: nothing would be compared", only);
    static const char *const known[] = {"cpu:ref",        "cpu:blas", "cpu:avx2",     "cpu:avx512",
                                        "cpu:avx512vnni", "cuda:0",   "cuda:emulated"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        bool found = false;
        for (const char *const *name = backend_list(); *name; name++)
            found |= strcmp(*name, known[i]) == 0;
        if (!found)
            print_message("skipped: %s (not in this build or not on this machine)\n", known[i]);
    }
}

static inline void harness_close(struct harness *h)
{
    for (int i = 0; i < h->n; i++)
        for (int t = 0; t < THREAD_COUNTS; t++)
            backend_close(h->be[i][t]);
    backend_close(h->ref);
}

struct tolerance {
    float abs, rel;
};
static inline struct tolerance tolerance(float abs, float rel)
{
    return (struct tolerance){abs, rel};
}

/* Bytes between guards; data lies `offset` bytes behind a 64-byte boundary. */
struct guarded {
    unsigned char *block, *data;
    size_t size;
};

static inline struct guarded guarded_new(size_t size, size_t offset)
{
    struct guarded g = {.size = size};
    g.block = mem_aligned(GUARD + 64 + size + GUARD, 64);
    assert_non_null(g.block);
    memset(g.block, 0xA5, GUARD + 64 + size + GUARD);
    g.data = g.block + GUARD + offset;
    return g;
}

static inline void guarded_free(struct guarded *g, const char *what)
{
    const unsigned char *end = g->block + GUARD + 64 + g->size + GUARD;
    for (const unsigned char *p = g->block; p < end; p++)
        if ((p < g->data || p >= g->data + g->size) && *p != 0xA5)
            fail_msg("%s: wrote %td bytes from the start of its output of %zu", what, p - g->data,
                     g->size);
    mem_free(g->block);
}

static inline void compare(const char *what, const char *backend, const float *y, const float *ref,
                           size_t n, struct tolerance tol)
{
    for (size_t i = 0; i < n; i++) {
        if (y[i] == ref[i] || (isnan(y[i]) && isnan(ref[i])))
            continue;
        float limit = tol.abs + tol.rel * fabsf(ref[i]);
        if (!(fabsf(y[i] - ref[i]) <= limit))
            fail_msg("%s on %s: value %zu is %.9g, reference %.9g, off by %.3g, limit %.3g", what,
                     backend, i, (double)y[i], (double)ref[i], (double)fabsf(y[i] - ref[i]),
                     (double)limit);
    }
}

typedef void run_fn(struct backend *be, float *y, void *ctx);

/* Runs into a fresh guarded output; copies the result to out. */
static inline void run_guarded(struct backend *be, const char *what, run_fn *run, void *ctx,
                               const float *start, size_t n, size_t offset, float *out)
{
    struct guarded g = guarded_new(n * sizeof(float), offset);
    float *y = (float *)(void *)g.data;
    for (size_t i = 0; i < n; i++)
        y[i] = start ? start[i] : NAN;
    run(be, y, ctx);
    struct error err;
    if (backend_sync(be, &err) != ST_OK)
        fail_msg("%s on %s: %s", what, backend_name(be), err.text);
    memcpy(out, y, n * sizeof *out);
    guarded_free(&g, what);
}

/* start: what y holds before (an op in place), or NULL. */
static inline void check_op(struct harness *h, const char *what, run_fn *run, void *ctx,
                            const float *start, size_t n, struct tolerance tol)
{
    float *ref = mem_array(n, sizeof *ref), *first = mem_array(n, sizeof *ref);
    float *again = mem_array(n, sizeof *ref);
    assert_true(ref && first && again);
    run_guarded(h->ref, what, run, ctx, start, n, 0, ref);
    for (int i = 0; i < h->n; i++) {
        size_t offset = 4 * (size_t)rng_below(&h->rng, 16);
        int threads = strncmp(backend_name(h->be[i][0]), "cuda", 4) ? THREAD_COUNTS : 1;
        for (int t = 0; t < threads; t++) {
            struct backend *be = h->be[i][t];
            run_guarded(be, what, run, ctx, start, n, offset, t ? again : first);
            if (t == 0) {
                compare(what, backend_name(be), first, ref, n, tol);
                run_guarded(be, what, run, ctx, start, n, 0, again);
            }
            if (memcmp(first, again, n * sizeof *first) != 0)
                fail_msg("%s on %s: other bits %s", what, backend_name(be),
                         t ? "with more threads" : "when run again");
        }
    }
    mem_free(ref);
    mem_free(first);
    mem_free(again);
}

/* Random input of n floats, off alignment; one mem_free of .block. */
static inline float *random_floats(struct harness *h, struct guarded *g, size_t n, float scale)
{
    *g = guarded_new(n * sizeof(float), 4 * (size_t)rng_below(&h->rng, 16));
    float *x = (float *)(void *)g->data;
    for (size_t i = 0; i < n; i++)
        x[i] = rng_normal(&h->rng) * scale;
    return x;
}

/* A weight matrix of any type with random values; its bytes start at any address but for f32. */
struct weight {
    struct guarded bytes, scales;
    struct tensor t;
};

static inline struct weight random_weight(struct harness *h, enum dtype type, int ndim,
                                          const int64_t *dims)
{
    struct weight w = {.t = tensor_view(NULL, type, ndim, dims)};
    size_t n = (size_t)tensor_count(&w.t), rows = (size_t)dims[0], size;
    assert_true(dtype_bytes(type, n, &size));
    w.bytes = guarded_new(size, rng_below(&h->rng, 16) * (type == DT_F32 ? 4 : 1));
    w.scales = guarded_new(rows * sizeof(float), 4);
    float *scale = (float *)(void *)w.scales.data;
    unsigned char *p = w.bytes.data;
    for (size_t i = 0; i < rows; i++)
        scale[i] = (0.5f + rng_uniform(&h->rng)) / 64.0f;
    for (size_t i = 0; i < n; i++) {
        float f = rng_normal(&h->rng);
        uint16_t half = type == DT_BF16 ? f32_to_bf16(f) : f32_to_f16(f);
        int8_t q = (int8_t)((int)rng_below(&h->rng, 255) - 127);
        if (type == DT_F32)
            memcpy(p + 4 * i, &f, 4);
        else if (type == DT_F16 || type == DT_BF16)
            memcpy(p + 2 * i, &half, 2);
        else if (type == DT_I8)
            memcpy(p + i, &q, 1);
        else
            memcpy(p + i / 32 * 34 + 2 + i % 32, &q, 1);
    }
    for (size_t i = 0; type == DT_Q8_0 && i < n / 32; i++) {
        uint16_t d = f32_to_f16((0.5f + rng_uniform(&h->rng)) / 64.0f);
        memcpy(p + i * 34, &d, 2);
    }
    w.t.data = w.bytes.data;
    w.t.scale = type == DT_I8 ? scale : NULL;
    return w;
}

static inline void weight_free(struct weight *w)
{
    guarded_free(&w->bytes, "weights");
    guarded_free(&w->scales, "scales");
}

static inline struct tensor f32_view(void *data, int ndim, const int64_t *dims)
{
    return tensor_view(data, DT_F32, ndim, dims);
}

/* An odd size up to max: small ones, and the neighbours of vector and tile sizes. */
static inline int64_t odd_size(struct harness *h, int64_t max)
{
    static const int64_t sizes[] = {1,  2,  3,  5,  7,  8,  12, 13, 15, 16, 17,
                                    31, 32, 33, 47, 63, 64, 65, 80, 97, 130};
    int64_t n = 0;
    do
        n = sizes[rng_below(&h->rng, sizeof sizes / sizeof *sizes)];
    while (n > max);
    return n;
}

/* cmocka's group fixture: *state is the harness. */
static inline int harness_setup(void **state)
{
    static struct harness h;
    harness_open(&h);
    *state = &h;
    return 0;
}

static inline int harness_teardown(void **state)
{
    harness_close(*state);
    return 0;
}

static inline bool skip_low_precision(void)
{
    if (backend_has_low_precision())
        return false;
    print_message("skipped: this machine has no AVX512_BF16 and AVX512_VNNI\n");
    return true;
}

#endif
