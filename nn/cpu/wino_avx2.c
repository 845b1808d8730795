/* Winograd's convolution in AVX2. */
#include "nn/cpu/wino_vec.h"

void wino_avx2(const struct wino_args *a, int64_t t0, int64_t t1, float *scratch)
{
    wino_block(a, t0, t1 - t0, scratch);
}
