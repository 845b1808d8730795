/* Sixteen floats at a time in AVX-512. vec_avx2.h is the twin, with the same names; kernels include
 * vec.h, which picks one by the file's compiler flags. */
#ifndef EIDETIC_NN_CPU_VEC_AVX512_H
#define EIDETIC_NN_CPU_VEC_AVX512_H

#ifdef __AVX512F__
#include <immintrin.h>
#include <stdint.h>

typedef __m512 vf;
enum { VL = 16 }; /* floats in a vector */

static inline vf v_set(float f)
{
    return _mm512_set1_ps(f);
}
static inline vf v_zero(void)
{
    return _mm512_setzero_ps();
}
static inline vf v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline void v_store(float *p, vf x)
{
    _mm512_storeu_ps(p, x);
}

/* The first n lanes; n beyond VL counts as VL. */
static inline __mmask16 v_lanes(int64_t n)
{
    return n >= VL ? (__mmask16)0xffff : (__mmask16)((1u << n) - 1u);
}
/* The first n values, zeros behind them; memory beyond them is not touched. */
static inline vf v_load_n(const float *p, int64_t n)
{
    return _mm512_maskz_loadu_ps(v_lanes(n), p);
}
static inline void v_store_n(float *p, vf x, int64_t n)
{
    if (n >= VL) /* a masked store takes several times as long on Zen */
        v_store(p, x);
    else
        _mm512_mask_storeu_ps(p, v_lanes(n), x);
}
/* The first n lanes of x, the others of y. */
static inline vf v_select_n(vf x, vf y, int64_t n)
{
    return _mm512_mask_mov_ps(y, v_lanes(n), x);
}

static inline vf v_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
static inline vf v_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
static inline vf v_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
static inline vf v_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
/* The second operand where one is NaN. */
static inline vf v_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
static inline vf v_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
/* a * b + c and c - a * b */
static inline vf v_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
static inline vf v_fnma(vf a, vf b, vf c)
{
    return _mm512_fnmadd_ps(a, b, c);
}
static inline vf v_round(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT);
}
/* p * 2^n for whole n in [-160, 160] */
static inline vf v_ldexp(vf p, vf n)
{
    return _mm512_scalef_ps(p, n);
}
/* y where |x| < limit or NaN, else the sign of x. */
static inline vf v_saturate(vf y, vf x, float limit)
{
    __mmask16 in = _mm512_cmp_ps_mask(_mm512_abs_ps(x), v_set(limit), _CMP_NGE_UQ);
    vf one = _mm512_or_ps(v_set(1.0f), _mm512_and_ps(x, v_set(-0.0f)));
    return _mm512_mask_mov_ps(one, in, y);
}

static inline float v_sum(vf x)
{
    return _mm512_reduce_add_ps(x);
}
/* Sums side by side, in half of the instructions of one after the other. */
enum { V_SUMS = 4 };
static inline void v_sums(float *out, const vf x[V_SUMS])
{
    vf ab = v_add(_mm512_unpacklo_ps(x[0], x[1]), _mm512_unpackhi_ps(x[0], x[1]));
    vf cd = v_add(_mm512_unpacklo_ps(x[2], x[3]), _mm512_unpackhi_ps(x[2], x[3]));
    __m512d p = _mm512_castps_pd(ab), q = _mm512_castps_pd(cd);
    vf quarters = v_add(_mm512_castpd_ps(_mm512_unpacklo_pd(p, q)),
                        _mm512_castpd_ps(_mm512_unpackhi_pd(p, q)));
    __m256 halves =
        _mm256_add_ps(_mm512_castps512_ps256(quarters), _mm512_extractf32x8_ps(quarters, 1));
    _mm_storeu_ps(out,
                  _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1)));
}
static inline float v_largest(vf x)
{
    return _mm512_reduce_max_ps(x);
}

/* VL weights from any address to floats. */
static inline vf v_from_f16(const void *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256(p));
}
static inline vf v_from_bf16(const void *p)
{
    __m512i u = _mm512_cvtepu16_epi32(_mm256_loadu_si256(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(u, 16));
}
static inline vf v_from_i8(const void *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(p)));
}

/* Floats to VL halves, rounded to nearest even; NaN stays NaN. */
static inline void v_to_f16(void *p, vf x)
{
    _mm256_storeu_si256(p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
static inline void v_to_bf16(void *p, vf x)
{
#ifdef __AVX512BF16__
    _mm256_storeu_si256(p, (__m256i)_mm512_cvtneps_pbh(x));
#else
    __m512i u = _mm512_castps_si512(x), one = _mm512_set1_epi32(1);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), one);
    __m512i r = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    r = _mm512_mask_or_epi32(r, nan, u, _mm512_set1_epi32(0x400000));
    _mm256_storeu_si256(p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(r, 16)));
#endif
}

static inline vf v_pairs(vf a, vf b, int high)
{
    __m512d x = _mm512_castps_pd(a), y = _mm512_castps_pd(b);
    return _mm512_castpd_ps(high ? _mm512_unpackhi_pd(x, y) : _mm512_unpacklo_pd(x, y));
}

/* r[i][j] = r[j][i]: inside the 128-bit quarters first, then the quarters. */
static inline void v_transpose(vf r[VL])
{
    vf t[VL];
#pragma GCC unroll 16
    for (int i = 0; i < VL; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < VL; i += 4) {
        r[i] = v_pairs(t[i], t[i + 2], 0);
        r[i + 1] = v_pairs(t[i], t[i + 2], 1);
        r[i + 2] = v_pairs(t[i + 1], t[i + 3], 0);
        r[i + 3] = v_pairs(t[i + 1], t[i + 3], 1);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
        r[i + 4] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 12] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd);
    }
}
#endif

#endif
