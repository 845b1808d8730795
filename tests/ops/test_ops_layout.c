/* Group norm, enlarging and joining on every backend against the reference. Group norm's tolerance:
 * chunks of at most 256 rows are summed in f32 (2^-24 * 256 / 2 at worst, far less in the mean),
 * what follows is in double; a mean of ten deviations takes a digit of x * scale + shift. */
#include "harness.h"

struct gnorm_case {
    struct tensor x, e, w, b;
    bool has_e, in_place;
    struct groupnorm_opts o;
};

static void run_gnorm(struct backend *be, float *y, void *ctx)
{
    struct gnorm_case *c = ctx;
    struct tensor t = c->x, x = c->x;
    t.data = y;
    if (c->in_place)
        x.data = y;
    op_groupnorm(be, &t, &x, c->has_e ? &c->e : NULL, &c->w, &c->b, &c->o);
}

static void check_gnorm(struct harness *h, int64_t n, int64_t rows, int groups, int64_t width,
                        float mean)
{
    struct guarded gx, ge, gw, gb;
    int64_t d = groups * width;
    size_t count = (size_t)(n * rows * d);
    struct gnorm_case c = {.o = {.groups = groups, .eps = 1e-5f}};
    float *x = random_floats(h, &gx, count, 1);
    for (size_t i = 0; i < count; i++)
        x[i] += mean;
    c.x = f32_view(x, 3, (int64_t[]){n, rows, d});
    c.e = f32_view(random_floats(h, &ge, (size_t)(n * d), 1), 2, (int64_t[]){n, d});
    c.w = f32_view(random_floats(h, &gw, (size_t)d, 1), 1, &d);
    c.b = f32_view(random_floats(h, &gb, (size_t)d, 1), 1, &d);
    c.has_e = rng_below(&h->rng, 2);
    c.in_place = rng_below(&h->rng, 2);
    c.o.act = (enum act[]){ACT_NONE, ACT_SILU, ACT_RELU}[rng_below(&h->rng, 3)];
    char what[96];
    snprintf(what, sizeof what, "groupnorm %dx%dx%d in %d groups, %s", (int)n, (int)rows, (int)d,
             groups, act_name(c.o.act));
    check_op(h, what, run_gnorm, &c, c.in_place ? x : NULL, count,
             tolerance(1e-5f * (1 + mean / 4), 1e-5f));
    guarded_free(&gx, "x");
    guarded_free(&ge, "e");
    guarded_free(&gw, "w");
    guarded_free(&gb, "b");
}

static void groupnorm_matches_reference(void **state)
{
    struct harness *h = *state;
    for (int i = 0; i < 60; i++)
        check_gnorm(h, odd_size(h, 3), odd_size(h, 70), 1 + (int)odd_size(h, 7), odd_size(h, 21),
                    i % 3 ? 0 : 10);
    check_gnorm(h, 2, 700, 32, 10, 1); /* several chunks, a group that no vector fits */
    check_gnorm(h, 1, 1025, 4, 64, 100);
    check_gnorm(h, 2, 70, 32, 10, 10); /* channels of several blocks, in fours */
    check_gnorm(h, 1, 130, 32, 40, 1);
    check_gnorm(h, 1, 65, 4, 9, 1);
    check_gnorm(h, 1, 66000, 2, 4, 1); /* chunks of more rows */
}

static void groupnorm_of_one_constant_group_is_its_bias(void **state)
{
    struct harness *h = *state;
    float x[6] = {7, 7, 7, 7, 7, 7}, w[2] = {3, 4}, b[2] = {-1, 5}, y[6];
    int64_t d = 2;
    struct tensor t = f32_view(x, 3, (int64_t[]){1, 3, 2}), o = t;
    struct tensor tw = f32_view(w, 1, &d), tb = f32_view(b, 1, &d);
    o.data = y;
    for (int i = 0; i < h->n; i++) {
        op_groupnorm(h->be[i][0], &o, &t, NULL, &tw, &tb,
                     &(struct groupnorm_opts){.groups = 1, .eps = 1e-5f});
        for (int j = 0; j < 6; j++)
            assert_float_equal(y[j], b[j % 2], 1e-3); /* 7 * 4 / sqrt(eps) has 1e-3 to lose */
    }
}

struct move_case {
    struct tensor a, b, y;
};

static void run_upsample(struct backend *be, float *y, void *ctx)
{
    struct move_case *c = ctx;
    struct tensor t = c->y;
    t.data = y;
    op_upsample2x(be, &t, &c->a);
}

static void run_concat(struct backend *be, float *y, void *ctx)
{
    struct move_case *c = ctx;
    struct tensor t = c->y;
    t.data = y;
    op_concat(be, &t, &c->a, &c->b);
}

static void upsampling_gives_each_pixel_four_times(void **state)
{
    struct harness *h = *state;
    for (int i = 0; i < 20; i++) {
        struct guarded g;
        int64_t n = odd_size(h, 3), hh = odd_size(h, 9), w = odd_size(h, 9), c = odd_size(h, 20);
        size_t count = (size_t)(n * hh * w * c);
        struct move_case m = {
            .a = f32_view(random_floats(h, &g, count, 1), 4, (int64_t[]){n, hh, w, c}),
            .y = f32_view(NULL, 4, (int64_t[]){n, 2 * hh - i % 2, 2 * w - i / 2 % 2, c})};
        int64_t yh = m.y.dim[1], yw = m.y.dim[2], total = tensor_count(&m.y);
        check_op(h, "upsample2x", run_upsample, &m, NULL, (size_t)total, tolerance(0, 0));
        float *y = mem_array((size_t)total, sizeof *y), *x = m.a.data;
        run_upsample(h->ref, y, &m);
        for (int64_t k = 0; k < total; k++) {
            int64_t ch = k % c, px = k / c % yw, py = k / c / yw % yh, image = k / c / yw / yh;
            assert_true(y[k] == x[((image * hh + py / 2) * w + px / 2) * c + ch]);
        }
        mem_free(y);
        guarded_free(&g, "x");
    }
}

static void joining_puts_channels_side_by_side(void **state)
{
    struct harness *h = *state;
    for (int i = 0; i < 20; i++) {
        struct guarded ga, gb;
        int64_t rows = odd_size(h, 300), a = odd_size(h, 20), b = odd_size(h, 20);
        struct move_case m = {
            .a = f32_view(random_floats(h, &ga, (size_t)(rows * a), 1), 2, (int64_t[]){rows, a}),
            .b = f32_view(random_floats(h, &gb, (size_t)(rows * b), 1), 2, (int64_t[]){rows, b}),
            .y = f32_view(NULL, 2, (int64_t[]){rows, a + b})};
        size_t count = (size_t)(rows * (a + b));
        check_op(h, "concat", run_concat, &m, NULL, count, tolerance(0, 0));
        float *y = mem_array(count, sizeof *y);
        run_concat(h->ref, y, &m);
        for (int64_t k = 0; k < rows * (a + b); k++) {
            int64_t r = k / (a + b), j = k % (a + b);
            assert_true(y[k] == (j < a ? ((float *)m.a.data)[r * a + j]
                                       : ((float *)m.b.data)[r * b + j - a]));
        }
        mem_free(y);
        guarded_free(&ga, "a");
        guarded_free(&gb, "b");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groupnorm_matches_reference),
        cmocka_unit_test(groupnorm_of_one_constant_group_is_its_bias),
        cmocka_unit_test(upsampling_gives_each_pixel_four_times),
        cmocka_unit_test(joining_puts_channels_side_by_side),
    };
    return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
