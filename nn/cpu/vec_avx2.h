/* Eight floats at a time in AVX2, FMA and F16C. vec_avx512.h is the twin, with the same names;
 * kernels include vec.h, which picks one by the file's compiler flags. */
#ifndef EIDETIC_NN_CPU_VEC_AVX2_H
#define EIDETIC_NN_CPU_VEC_AVX2_H

#if defined(__AVX2__) && !defined(__AVX512F__)
#include <immintrin.h>
#include <stdint.h>

typedef __m256 vf;
enum { VL = 8 }; /* floats in a vector */

static inline vf v_set(float f)
{
    return _mm256_set1_ps(f);
}
static inline vf v_zero(void)
{
    return _mm256_setzero_ps();
}
static inline vf v_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
static inline void v_store(float *p, vf x)
{
    _mm256_storeu_ps(p, x);
}

/* All ones in the first n lanes; n beyond VL counts as VL. */
static inline __m256i v_lanes(int64_t n)
{
    __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n >= VL ? VL : (int)n), index);
}
/* The first n values, zeros behind them; memory beyond them is not touched. */
static inline vf v_load_n(const float *p, int64_t n)
{
    return _mm256_maskload_ps(p, v_lanes(n));
}
static inline void v_store_n(float *p, vf x, int64_t n)
{
    if (n >= VL) /* a masked store takes several times as long on Zen */
        v_store(p, x);
    else
        _mm256_maskstore_ps(p, v_lanes(n), x);
}
/* The first n lanes of x, the others of y. */
static inline vf v_select_n(vf x, vf y, int64_t n)
{
    return _mm256_blendv_ps(y, x, _mm256_castsi256_ps(v_lanes(n)));
}

static inline vf v_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
static inline vf v_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
static inline vf v_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
static inline vf v_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}
/* The second operand where one is NaN. */
static inline vf v_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}
static inline vf v_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
/* a * b + c and c - a * b */
static inline vf v_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
static inline vf v_fnma(vf a, vf b, vf c)
{
    return _mm256_fnmadd_ps(a, b, c);
}
static inline vf v_round(vf a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* p * 2^n for whole n in [-160, 160]: in two factors, so that subnormal results and overflow come
 * out right. */
static inline vf v_ldexp(vf p, vf n)
{
    __m256i i = _mm256_cvtps_epi32(n), bias = _mm256_set1_epi32(127);
    __m256i half = _mm256_srai_epi32(i, 1), rest = _mm256_sub_epi32(i, half);
    vf a = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
    vf b = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));
    return v_mul(v_mul(p, a), b);
}
/* y where |x| < limit or NaN, else the sign of x. */
static inline vf v_saturate(vf y, vf x, float limit)
{
    vf sign = v_set(-0.0f);
    vf out = _mm256_cmp_ps(_mm256_andnot_ps(sign, x), v_set(limit), _CMP_GE_OQ);
    vf one = _mm256_or_ps(v_set(1.0f), _mm256_and_ps(x, sign));
    return _mm256_blendv_ps(y, one, out);
}

static inline float v_sum(vf x)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
enum { V_SUMS = 2 };
static inline void v_sums(float *out, const vf x[V_SUMS])
{
    out[0] = v_sum(x[0]);
    out[1] = v_sum(x[1]);
}
static inline float v_largest(vf x)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

/* VL weights from any address to floats. */
static inline vf v_from_f16(const void *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128(p));
}
static inline vf v_from_bf16(const void *p)
{
    __m256i u = _mm256_cvtepu16_epi32(_mm_loadu_si128(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(u, 16));
}
static inline vf v_from_i8(const void *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadu_si64(p)));
}

/* Floats to VL halves, rounded to nearest even; NaN stays NaN. */
static inline void v_to_f16(void *p, vf x)
{
    _mm_storeu_si128(p, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
static inline void v_to_bf16(void *p, vf x)
{
    __m256i u = _mm256_castps_si256(x), one = _mm256_set1_epi32(1);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), one);
    __m256i r = _mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    __m256i quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    r = _mm256_srli_epi32(_mm256_blendv_epi8(r, quiet, nan), 16);
    __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(r, r), 0x08);
    _mm_storeu_si128(p, _mm256_castsi256_si128(packed));
}

/* r[i][j] = r[j][i]: inside the 128-bit halves first, then the halves. */
static inline void v_transpose(vf r[VL])
{
    vf t[VL];
#pragma GCC unroll 8
    for (int i = 0; i < VL; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < VL; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    }
#pragma GCC unroll 8
    for (int i = 0; i < VL; i++)
        r[i] = t[i];
}
#endif

#endif
