/* Activations in AVX2. */
#include "nn/cpu/act_vec.h"

void act_avx2(float *y, const float *x, int64_t n, enum act act)
{
    act_vec(y, x, n, act);
}
