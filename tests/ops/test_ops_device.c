/* A device of its own memory: products in bf16 and int8, attention and convolutions in bf16 against
 * the reference's, and tensors that stay on the device. Where there is no device, exit code 77.
 * Tolerance of bf16: the reference rounds the same factors and sums in double, but a weight of
 * attention that falls on the other side of a rounding differs by 2^-8 of itself. */
#include "core/arena.h"
#include "harness.h"
#include "nn/packs.h"
#include "test.h"

struct pair {
    struct backend *ref, *be;
    struct rng rng;
};

static void fill(struct pair *p, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = rng_normal(&p->rng);
}

static float *values(struct pair *p, size_t n)
{
    float *x = mem_array(n, sizeof *x);
    assert_non_null(x);
    fill(p, x, n);
    return x;
}

static void check_near(struct pair *p, const char *what, float *y, float *ref, size_t n,
                       struct tolerance tol)
{
    assert_int_equal(backend_sync(p->ref, NULL), ST_OK);
    assert_int_equal(backend_sync(p->be, NULL), ST_OK);
    compare(what, backend_name(p->be), y, ref, n, tol);
}

/* w [n, k] in f32, or in 8 bits with scales. */
static void check_product(struct pair *p, const char *what, enum dtype type, int64_t m, int64_t n,
                          int64_t k)
{
    float *x = values(p, (size_t)(m * k)), *w = values(p, (size_t)(n * k));
    float *b = values(p, (size_t)n), *y = values(p, (size_t)(m * n));
    float *ref = values(p, (size_t)(m * n)), *r = values(p, (size_t)(m * n));
    float *scale = values(p, (size_t)n);
    int8_t *bytes = mem_alloc((size_t)(n * k));
    assert_non_null(bytes);
    for (int64_t i = 0; i < n * k; i++)
        bytes[i] = (int8_t)((int)rng_below(&p->rng, 200) - 100);
    struct tensor tx = f32_view(x, 2, (int64_t[]){m, k}), tb = f32_view(b, 1, &n);
    struct tensor ty = f32_view(y, 2, (int64_t[]){m, n}), tref = ty, tr = ty;
    struct tensor tw =
        tensor_view(type == DT_I8 ? (void *)bytes : (void *)w, type, 2, (int64_t[]){n, k});
    tref.data = ref;
    tr.data = r;
    for (int64_t i = 0; i < n; i++)
        scale[i] = 0.01f + fabsf(scale[i]) * 0.02f;
    if (type == DT_I8)
        tw.scale = scale;
    tw.use = TENSOR_WEIGHT;
    tw.packs = packs_new();
    op_linear(p->ref, &tref, &tx, &tw, &tb, ACT_GELU, &tr);
    op_linear(p->be, &ty, &tx, &tw, &tb, ACT_GELU, &tr);
    check_near(p, what, y, ref, (size_t)(m * n),
               tolerance(4.0f * 0x1p-24f * (float)k + 4e-6f, 2e-6f));
    packs_free(tw.packs);
    float *all[] = {x, w, b, y, ref, r, scale};
    for (int j = 0; j < 7; j++)
        mem_free(all[j]);
    mem_free(bytes);
}

static void low_products_match_the_reference(void **state)
{
    static const int64_t shapes[][3] = {{5, 3, 7}, {17, 33, 40}, {64, 130, 96}, {50, 31, 1}};
    struct pair *p = *state, whole = {.rng = {8}};
    char name[48];
    struct error err;
    snprintf(name, sizeof name, "%s/int8", test_device());
    if (backend_open(&whole.be, name, 1, &err) || backend_open(&whole.ref, "cpu:ref/int8", 2, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < 2 * sizeof shapes / sizeof *shapes; i++) {
        const int64_t *s = shapes[i / 2];
        enum dtype type = i % 2 ? DT_I8 : DT_F32;
        check_product(p, "linear in bf16", type, s[0], s[1], s[2]);
        check_product(&whole, "linear in int8", type, s[0], s[1], s[2]);
    }
    backend_close(whole.be);
    backend_close(whole.ref);
}

static void low_attention_matches_the_reference(void **state)
{
    static const int shapes[][6] = {/* b tq tk heads dh causal */
                                    {2, 70, 70, 2, 64, 1},  {1, 5, 130, 3, 40, 0},
                                    {2, 33, 77, 1, 80, 0},  {1, 65, 65, 2, 17, 1},
                                    {1, 20, 40, 1, 160, 0}, {1, 3, 9, 2, 128, 0}};
    struct pair *p = *state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        int64_t b = shapes[i][0], tq = shapes[i][1], tk = shapes[i][2],
                d = shapes[i][3] * shapes[i][4];
        size_t nq = (size_t)(b * tq * d), nk = (size_t)(b * tk * d);
        float *q = values(p, nq), *k = values(p, nk), *v = values(p, nk);
        float *y = values(p, nq), *ref = values(p, nq);
        int32_t len[2] = {(int32_t)tk - 2, 1};
        struct attn_opts o = {.heads = shapes[i][3], .causal = shapes[i][5]};
        o.kv_len = i % 2 ? len : NULL;
        struct tensor tq3 = f32_view(q, 3, (int64_t[]){b, tq, d}), ty = tq3, tr = tq3;
        struct tensor tk3 = f32_view(k, 3, (int64_t[]){b, tk, d}), tv3 = tk3;
        tv3.data = v;
        ty.data = y;
        tr.data = ref;
        op_attention(p->ref, &tr, &tq3, &tk3, &tv3, &o);
        op_attention(p->be, &ty, &tq3, &tk3, &tv3, &o);
        check_near(p, "attention in bf16", y, ref, nq, tolerance(8e-3f, 0));
        float *all[] = {q, k, v, y, ref};
        for (int j = 0; j < 5; j++)
            mem_free(all[j]);
    }
}

static void low_convolutions_match_the_reference(void **state)
{
    static const int shapes[][8] = {/* b h w c n k stride circular */
                                    {1, 9, 11, 8, 70, 3, 1, 0},
                                    {2, 13, 12, 16, 5, 3, 2, 0},
                                    {1, 7, 6, 24, 65, 3, 1, 1},
                                    {1, 16, 17, 40, 3, 5, 1, 0}};
    struct pair *p = *state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int *s = shapes[i];
        int64_t pad = s[5] / 2, ho = (s[1] - 1) / s[6] + 1, wo = (s[2] - 1) / s[6] + 1, n = s[4];
        int64_t depth = (int64_t)s[5] * s[5] * s[3];
        size_t count = (size_t)(s[0] * ho * wo * n);
        float *x = values(p, (size_t)s[0] * (size_t)(s[1] * s[2] * s[3]));
        float *w = values(p, (size_t)(n * depth)), *b = values(p, (size_t)n);
        float *y = values(p, count), *ref = values(p, count);
        struct tensor tx = f32_view(x, 4, (int64_t[]){s[0], s[1], s[2], s[3]});
        struct tensor tw = f32_view(w, 4, (int64_t[]){n, s[5], s[5], s[3]});
        struct tensor tb = f32_view(b, 1, &n);
        struct tensor ty = f32_view(y, 4, (int64_t[]){s[0], ho, wo, n}), tr = ty;
        struct conv_opts o = {s[6], (int)pad, (int)pad, (int)pad, (int)pad, ACT_SILU, s[7]};
        tr.data = ref;
        tw.use = TENSOR_WEIGHT;
        tw.packs = packs_new();
        op_conv2d(p->ref, &tr, &tx, &tw, &tb, &o);
        op_conv2d(p->be, &ty, &tx, &tw, &tb, &o);
        check_near(p, "conv2d in bf16", y, ref, count,
                   tolerance(4.0f * 0x1p-24f * (float)depth + 4e-6f, 2e-6f));
        packs_free(tw.packs);
        float *all[] = {x, w, b, y, ref};
        for (int j = 0; j < 5; j++)
            mem_free(all[j]);
    }
}

/* Uploaded, doubled, added, downloaded: between the ops the host sees nothing, and what it writes
 * in the meantime does no harm. */
static void tensors_of_its_arena_stay_on_the_device(void **state)
{
    struct pair *p = *state;
    struct arena arena = {.memory = backend_memory(p->be)};
    int64_t n = 1000;
    assert_non_null(arena.memory);
    for (int turn = 0; turn < 3; turn++) {
        float *x = arena_array(&arena, (size_t)n, sizeof *x),
              *y = arena_array(&arena, (size_t)n, 4);
        struct tensor tx = f32_view(x, 1, &n), ty = f32_view(y, 1, &n);
        assert_true(x && y);
        for (int i = 0; i < n; i++)
            x[i] = (float)i;
        backend_upload(p->be, &tx);
        for (int i = 0; i < n; i++)
            x[i] = -1, y[i] = -1;
        op_scale(p->be, &ty, &tx, 2);
        op_add(p->be, &ty, &ty, &tx);
        assert_true(y[7] == -1);
        backend_download(p->be, &ty);
        assert_int_equal(backend_sync(p->be, NULL), ST_OK);
        for (int i = 0; i < n; i++)
            assert_true(y[i] == 3.0f * (float)i);
        arena_rewind(&arena, 0);
    }
    arena_release(&arena);
}

static int setup(void **state)
{
    static struct pair p = {.rng = {7}};
    const char *device = test_device();
    char name[48];
    struct error err;
    snprintf(name, sizeof name, "%s/bf16", device);
    if (backend_open(&p.be, name, 1, &err) || backend_open(&p.ref, "cpu:ref/bf16", 2, &err))
        fail_msg("%s", err.text);
    *state = &p;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = *state;
    backend_close(p->be);
    backend_close(p->ref);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(low_products_match_the_reference),
        cmocka_unit_test(low_attention_matches_the_reference),
        cmocka_unit_test(low_convolutions_match_the_reference),
        cmocka_unit_test(tensors_of_its_arena_stay_on_the_device),
    };
    if (strncmp(test_device(), "cuda", 4) != 0) {
        print_message("skipped: EIDETIC_TEST_DEVICE names no device of its own memory\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
