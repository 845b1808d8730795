/* Activations in AVX-512. */
#include "nn/cpu/act_vec.h"

void act_avx512(float *y, const float *x, int64_t n, enum act act)
{
    act_vec(y, x, n, act);
}
