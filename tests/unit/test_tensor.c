/* Tensors: names, sizes with overflow, views, and the scalar half conversions. */
#include "core/rng.h"
#include "nn/tensor.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void every_dtype_name_parses_back(void **state)
{
    (void)state;
    for (int i = 0; i < DT_COUNT; i++)
        assert_int_equal(dtype_parse(dtype_name((enum dtype)i)), i);
    assert_int_equal(dtype_parse("f8"), -1);
    assert_string_equal(dtype_name(DT_COUNT), "unknown");
}

static void dtype_bytes_refuses_overflow_and_broken_blocks(void **state)
{
    (void)state;
    size_t n = 0;
    assert_true(dtype_bytes(DT_F32, 10, &n) && n == 40);
    assert_true(dtype_bytes(DT_Q8_0, 64, &n) && n == 68);
    assert_true(dtype_bytes(DT_BOOL, 0, &n) && n == 0);
    assert_false(dtype_bytes(DT_Q8_0, 33, &n));
    assert_false(dtype_bytes(DT_F64, SIZE_MAX / 4, &n));
    assert_false(dtype_bytes(DT_Q8_0, SIZE_MAX / 32 * 32, &n));
    assert_false(dtype_bytes(DT_COUNT, 1, &n));
}

static void views_know_their_shape(void **state)
{
    (void)state;
    float x[24];
    struct tensor t = tensor_view(x, DT_F32, 3, (int64_t[]){2, 3, 4});
    assert_int_equal(tensor_count(&t), 24);
    assert_int_equal(tensor_rows(&t), 6);
    assert_int_equal(tensor_cols(&t), 4);
    assert_int_equal(t.dim[4], 1);
    struct tensor scalar = tensor_view(x, DT_F32, 0, NULL);
    assert_int_equal(tensor_count(&scalar), 1);
    assert_int_equal(tensor_rows(&scalar), 1);
    assert_int_equal(tensor_cols(&scalar), 1);
    struct tensor u = tensor_view(x, DT_F16, 3, (int64_t[]){2, 3, 4});
    assert_true(tensor_same_shape(&t, &u));
    u.dim[1] = 4;
    assert_false(tensor_same_shape(&t, &u));
    assert_false(tensor_same_shape(&t, &scalar));
}

static void known_halves(void **state)
{
    (void)state;
    static const struct {
        float f;
        uint16_t f16, bf16;
    } v[] = {
        {0.0f, 0, 0},
        {-0.0f, 0x8000, 0x8000},
        {1.0f, 0x3c00, 0x3f80},
        {-2.5f, 0xc100, 0xc020},
        {65504.0f, 0x7bff, 0x4780},
        {65519.0f, 0x7bff, 0x4780},
        {65520.0f, 0x7c00, 0x4780},
        {INFINITY, 0x7c00, 0x7f80},
        {0x1p-24f, 1, 0x3380},
        {0x1p-25f, 0, 0x3300},
        {0x1.000002p-25f, 1, 0x3300},
        {0x1.8p-24f, 2, 0x33c0}, /* half-way: to even */
        {1.0f + 0x1p-11f, 0x3c00, 0x3f80},
        {1.0f + 0x1.8p-10f, 0x3c02, 0x3f80},
        {1.0f + 0x1p-8f, 0x3c04, 0x3f80},
        {1.0f + 0x1.8p-7f, 0x3c0c, 0x3f82},
    };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        assert_int_equal(f32_to_f16(v[i].f), v[i].f16);
        assert_int_equal(f32_to_bf16(v[i].f), v[i].bf16);
    }
    assert_true(isnan(f16_to_f32(f32_to_f16(NAN))));
    assert_true(isnan(bf16_to_f32(f32_to_bf16(NAN))));
    uint32_t low_nan = 0x7f800001; /* whose payload lies in the bits that are cut off */
    float f;
    memcpy(&f, &low_nan, 4);
    assert_true(isnan(f16_to_f32(f32_to_f16(f))));
    assert_true(isnan(bf16_to_f32(f32_to_bf16(f))));
}

static void every_half_survives_the_round_trip(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t h = (uint16_t)i;
        float f = f16_to_f32(h), b = bf16_to_f32(h);
        if (isnan(f))
            assert_true(isnan(f16_to_f32(f32_to_f16(f))));
        else
            assert_int_equal(f32_to_f16(f), h);
        if (!isnan(b))
            assert_int_equal(f32_to_bf16(b), h);
    }
}

static void conversions_give_the_nearest_half(void **state)
{
    (void)state;
    struct rng r = {1};
    for (int i = 0; i < 200000; i++) {
        float f = rng_normal(&r) * ldexpf(1.0f, (int)rng_below(&r, 40) - 30);
        uint16_t h = f32_to_f16(f);
        float back = f16_to_f32(h), up = f16_to_f32((uint16_t)(h + 1)),
              down = f16_to_f32((uint16_t)(h - 1));
        if ((h & 0x7fff) == 0 || isinf(back) || isinf(up))
            continue;
        assert_true(fabsf(f - back) <= fabsf(f - up) && fabsf(f - back) <= fabsf(f - down));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_dtype_name_parses_back),
        cmocka_unit_test(dtype_bytes_refuses_overflow_and_broken_blocks),
        cmocka_unit_test(views_know_their_shape),
        cmocka_unit_test(known_halves),
        cmocka_unit_test(every_half_survives_the_round_trip),
        cmocka_unit_test(conversions_give_the_nearest_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
