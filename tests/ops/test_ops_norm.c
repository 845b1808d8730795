/* Layer norm, L2 norm and softmax on every backend against the reference, in place too. Tolerance:
 * outputs of size 1 to 4 from sums over lanes (error about d / VL * 2^-24 relative, d <= 1024). */
#include "harness.h"

enum norm_op { LAYERNORM, L2NORM, SOFTMAX };

struct norm_case {
    enum norm_op op;
    struct tensor x, w, b;
    bool has_b, in_place;
    float scale;
};

static void run_norm(struct backend *be, float *y, void *ctx)
{
    struct norm_case *c = ctx;
    struct tensor t = c->x, x = c->x;
    t.data = y;
    if (c->in_place)
        x.data = y;
    switch (c->op) {
    case LAYERNORM:
        op_layernorm(be, &t, &x, &c->w, c->has_b ? &c->b : NULL, 1e-5f);
        break;
    case L2NORM:
        op_l2norm(be, &t, &x, 1e-12f);
        break;
    case SOFTMAX:
        op_softmax(be, &t, &x, c->scale);
    }
}

static void check_norm(struct harness *h, enum norm_op op, int64_t rows, int64_t d, float size)
{
    struct guarded gx, gw, gb;
    struct norm_case c = {.op = op, .scale = 0.5f + rng_uniform(&h->rng)};
    float *x = random_floats(h, &gx, (size_t)(rows * d), size);
    for (int64_t i = 0; op == LAYERNORM && i < rows * d; i++)
        x[i] += 3 * size; /* a mean away from zero, as real activations have */
    c.x = f32_view(x, 2, (int64_t[]){rows, d});
    c.w = f32_view(random_floats(h, &gw, (size_t)d, 1), 1, &d);
    c.b = f32_view(random_floats(h, &gb, (size_t)d, 1), 1, &d);
    c.has_b = rng_below(&h->rng, 2);
    c.in_place = rng_below(&h->rng, 2);
    char what[64];
    snprintf(what, sizeof what, "norm op %d %dx%d", (int)op, (int)rows, (int)d);
    check_op(h, what, run_norm, &c, c.in_place ? x : NULL, (size_t)(rows * d),
             op == SOFTMAX ? tolerance(1e-9f, 4e-6f * (1 + size)) : tolerance(4e-6f, 4e-6f));
    guarded_free(&gx, "x");
    guarded_free(&gw, "w");
    guarded_free(&gb, "b");
}

static void norms_match_reference(void **state)
{
    for (int op = LAYERNORM; op <= SOFTMAX; op++) {
        for (int i = 0; i < 50; i++)
            check_norm(*state, (enum norm_op)op, odd_size(*state, 65), 1 + odd_size(*state, 130),
                       i % 2 ? 1 : 10);
        check_norm(*state, (enum norm_op)op, 50, 768, 1);
        check_norm(*state, (enum norm_op)op, 9, 1280, 1);
        check_norm(*state, (enum norm_op)op, 2, 2052, 1);
        check_norm(*state, (enum norm_op)op, 3, 1025, 1);
    }
}

static void layernorm_of_one_value_is_its_bias(void **state)
{
    check_norm(*state, LAYERNORM, 7, 1, 1);
}

static void softmax_takes_minus_infinity_and_large_values(void **state)
{
    struct harness *h = *state;
    float x[20];
    for (int i = 0; i < 20; i++)
        x[i] = i % 3 ? -INFINITY : 500.0f - (float)i;
    struct norm_case c = {.op = SOFTMAX, .x = f32_view(x, 2, (int64_t[]){1, 20}), .scale = 1};
    check_op(h, "softmax with -inf", run_norm, &c, NULL, 20, tolerance(1e-9f, 4e-6f));
}

static void l2norm_of_zeros_is_zeros(void **state)
{
    struct harness *h = *state;
    float x[33] = {0};
    struct norm_case c = {.op = L2NORM, .x = f32_view(x, 2, (int64_t[]){1, 33})};
    check_op(h, "l2norm of zeros", run_norm, &c, NULL, 33, tolerance(0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms_match_reference),
        cmocka_unit_test(layernorm_of_one_value_is_its_bias),
        cmocka_unit_test(softmax_takes_minus_infinity_and_large_values),
        cmocka_unit_test(l2norm_of_zeros_is_zeros),
    };
    return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
