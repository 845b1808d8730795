/* Row norms and softmax in AVX2. */
#include "nn/cpu/norm_vec.h"

void layernorm_avx2(float *y, const float *x, const float *w, const float *b, float eps,
                    int64_t rows, int64_t d)
{
    layernorm_vec(y, x, w, b, eps, rows, d);
}

void l2norm_avx2(float *y, const float *x, float eps, int64_t rows, int64_t d)
{
    l2norm_vec(y, x, eps, rows, d);
}

void softmax_avx2(float *y, const float *x, float scale, int64_t rows, int64_t d)
{
    softmax_vec(y, x, scale, rows, d);
}
