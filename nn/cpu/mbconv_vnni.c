/* Depthwise rows to bytes with AVX-512. Surprising: the last columns of a row are computed twice
 * rather than in a smaller block. */
#include "nn/cpu/mbconv.h"

#if defined(__AVX512VNNI__) && defined(__AVX512BF16__)
#include "nn/cpu/vec.h"

/* Columns of a block, as many as there are registers for; the other size is for rows that it fits
 * better. */
enum { MB_WIDE = 11, MB_NARROW = 9, MB_LEAST = 4 };

static inline void put_bytes(unsigned char *y, vf v)
{
    v = v_mul(v_min(v_max(v, v_zero()), v_set(MB_MOST)), v_set(MB_STEPS));
    _mm_storeu_si128((void *)y, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
}

/* cols output columns from j on, VL channels from ch on. */
__attribute__((always_inline)) static inline void block(const int kw, const int stride,
                                                        const int cols, const struct mb_row_args *a,
                                                        int ch, int j)
{
    vf acc[MB_WIDE], bias = v_load(a->b + ch);
#pragma GCC unroll 11
    for (int o = 0; o < cols; o++)
        acc[o] = bias;
    for (int ky = 0; ky < a->kh; ky++) {
        const float *x = a->row[ky] + j * stride * MB_CHANNELS + ch;
        const float *w = a->w + ky * kw * a->c + ch;
        vf tap[5];
#pragma GCC unroll 5
        for (int kx = 0; kx < kw; kx++)
            tap[kx] = v_load(w + kx * a->c);
#pragma GCC unroll 32
        for (int col = 0; col < (cols - 1) * stride + kw; col++) {
            vf v = v_load(x + col * MB_CHANNELS);
#pragma GCC unroll 11
            for (int o = 0; o < cols; o++)
                if (col - o * stride >= 0 && col - o * stride < kw)
                    acc[o] = v_fma(v, tap[col - o * stride], acc[o]);
        }
    }
    unsigned char *y = a->y + j * a->ldy + ch;
#pragma GCC unroll 11
    for (int o = 0; o < cols; o++, y += a->ldy)
        put_bytes(y, acc[o]);
}

/* A row in blocks of cols, the last as far left as it must be. */
__attribute__((always_inline)) static inline void blocks(const int kw, const int stride,
                                                         const int cols,
                                                         const struct mb_row_args *a, int ch)
{
    for (int j = 0; j < a->wo; j += cols)
        block(kw, stride, cols, a, ch, min_int(j, a->wo - cols));
}

__attribute__((always_inline)) static inline void columns(const int kw, const int stride,
                                                          const struct mb_row_args *a, int ch)
{
    int wide = (a->wo + MB_WIDE - 1) / MB_WIDE * MB_WIDE;
    int narrow = (a->wo + MB_NARROW - 1) / MB_NARROW * MB_NARROW;
    if (a->wo >= MB_WIDE && wide <= narrow)
        blocks(kw, stride, MB_WIDE, a, ch);
    else if (a->wo >= MB_NARROW)
        blocks(kw, stride, MB_NARROW, a, ch);
    else
        blocks(kw, stride, MB_LEAST, a, ch);
}

/* Any kernel, any number of columns. */
static void any(const struct mb_row_args *a, int ch)
{
    for (int j = 0; j < a->wo; j++) {
        vf acc = v_load(a->b + ch);
        for (int ky = 0; ky < a->kh; ky++)
            for (int kx = 0; kx < a->kw; kx++)
                acc = v_fma(v_load(a->row[ky] + (j * a->stride + kx) * MB_CHANNELS + ch),
                            v_load(a->w + (ky * a->kw + kx) * a->c + ch), acc);
        put_bytes(a->y + j * a->ldy + ch, acc);
    }
}

void mb_row_vnni(const struct mb_row_args *a)
{
    bool known = (a->kw == 3 || a->kw == 5) && a->stride <= 2 && a->wo >= MB_LEAST;
    for (int ch = 0; ch < a->n; ch += VL) {
        if (!known)
            any(a, ch);
        else if (a->kw == 3 && a->stride == 1)
            columns(3, 1, a, ch);
        else if (a->kw == 3)
            columns(3, 2, a, ch);
        else if (a->stride == 1)
            columns(5, 1, a, ch);
        else
            columns(5, 2, a, ch);
    }
}
#endif
