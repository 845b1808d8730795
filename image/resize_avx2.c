/* The resampler's loops for AVX2. pmaddwd multiplies 16-bit numbers, so a 24-bit weight is split
 * into its high part (k >> 12, signed) and its low 12 bits; (high << 12) + low is exact modulo
 * 2^32. */
#include "image/resize_int.h"
#include <immintrin.h>
#include <string.h>

static inline __m128i narrow(__m256i high, __m256i low)
{
    __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, 12), low);
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    s = _mm_add_epi32(s, _mm_set1_epi32(1 << (RESIZE_BITS - 1)));
    s = _mm_srai_epi32(s, RESIZE_BITS);
    s = _mm_packs_epi32(s, s);
    return _mm_packus_epi16(s, s);
}

/* Four source pixels at a time: the lower lane holds (r0,r1)(g0,g1)(b0,b1), the upper one pixels 2
 * and 3. */
static void horizontal_avx2(uint8_t *dst, const uint8_t *src, const struct resize_axis *a)
{
    const __m256i spread =
        _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 6, -1, 9, -1, 7,
                         -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
    const __m256i of_high = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    const __m256i of_low = _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3);
    for (int i = 0; i < a->n; i++, dst += 3) {
        const uint8_t *p = src + (size_t)a->first[i] * 3;
        const int16_t *k = a->split + (size_t)i * (size_t)a->taps * 2;
        __m256i high = _mm256_setzero_si256(), low = high;
        for (int t = 0; t < a->count[i]; t += 4, p += 12, k += 8) {
            __m256i v = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p));
            __m256i w = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)k));
            v = _mm256_shuffle_epi8(v, spread);
            high = _mm256_add_epi32(high,
                                    _mm256_madd_epi16(v, _mm256_permutevar8x32_epi32(w, of_high)));
            low =
                _mm256_add_epi32(low, _mm256_madd_epi16(v, _mm256_permutevar8x32_epi32(w, of_low)));
        }
        uint32_t rgb = (uint32_t)_mm_cvtsi128_si32(narrow(high, low));
        memcpy(dst, &rgb, 3);
    }
}

static inline __m256i close_sum(__m256i high, __m256i low)
{
    __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, 12), low);
    sum = _mm256_add_epi32(sum, _mm256_set1_epi32(1 << (RESIZE_BITS - 1)));
    return _mm256_srai_epi32(sum, RESIZE_BITS);
}

/* 32 columns; rows in pairs, so that each 32-bit lane holds one column's two samples. */
static void vertical_32(uint8_t *dst, const uint8_t *src, size_t stride, const int32_t *k,
                        int count)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i h[4] = {zero, zero, zero, zero}, l[4] = {zero, zero, zero, zero};
    for (int t = 0; t < count; t += 2, src += 2 * stride) {
        bool pair = t + 1 < count;
        int32_t k0 = k[t], k1 = pair ? k[t + 1] : 0;
        __m256i kh = _mm256_set1_epi32(
            (int32_t)((uint32_t)(k1 >> 12) << 16 | ((uint32_t)(k0 >> 12) & 0xFFFF)));
        __m256i kl = _mm256_set1_epi32((k1 & 4095) << 16 | (k0 & 4095));
        __m256i a = _mm256_loadu_si256((const __m256i *)src);
        __m256i b = pair ? _mm256_loadu_si256((const __m256i *)(src + stride)) : zero;
        __m256i ab0 = _mm256_unpacklo_epi8(a, b), ab1 = _mm256_unpackhi_epi8(a, b);
        __m256i v[4] = {_mm256_unpacklo_epi8(ab0, zero), _mm256_unpackhi_epi8(ab0, zero),
                        _mm256_unpacklo_epi8(ab1, zero), _mm256_unpackhi_epi8(ab1, zero)};
        for (int j = 0; j < 4; j++) {
            h[j] = _mm256_add_epi32(h[j], _mm256_madd_epi16(v[j], kh));
            l[j] = _mm256_add_epi32(l[j], _mm256_madd_epi16(v[j], kl));
        }
    }
    __m256i lo = _mm256_packs_epi32(close_sum(h[0], l[0]), close_sum(h[1], l[1]));
    __m256i hi = _mm256_packs_epi32(close_sum(h[2], l[2]), close_sum(h[3], l[3]));
    _mm256_storeu_si256((__m256i *)dst, _mm256_packus_epi16(lo, hi));
}

static void vertical_avx2(uint8_t *dst, const uint8_t *src, size_t stride, size_t n,
                          const int32_t *k, int count)
{
    size_t i = 0;
    for (; i + 32 <= n; i += 32)
        vertical_32(dst + i, src + i, stride, k, count);
    if (i < n)
        resize_ref.vertical(dst + i, src + i, stride, n - i, k, count);
}

const struct resize_kernels resize_avx2 = {horizontal_avx2, vertical_avx2};
