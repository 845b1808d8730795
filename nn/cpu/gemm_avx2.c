/* Matrix products in AVX2. */
#include "nn/cpu/gemm_vec.h"

void gemm_pack_avx2(float *panel, const struct linear_args *a, int64_t n0, int nn)
{
    gemm_pack_vec(panel, a, n0, nn);
}

void gemm_panel_avx2(const struct linear_args *a, const float *panel, int64_t n0, int nn,
                     int64_t m0, int64_t m1)
{
    gemm_panel_vec(a, panel, n0, nn, m0, m1);
}

void gemm_dot_avx2(const struct linear_args *a, int64_t n0, int64_t n1)
{
    gemm_dot_vec(a, n0, n1);
}
