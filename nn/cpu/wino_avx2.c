/* Winograd's convolution in AVX2. */
#include "nn/cpu/wino_vec.h"

void wino_avx2(const struct wino_args *a, const struct wino_part *p, float *scratch)
{
    wino_block(false, wino_product_f32, a, p, scratch);
}
