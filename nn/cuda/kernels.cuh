/* What the kernels share: launching over n things, activations, sums over a warp. */
#ifndef EIDETIC_NN_CUDA_KERNELS_CUH
#define EIDETIC_NN_CUDA_KERNELS_CUH

#include <platform.cuh>
extern "C" {
#include "nn/cuda/kernels.h"
}

static const int CUDA_THREADS = 256, CUDA_MAX_BLOCKS = 1 << 20;

/* Blocks of CUDA_THREADS for n threads; a loop over CUDA_EACH covers what more there is. */
static inline unsigned cuda_blocks(int64_t n)
{
    int64_t blocks = (n + CUDA_THREADS - 1) / CUDA_THREADS;
    return (unsigned)(blocks < CUDA_MAX_BLOCKS ? blocks : CUDA_MAX_BLOCKS);
}
#define CUDA_EACH(i, n)                                                                            \
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < (n);                      \
         i += (int64_t)gridDim.x * blockDim.x)

/* Fours and eights of values are one access where pointers and counts allow it. Counts of them that
 * fit 32 bits keep divisions cheap: a kernel that divides is given unsigned ones. */
static inline bool cuda_small(int64_t n)
{
    return n < (int64_t)1 << 31;
}

template <int ACT> static __device__ __forceinline__ float cuda_act(float x)
{
    if (ACT == ACT_GELU)
        return 0.5f * x * erfcf(-x * 0.70710678118654752440f);
    if (ACT == ACT_GELU_TANH)
        return 0.5f * x * (1.0f + tanhf(0.79788456080286535588f * (x + 0.044715f * x * x * x)));
    if (ACT == ACT_QUICK_GELU)
        return x / (1.0f + expf(-1.702f * x));
    if (ACT == ACT_SILU)
        return x / (1.0f + expf(-x));
    if (ACT == ACT_RELU)
        return x > 0 ? x : 0.0f;
    if (ACT == ACT_RELU6)
        return x > 6 ? 6.0f : x > 0 ? x : 0.0f;
    if (ACT == ACT_TANH)
        return tanhf(x);
    if (ACT == ACT_SIGMOID)
        return 1.0f / (1.0f + expf(-x));
    return x;
}

static __device__ __forceinline__ float cuda_act_any(float x, int act)
{
    switch (act) {
    case ACT_GELU:
        return cuda_act<ACT_GELU>(x);
    case ACT_GELU_TANH:
        return cuda_act<ACT_GELU_TANH>(x);
    case ACT_QUICK_GELU:
        return cuda_act<ACT_QUICK_GELU>(x);
    case ACT_SILU:
        return cuda_act<ACT_SILU>(x);
    case ACT_RELU:
        return cuda_act<ACT_RELU>(x);
    case ACT_RELU6:
        return cuda_act<ACT_RELU6>(x);
    case ACT_TANH:
        return cuda_act<ACT_TANH>(x);
    case ACT_SIGMOID:
        return cuda_act<ACT_SIGMOID>(x);
    default:
        return x;
    }
}

static __device__ __forceinline__ float cuda_warp_sum(float v)
{
    for (int o = 16; o > 0; o /= 2)
        v += __shfl_xor_sync(0xFFFFFFFFu, v, o);
    return v;
}

static __device__ __forceinline__ float cuda_warp_max(float v)
{
    for (int o = 16; o > 0; o /= 2)
        v = fmaxf(v, __shfl_xor_sync(0xFFFFFFFFu, v, o));
    return v;
}

#endif
