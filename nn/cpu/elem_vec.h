/* Elementwise ops, sums over tokens and conversions in vectors. */
#ifndef EIDETIC_NN_CPU_ELEM_VEC_H
#define EIDETIC_NN_CPU_ELEM_VEC_H

#include "nn/cpu/elem.h"
#include "nn/cpu/vec.h"

#ifdef EIDETIC_VEC
static inline void add_vec(float *y, const float *x, const float *r, int64_t n)
{
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(y + i, v_add(v_load(x + i), v_load(r + i)));
    if (i < n)
        v_store_n(y + i, v_add(v_load_n(x + i, n - i), v_load_n(r + i, n - i)), n - i);
}

static inline void mul_vec(float *y, const float *x, const float *r, int64_t n)
{
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(y + i, v_mul(v_load(x + i), v_load(r + i)));
    if (i < n)
        v_store_n(y + i, v_mul(v_load_n(x + i, n - i), v_load_n(r + i, n - i)), n - i);
}

static inline void scale_vec(float *y, const float *x, float s, int64_t n)
{
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(y + i, v_mul(v_load(x + i), v_set(s)));
    if (i < n)
        v_store_n(y + i, v_mul(v_load_n(x + i, n - i), v_set(s)), n - i);
}

static inline void mean_tokens_vec(float *y, const float *x, int64_t len, int64_t d)
{
    vf inv = v_set(len > 0 ? 1.0f / (float)len : 0.0f);
    for (int64_t j = 0; j < d; j += VL) {
        vf sum = v_zero();
        for (int64_t t = 0; t < len; t++)
            sum = v_add(sum, v_load_n(x + t * d + j, d - j));
        v_store_n(y + j, v_mul(sum, inv), d - j);
    }
}

__attribute__((always_inline)) static inline void widen_as(enum dtype t, float *y, const void *row,
                                                           int64_t i0, int64_t n, float scale)
{
    vf s = v_set(scale);
    int64_t j = 0;
    for (; j + VL <= n; j += VL)
        v_store(y + j, v_mul(v_widen(t, row, i0 + j), s));
    if (j < n)
        v_store_n(y + j, v_mul(v_widen_n(t, row, i0 + j, n - j), s), n - j);
}

static inline void widen_vec(float *y, enum dtype from, const void *row, int64_t i0, int64_t n,
                             float scale)
{
    switch (from) {
    case DT_F16:
        widen_as(DT_F16, y, row, i0, n, 1.0f);
        break;
    case DT_BF16:
        widen_as(DT_BF16, y, row, i0, n, 1.0f);
        break;
    case DT_I8:
        widen_as(DT_I8, y, row, i0, n, scale);
        break;
    case DT_Q8_0:
        widen_as(DT_Q8_0, y, row, i0, n, 1.0f);
        break;
    default:
        memcpy(y, (const char *)row + 4 * i0, (size_t)n * sizeof *y);
    }
}

static inline void narrow_vec(void *y, enum dtype to, const float *x, int64_t n)
{
    char *p = y;
    int64_t i = 0;
    for (; i + VL <= n; i += VL) {
        if (to == DT_F16)
            v_to_f16(p + 2 * i, v_load(x + i));
        else
            v_to_bf16(p + 2 * i, v_load(x + i));
    }
    narrow_ref(p + 2 * i, to, x + i, n - i);
}
#endif

#endif
