/* EfficientNet-Lite's block in int8 against its plain-C definition and against its parts.
 * Tolerance: the depthwise sums differ in their last bits, so a byte may round the other way where
 * one lies half way between two: few values, each off by some steps of 6 / 255 times a weight. */
#include "harness.h"
#include "nn/packs.h"

struct block {
    struct tensor x, expand, expand_b, dw, dw_b, project, project_b;
    struct conv_opts o;
    int64_t dims[4];
    bool residual, bare; /* bare: without expand */
};

static void run(struct backend *be, float *y, void *ctx)
{
    struct block *c = ctx;
    struct tensor t = f32_view(y, 4, c->dims);
    const struct mbconv_weights w = {c->bare ? NULL : &c->expand,
                                     c->bare ? NULL : &c->expand_b,
                                     &c->dw,
                                     &c->dw_b,
                                     &c->project,
                                     &c->project_b};
    assert_true(op_mbconv(be, &t, &c->x, &w, &c->o, c->residual ? &c->x : NULL));
}

/* The three ops, with the wide map in f32: what a block is near to. */
static void run_parts(struct backend *be, float *y, void *ctx)
{
    struct block *c = ctx;
    struct conv_opts o = c->o;
    int64_t wide = c->dw.dim[2];
    int64_t in[4] = {c->x.dim[0], c->x.dim[1], c->x.dim[2], wide};
    int64_t out[4] = {c->dims[0], c->dims[1], c->dims[2], wide};
    struct tensor t = f32_view(y, 4, c->dims), grown = f32_view(NULL, 4, in);
    struct tensor turned = f32_view(NULL, 4, out);
    grown.data = mem_array((size_t)tensor_count(&grown), sizeof(float));
    turned.data = mem_array((size_t)tensor_count(&turned), sizeof(float));
    o.act = ACT_RELU6;
    if (!c->bare)
        op_linear(be, &grown, &c->x, &c->expand, &c->expand_b, ACT_RELU6, NULL);
    op_depthwise(be, &turned, c->bare ? &c->x : &grown, &c->dw, &c->dw_b, &o);
    op_linear(be, &t, &turned, &c->project, &c->project_b, ACT_NONE, c->residual ? &c->x : NULL);
    mem_free(grown.data);
    mem_free(turned.data);
}

static void compare_blocks(const char *what, const float *y, const float *ref, size_t n, float step)
{
    size_t off = 0;
    for (size_t i = 0; i < n; i++) {
        off += !(fabsf(y[i] - ref[i]) <= 2e-5F * (1 + fabsf(ref[i])));
        if (!(fabsf(y[i] - ref[i]) <= 4 * step))
            fail_msg("%s: value %zu is %.9g, reference %.9g", what, i, (double)y[i],
                     (double)ref[i]);
    }
    if (off > 4 + n / 50)
        fail_msg("%s: %zu of %zu values are off", what, off, n);
}

/* x: [batch, height, width, channels]; wide: channels between (as many as x's: no expand); n:
 * behind. */
static void check(struct harness *h, enum dtype type, const int64_t x[4], int64_t wide, int64_t n,
                  int64_t k, struct conv_opts o)
{
    struct guarded g[5];
    struct block c = {.o = o, .bare = wide == x[3]};
    char what[112];
    float *got[4];
    c.dims[0] = x[0];
    c.dims[1] = (x[1] + o.pad_top + o.pad_bottom - k) / o.stride + 1;
    c.dims[2] = (x[2] + o.pad_left + o.pad_right - k) / o.stride + 1;
    c.dims[3] = n;
    c.residual = n == x[3] && c.dims[1] == x[1] && c.dims[2] == x[2];
    size_t count = (size_t)(c.dims[0] * c.dims[1] * c.dims[2] * n);
    c.x = f32_view(random_floats(h, &g[0], (size_t)(x[0] * x[1] * x[2] * x[3]), 2), 4, x);
    c.expand_b = f32_view(random_floats(h, &g[1], (size_t)wide, 1), 1, &wide);
    c.dw = f32_view(random_floats(h, &g[2], (size_t)(k * k * wide), 1), 3, (int64_t[]){k, k, wide});
    c.dw_b = f32_view(random_floats(h, &g[3], (size_t)wide, 1), 1, &wide);
    c.project_b = f32_view(random_floats(h, &g[4], (size_t)n, 1), 1, &n);
    struct weight expand = random_weight(h, type, 2, (int64_t[]){wide, x[3]});
    struct weight project = random_weight(h, type, 2, (int64_t[]){n, wide});
    c.expand = expand.t;
    c.project = project.t;
    c.expand.use = c.project.use = TENSOR_WEIGHT;
    c.expand.packs = c.project.packs = packs_new();
    snprintf(what, sizeof what, "mbconv %dx%dx%dx%d to %d to %d, %d, stride %d", (int)x[0],
             (int)x[1], (int)x[2], (int)x[3], (int)wide, (int)n, (int)k, o.stride);
    static const char *const names[] = {"cpu:ref/int8", "cpu:avx512vnni/int8",
                                        "cpu:avx512vnni/int8", "cpu:avx512vnni/int8"};
    for (int i = 0; i < 4; i++) { /* the definition; one thread, three; its parts */
        struct backend *be = NULL;
        got[i] = mem_array(count, sizeof *got[i]);
        assert_int_equal(backend_open(&be, names[i], i == 2 ? 3 : 1, NULL), ST_OK);
        run_guarded(be, what, i == 3 ? run_parts : run, &c, NULL, count, 4 * rng_below(&h->rng, 16),
                    got[i]);
        backend_close(be);
    }
    float *w = mem_array((size_t)(n * wide), sizeof *w), most = 0;
    struct tensor tw = f32_view(w, 2, (int64_t[]){n, wide});
    op_convert(h->ref, &tw, &c.project);
    for (int64_t i = 0; i < n * wide; i++)
        most = fabsf(w[i]) > most ? fabsf(w[i]) : most;
    compare_blocks(what, got[1], got[0], count, 6.0F / 255 * most);
    assert_memory_equal(got[1], got[2], count * sizeof *got[1]);
    double error = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        error += (got[1][i] - got[3][i]) * (got[1][i] - got[3][i]);
        size += got[3][i] * got[3][i];
    }
    if (!(sqrt(error) <= 0.05 * sqrt(size) + 0.05))
        fail_msg("%s: %g from its parts, which are %g", what, sqrt(error), sqrt(size));
    packs_free(c.expand.packs);
    mem_free(w);
    for (int i = 0; i < 4; i++)
        mem_free(got[i]);
    for (int i = 0; i < 5; i++)
        guarded_free(&g[i], "an input");
    weight_free(&expand);
    weight_free(&project);
}

static void blocks_match_their_definition(void **state)
{
    static const enum dtype types[] = {DT_F32, DT_I8, DT_F16};
    struct harness *h = *state;
    for (int i = 0; i < 60 && !skip_low_precision(); i++) {
        int64_t k = i % 3 == 0 ? 3 : i % 3 == 1 ? 5 : 1 + (int64_t)rng_below(&h->rng, 7);
        int64_t x[4] = {odd_size(h, 3), k + odd_size(h, 20), k + odd_size(h, 40), odd_size(h, 40)};
        int64_t wide = 16 * odd_size(h, 9);
        struct conv_opts o = {.stride = 1 + (int)rng_below(&h->rng, i % 5 ? 2 : 3)};
        int *pads[] = {&o.pad_top, &o.pad_left, &o.pad_bottom, &o.pad_right};
        for (int j = 0; j < 4; j++)
            *pads[j] = (int)rng_below(&h->rng, (uint32_t)k + 2); /* rows of zeros alone, too */
        if (i % 6 == 5)
            x[3] = wide;
        check(h, types[i / 3 % 3], x, wide, odd_size(h, 70), k, o);
    }
}

static void blocks_match_in_the_starters_shapes(void **state)
{
    struct conv_opts same3 = {.stride = 1, 1, 1, 1, 1}, half5 = {.stride = 2, 2, 2, 2, 2};
    struct conv_opts same5 = {.stride = 1, 2, 2, 2, 2}, half3 = {.stride = 2, 0, 0, 1, 1};
    if (skip_low_precision())
        return;
    check(*state, DT_I8, (int64_t[]){1, 130, 130, 32}, 32, 16, 3, same3);
    check(*state, DT_I8, (int64_t[]){1, 130, 130, 16}, 96, 24, 3, half3);
    check(*state, DT_I8, (int64_t[]){1, 65, 65, 24}, 144, 24, 3, same3);
    check(*state, DT_I8, (int64_t[]){1, 65, 65, 24}, 144, 48, 5, half5);
    check(*state, DT_I8, (int64_t[]){2, 9, 9, 208}, 1248, 208, 5, same5);
}

/* What is no weight in 8 bits, or another backend's precision, is left to the three ops. */
static void others_do_nothing(void **state)
{
    struct harness *h = *state;
    static const char *const names[] = {"cpu", "cpu:ref", "cpu:ref/bf16", "cpu:ref/int8"};
    struct guarded gx, gd, gb;
    int64_t wide = 16;
    struct tensor x = f32_view(random_floats(h, &gx, 64, 1), 4, (int64_t[]){1, 4, 4, 4}), y = x;
    struct tensor dw = f32_view(random_floats(h, &gd, 16, 1), 3, (int64_t[]){1, 1, 16});
    struct tensor b = f32_view(random_floats(h, &gb, 16, 1), 1, &wide), b4 = b;
    struct weight expand = random_weight(h, DT_F32, 2, (int64_t[]){16, 4});
    struct weight project = random_weight(h, DT_F32, 2, (int64_t[]){4, 16});
    struct conv_opts o = {.stride = 1};
    float out[64] = {0}, zero[64] = {0};
    y.data = out;
    b4.dim[0] = 4;
    const struct mbconv_weights w = {&expand.t, &b, &dw, &b, &project.t, &b4};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct backend *be = NULL;
        assert_int_equal(backend_open(&be, names[i], 1, NULL), ST_OK);
        assert_false(op_mbconv(be, &y, &x, &w, &o, NULL));
        backend_close(be);
    }
    assert_memory_equal(out, zero, sizeof out);
    guarded_free(&gx, "x");
    guarded_free(&gd, "dw");
    guarded_free(&gb, "b");
    weight_free(&expand);
    weight_free(&project);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_match_their_definition),
        cmocka_unit_test(blocks_match_in_the_starters_shapes),
        cmocka_unit_test(others_do_nothing),
    };
    return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
