/* Winograd's convolution with products in bf16. */
#include "nn/cpu/wino.h"

#if defined(__AVX512VNNI__) && defined(__AVX512BF16__)
#include "nn/cpu/tile_vnni.h"
#include "nn/cpu/wino_vec.h"

TILE_UNITS_FUNCTION(tile_bf16, true)

static inline void product_bf16(int rows, const char *x, int64_t stride, const char *panel,
                                int64_t k, float *out)
{
    tile_bf16(rows, (const unsigned char *)x, stride, (const unsigned char *)panel, k / 2, false,
              out, NR);
}

void wino_vnni(const struct wino_args *a, const struct wino_part *p, float *scratch)
{
    wino_block(true, product_bf16, a, p, scratch);
}
#endif
