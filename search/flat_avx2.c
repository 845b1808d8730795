/* The scan's kernels for AVX2, FMA and F16C: four rows at a time, so that one load of the query
 * serves four streams of rows and the loads, not the additions' latency, set the pace. */
#include "search/flat.h"

#if defined(__AVX2__) && defined(__F16C__) && defined(__FMA__)
#include <immintrin.h>

static inline float sum8(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    s = _mm_add_ss(s, _mm_movehdup_ps(s));
    return _mm_cvtss_f32(s);
}

static inline __m256 load_f16(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

static inline float one_f16(uint16_t h)
{
    return _cvtsh_ss(h);
}

static void dot_f16(float *scores, const uint16_t *rows, size_t n, size_t dim, const float *q)
{
    size_t i = 0, whole = dim & ~(size_t)7;
    for (; i + 4 <= n; i += 4) {
        const uint16_t *r = rows + i * dim;
        __m256 a = _mm256_setzero_ps(), b = a, c = a, d = a;
        for (size_t j = 0; j < whole; j += 8) {
            __m256 x = _mm256_loadu_ps(q + j);
            a = _mm256_fmadd_ps(load_f16(r + j), x, a);
            b = _mm256_fmadd_ps(load_f16(r + dim + j), x, b);
            c = _mm256_fmadd_ps(load_f16(r + 2 * dim + j), x, c);
            d = _mm256_fmadd_ps(load_f16(r + 3 * dim + j), x, d);
        }
        float s[4] = {sum8(a), sum8(b), sum8(c), sum8(d)};
        for (size_t k = 0; k < 4; k++) {
            for (size_t j = whole; j < dim; j++)
                s[k] += one_f16(r[k * dim + j]) * q[j];
            scores[i + k] = s[k];
        }
    }
    for (; i < n; i++) {
        const uint16_t *r = rows + i * dim;
        __m256 a = _mm256_setzero_ps();
        for (size_t j = 0; j < whole; j += 8)
            a = _mm256_fmadd_ps(load_f16(r + j), _mm256_loadu_ps(q + j), a);
        scores[i] = sum8(a);
        for (size_t j = whole; j < dim; j++)
            scores[i] += one_f16(r[j]) * q[j];
    }
}

static void dot_f32(float *scores, const float *rows, size_t n, size_t dim, const float *q)
{
    size_t whole = dim & ~(size_t)15;
    for (size_t i = 0; i < n; i++) {
        const float *r = rows + i * dim;
        __m256 a = _mm256_setzero_ps(), b = a;
        for (size_t j = 0; j < whole; j += 16) {
            a = _mm256_fmadd_ps(_mm256_loadu_ps(r + j), _mm256_loadu_ps(q + j), a);
            b = _mm256_fmadd_ps(_mm256_loadu_ps(r + j + 8), _mm256_loadu_ps(q + j + 8), b);
        }
        scores[i] = sum8(_mm256_add_ps(a, b));
        for (size_t j = whole; j < dim; j++)
            scores[i] += r[j] * q[j];
    }
}

static void to_f16(uint16_t *out, const float *in, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(out + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
    for (; i < n; i++)
        out[i] = _cvtss_sh(in[i], _MM_FROUND_TO_NEAREST_INT);
}

static void to_f32(float *out, const uint16_t *in, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, load_f16(in + i));
    for (; i < n; i++)
        out[i] = one_f16(in[i]);
}

void flat_ops_avx2(struct flat_ops *ops)
{
    *ops = (struct flat_ops){
        .f16 = dot_f16, .f32 = dot_f32, .to_f16 = to_f16, .to_f32 = to_f32, .name = "avx2"};
}
#else
void flat_ops_avx2(struct flat_ops *ops)
{
    (void)ops;
}
#endif
