/* The scan's kernels for AVX-512: sixteen halves a load, the row's end by mask, four rows at a
 * time. */
#include "search/flat.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#include <immintrin.h>

static inline __m512 load_f16(const uint16_t *p, __mmask16 m)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(m, p));
}

static void dot_f16(float *scores, const uint16_t *rows, size_t n, size_t dim, const float *q)
{
    size_t i = 0, whole = dim & ~(size_t)15;
    __mmask16 rest = (__mmask16)((1u << (dim - whole)) - 1);
    for (; i + 4 <= n; i += 4) {
        const uint16_t *r = rows + i * dim;
        __m512 a = _mm512_setzero_ps(), b = a, c = a, d = a;
        for (size_t j = 0; j < whole; j += 16) {
            __m512 x = _mm512_loadu_ps(q + j);
            a = _mm512_fmadd_ps(load_f16(r + j, 0xffff), x, a);
            b = _mm512_fmadd_ps(load_f16(r + dim + j, 0xffff), x, b);
            c = _mm512_fmadd_ps(load_f16(r + 2 * dim + j, 0xffff), x, c);
            d = _mm512_fmadd_ps(load_f16(r + 3 * dim + j, 0xffff), x, d);
        }
        if (rest) {
            __m512 x = _mm512_maskz_loadu_ps(rest, q + whole);
            a = _mm512_fmadd_ps(load_f16(r + whole, rest), x, a);
            b = _mm512_fmadd_ps(load_f16(r + dim + whole, rest), x, b);
            c = _mm512_fmadd_ps(load_f16(r + 2 * dim + whole, rest), x, c);
            d = _mm512_fmadd_ps(load_f16(r + 3 * dim + whole, rest), x, d);
        }
        scores[i] = _mm512_reduce_add_ps(a);
        scores[i + 1] = _mm512_reduce_add_ps(b);
        scores[i + 2] = _mm512_reduce_add_ps(c);
        scores[i + 3] = _mm512_reduce_add_ps(d);
    }
    for (; i < n; i++) {
        const uint16_t *r = rows + i * dim;
        __m512 a = _mm512_setzero_ps();
        for (size_t j = 0; j < whole; j += 16)
            a = _mm512_fmadd_ps(load_f16(r + j, 0xffff), _mm512_loadu_ps(q + j), a);
        if (rest)
            a = _mm512_fmadd_ps(load_f16(r + whole, rest), _mm512_maskz_loadu_ps(rest, q + whole),
                                a);
        scores[i] = _mm512_reduce_add_ps(a);
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

void flat_ops_avx512(struct flat_ops *ops)
{
    ops->f16 = dot_f16;
    ops->f32 = dot_f32;
    ops->name = "avx512";
}
#else
void flat_ops_avx512(struct flat_ops *ops)
{
    (void)ops;
}
#endif
