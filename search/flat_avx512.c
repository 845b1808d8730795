/* The scan's kernels for AVX-512, the row's end by mask. Halves stay with AVX2's kernel: on
 * one thread of Zen 4 100,000 x 512 of them took 3.8 to 4.6 ms with it and 4.5 to 4.7 sixteen at a
 * time (three runs in turn), and software prefetch made the latter 5.6 to 8.9. */
#include "search/flat.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#include <immintrin.h>

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
