/* Convolutions on every backend against the reference: kernel sizes, strides, asymmetric padding,
 * pictures smaller than the kernel. Tolerance as for matrix products of depth kh * kw * C. */
#include "core/mem.h"
#include "harness.h"

struct conv_case {
    bool depthwise, has_b;
    struct tensor x, w, b, y; /* y without data */
    struct conv_opts o;
};

static void run_conv(struct backend *be, float *y, void *ctx)
{
    struct conv_case *c = ctx;
    struct tensor t = c->y;
    t.data = y;
    if (c->depthwise)
        op_depthwise(be, &t, &c->x, &c->w, c->has_b ? &c->b : NULL, &c->o);
    else
        op_conv2d(be, &t, &c->x, &c->w, c->has_b ? &c->b : NULL, &c->o);
}

struct conv_shape {
    bool depthwise;
    enum dtype type;
    int64_t b, h, w, c, n, k;
    int stride;
};

static void check_conv(struct harness *h, struct conv_shape s)
{
    struct conv_case c = {.depthwise = s.depthwise};
    struct guarded gx, gb;
    c.o.stride = s.stride;
    c.o.act = rng_below(&h->rng, 2) ? ACT_RELU6 : (enum act)rng_below(&h->rng, ACT_COUNT);
    int *pads[] = {&c.o.pad_top, &c.o.pad_left, &c.o.pad_bottom, &c.o.pad_right};
    for (int i = 0; i < 4; i++)
        *pads[i] = (int)rng_below(&h->rng, (uint32_t)s.k);
    if (s.h + c.o.pad_top + c.o.pad_bottom < s.k)
        c.o.pad_bottom = (int)s.k;
    if (s.w + c.o.pad_left + c.o.pad_right < s.k)
        c.o.pad_right = (int)s.k;
    int64_t ho = (s.h + c.o.pad_top + c.o.pad_bottom - s.k) / s.stride + 1;
    int64_t wo = (s.w + c.o.pad_left + c.o.pad_right - s.k) / s.stride + 1;
    float *x = random_floats(h, &gx, (size_t)(s.b * s.h * s.w * s.c), 1);
    c.x = f32_view(x, 4, (int64_t[]){s.b, s.h, s.w, s.c});
    c.y = f32_view(NULL, 4, (int64_t[]){s.b, ho, wo, s.depthwise ? s.c : s.n});
    struct weight w = s.depthwise ? random_weight(h, DT_F32, 3, (int64_t[]){s.k, s.k, s.c})
                                  : random_weight(h, s.type, 4, (int64_t[]){s.n, s.k, s.k, s.c});
    c.w = w.t;
    c.b = f32_view(random_floats(h, &gb, (size_t)c.y.dim[3], 1), 1, &c.y.dim[3]);
    c.has_b = rng_below(&h->rng, 2);
    char what[128];
    snprintf(what, sizeof what, "%s %dx%dx%dx%d to %d, %d x %d stride %d %s",
             s.depthwise ? "depthwise" : "conv2d", (int)s.b, (int)s.h, (int)s.w, (int)s.c,
             (int)c.y.dim[3], (int)s.k, (int)s.k, s.stride, act_name(c.o.act));
    float depth = (float)(s.k * s.k * (s.depthwise ? 1 : s.c));
    check_op(h, what, run_conv, &c, NULL, (size_t)tensor_count(&c.y),
             tolerance(4.0f * 0x1p-24f * depth + 4e-6f, 2e-6f));
    guarded_free(&gx, "x");
    guarded_free(&gb, "b");
    weight_free(&w);
}

static void conv2d_matches_reference(void **state)
{
    struct harness *h = *state;
    static const enum dtype types[] = {DT_F32, DT_F16, DT_BF16, DT_I8};
    for (int i = 0; i < 80; i++)
        check_conv(h, (struct conv_shape){.type = types[i % 4],
                                          .b = odd_size(h, 3),
                                          .h = odd_size(h, 17),
                                          .w = odd_size(h, 17),
                                          .c = odd_size(h, 17),
                                          .n = odd_size(h, 47),
                                          .k = 1 + (int64_t)rng_below(&h->rng, 5),
                                          .stride = 1 + (int)rng_below(&h->rng, 3)});
}

/* Large enough to go by Winograd's filtering: tails of tiles, of blocks, of channels and of panels.
 */
static void winograd_matches_reference(void **state)
{
    struct harness *h = *state;
    static const enum dtype types[] = {DT_F32, DT_F16, DT_BF16, DT_I8};
    for (int i = 0; i < 12; i++)
        check_conv(h, (struct conv_shape){.type = types[i % 4],
                                          .b = 1 + i % 2,
                                          .h = 31 + odd_size(h, 4),
                                          .w = 31 + odd_size(h, 7),
                                          .c = 15 + odd_size(h, 60),
                                          .n = i == 5 ? 300 : 15 + odd_size(h, 60),
                                          .k = 3,
                                          .stride = 1});
}

static void pointwise_convolution_matches_reference(void **state)
{
    struct harness *h = *state;
    for (int i = 0; i < 20; i++)
        check_conv(h, (struct conv_shape){.b = odd_size(h, 3),
                                          .h = odd_size(h, 17),
                                          .w = odd_size(h, 17),
                                          .c = odd_size(h, 97),
                                          .n = odd_size(h, 97),
                                          .k = 1,
                                          .stride = 1 + i % 2});
}

static void depthwise_matches_reference(void **state)
{
    struct harness *h = *state;
    static const int64_t kernels[] = {3, 5, 3, 5, 3, 5, 1, 2, 4, 7};
    for (int i = 0; i < 120; i++)
        check_conv(h, (struct conv_shape){.depthwise = true,
                                          .b = odd_size(h, 3),
                                          .h = odd_size(h, 33),
                                          .w = odd_size(h, 33),
                                          .c = odd_size(h, 80),
                                          .k = kernels[i % 10],
                                          .stride = 1 + (int)rng_below(&h->rng, 3)});
}

/* What wraps round equals what is padded with its own other side. */
static void circular_padding_is_the_opposite_edge(void **state)
{
    struct harness *h = *state;
    for (int i = 0; i < 20; i++) {
        int64_t rows = 1 + i % 5, cols = 1 + i % 7, c = 3, n = 4, k = i % 2 ? 3 : 5, p = k / 2;
        int stride = 1 + i % 3 / 2;
        struct guarded gx;
        float *x = random_floats(h, &gx, (size_t)(rows * cols * c), 1);
        struct weight w = random_weight(h, DT_F32, 4, (int64_t[]){n, k, k, c});
        int64_t big_h = rows + 2 * p, big_w = cols + 2 * p;
        float big[15 * 15 * 3], y1[15 * 15 * 4], y2[15 * 15 * 4];
        for (int64_t r = 0; r < big_h; r++)
            for (int64_t s = 0; s < big_w; s++)
                for (int64_t ch = 0; ch < c; ch++)
                    big[(r * big_w + s) * c + ch] =
                        x[((r - p + 9 * rows) % rows * cols + (s - p + 9 * cols) % cols) * c + ch];
        int64_t dims[4] = {1, (rows - 1) / stride + 1, (cols - 1) / stride + 1, n};
        struct tensor tx = f32_view(x, 4, (int64_t[]){1, rows, cols, c});
        struct tensor tb = f32_view(big, 4, (int64_t[]){1, big_h, big_w, c});
        struct tensor a = f32_view(y1, 4, dims), b = f32_view(y2, 4, dims);
        struct conv_opts round = {stride, (int)p, (int)p, (int)p, (int)p, ACT_NONE, true};
        struct backend *be = NULL;
        assert_int_equal(backend_open(&be, "cpu", 2, NULL), ST_OK);
        op_conv2d(be, &a, &tx, &w.t, NULL, &round);
        op_conv2d(be, &b, &tb, &w.t, NULL, &(struct conv_opts){.stride = stride});
        assert_int_equal(backend_sync(be, NULL), ST_OK);
        backend_close(be);
        assert_memory_equal(y1, y2, (size_t)tensor_count(&a) * sizeof(float));
        guarded_free(&gx, "x");
        weight_free(&w);
    }
}

/* The same where Winograd's filtering takes it; its tiles lie otherwise in the larger picture. */
static void circular_winograd_is_the_opposite_edge(void **state)
{
    struct harness *h = *state;
    enum { ROWS = 33, COLS = 36, C = 18, N = 20, COUNT = ROWS * COLS * N };
    struct guarded gx, gb;
    float *x = random_floats(h, &gx, (size_t)ROWS * COLS * C, 1);
    float *big = random_floats(h, &gb, (size_t)(ROWS + 2) * (COLS + 2) * C, 1);
    for (int r = 0; r < ROWS + 2; r++)
        for (int s = 0; s < COLS + 2; s++)
            memcpy(big + (r * (COLS + 2) + s) * C,
                   x + ((r + ROWS - 1) % ROWS * COLS + (s + COLS - 1) % COLS) * C, C * sizeof *x);
    struct weight w = random_weight(h, DT_F32, 4, (int64_t[]){N, 3, 3, C});
    int64_t dims[4] = {1, ROWS, COLS, N};
    float *y = mem_array((size_t)COUNT * 2, sizeof *y);
    struct tensor tx = f32_view(x, 4, (int64_t[]){1, ROWS, COLS, C});
    struct tensor tb = f32_view(big, 4, (int64_t[]){1, ROWS + 2, COLS + 2, C});
    struct tensor a = f32_view(y, 4, dims), b = f32_view(y + COUNT, 4, dims);
    struct backend *be = NULL;
    assert_int_equal(backend_open(&be, "cpu", 2, NULL), ST_OK);
    op_conv2d(be, &a, &tx, &w.t, NULL, &(struct conv_opts){1, 1, 1, 1, 1, ACT_NONE, true});
    op_conv2d(be, &b, &tb, &w.t, NULL, &(struct conv_opts){.stride = 1});
    assert_int_equal(backend_sync(be, NULL), ST_OK);
    backend_close(be);
    for (int i = 0; i < COUNT; i++)
        assert_float_equal(y[i], y[COUNT + i], 1e-4f);
    mem_free(y);
    guarded_free(&gx, "x");
    guarded_free(&gb, "big");
    weight_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv2d_matches_reference),
        cmocka_unit_test(winograd_matches_reference),
        cmocka_unit_test(pointwise_convolution_matches_reference),
        cmocka_unit_test(circular_padding_is_the_opposite_edge),
        cmocka_unit_test(circular_winograd_is_the_opposite_edge),
        cmocka_unit_test(depthwise_matches_reference),
    };
    return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
