/* Vectors of floats for kernels that are the same text at every width: <subject>_vec.h holds the
 * kernels as static inline functions over these names, and <subject>_avx2.c and <subject>_avx512.c
 * give them their external names. Without vector flags the header is empty, and so are those.
 *
 * exp is within 1.5 ulp, erf and tanh within 5e-7 relative. They were fitted for this file (least
 * squares, reweighted towards equal ripples): exp as 1 + r + r^2 q(r) on |r| <= ln(2)/2, erf and
 * tanh as x P(x^2) / Q(x^2) up to where the function rounds to 1. */
#ifndef EIDETIC_NN_CPU_VEC_H
#define EIDETIC_NN_CPU_VEC_H

#include "nn/cpu/vec_avx2.h"
#include "nn/cpu/vec_avx512.h"

#ifdef __AVX2__
#define EIDETIC_VEC 1
#include "nn/ops.h"
#include "nn/tensor.h"
#include <string.h>

/* exp(x): 0 from -104 down, infinity from 89 up. The operand order of min and max lets a NaN by. */
static inline vf v_exp(vf x)
{
    x = v_min(v_set(89.0f), v_max(v_set(-104.0f), x));
    vf n = v_round(v_mul(x, v_set(1.44269504f)));
    vf r = v_fnma(n, v_set(0.693359375f), x); /* ln 2 in two parts; the first is exact */
    r = v_fnma(n, v_set(-2.12194442e-4f), r);
    vf q = v_set(1.38144672e-3f);
    q = v_fma(q, r, v_set(8.36878084e-3f));
    q = v_fma(q, r, v_set(4.16683927e-2f));
    q = v_fma(q, r, v_set(1.66665196e-1f));
    q = v_fma(q, r, v_set(0.49999994f));
    vf p = v_add(v_fma(v_mul(r, r), q, r), v_set(1.0f));
    return v_ldexp(p, n);
}

static inline vf v_sigmoid(vf x)
{
    return v_div(v_set(1.0f), v_add(v_set(1.0f), v_exp(v_sub(v_zero(), x))));
}

/* x P(x^2) / Q(x^2), lowest coefficients first. */
static inline vf v_ratio(vf x, const float p[6], const float q[6])
{
    vf u = v_mul(x, x), a = v_set(p[5]), b = v_set(q[5]);
#pragma GCC unroll 5
    for (int i = 4; i >= 0; i--) {
        a = v_fma(a, u, v_set(p[i]));
        b = v_fma(b, u, v_set(q[i]));
    }
    return v_div(v_mul(x, a), b);
}

static inline vf v_erf(vf x)
{
    static const float p[6] = {1.12837911f,    0.193544284f,   0.0531013831f,
                               0.00388323911f, 2.84552458e-4f, 1.98664793e-6f};
    static const float q[6] = {1.0f,          0.504856706f,   0.115349449f,
                               0.0152070485f, 0.00118552486f, 3.74180636e-5f};
    return v_saturate(v_ratio(x, p, q), x, 3.92f);
}

static inline vf v_tanh(vf x)
{
    static const float p[6] = {1.0f,           0.136761114f,   0.00386356027f,
                               2.79112664e-5f, 3.03538989e-8f, -1.20324306e-11f};
    static const float q[6] = {1.0f,           0.470094413f,   0.0272283927f,
                               3.93022521e-4f, 1.28064755e-6f, 0.0f};
    return v_saturate(v_ratio(x, p, q), x, 9.1f);
}

static inline vf v_gelu(vf x)
{
    vf half = v_mul(x, v_set(0.5f));
    return v_fma(half, v_erf(v_mul(x, v_set(0.707106781f))), half);
}

/* (1 + tanh u) / 2 is sigmoid(2u), which stays accurate where tanh nears -1. */
static inline vf v_gelu_tanh(vf x)
{
    vf c = v_fma(v_mul(x, x), v_set(0.0713548163f), v_set(1.59576912f));
    return v_mul(x, v_sigmoid(v_mul(x, c)));
}

static inline vf v_act(vf x, enum act act)
{
    switch (act) {
    case ACT_GELU:
        return v_gelu(x);
    case ACT_GELU_TANH:
        return v_gelu_tanh(x);
    case ACT_QUICK_GELU:
        return v_mul(x, v_sigmoid(v_mul(x, v_set(1.702f))));
    case ACT_SILU:
        return v_mul(x, v_sigmoid(x));
    case ACT_RELU:
        return v_max(x, v_zero());
    case ACT_RELU6:
        return v_min(v_max(x, v_zero()), v_set(6.0f));
    case ACT_TANH:
        return v_tanh(x);
    case ACT_SIGMOID:
        return v_sigmoid(x);
    case ACT_NONE:
    case ACT_COUNT:
        break;
    }
    return x;
}

/* VL weights from value i of a row; a q8_0 block's factor is in, an i8 row's scale is not. */
static inline vf v_widen(enum dtype t, const void *row, int64_t i)
{
    const char *p = row;
    switch (t) {
    case DT_F16:
        return v_from_f16(p + 2 * i);
    case DT_BF16:
        return v_from_bf16(p + 2 * i);
    case DT_I8:
        return v_from_i8(p + i);
    case DT_Q8_0: {
        const char *block = p + i / 32 * 34;
        uint16_t d;
        memcpy(&d, block, sizeof d);
        return v_mul(v_from_i8(block + 2 + i % 32), v_set(_cvtsh_ss(d)));
    }
    default: {
        vf x; /* by memcpy: a mapped file need not align its floats */
        memcpy(&x, p + 4 * i, sizeof x);
        return x;
    }
    }
}

/* As v_widen, the first n values only, zeros behind them; memory beyond is not touched. */
static inline vf v_widen_n(enum dtype t, const void *row, int64_t i, int64_t n)
{
    size_t size = t == DT_F32 ? 4 : t == DT_I8 ? 1 : 2;
    char copy[VL * 4] = {0};
    if (n >= VL || t == DT_Q8_0)
        return v_widen(t, row, i);
    memcpy(copy, (const char *)row + (size_t)i * size, (size_t)n * size);
    return v_widen(t, copy, 0);
}
#endif

#endif
