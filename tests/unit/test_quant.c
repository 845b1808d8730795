/* Weight types to f32 and back: exact where the type is exact, within the type's step otherwise,
 * and defined for every float that there is. */
#include "weights_expect.h"

#include "core/rng.h"
#include <math.h>

static void every_half_survives_a_round_trip(void **state)
{
    (void)state;
    uint16_t *h = mem_array(65536, sizeof *h), *back = mem_array(65536, sizeof *back);
    float *f = mem_array(65536, sizeof *f);
    for (int type = 0; type < 2; type++) {
        enum dtype t = type ? DT_BF16 : DT_F16;
        for (int i = 0; i < 65536; i++)
            h[i] = (uint16_t)i;
        struct tensor x = tensor_view(h, t, 2, (int64_t[]){256, 256});
        tensor_to_f32(&x, f);
        tensor_from_f32(f, 256, 256, t, back, NULL);
        for (int i = 0; i < 65536; i++) {
            float one = t == DT_F16 ? f16_to_f32(h[i]) : bf16_to_f32(h[i]);
            assert_true(isnan(one) ? isnan(f[i]) : one == f[i]);
            assert_true(isnan(one) || back[i] == h[i]);
        }
    }
    mem_free(h);
    mem_free(back);
    mem_free(f);
}

static void halves_round_as_the_scalar_definition(void **state)
{
    (void)state;
    enum { N = 100003 }; /* no multiple of any vector's width */
    struct rng r = {7};
    float *f = mem_array(N, sizeof *f);
    uint16_t *h = mem_array(N, sizeof *h);
    for (int i = 0; i < N; i++) {
        uint32_t bits = (uint32_t)rng_u64(&r);
        memcpy(&f[i], &bits, sizeof bits);
        if (i % 2) /* in the range of halves and around its ends */
            f[i] = ldexpf(rng_normal(&r), (int)rng_below(&r, 44) - 28);
    }
    tensor_from_f32(f, 1, N, DT_F16, h, NULL);
    for (int i = 0; i < N; i++)
        assert_int_equal(h[i], f32_to_f16(f[i]));
    tensor_from_f32(f, 1, N, DT_BF16, h, NULL);
    for (int i = 0; i < N; i++)
        assert_true(isnan(f[i]) ? isnan(bf16_to_f32(h[i])) : h[i] == f32_to_bf16(f[i]));
    mem_free(f);
    mem_free(h);
}

static void whole_numbers_become_floats(void **state)
{
    (void)state;
    int64_t a[2] = {-3, (int64_t)1 << 40};
    int32_t b[2] = {-3, 1 << 20};
    uint8_t c[2] = {0, 255};
    double d[2] = {-0.1, 1e300};
    float f[2];
    const int64_t dims[1] = {2};
    struct tensor t = tensor_view(a, DT_I64, 1, dims);
    tensor_to_f32(&t, f);
    assert_true(f[0] == -3 && f[1] == 0x1p40f);
    t = tensor_view(b, DT_I32, 1, dims);
    tensor_to_f32(&t, f);
    assert_true(f[0] == -3 && f[1] == 0x1p20f);
    t = tensor_view(c, DT_U8, 1, dims);
    tensor_to_f32(&t, f);
    assert_true(f[0] == 0 && f[1] == 255);
    t = tensor_view(d, DT_F64, 1, dims);
    tensor_to_f32(&t, f);
    assert_true(f[0] == -0.1f && isinf(f[1]));
}

static double relative_error(const float *x, const float *y, size_t n)
{
    double e = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        e += (double)(x[i] - y[i]) * (x[i] - y[i]);
        all += (double)x[i] * x[i];
    }
    return sqrt(e / all);
}

static void i8_stays_within_its_step(void **state)
{
    (void)state;
    enum { R = 9, C = 515 };
    struct rng r = {1};
    float x[R * C], y[R * C], scale[R];
    int8_t q[R * C];
    for (int i = 0; i < R * C; i++)
        x[i] = rng_normal(&r) * ldexpf(1, i / C * 8 - 32); /* rows of very different size */
    tensor_from_f32(x, R, C, DT_I8, q, scale);
    struct tensor t = tensor_view(q, DT_I8, 2, (int64_t[]){R, C});
    t.scale = scale;
    tensor_to_f32(&t, y);
    for (int row = 0; row < R; row++) {
        float top = 0;
        for (int i = row * C; i < (row + 1) * C; i++)
            top = fmaxf(top, fabsf(x[i]));
        assert_true(relative_error(x + row * C, y + row * C, C) < 0.009);
        for (int i = row * C; i < (row + 1) * C; i++) {
            assert_true(q[i] >= -127);
            assert_true(fabsf(x[i] - y[i]) <= 0.5001f / 127 * top);
        }
    }
}

static void q8_0_stays_within_its_step(void **state)
{
    (void)state;
    enum { N = 64 * 32 };
    struct rng r = {2};
    static float x[N], y[N];
    static uint8_t blocks[N / 32 * 34];
    for (int i = 0; i < N; i++)
        x[i] = rng_normal(&r) * (i < N / 2 ? 0.02f : 1000.0f);
    tensor_from_f32(x, 64, 32, DT_Q8_0, blocks, NULL);
    struct tensor t = tensor_view(blocks, DT_Q8_0, 2, (int64_t[]){64, 32});
    tensor_to_f32(&t, y);
    for (int b = 0; b < N / 32; b++) {
        float top = 0;
        for (int i = 0; i < 32; i++)
            top = fmaxf(top, fabsf(x[b * 32 + i]));
        for (int i = 0; i < 32; i++)
            assert_true(fabsf(x[b * 32 + i] - y[b * 32 + i]) <= top / 127 * 0.57f);
    }
    assert_true(relative_error(x, y, N) < 0.006);
}

static void odd_rows_have_a_defined_form(void **state)
{
    (void)state;
    static const float rows[6][32] = {
        {0},
        {NAN, 1, -1},
        {INFINITY, -INFINITY, 1},
        {1e-45f, -1e-45f},
        {3e38f, -3e38f, 1},
        {1e-9f, -2e-9f},
    };
    int8_t q[32];
    uint8_t block[34];
    float scale, y[32];
    for (int i = 0; i < 6; i++) {
        tensor_from_f32(rows[i], 1, 32, DT_I8, q, &scale);
        assert_true(isfinite(scale) && scale >= 0);
        struct tensor t = tensor_view(q, DT_I8, 2, (int64_t[]){1, 32});
        t.scale = &scale;
        tensor_to_f32(&t, y);
        for (int k = 0; k < 32; k++)
            assert_true(isfinite(y[k]));
        tensor_from_f32(rows[i], 1, 32, DT_Q8_0, block, NULL);
        t = tensor_view(block, DT_Q8_0, 2, (int64_t[]){1, 32});
        tensor_to_f32(&t, y);
        for (int k = 0; k < 32; k++)
            assert_true(isfinite(y[k]));
    }
    tensor_from_f32(rows[0], 1, 32, DT_I8, q, &scale);
    assert_true(scale == 0 && q[0] == 0 && q[31] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_survives_a_round_trip),
        cmocka_unit_test(halves_round_as_the_scalar_definition),
        cmocka_unit_test(whole_numbers_become_floats),
        cmocka_unit_test(i8_stays_within_its_step),
        cmocka_unit_test(q8_0_stays_within_its_step),
        cmocka_unit_test(odd_rows_have_a_defined_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
