/* Matrix products on every backend against the reference: odd shapes, all weight types, all
 * activations, residuals in place. Tolerance: a sum of k products of normal values has rounding
 * errors of about k * 2^-24 in f32 (each partial sum is of size sqrt(k)); four times that, and an
 * activation's 1e-6, which also has slope 1.13 at most. */
#include "harness.h"

struct linear_case {
    struct tensor x, w, b, r;
    bool has_b, has_r, r_is_y;
    enum act act;
    int64_t m, n;
};

static void run_linear(struct backend *be, float *y, void *ctx)
{
    struct linear_case *c = ctx;
    struct tensor t = f32_view(y, 2, (int64_t[]){c->m, c->n});
    const struct tensor *r = c->r_is_y ? &t : c->has_r ? &c->r : NULL;
    op_linear(be, &t, &c->x, &c->w, c->has_b ? &c->b : NULL, c->act, r);
}

static struct tolerance product_tolerance(int64_t k)
{
    return tolerance(4.0f * 0x1p-24f * (float)k + 2e-6f, 1e-6f);
}

static void check_linear(struct harness *h, enum dtype type, int64_t m, int64_t n, int64_t k,
                         enum act act)
{
    struct guarded gx, gb, gr;
    struct linear_case c = {.m = m, .n = n, .act = act};
    c.x = f32_view(random_floats(h, &gx, (size_t)(m * k), 1), 2, (int64_t[]){m, k});
    c.b = f32_view(random_floats(h, &gb, (size_t)n, 1), 1, &n);
    float *r = random_floats(h, &gr, (size_t)(m * n), 1);
    c.r = f32_view(r, 2, (int64_t[]){m, n});
    struct weight w = random_weight(h, type, 2, (int64_t[]){n, k});
    c.w = w.t;
    c.has_b = rng_below(&h->rng, 2);
    c.has_r = rng_below(&h->rng, 2);
    c.r_is_y = c.has_r && rng_below(&h->rng, 2);
    char what[128];
    snprintf(what, sizeof what, "linear %s %dx%dx%d %s%s%s%s", dtype_name(type), (int)m, (int)n,
             (int)k, act_name(act), c.has_b ? " b" : "", c.has_r ? " r" : "",
             c.r_is_y ? " in y" : "");
    check_op(h, what, run_linear, &c, c.r_is_y ? r : NULL, (size_t)(m * n), product_tolerance(k));
    guarded_free(&gx, "x");
    guarded_free(&gb, "b");
    guarded_free(&gr, "r");
    weight_free(&w);
}

static const enum dtype weight_types[] = {DT_F32, DT_F16, DT_BF16, DT_I8, DT_Q8_0};

static void linear_matches_reference_for_every_weight_type(void **state)
{
    for (size_t t = 0; t < sizeof weight_types / sizeof *weight_types; t++) {
        for (int i = 0; i < 40; i++) {
            struct harness *h = *state;
            int64_t k = odd_size(h, 130);
            if (weight_types[t] == DT_Q8_0)
                k = (k + 31) / 32 * 32;
            int64_t m = i % 3 ? odd_size(h, 130) : 1 + i % 5;
            check_linear(h, weight_types[t], m, odd_size(h, 130), k, ACT_NONE);
        }
    }
}

static void linear_matches_reference_for_every_activation(void **state)
{
    for (int act = 0; act < ACT_COUNT; act++)
        for (int i = 0; i < 6; i++)
            check_linear(*state, DT_F32, odd_size(*state, 65), odd_size(*state, 65),
                         odd_size(*state, 33), (enum act)act);
}

/* Large enough for panels packed a task (above 2^16 weights), for several blocks of rows, and for a
 * depth at which twelve rows fall on one set of the first-level cache. */
static void linear_matches_reference_in_large_shapes(void **state)
{
    check_linear(*state, DT_F32, 50, 300, 1024, ACT_GELU);
    check_linear(*state, DT_F16, 77, 513, 130, ACT_NONE);
    check_linear(*state, DT_I8, 2, 999, 259, ACT_NONE);
    check_linear(*state, DT_F32, 2050, 40, 16, ACT_RELU6);
    check_linear(*state, DT_BF16, 1030, 130, 520, ACT_NONE);
}

static void run_matmul(struct backend *be, float *y, void *ctx)
{
    struct linear_case *c = ctx;
    struct tensor t = f32_view(y, 2, (int64_t[]){c->m, c->n});
    op_matmul(be, &t, &c->x, &c->w);
}

static void matmul_matches_reference(void **state)
{
    struct harness *h = *state;
    for (int i = 0; i < 60; i++) {
        int64_t m = odd_size(h, 130), n = odd_size(h, 130), k = odd_size(h, 130);
        struct guarded gx, gw;
        struct linear_case c = {.m = m, .n = n};
        c.x = f32_view(random_floats(h, &gx, (size_t)(m * k), 1), 2, (int64_t[]){m, k});
        c.w = f32_view(random_floats(h, &gw, (size_t)(n * k), 1), 2, (int64_t[]){k, n});
        char what[64];
        snprintf(what, sizeof what, "matmul %dx%dx%d", (int)m, (int)n, (int)k);
        check_op(h, what, run_matmul, &c, NULL, (size_t)(m * n), product_tolerance(k));
        guarded_free(&gx, "x");
        guarded_free(&gw, "w");
    }
}

/* Rows 7 to 7 + m of a product of all rows, and the product of these rows alone. */
static void check_batch(struct harness *h, int all_rows, int from, int to)
{
    enum { M = 100, N = 70, K = 90 };
    const size_t row = N;
    struct guarded gx, gw;
    float *x = random_floats(h, &gx, M * K, 1), one[M * N], all[M * N];
    struct tensor w = f32_view(random_floats(h, &gw, N * K, 1), 2, (int64_t[]){N, K});
    for (int i = 0; i < h->n; i++) {
        struct backend *be = h->be[i][1];
        struct tensor xa = f32_view(x, 2, (int64_t[]){all_rows, K}),
                      ya = f32_view(all, 2, (int64_t[]){all_rows, N});
        op_linear(be, &ya, &xa, &w, NULL, ACT_GELU, NULL);
        for (int m = from; m <= to; m++) {
            struct tensor xb = f32_view(x + 7 * K, 2, (int64_t[]){m, K});
            struct tensor yb = f32_view(one, 2, (int64_t[]){m, N});
            op_linear(be, &yb, &xb, &w, NULL, ACT_GELU, NULL);
            if (strstr(backend_name(be), "blas") || strstr(backend_name(be), "cuda:0"))
                compare("batch", backend_name(be), one, all + 7 * N, row * (size_t)m,
                        product_tolerance(K));
            else
                assert_memory_equal(one, all + 7 * N, row * (size_t)m * sizeof *one);
        }
    }
    guarded_free(&gx, "x");
    guarded_free(&gw, "w");
}

/* What a picture's vector is must not depend on what it was batched with. Up to 24 rows take
 * another kernel, equal to that of more within the tolerance only. */
static void rows_of_a_product_do_not_depend_on_the_batch(void **state)
{
    check_batch(*state, 100, 25, 40);
    check_batch(*state, 24, 1, 17);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_matches_reference_for_every_weight_type),
        cmocka_unit_test(linear_matches_reference_for_every_activation),
        cmocka_unit_test(linear_matches_reference_in_large_shapes),
        cmocka_unit_test(matmul_matches_reference),
        cmocka_unit_test(rows_of_a_product_do_not_depend_on_the_batch),
    };
    return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
