/* Depthwise convolution in vectors over channels. Inside the picture several output columns are
 * computed together, so that an input column that is loaded serves all outputs that it touches;
 * columns at the border go one by one. */
#ifndef EIDETIC_NN_CPU_CONV_VEC_H
#define EIDETIC_NN_CPU_CONV_VEC_H

#include "nn/cpu/conv.h"
#include "nn/cpu/vec.h"

#ifdef EIDETIC_VEC
/* cols output columns from j on, all of whose taps are inside; n channels from ch on. */
__attribute__((always_inline)) static inline void dw_block(const int kw, const int stride,
                                                           const int cols, const bool full,
                                                           const struct dw_args *a, int ch, int n,
                                                           int j)
{
    vf acc[8], bias = a->b ? v_load_n(a->b + ch, n) : v_zero();
#pragma GCC unroll 8
    for (int o = 0; o < cols; o++)
        acc[o] = bias;
    int64_t first = (int64_t)(j * stride - a->pad_left) * a->c + ch;
    for (int ky = 0; ky < a->kh; ky++) {
        if (!a->row[ky])
            continue;
        const float *x = a->row[ky] + first, *w = a->w + (int64_t)ky * kw * a->c + ch;
        vf tap[5];
#pragma GCC unroll 5
        for (int kx = 0; kx < kw; kx++)
            tap[kx] = full ? v_load(w + kx * a->c) : v_load_n(w + kx * a->c, n);
#pragma GCC unroll 16
        for (int col = 0; col < (cols - 1) * stride + kw; col++, x += a->c) {
            vf v = full ? v_load(x) : v_load_n(x, n);
#pragma GCC unroll 8
            for (int o = 0; o < cols; o++)
                if (col - o * stride >= 0 && col - o * stride < kw)
                    acc[o] = v_fma(v, tap[col - o * stride], acc[o]);
        }
    }
    float *y = a->y + (int64_t)j * a->c + ch;
#pragma GCC unroll 8
    for (int o = 0; o < cols; o++, y += a->c) {
        if (full)
            v_store(y, v_act(acc[o], a->act));
        else
            v_store_n(y, v_act(acc[o], a->act), n);
    }
}

/* One output column with any taps outside, any kernel width. */
static inline void dw_edge(const struct dw_args *a, int ch, int n, int j)
{
    vf acc = a->b ? v_load_n(a->b + ch, n) : v_zero();
    int left = j * a->stride - a->pad_left;
    int lo = left < 0 ? -left : 0, hi = min_int(a->kw, a->width - left);
    for (int ky = 0; ky < a->kh; ky++)
        for (int kx = lo; a->row[ky] && kx < hi; kx++)
            acc = v_fma(v_load_n(a->row[ky] + (int64_t)(left + kx) * a->c + ch, n),
                        v_load_n(a->w + (int64_t)(ky * a->kw + kx) * a->c + ch, n), acc);
    v_store_n(a->y + (int64_t)j * a->c + ch, v_act(acc, a->act), n);
}

__attribute__((always_inline)) static inline void dw_inside(const int kw, const int stride,
                                                            const struct dw_args *a, int ch, int n,
                                                            int j, int end)
{
    const int cols = stride == 1 ? 8 : 4;
    if (n < VL) {
        for (; j < end; j++)
            dw_block(kw, stride, 1, false, a, ch, n, j);
        return;
    }
    for (; j + cols <= end; j += cols)
        dw_block(kw, stride, cols, true, a, ch, VL, j);
    if (cols == 8 && j + 4 <= end) {
        dw_block(kw, stride, 4, true, a, ch, VL, j);
        j += 4;
    }
    for (; j < end; j++)
        dw_block(kw, stride, 1, true, a, ch, VL, j);
}

static inline void dw_row_vec(const struct dw_args *a)
{
    int begin = (a->pad_left + a->stride - 1) / a->stride; /* the first output all inside */
    int end = a->width - a->kw + a->pad_left;
    end = end < 0 ? 0 : min_int(end / a->stride + 1, a->wo);
    bool known = (a->kw == 3 || a->kw == 5) && a->stride <= 2;
    if (!known || begin >= end)
        begin = end = a->wo;
    for (int ch = 0; ch < a->c; ch += VL) {
        int n = min_int(VL, a->c - ch);
        for (int j = 0; j < begin; j++)
            dw_edge(a, ch, n, j);
        if (begin < end) {
            if (a->kw == 3 && a->stride == 1)
                dw_inside(3, 1, a, ch, n, begin, end);
            else if (a->kw == 3)
                dw_inside(3, 2, a, ch, n, begin, end);
            else if (a->stride == 1)
                dw_inside(5, 1, a, ch, n, begin, end);
            else
                dw_inside(5, 2, a, ch, n, begin, end);
        }
        for (int j = end; j < a->wo; j++)
            dw_edge(a, ch, n, j);
    }
}
#endif

#endif
