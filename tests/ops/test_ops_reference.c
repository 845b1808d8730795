/* The reference itself: values worked out by hand, and what PyTorch computes
 * (scripts/make_golden_ops.py). Run on every backend, so that a mistake which all share is found.
 * Tolerance: torch works in f32 too, over sums of at most 75 values. */
#include "core/file.h"
#include "harness.h"
#include <stdlib.h>

static struct tensor golden(const char *name)
{
    static char *data;
    static size_t size;
    struct error err;
    if (!data && file_read_all(&data, &size, TEST_DATA "/golden_ops.bin", 1 << 20, &err) != ST_OK)
        fail_msg("%s", err.text);
    const unsigned char *p = (unsigned char *)data, *end = p + size;
    while (p < end) {
        size_t len = *p++;
        bool found = len == strlen(name) && memcmp(p, name, len) == 0;
        p += len;
        int ndim = *p++;
        int64_t dims[TENSOR_MAX_DIMS] = {0};
        for (int i = 0; i < ndim; i++, p += 4) {
            uint32_t d;
            memcpy(&d, p, 4);
            dims[i] = d;
        }
        struct tensor t = tensor_view(NULL, DT_F32, ndim, dims);
        size_t bytes = (size_t)tensor_count(&t) * 4;
        if (found) { /* a copy, since the file aligns nothing; the few kilobytes live on */
            t.data = test_malloc(bytes);
            memcpy(t.data, p, bytes);
            return t;
        }
        p += bytes;
    }
    fail_msg("golden_ops.bin has no %s", name);
    abort();
}

static struct tensor like(const struct tensor *t)
{
    struct tensor y = *t;
    y.data = test_malloc((size_t)tensor_count(t) * 4);
    return y;
}

static void expect(struct backend *be, const char *what, const struct tensor *y,
                   const struct tensor *want)
{
    assert_int_equal(backend_sync(be, NULL), ST_OK);
    compare(what, backend_name(be), y->data, want->data, (size_t)tensor_count(want),
            tolerance(2e-5f, 2e-5f));
}

static void release(struct tensor *t, int n)
{
    for (int i = 0; i < n; i++)
        test_free(t[i].data);
}

static void for_all(struct harness *h, void (*check)(struct backend *be))
{
    check(h->ref);
    for (int i = 0; i < h->n; i++)
        check(h->be[i][1]);
}

static void check_linear(struct backend *be)
{
    struct tensor t[] = {golden("linear/x"), golden("linear/w"), golden("linear/b"),
                         golden("linear/r"), golden("linear/y"), golden("linear/y")};
    op_linear(be, &t[5], &t[0], &t[1], &t[2], ACT_GELU, &t[3]);
    expect(be, "linear", &t[5], &t[4]);
    release(t, 6);
}

static void check_rows(struct backend *be)
{
    struct tensor t[] = {golden("layernorm/x"), golden("layernorm/w"), golden("layernorm/b"),
                         golden("layernorm/y"), golden("l2norm/y"),    golden("softmax/y"),
                         golden("softmax/y")};
    op_layernorm(be, &t[6], &t[0], &t[1], &t[2], 1e-5f);
    expect(be, "layernorm", &t[6], &t[3]);
    op_l2norm(be, &t[6], &t[0], 1e-12f);
    expect(be, "l2norm", &t[6], &t[4]);
    op_softmax(be, &t[6], &t[0], 0.7f);
    expect(be, "softmax", &t[6], &t[5]);
    release(t, 7);
}

static void check_acts(struct backend *be)
{
    struct tensor x = golden("act/x"), y = like(&x);
    for (int i = 1; i < ACT_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof name, "act/%s", act_name((enum act)i));
        struct tensor want = golden(name);
        op_act(be, &y, &x, (enum act)i);
        expect(be, name, &y, &want);
        release(&want, 1);
    }
    release(&x, 1);
    release(&y, 1);
}

static void check_attention(struct backend *be)
{
    static const char *const names[2][4] = {
        {"attention/q", "attention/k", "attention/v", "attention/y"},
        {"causal/q", "causal/k", "causal/v", "causal/y"}};
    for (int causal = 0; causal < 2; causal++) {
        const char *const *n = names[causal];
        struct tensor t[] = {golden(n[0]), golden(n[1]), golden(n[2]), golden(n[3]), golden(n[3])};
        struct attn_opts o = {.heads = 3, .causal = causal};
        op_attention(be, &t[4], &t[0], &t[1], &t[2], &o);
        expect(be, n[3], &t[4], &t[3]);
        release(t, 5);
    }
}

static void check_convolutions(struct backend *be)
{
    struct tensor t[] = {golden("conv2d/x"),    golden("conv2d/w"),    golden("conv2d/b"),
                         golden("conv2d/y"),    golden("conv2d/y"),    golden("depthwise/x"),
                         golden("depthwise/w"), golden("depthwise/b"), golden("depthwise/y"),
                         golden("depthwise/y")};
    struct conv_opts o = {.stride = 2, .pad_bottom = 1, .pad_right = 1, .act = ACT_RELU6};
    op_conv2d(be, &t[4], &t[0], &t[1], &t[2], &o);
    expect(be, "conv2d", &t[4], &t[3]);
    o = (struct conv_opts){1, 2, 2, 2, 2, ACT_NONE, false};
    op_depthwise(be, &t[9], &t[5], &t[6], &t[7], &o);
    expect(be, "depthwise", &t[9], &t[8]);
    release(t, 10);
}

static void check_patches(struct backend *be)
{
    struct tensor x = golden("patches/x"), w = golden("patches/w"), want = golden("patches/y");
    int64_t dims[] = {1, 6, 48};
    struct tensor p = tensor_view(NULL, DT_F32, 3, dims), y = like(&want);
    p = like(&p);
    op_patchify(be, &p, &x, 4);
    op_linear(be, &y, &p, &w, NULL, ACT_NONE, NULL);
    expect(be, "patches", &y, &want);
    struct tensor all[] = {x, w, want, p, y};
    release(all, 5);
}

static void check_mean(struct backend *be)
{
    struct tensor t[] = {golden("mean_tokens/x"), golden("mean_tokens/y"), golden("mean_tokens/y")};
    op_mean_tokens(be, &t[2], &t[0], (const int32_t[]){5, 3});
    expect(be, "mean_tokens", &t[2], &t[1]);
    release(t, 3);
}

static void check_pictures(struct backend *be)
{
    struct tensor t[] = {golden("groupnorm/x"),  golden("groupnorm/e"),  golden("groupnorm/w"),
                         golden("groupnorm/b"),  golden("groupnorm/y"),  golden("groupnorm/y"),
                         golden("upsample2x/x"), golden("upsample2x/y"), golden("upsample2x/y")};
    op_groupnorm(be, &t[5], &t[0], &t[1], &t[2], &t[3],
                 &(struct groupnorm_opts){.groups = 4, .eps = 1e-5f, .act = ACT_SILU});
    expect(be, "groupnorm", &t[5], &t[4]);
    op_upsample2x(be, &t[8], &t[6]);
    expect(be, "upsample2x", &t[8], &t[7]);
    release(t, 9);
}

static void linear_matches_torch(void **state)
{
    for_all(*state, check_linear);
}
static void norms_and_softmax_match_torch(void **state)
{
    for_all(*state, check_rows);
}
static void activations_match_torch(void **state)
{
    for_all(*state, check_acts);
}
static void attention_matches_torch(void **state)
{
    for_all(*state, check_attention);
}
static void convolutions_match_torch(void **state)
{
    for_all(*state, check_convolutions);
}
static void patches_times_a_convolution_weight_are_the_convolution(void **state)
{
    for_all(*state, check_patches);
}
static void mean_tokens_matches_torch(void **state)
{
    for_all(*state, check_mean);
}

static void groupnorm_and_upsampling_match_torch(void **state)
{
    for_all(*state, check_pictures);
}

static struct tensor row(float *x, int64_t n)
{
    return tensor_view(x, DT_F32, 2, (int64_t[]){1, n});
}

static void check_by_hand(struct backend *be)
{
    float x[4] = {1, 2, 3, 4}, w[8] = {1, 0, 0, -1, 0.5f, 0.5f, 0.5f, 0.5f}, b[2] = {10, -20}, y[8];
    float r[2] = {100, 1};
    struct tensor tx = row(x, 4), tb = row(b, 2), ty = row(y, 2), tr = row(r, 2);
    struct tensor tw = tensor_view(w, DT_F32, 2, (int64_t[]){2, 4});
    op_linear(be, &ty, &tx, &tw, &tb, ACT_RELU, &tr); /* 1 - 4 + 10 + 100; 5 - 20 < 0, + 1 */
    assert_true(y[0] == 107.0f && y[1] == 1.0f);
    int8_t q[8] = {1, 0, 0, -1, 2, 2, 2, 2};
    struct tensor ti = tensor_view(q, DT_I8, 2, (int64_t[]){2, 4});
    ti.scale = (const float[]){2.0f, 0.25f};
    op_linear(be, &ty, &tx, &ti, NULL, ACT_NONE, NULL);
    assert_true(y[0] == -6.0f && y[1] == 5.0f);
    struct tensor tm = tensor_view(w, DT_F32, 2, (int64_t[]){4, 2});
    op_matmul(be, &ty, &tx, &tm); /* columns 1 0 .5 .5 and 0 -1 .5 .5 */
    assert_true(y[0] == 4.5f && y[1] == 1.5f);
    ty = row(y, 4);
    op_softmax(be, &ty, &tx, 0.0f);
    for (int i = 0; i < 4; i++)
        assert_true(y[i] == 0.25f);
    float v[2] = {3, 4};
    tx = row(v, 2);
    ty = row(y, 2);
    op_l2norm(be, &ty, &tx, 1e-12f);
    assert_float_equal(y[0], 0.6f, 1e-7f);
    assert_float_equal(y[1], 0.8f, 1e-7f);
    uint8_t pixel[3] = {0, 255, 51};
    struct tensor tp = tensor_view(pixel, DT_U8, 4, (int64_t[]){1, 1, 1, 3});
    ty = tensor_view(y, DT_F32, 4, (int64_t[]){1, 1, 1, 3});
    op_normalize_u8(be, &ty, &tp, 1.0f / 255, (const float[]){0.5f, 0.5f, 0},
                    (const float[]){0.5f, 0.25f, 1});
    assert_true(y[0] == -1.0f && y[1] == 2.0f);
    assert_float_equal(y[2], 0.2f, 1e-7f);
    unsigned char block[34] = {0, 0x38, 1, 2, (unsigned char)-3}; /* f16 0.5, then 1, 2, -3 */
    float wide[32];
    struct tensor tq = tensor_view(block, DT_Q8_0, 2, (int64_t[]){1, 32});
    ty = row(wide, 32);
    op_convert(be, &ty, &tq);
    assert_true(wide[0] == 0.5f && wide[1] == 1.0f && wide[2] == -1.5f && wide[3] == 0.0f);
}

static void values_worked_out_by_hand(void **state)
{
    for_all(*state, check_by_hand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_worked_out_by_hand),
        cmocka_unit_test(linear_matches_torch),
        cmocka_unit_test(norms_and_softmax_match_torch),
        cmocka_unit_test(activations_match_torch),
        cmocka_unit_test(attention_matches_torch),
        cmocka_unit_test(convolutions_match_torch),
        cmocka_unit_test(patches_times_a_convolution_weight_are_the_convolution),
        cmocka_unit_test(mean_tokens_matches_torch),
        cmocka_unit_test(groupnorm_and_upsampling_match_torch),
    };
    return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
