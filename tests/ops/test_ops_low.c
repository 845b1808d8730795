/* Products in bf16 and int8 against their plain-C definitions: odd shapes, all weight types, all
 * activations, any number of threads. Tolerance: the roundings to bf16 and to 8 bits are part of
 * the definition; what differs is the order of f32 sums of k products (bf16), as in
 * test_ops_gemm.c, and one rounding of an exact sum (int8). */
#include "core/cpu.h"
#include "harness.h"
#include "nn/packs.h"
#include <sys/mman.h>

static const char *const fast[] = {"cpu:avx512vnni/bf16", "cpu:avx512vnni/int8"};
static const char *const slow[] = {"cpu:ref/bf16", "cpu:ref/int8"};

struct pair {
    struct backend *ref, *be[3];
};

struct product {
    struct tensor x, w, b, r;
    enum act act;
    int64_t m, n;
};

static void run(struct backend *be, float *y, void *ctx)
{
    struct product *c = ctx;
    struct tensor t = f32_view(y, 2, (int64_t[]){c->m, c->n});
    op_linear(be, &t, &c->x, &c->w, &c->b, c->act, &c->r);
}

static void check(struct harness *h, const struct pair *p, enum dtype type, int64_t m, int64_t n,
                  int64_t k, enum act act)
{
    struct guarded gx, gb, gr;
    struct product c = {.m = m, .n = n, .act = act};
    c.x = f32_view(random_floats(h, &gx, (size_t)(m * k), 1), 2, (int64_t[]){m, k});
    c.b = f32_view(random_floats(h, &gb, (size_t)n, 1), 1, &n);
    c.r = f32_view(random_floats(h, &gr, (size_t)(m * n), 1), 2, (int64_t[]){m, n});
    struct weight w = random_weight(h, type, 2, (int64_t[]){n, k});
    c.w = w.t;
    c.w.use = TENSOR_WEIGHT;
    c.w.packs = packs_new();
    assert_non_null(c.w.packs);
    size_t count = (size_t)(m * n);
    float *ref = mem_array(count, sizeof *ref), *y = mem_array(count, sizeof *y);
    float *again = mem_array(count, sizeof *y);
    char what[96];
    snprintf(what, sizeof what, "%s %dx%dx%d %s", dtype_name(type), (int)m, (int)n, (int)k,
             act_name(act));
    run_guarded(p->ref, what, run, &c, NULL, count, 0, ref);
    for (int t = 0; t < 3; t++) {
        run_guarded(p->be[t], what, run, &c, NULL, count, 4 * rng_below(&h->rng, 16),
                    t ? again : y);
        if (t && memcmp(y, again, count * sizeof *y) != 0)
            fail_msg("%s on %s: other bits with more threads", what, backend_name(p->be[t]));
    }
    compare(what, backend_name(p->be[0]), y, ref, count,
            tolerance(4.0f * 0x1p-24f * (float)k + 4e-6f, 2e-6f));
    /* Packed once, used again by all backends: the second use must not differ. */
    run_guarded(p->be[1], what, run, &c, NULL, count, 0, again);
    assert_memory_equal(y, again, count * sizeof *y);
    assert_int_equal(packs_count(c.w.packs), 1);
    packs_free(c.w.packs);
    mem_free(ref);
    mem_free(y);
    mem_free(again);
    guarded_free(&gx, "x");
    guarded_free(&gb, "b");
    guarded_free(&gr, "r");
    weight_free(&w);
}

static void with_backends(struct harness *h, int kind, enum dtype type, int64_t m, int64_t n,
                          int64_t k, enum act act)
{
    struct pair p;
    assert_int_equal(backend_open(&p.ref, slow[kind], 2, NULL), ST_OK);
    for (int t = 0; t < 3; t++)
        assert_int_equal(backend_open(&p.be[t], fast[kind], t + 1, NULL), ST_OK);
    check(h, &p, type, m, n, k, act);
    backend_close(p.ref);
    for (int t = 0; t < 3; t++)
        backend_close(p.be[t]);
}

static void low_products_match_their_definition(void **state)
{
    static const enum dtype types[] = {DT_F32, DT_F16, DT_BF16, DT_I8, DT_Q8_0};
    struct harness *h = *state;
    for (int i = 0; i < 60 && !skip_low_precision(); i++) {
        enum dtype type = types[i % 5];
        int64_t k = odd_size(h, 130);
        if (type == DT_Q8_0)
            k = (k + 31) / 32 * 32;
        with_backends(h, i / 5 % 2, type, 5 + odd_size(h, 97), odd_size(h, 130), k,
                      (enum act)(i % ACT_COUNT));
    }
}

static void low_products_match_in_large_shapes(void **state)
{
    for (int kind = 0; kind < 2 && !skip_low_precision(); kind++) {
        with_backends(*state, kind, DT_F16, 50, 300, 1024, ACT_QUICK_GELU);
        with_backends(*state, kind, DT_F32, 1030, 70, 259, ACT_NONE);
        with_backends(*state, kind, DT_I8, 77, 96, 3072, ACT_GELU);
    }
}

struct conv {
    struct tensor x, w, b;
    struct conv_opts o;
    int64_t dims[4];
};

static void run_conv(struct backend *be, float *y, void *ctx)
{
    struct conv *c = ctx;
    struct tensor t = f32_view(y, 4, c->dims);
    op_conv2d(be, &t, &c->x, &c->w, &c->b, &c->o);
}

/* x: [batch, height, width, channels]. */
static void check_conv(struct harness *h, const int64_t x[4], int64_t n, int64_t k,
                       struct conv_opts o)
{
    struct guarded gx, gb;
    struct conv c = {.o = o};
    char what[96];
    float *got[3];
    c.dims[0] = x[0];
    c.dims[1] = (x[1] + o.pad_top + o.pad_bottom - k) / o.stride + 1;
    c.dims[2] = (x[2] + o.pad_left + o.pad_right - k) / o.stride + 1;
    c.dims[3] = n;
    size_t count = (size_t)(c.dims[0] * c.dims[1] * c.dims[2] * n);
    c.x = f32_view(random_floats(h, &gx, (size_t)(x[0] * x[1] * x[2] * x[3]), 1), 4, x);
    c.b = f32_view(random_floats(h, &gb, (size_t)n, 1), 1, &n);
    struct weight w = random_weight(h, DT_F16, 4, (int64_t[]){n, k, k, x[3]});
    c.w = w.t;
    c.w.use = TENSOR_WEIGHT;
    c.w.packs = packs_new();
    snprintf(what, sizeof what, "conv %dx%dx%dx%d to %d, %d, stride %d%s", (int)x[0], (int)x[1],
             (int)x[2], (int)x[3], (int)n, (int)k, o.stride, o.circular ? ", circular" : "");
    for (int i = 0; i < 3; i++) { /* the definition, one thread, three */
        struct backend *be = NULL;
        got[i] = mem_array(count, sizeof *got[i]);
        assert_int_equal(backend_open(&be, i ? fast[0] : slow[0], i ? 2 * i - 1 : 2, NULL), ST_OK);
        run_guarded(be, what, run_conv, &c, NULL, count, 4 * rng_below(&h->rng, 16), got[i]);
        backend_close(be);
    }
    compare(what, fast[0], got[1], got[0], count,
            tolerance(4.0f * 0x1p-24f * (float)(k * k * x[3]) + 4e-6f, 2e-6f));
    assert_memory_equal(got[1], got[2], count * sizeof *got[1]);
    packs_free(c.w.packs);
    for (int i = 0; i < 3; i++)
        mem_free(got[i]);
    guarded_free(&gx, "x");
    guarded_free(&gb, "b");
    weight_free(&w);
}

static void low_convolutions_match_their_definition(void **state)
{
    struct harness *h = *state;
    for (int i = 0; i < 60 && !skip_low_precision(); i++) {
        int64_t k = 1 + (int64_t)rng_below(&h->rng, 5);
        int64_t x[4] = {odd_size(h, 3), k + odd_size(h, 17), k + odd_size(h, 30),
                        i % 4 ? 2 * odd_size(h, 20) : odd_size(h, 40)};
        struct conv_opts o = {.stride = 1 + (int)rng_below(&h->rng, 2),
                              .act = (enum act)(i % ACT_COUNT),
                              .circular = i % 5 == 1};
        int *pads[] = {&o.pad_top, &o.pad_left, &o.pad_bottom, &o.pad_right};
        for (int j = 0; j < 4; j++)
            *pads[j] = (int)rng_below(&h->rng, (uint32_t)k);
        check_conv(h, x, odd_size(h, 70), k, o);
    }
    for (int i = 0; i < 12 && !skip_low_precision(); i++) /* by Winograd's filtering */
        check_conv(h,
                   (int64_t[]){1 + i % 2, 14 + odd_size(h, 9), 14 + odd_size(h, 9),
                               16 + 2 * odd_size(h, 30)},
                   i == 5 ? 300 : 15 + odd_size(h, 60), 3,
                   (struct conv_opts){1, 1, 1, 1, i % 3, (enum act)(i % ACT_COUNT), i % 4 == 1});
    for (int i = 0; i < 2 && !skip_low_precision(); i++) /* several bands; wider than a task */
        check_conv(h, (int64_t[]){1, i ? 3 : 90, i ? 1500 : 70, i ? 4 : 512}, 40, 3,
                   (struct conv_opts){1 + i, 1, 1, 1, 1, ACT_NONE, false});
}

struct attention {
    struct tensor q, k, v;
    struct attn_opts o;
};

static void run_attention(struct backend *be, float *y, void *ctx)
{
    struct attention *c = ctx;
    struct tensor t = f32_view(y, 3, c->q.dim);
    op_attention(be, &t, &c->q, &c->k, &c->v, &c->o);
}

/* Tolerance: a weight is rounded to bf16 relative to the largest score so far, which the definition
 * knows at once: with keys in one block (128) and no causal mask nothing differs but f32 sums, and
 * scores near a rounding's edge. */
static void check_attention(struct harness *h, int64_t tq, int64_t tk, int64_t heads, int64_t dh,
                            bool causal)
{
    struct guarded gq, gk, gv;
    struct attention c = {.o = {.heads = (int)heads, .causal = causal}};
    int64_t d = heads * dh;
    size_t count = (size_t)(2 * tq * d);
    c.q = f32_view(random_floats(h, &gq, count, 1), 3, (int64_t[]){2, tq, d});
    c.k = f32_view(random_floats(h, &gk, (size_t)(2 * tk * d), 1), 3, (int64_t[]){2, tk, d});
    c.v = f32_view(random_floats(h, &gv, (size_t)(2 * tk * d), 1), 3, (int64_t[]){2, tk, d});
    int32_t len[2] = {(int32_t)rng_below(&h->rng, (uint32_t)tk + 1), (int32_t)tk};
    c.o.kv_len = rng_below(&h->rng, 2) ? len : NULL;
    float *ref = mem_array(count, sizeof *ref), *y = mem_array(count, sizeof *y);
    float *again = mem_array(count, sizeof *y);
    char what[96];
    snprintf(what, sizeof what, "attention q%d k%d h%d dh%d%s", (int)tq, (int)tk, (int)heads,
             (int)dh, causal ? " causal" : "");
    struct backend *be;
    assert_int_equal(backend_open(&be, slow[0], 2, NULL), ST_OK);
    run_guarded(be, what, run_attention, &c, NULL, count, 0, ref);
    backend_close(be);
    for (int t = 0; t < 3; t++) {
        assert_int_equal(backend_open(&be, fast[t % 2], t + 1, NULL), ST_OK);
        run_guarded(be, what, run_attention, &c, NULL, count, 4 * rng_below(&h->rng, 16),
                    t ? again : y);
        backend_close(be);
        if (t && memcmp(y, again, count * sizeof *y) != 0)
            fail_msg("%s: other bits with more threads", what);
    }
    compare(what, fast[0], y, ref, count, tolerance(4e-3f, 0));
    mem_free(ref);
    mem_free(y);
    mem_free(again);
    guarded_free(&gq, "q");
    guarded_free(&gk, "k");
    guarded_free(&gv, "v");
}

static void low_attention_matches_its_definition(void **state)
{
    struct harness *h = *state;
    for (int i = 0; i < 60 && !skip_low_precision(); i++)
        check_attention(h, odd_size(h, 97), odd_size(h, 97), odd_size(h, 3), odd_size(h, 80),
                        i % 2);
    if (backend_has_low_precision()) {
        check_attention(h, 257, 257, 2, 64, false);
        check_attention(h, 300, 300, 2, 33, true);
        check_attention(h, 1, 515, 2, 40, false);
    }
}

/* 8 bits lose what one large value pushes out of range, and nothing else; bf16 loses 2^-9. */
static void low_products_are_near_f32(void **state)
{
    struct harness *h = *state;
    enum { M = 20, N = 40, K = 512 };
    for (int kind = 0; kind < 2 && !skip_low_precision(); kind++) {
        struct guarded gx;
        float *x = random_floats(h, &gx, M * K, 1), y[M * N], want[M * N];
        struct weight w = random_weight(h, DT_F32, 2, (int64_t[]){N, K});
        struct tensor tx = f32_view(x, 2, (int64_t[]){M, K});
        struct tensor ty = f32_view(y, 2, (int64_t[]){M, N});
        struct tensor tw = f32_view(want, 2, (int64_t[]){M, N});
        struct backend *be;
        w.t.use = TENSOR_WEIGHT;
        w.t.packs = packs_new();
        assert_int_equal(backend_open(&be, fast[kind], 2, NULL), ST_OK);
        op_linear(be, &ty, &tx, &w.t, NULL, ACT_NONE, NULL);
        op_linear(h->ref, &tw, &tx, &w.t, NULL, ACT_NONE, NULL);
        double error = 0, size = 0;
        for (int i = 0; i < M * N; i++) {
            error += (y[i] - want[i]) * (y[i] - want[i]);
            size += want[i] * want[i];
        }
        assert_true(error > 0 && sqrt(error / size) < (kind ? 0.015 : 0.004));
        backend_close(be);
        packs_free(w.t.packs);
        guarded_free(&gx, "x");
        weight_free(&w);
    }
}

/* The same memory, other weights: what was packed of the first must not answer for the second. */
static void packs_do_not_outlive_their_weights(void **state)
{
    struct harness *h = *state;
    enum { M = 12, N = 64, K = 96 };
    if (skip_low_precision())
        return;
    struct guarded gx, gw;
    struct tensor x = f32_view(random_floats(h, &gx, M * K, 1), 2, (int64_t[]){M, K});
    struct tensor w = f32_view(random_floats(h, &gw, N * K, 1), 2, (int64_t[]){N, K});
    float y[2][M * N], twice[M * N];
    struct backend *be;
    assert_int_equal(backend_open(&be, fast[0], 2, NULL), ST_OK);
    w.use = TENSOR_WEIGHT;
    for (int i = 0; i < 2; i++) {
        struct tensor ty = f32_view(y[i], 2, (int64_t[]){M, N});
        w.packs = packs_new();
        op_linear(be, &ty, &x, &w, NULL, ACT_NONE, NULL);
        assert_int_equal(packs_count(w.packs), 1);
        packs_free(w.packs);
        for (int j = 0; j < N * K; j++)
            ((float *)w.data)[j] *= 2;
    }
    for (int j = 0; j < M * N; j++)
        twice[j] = 2 * y[0][j];
    assert_memory_equal(y[1], twice, sizeof twice);
    backend_close(be);
    guarded_free(&gx, "x");
    guarded_free(&gw, "w");
}

/* Once packed, the pages of mapped weights are given back: theirs alone, also where the pack of a
 * convolution has more values than they. */
static void pages_of_others_are_not_given_back(void **state)
{
    struct harness *h = *state;
    enum { SIDE = 16, C = 64, BYTES = C * 9 * C * 4, OTHERS = BYTES };
    if (skip_low_precision())
        return;
    unsigned char *map =
        mmap(NULL, BYTES + OTHERS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(map, MAP_FAILED);
    memset(map, 0x3f, BYTES + OTHERS);
    struct guarded gx;
    struct tensor x =
        f32_view(random_floats(h, &gx, SIDE * SIDE * C, 1), 4, (int64_t[]){1, SIDE, SIDE, C});
    float *y = mem_array((size_t)SIDE * SIDE * C, sizeof *y);
    struct tensor ty = f32_view(y, 4, (int64_t[]){1, SIDE, SIDE, C});
    struct tensor w = f32_view((float *)map, 4, (int64_t[]){C, 3, 3, C});
    w.use = TENSOR_WEIGHT;
    w.mapped = true;
    w.packs = packs_new();
    struct backend *be;
    assert_int_equal(backend_open(&be, fast[0], 2, NULL), ST_OK);
    op_conv2d(be, &ty, &x, &w, NULL, &(struct conv_opts){1, 1, 1, 1, 1, ACT_NONE, false});
    assert_int_equal(backend_sync(be, NULL), ST_OK);
    assert_int_equal(packs_count(w.packs), 1);
    assert_int_equal(map[0], 0); /* given back: memory without a file comes again as zeros */
    for (int i = 0; i < OTHERS; i++)
        assert_int_equal(map[BYTES + i], 0x3f);
    packs_free(w.packs);
    backend_close(be);
    mem_free(y);
    munmap(map, BYTES + OTHERS);
    guarded_free(&gx, "x");
}

/* What is no weight is computed in f32, and a matrix that is too fine for 8 bits in bf16. */
static void precision_follows_the_use_of_a_tensor(void **state)
{
    struct harness *h = *state;
    enum { M = 9, N = 33, K = 70 };
    if (skip_low_precision())
        return;
    struct guarded gx;
    float *x = random_floats(h, &gx, M * K, 1), y[3][M * N], want[M * N];
    struct weight w = random_weight(h, DT_F16, 2, (int64_t[]){N, K});
    struct tensor tx = f32_view(x, 2, (int64_t[]){M, K}), tw = f32_view(want, 2, (int64_t[]){M, N});
    struct backend *f32, *be[2];
    assert_int_equal(backend_open(&f32, "cpu:avx512vnni", 1, NULL), ST_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(backend_open(&be[i], fast[i], 1, NULL), ST_OK);
    w.t.packs = packs_new();
    op_linear(f32, &tw, &tx, &w.t, NULL, ACT_NONE, NULL);
    for (int i = 0; i < 3; i++) {
        struct tensor ty = f32_view(y[i], 2, (int64_t[]){M, N});
        w.t.use = i ? TENSOR_WEIGHT_FINE : TENSOR_VALUES;
        op_linear(be[i < 2], &ty, &tx, &w.t, NULL, ACT_NONE, NULL);
    }
    assert_memory_equal(y[0], want, sizeof want);
    assert_memory_equal(y[1], y[2], sizeof want);
    assert_int_not_equal(memcmp(y[1], want, sizeof want), 0);
    backend_close(f32);
    backend_close(be[0]);
    backend_close(be[1]);
    packs_free(w.t.packs);
    guarded_free(&gx, "x");
    weight_free(&w);
}

static void names_carry_the_precision(void **state)
{
    (void)state;
    struct backend *be;
    struct error err;
    assert_int_equal(backend_open(&be, "cpu:ref/int8", 1, &err), ST_OK);
    assert_string_equal(backend_name(be), "cpu:ref/int8");
    assert_int_equal(backend_precision(be), PREC_INT8);
    backend_close(be);
    assert_int_equal(backend_open(&be, "cpu/bf17", 1, &err), ST_USAGE);
    assert_int_equal(backend_open(&be, "cpu:blas/bf16", 1, &err), ST_UNSUPPORTED);
    assert_int_equal(backend_open(&be, "cpu:avx2/bf16", 1, &err),
                     cpu_level_max() >= CPU_AVX2 ? ST_UNSUPPORTED : err.code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(low_products_match_their_definition),
        cmocka_unit_test(low_products_match_in_large_shapes),
        cmocka_unit_test(low_convolutions_match_their_definition),
        cmocka_unit_test(low_attention_matches_its_definition),
        cmocka_unit_test(low_products_are_near_f32),
        cmocka_unit_test(packs_do_not_outlive_their_weights),
        cmocka_unit_test(pages_of_others_are_not_given_back),
        cmocka_unit_test(precision_follows_the_use_of_a_tensor),
        cmocka_unit_test(names_carry_the_precision),
    };
    return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
