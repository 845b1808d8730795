/* The scan of bytes by VNNI: four products a lane and an add in one instruction, for each of the
 * two bytes of a weight. */
#include "search/flat.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VNNI__)
#include <immintrin.h>

static void dot_u8(float *scores, const uint8_t *rows, size_t n, size_t dim,
                   const struct flat_u8 *q)
{
    size_t by64 = dim & ~(size_t)63;
    __mmask64 rest = dim > by64 ? ~UINT64_C(0) >> (64 - (dim - by64)) : 0;
    for (size_t i = 0; i < n; i++, rows += dim) {
        __m512i high = _mm512_setzero_si512(), low = high;
        for (size_t j = 0; j < by64; j += 64) {
            __m512i x = _mm512_loadu_si512(rows + j);
            high = _mm512_dpbusd_epi32(high, x, _mm512_loadu_si512(q->high + j));
            low = _mm512_dpbusd_epi32(low, x, _mm512_loadu_si512(q->low + j));
        }
        if (rest) {
            __m512i x = _mm512_maskz_loadu_epi8(rest, rows + by64);
            high = _mm512_dpbusd_epi32(high, x, _mm512_maskz_loadu_epi8(rest, q->high + by64));
            low = _mm512_dpbusd_epi32(low, x, _mm512_maskz_loadu_epi8(rest, q->low + by64));
        }
        scores[i] =
            (float)((int64_t)_mm512_reduce_add_epi32(high) * 128 + _mm512_reduce_add_epi32(low));
    }
}

void flat_ops_vnni(struct flat_ops *ops)
{
    ops->u8 = dot_u8;
    ops->name = "avx512vnni";
}
#else
void flat_ops_vnni(struct flat_ops *ops)
{
    (void)ops;
}
#endif
