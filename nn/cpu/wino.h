/* Convolutions of 3 x 3 at stride 1 by Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray,
 * 2015, arXiv:1509.09308): the picture is cut into tiles of 2 x 2 outputs, each from 4 x 4 inputs
 * d;
 *     y = A^T [sum over channels of (G g G^T) * (B^T d B)] A
 * takes 16 multiplications a channel where the sum over a patch takes 36. The 16 products of a tile
 * with a transformed filter stand at the same places of many tiles, so each place is a matrix
 * product of [tiles, channels] and [channels, outputs].
 *
 * f32: within the tolerance of the direct sum (no division, halves are exact). bf16: what is
 * transformed is computed in f32, rounded to nearest even and multiplied exactly, sums and the way
 * back are f32; the definition is wino_low_ref, which says the order of the additions too. */
#ifndef EIDETIC_NN_CPU_WINO_H
#define EIDETIC_NN_CPU_WINO_H

#include "nn/cpu/conv.h"

enum { WINO_PLACES = 16, WINO_SIDE = 4 };

/* A convolution: x [h, w, c] a picture, y [ho, wo, n]. */
struct wino_args {
    const float *x, *b; /* b: [n] or NULL */
    const float *zero;  /* c zeros: what lies outside */
    float *y;
    const void *panels; /* G g G^T, as panels of the kernel's product with depth 16 c */
    int64_t h, w, c, ho, wo, n;
    int64_t across, tiles; /* in a row of tiles, in a picture */
    int pad_top, pad_left;
    bool circular;
    enum act act;
};

/* Whether this way takes the convolution; o: with stride 1. */
bool wino_takes(const struct cpu *c, const struct linear_args *a, const struct tensor *y,
                const struct tensor *x, const struct conv_opts *o);
/* a: as for the product over patches, but x and m. */
void wino_run(struct cpu *c, const struct linear_args *a, const struct tensor *y,
              const struct tensor *x, const struct conv_opts *o);

/* What a task computes: tiles [t0, t1), counted over the batch, of outputs [n0, n1), where n0 is a
 * panel's first. scratch: wino_scratch(c, t1 - t0, low) floats. */
struct wino_part {
    int64_t t0, t1, n0, n1;
};
void wino_avx2(const struct wino_args *a, const struct wino_part *p, float *scratch);
void wino_avx512(const struct wino_args *a, const struct wino_part *p, float *scratch);
void wino_vnni(const struct wino_args *a, const struct wino_part *p, float *scratch); /* bf16 */
/* The definition in bf16; panels: [n][16][c] floats that have been rounded. */
void wino_low_ref(const struct wino_args *a, const struct wino_part *p, float *scratch);

/* Bytes from one tile's c values to the next's: rows a page apart would share cache sets. */
static inline int64_t wino_stride(int64_t c, bool low)
{
    return (c * (low ? 2 : 4) + 63) / 64 * 64 + 64;
}
/* Transformed patches, and the sums of as many outputs as a panel has columns. */
static inline size_t wino_scratch(int64_t c, int64_t tiles, bool low)
{
    return (size_t)(WINO_PLACES * tiles * (wino_stride(c, low) / 4 + 32));
}

/* The 16 input pixels of tile t. */
static inline void wino_patch(const struct wino_args *a, int64_t t, const float *p[WINO_PLACES])
{
    const float *x = a->x + t / a->tiles * a->h * a->w * a->c;
    int64_t top = t % a->tiles / a->across * 2 - a->pad_top;
    int64_t left = t % a->across * 2 - a->pad_left;
    for (int i = 0; i < WINO_PLACES; i++) {
        int64_t row = top + i / WINO_SIDE, col = left + i % WINO_SIDE;
        if (a->circular) {
            row = conv_wrap(row, a->h);
            col = conv_wrap(col, a->w);
        }
        bool inside = row >= 0 && row < a->h && col >= 0 && col < a->w;
        p[i] = inside ? x + (row * a->w + col) * a->c : a->zero;
    }
}

/* Where pixel i of tile t's outputs goes; NULL: beyond the edge. */
static inline float *wino_output(const struct wino_args *a, int64_t t, int i)
{
    int64_t row = t % a->tiles / a->across * 2 + i / 2, col = t % a->across * 2 + i % 2;
    if (row >= a->ho || col >= a->wo)
        return NULL;
    return a->y + ((t / a->tiles * a->ho + row) * a->wo + col) * a->n;
}

#endif
