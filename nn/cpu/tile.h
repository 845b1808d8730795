/* The one inner loop of all dense work (products, convolutions, attention): a tile of up to MR rows
 * by two vectors of columns held in registers over the whole depth.
 *
 * The second operand is a panel: [k][NR] floats, packed. The first is read where it lies; a strip
 * of MR rows stays in L1 while the panel streams from L2. Every value is one chain of k
 * multiply-adds in index order, so its bits depend neither on the tile's size nor on where the row
 * stands. */
#ifndef EIDETIC_NN_CPU_TILE_H
#define EIDETIC_NN_CPU_TILE_H

#include "nn/cpu/cpu_int.h"
#include "nn/cpu/vec.h"

#ifdef EIDETIC_VEC
/* AVX-512: 24 of 32 registers hold sums. AVX2: 12 of 16. */
enum { MR = VL == 16 ? 12 : 6, NR = 2 * VL };

__attribute__((always_inline)) static inline void tile_fixed(const int rows, const int vecs,
                                                             const float *a, int64_t lda,
                                                             const float *panel, int64_t k,
                                                             bool add, float *out, int64_t ldo)
{
    vf acc[MR][2];
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < vecs; j++)
            acc[i][j] = add ? v_load(out + i * ldo + j * VL) : v_zero();
    /* Three bases and two multiples of lda address twelve rows without spilling pointers. */
    const float *p[3] = {a, a + 4 * lda, a + 8 * lda};
    const int64_t lda2 = 2 * lda, lda3 = 3 * lda;
    for (int64_t t = 0; t < k; t++, panel += NR) {
        vf b0 = v_load(panel), b1 = vecs > 1 ? v_load(panel + VL) : b0;
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            int r = i % 4;
            vf s = v_set(p[i / 4][r == 0 ? 0 : r == 1 ? lda : r == 2 ? lda2 : lda3]);
            acc[i][0] = v_fma(s, b0, acc[i][0]);
            if (vecs > 1)
                acc[i][1] = v_fma(s, b1, acc[i][1]);
        }
        p[0]++;
        p[1]++;
        p[2]++;
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < vecs; j++)
            v_store(out + i * ldo + j * VL, acc[i][j]);
}

/* out[rows, vecs * VL] (+)= a[rows, k] . panel[k, NR], 1 <= rows <= MR, vecs 1 or 2. Apart, because
 * a caller's values would take the registers that the loop's addresses need. */
__attribute__((noinline)) static void tile(int rows, int vecs, const float *a, int64_t lda,
                                           const float *panel, int64_t k, bool add, float *out,
                                           int64_t ldo)
{
#define TILE_CASE(n)                                                                               \
    case 2 * (n) + 1:                                                                              \
        tile_fixed(n, 1, a, lda, panel, k, add, out, ldo);                                         \
        break;                                                                                     \
    case 2 * (n) + 2:                                                                              \
        tile_fixed(n, 2, a, lda, panel, k, add, out, ldo);                                         \
        break
    switch (2 * rows + vecs) {
        TILE_CASE(1);
        TILE_CASE(2);
        TILE_CASE(3);
        TILE_CASE(4);
        TILE_CASE(5);
        TILE_CASE(6);
#ifdef __AVX512F__
        TILE_CASE(7);
        TILE_CASE(8);
        TILE_CASE(9);
        TILE_CASE(10);
        TILE_CASE(11);
        TILE_CASE(12);
#endif
    default:
        break;
    }
#undef TILE_CASE
}

/* Strips of nearly equal height: 50 rows are 5 times 10, not 4 times 12 and 2. */
static inline int tile_rows(int64_t rows_left)
{
    int64_t strips = (rows_left + MR - 1) / MR;
    return (int)((rows_left + strips - 1) / strips);
}
#endif

#endif
