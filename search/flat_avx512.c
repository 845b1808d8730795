/* The scan's kernels for AVX-512: sixteen halves a load, the row's end by mask, four rows at a
 * time. */
#include "search/flat.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#include <immintrin.h>

static inline __m512 load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

static void dot_f16(float *scores, const uint16_t *rows, size_t n, size_t dim, const float *q)
{
    size_t by64 = dim & ~(size_t)63, by16 = dim & ~(size_t)15;
    __mmask16 rest = (__mmask16)((1u << (dim - by16)) - 1);
    for (size_t i = 0; i < n; i++, rows += dim) {
        __m512 a = _mm512_setzero_ps(), b = a, c = a, d = a;
        size_t j = 0;
        for (; j < by64; j += 64) {
            a = _mm512_fmadd_ps(load_f16(rows + j), _mm512_loadu_ps(q + j), a);
            b = _mm512_fmadd_ps(load_f16(rows + j + 16), _mm512_loadu_ps(q + j + 16), b);
            c = _mm512_fmadd_ps(load_f16(rows + j + 32), _mm512_loadu_ps(q + j + 32), c);
            d = _mm512_fmadd_ps(load_f16(rows + j + 48), _mm512_loadu_ps(q + j + 48), d);
        }
        for (; j < by16; j += 16)
            a = _mm512_fmadd_ps(load_f16(rows + j), _mm512_loadu_ps(q + j), a);
        if (rest)
            b = _mm512_fmadd_ps(_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(rest, rows + j)),
                                _mm512_maskz_loadu_ps(rest, q + j), b);
        scores[i] = _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d)));
    }
}

static void dot_f32(float *scores, const float *rows, size_t n, size_t dim, const float *q)
{
    size_t whole = dim & ~(size_t)15;
    __mmask16 rest = (__mmask16)((1u << (dim - whole)) - 1);
    for (size_t i = 0; i < n; i++) {
        const float *r = rows + i * dim;
        __m512 a = _mm512_setzero_ps();
        for (size_t j = 0; j < whole; j += 16)
            a = _mm512_fmadd_ps(_mm512_loadu_ps(r + j), _mm512_loadu_ps(q + j), a);
        if (rest)
            a = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(rest, r + whole),
                                _mm512_maskz_loadu_ps(rest, q + whole), a);
        scores[i] = _mm512_reduce_add_ps(a);
    }
}

static void dot_u8(float *scores, const uint8_t *rows, size_t n, size_t dim,
                   const struct flat_u8 *q)
{
    size_t by32 = dim & ~(size_t)31;
    __mmask32 rest = (__mmask32)((UINT64_C(1) << (dim - by32)) - 1);
    for (size_t i = 0; i < n; i++, rows += dim) {
        __m512i a = _mm512_setzero_si512();
        for (size_t j = 0; j < by32; j += 32)
            a = _mm512_add_epi32(a, _mm512_madd_epi16(_mm512_cvtepu8_epi16(_mm256_loadu_si256(
                                                          (const __m256i *)(rows + j))),
                                                      _mm512_loadu_si512(q->whole + j)));
        if (rest)
            a = _mm512_add_epi32(
                a,
                _mm512_madd_epi16(_mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(rest, rows + by32)),
                                  _mm512_maskz_loadu_epi16(rest, q->whole + by32)));
        __m512i low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(a)),
                high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(a, 1));
        scores[i] = (float)_mm512_reduce_add_epi64(_mm512_add_epi64(low, high));
    }
}

void flat_ops_avx512(struct flat_ops *ops)
{
    ops->f16 = dot_f16;
    ops->f32 = dot_f32;
    ops->u8 = dot_u8;
    ops->name = "avx512";
}
#else
void flat_ops_avx512(struct flat_ops *ops)
{
    (void)ops;
}
#endif
