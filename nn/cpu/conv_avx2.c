/* Depthwise convolution in AVX2. */
#include "nn/cpu/conv_vec.h"

void dw_row_avx2(const struct dw_args *a)
{
    dw_row_vec(a);
}
