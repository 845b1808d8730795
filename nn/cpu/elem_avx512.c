/* Elementwise ops, sums over tokens and conversions in AVX-512. */
#include "nn/cpu/elem_vec.h"

void add_avx512(float *y, const float *x, const float *r, int64_t n)
{
    add_vec(y, x, r, n);
}

void mul_avx512(float *y, const float *x, const float *r, int64_t n)
{
    mul_vec(y, x, r, n);
}

void scale_avx512(float *y, const float *x, float s, int64_t n)
{
    scale_vec(y, x, s, n);
}

void mean_tokens_avx512(float *y, const float *x, int64_t len, int64_t d)
{
    mean_tokens_vec(y, x, len, d);
}

void widen_avx512(float *y, enum dtype from, const void *row, int64_t i0, int64_t n, float scale)
{
    widen_vec(y, from, row, i0, n, scale);
}

void narrow_avx512(void *y, enum dtype to, const float *x, int64_t n)
{
    narrow_vec(y, to, x, n);
}
