/* Group norm in AVX2. */
#include "nn/cpu/gnorm_vec.h"

void gnorm_sums_avx2(double *sum, double *square, const float *x, int64_t rows, int64_t c)
{
    gnorm_sums_vec(sum, square, x, rows, c);
}

void gnorm_apply_avx2(float *y, const float *x, const float *scale, const float *shift,
                      int64_t rows, int64_t c, enum act act)
{
    gnorm_apply_vec(y, x, scale, shift, rows, c, act);
}
