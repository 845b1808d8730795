/* Depthwise convolution in AVX-512. */
#include "nn/cpu/conv_vec.h"

void dw_row_avx512(const struct dw_args *a)
{
    dw_row_vec(a);
}
