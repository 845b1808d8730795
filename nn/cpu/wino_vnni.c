/* Winograd's convolution with products in bf16. */
#include "nn/cpu/wino.h"

#if defined(__AVX512VNNI__) && defined(__AVX512BF16__)
#include "nn/cpu/tile_vnni.h"
#include "nn/cpu/wino_vec.h"

TILE_UNITS_FUNCTION(tile_bf16, true)

void wino_vnni(const struct wino_args *a, const struct wino_part *p, float *scratch)
{
    const int64_t tiles = p->t1 - p->t0, stride = wino_stride(a->c, true), units = a->c / 2;
    char *v = (char *)scratch;
    float *m = scratch + WINO_PLACES * tiles * stride / 4;
    wino_in(true, a, p->t0, tiles, v);
    for (int64_t n0 = p->n0; n0 < p->n1; n0 += NR) {
        const unsigned char *panel =
            (const unsigned char *)a->panels + n0 * WINO_PLACES * units * UNIT;
        for (int64_t row = 0; row < WINO_PLACES * tiles;) {
            int rows = tile_rows(tiles - row % tiles);
            tile_bf16(rows, (const unsigned char *)v + row * stride, stride,
                      panel + row / tiles * units * UNIT_COLS * UNIT, units, false, m + row * NR,
                      NR);
            row += rows;
        }
        wino_out(a, p->t0, tiles, m, n0);
    }
}
#endif
