/* tile.h's tile in bf16 or int8: a tile of up to MR rows by 32 columns held in registers over the
 * whole depth, which counts in units of four bytes (two bf16 values, or four bytes).
 *
 * The second operand is a panel: [units][32][4 bytes]. Rows of the first are units too, `stride`
 * bytes apart. Surprising: sums are integers throughout; a cast costs nothing, and both
 * instructions read the same units. */
#ifndef EIDETIC_NN_CPU_TILE_VNNI_H
#define EIDETIC_NN_CPU_TILE_VNNI_H

#include "nn/cpu/tile.h"

#if defined(__AVX512VNNI__) && defined(__AVX512BF16__)
enum { UNIT = 4, UNIT_COLS = 32 }; /* bytes; columns of a panel */

__attribute__((always_inline)) static inline __m512i unit_dot(const bool bf16, __m512i acc,
                                                              __m512i x, __m512i w)
{
    if (bf16)
        return _mm512_castps_si512(
            _mm512_dpbf16_ps(_mm512_castsi512_ps(acc), (__m512bh)x, (__m512bh)w));
    return _mm512_dpbusd_epi32(acc, x, w);
}

static inline __m512i unit_broadcast(const unsigned char *p)
{
    int32_t unit;
    memcpy(&unit, p, sizeof unit);
    return _mm512_set1_epi32(unit);
}

/* out: rows of 32-bit sums (floats or integers), ldo apart, at any address. */
__attribute__((always_inline)) static inline void tile_units(const bool bf16, const int rows,
                                                             const unsigned char *x, int64_t stride,
                                                             const unsigned char *panel,
                                                             int64_t units, bool add, void *out,
                                                             int64_t ldo)
{
    __m512i acc[MR][2];
    char *y = out;
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++)
            acc[i][j] =
                add ? _mm512_loadu_si512(y + (i * ldo + j * 16) * UNIT) : _mm512_setzero_si512();
    const unsigned char *p[3] = {x, x + 4 * stride, x + 8 * stride};
    const int64_t two = 2 * stride, three = 3 * stride;
    for (int64_t t = 0; t < units; t++, panel += UNIT_COLS * UNIT) {
        __m512i w0 = _mm512_loadu_si512(panel), w1 = _mm512_loadu_si512(panel + 64);
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            int r = i % 4;
            __m512i v = unit_broadcast(p[i / 4] + (r == 0   ? 0
                                                   : r == 1 ? stride
                                                   : r == 2 ? two
                                                            : three));
            acc[i][0] = unit_dot(bf16, acc[i][0], v, w0);
            acc[i][1] = unit_dot(bf16, acc[i][1], v, w1);
        }
        p[0] += UNIT;
        p[1] += UNIT;
        p[2] += UNIT;
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++)
            _mm512_storeu_si512(y + (i * ldo + j * 16) * UNIT, acc[i][j]);
}

/* One function a kind, since twelve heights in line are code enough once; apart, because a caller's
 * values would take the registers that the loop's addresses need. */
#define TILE_UNITS_CASE(n)                                                                         \
    case n:                                                                                        \
        tile_units(bf16, n, x, stride, panel, units, add, out, ldo);                               \
        break
#define TILE_UNITS_FUNCTION(name, is_bf16)                                                         \
    __attribute__((noinline)) static void name(int rows, const unsigned char *x, int64_t stride,   \
                                               const unsigned char *panel, int64_t units,          \
                                               bool add, void *out, int64_t ldo)                   \
    {                                                                                              \
        const bool bf16 = is_bf16;                                                                 \
        switch (rows) {                                                                            \
            TILE_UNITS_CASE(1);                                                                    \
            TILE_UNITS_CASE(2);                                                                    \
            TILE_UNITS_CASE(3);                                                                    \
            TILE_UNITS_CASE(4);                                                                    \
            TILE_UNITS_CASE(5);                                                                    \
            TILE_UNITS_CASE(6);                                                                    \
            TILE_UNITS_CASE(7);                                                                    \
            TILE_UNITS_CASE(8);                                                                    \
            TILE_UNITS_CASE(9);                                                                    \
            TILE_UNITS_CASE(10);                                                                   \
            TILE_UNITS_CASE(11);                                                                   \
            TILE_UNITS_CASE(12);                                                                   \
        default:                                                                                   \
            break;                                                                                 \
        }                                                                                          \
    }
#endif

#endif
