/* Winograd's convolution in vectors over channels: a block of tiles is transformed, multiplied
 * panel by panel, and each panel's outputs are transformed back while they lie in cache. */
#ifndef EIDETIC_NN_CPU_WINO_VEC_H
#define EIDETIC_NN_CPU_WINO_VEC_H

#include "nn/cpu/tile.h"
#include "nn/cpu/wino.h"

#ifdef EIDETIC_VEC
/* One side of B^T d B: four values, `step` apart, in place. */
__attribute__((always_inline)) static inline void wino_in4(vf *d, const int step)
{
    vf first = d[0], second = d[step];
    d[0] = v_sub(first, d[2 * step]);
    d[step] = v_add(second, d[2 * step]);
    d[2 * step] = v_sub(d[2 * step], second);
    d[3 * step] = v_sub(second, d[3 * step]);
}

/* Place i of tile j goes to row i * tiles + j of v, as floats or (low) as bf16. */
__attribute__((always_inline)) static inline void wino_in(const bool low, const struct wino_args *a,
                                                          int64_t t0, int64_t tiles, char *v)
{
    const int64_t stride = wino_stride(a->c, low);
    for (int64_t j = 0; j < tiles; j++) {
        const float *p[WINO_PLACES];
        wino_patch(a, t0 + j, p);
        for (int64_t ch = 0; ch < a->c; ch += VL) {
            vf d[WINO_PLACES];
#pragma GCC unroll 16
            for (int i = 0; i < WINO_PLACES; i++)
                d[i] = a->c - ch >= VL ? v_load(p[i] + ch) : v_load_n(p[i] + ch, a->c - ch);
#pragma GCC unroll 4
            for (int i = 0; i < WINO_SIDE; i++)
                wino_in4(d + i, WINO_SIDE);
#pragma GCC unroll 4
            for (int i = 0; i < WINO_SIDE; i++)
                wino_in4(d + i * WINO_SIDE, 1);
#pragma GCC unroll 16
            for (int i = 0; i < WINO_PLACES; i++) {
                char *to = v + (i * tiles + j) * stride;
                if (low)
                    v_to_bf16(to + 2 * ch, d[i]);
                else
                    v_store((float *)to + ch, d[i]);
            }
        }
    }
}

/* One side of A^T m A: four values, `step` apart, become two. */
__attribute__((always_inline)) static inline void wino_out4(const vf *m, const int step, vf *y0,
                                                            vf *y1)
{
    *y0 = v_add(v_add(m[0], m[step]), m[2 * step]);
    *y1 = v_sub(v_sub(m[step], m[2 * step]), m[3 * step]);
}

/* Up to NR channels from n0 on of all outputs; place i of tile j lies at m + (i * tiles + j) * NR.
 */
__attribute__((always_inline)) static inline void wino_out(const struct wino_args *a, int64_t t0,
                                                           int64_t tiles, const float *m,
                                                           int64_t n0)
{
    for (int64_t j = 0; j < tiles; j++) {
        float *y[4];
        for (int i = 0; i < 4; i++)
            y[i] = wino_output(a, t0 + j, i);
        for (int64_t ch = n0; ch < min_i64(a->n, n0 + NR); ch += VL) {
            const float *from = m + j * NR + ch - n0;
            vf p[WINO_PLACES], half[8], out[4];
#pragma GCC unroll 16
            for (int i = 0; i < WINO_PLACES; i++)
                p[i] = v_load(from + i * tiles * NR);
#pragma GCC unroll 4
            for (int i = 0; i < WINO_SIDE; i++)
                wino_out4(p + i, WINO_SIDE, &half[i], &half[WINO_SIDE + i]);
            wino_out4(half, 1, &out[0], &out[1]);
            wino_out4(half + WINO_SIDE, 1, &out[2], &out[3]);
            vf bias = a->b ? v_load_n(a->b + ch, a->n - ch) : v_zero();
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
                if (y[i])
                    v_store_n(y[i] + ch, v_act(v_add(out[i], bias), a->act), a->n - ch);
        }
    }
}

/* Up to MR rows of x, `stride` bytes apart, by one panel of depth k; out: NR floats a row. */
typedef void wino_product(int rows, const char *x, int64_t stride, const char *panel, int64_t k,
                          float *out);

__attribute__((always_inline)) static inline void wino_block(const bool low, wino_product *product,
                                                             const struct wino_args *a,
                                                             const struct wino_part *p,
                                                             float *scratch)
{
    const int64_t tiles = p->t1 - p->t0, stride = wino_stride(a->c, low);
    const int64_t depth = a->c * (low ? 2 : 4); /* bytes of a column */
    char *v = (char *)scratch;
    float *m = scratch + WINO_PLACES * tiles * stride / 4;
    wino_in(low, a, p->t0, tiles, v);
    for (int64_t n0 = p->n0; n0 < p->n1; n0 += NR) {
        const char *panel = (const char *)a->panels + n0 * WINO_PLACES * depth;
        for (int64_t row = 0; row < WINO_PLACES * tiles;) {
            int rows = tile_rows(tiles - row % tiles);
            product(rows, v + row * stride, stride, panel + row / tiles * depth * NR, a->c,
                    m + row * NR);
            row += rows;
        }
        wino_out(a, p->t0, tiles, m, n0);
    }
}

static inline void wino_product_f32(int rows, const char *x, int64_t stride, const char *panel,
                                    int64_t k, float *out)
{
    tile(rows, 2, (const float *)x, stride / 4, (const float *)panel, k, false, out, NR);
}
#endif

#endif
