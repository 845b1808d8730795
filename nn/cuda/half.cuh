/* Values of 16 bits on tensor cores, f16 or bf16 by a template's argument. What f16 does not hold
 * (beyond 65504) becomes infinite, so that an answer that hangs on it shows that it is none. */
#ifndef EIDETIC_NN_CUDA_HALF_CUH
#define EIDETIC_NN_CUDA_HALF_CUH

#include "nn/cuda/kernels.cuh"
#include <mma.cuh>

template <bool F16> static __device__ __forceinline__ uint16_t cuda_half(float f)
{
    return F16 ? __half_as_ushort(__float2half_rn(f))
               : __bfloat16_as_ushort(__float2bfloat16_rn(f));
}

/* Two beside each other, as an element of a fragment has them. */
template <bool F16> static __device__ __forceinline__ uint32_t cuda_halves(float low, float high)
{
    return cuda_half<F16>(low) | (uint32_t)cuda_half<F16>(high) << 16;
}

/* Eight floats, narrowed; x is aligned to 16 bytes. */
template <bool F16> static __device__ __forceinline__ uint4 cuda_eight(const float *x)
{
    float4 a = cuda_load<float4>(x), b = cuda_load<float4>(x + 4);
    return uint4{cuda_halves<F16>(a.x, a.y), cuda_halves<F16>(a.z, a.w), cuda_halves<F16>(b.x, b.y),
                 cuda_halves<F16>(b.z, b.w)};
}

template <bool F16> static __device__ __forceinline__ float cuda_wide(unsigned half)
{
    return F16 ? __half2float(__ushort_as_half((unsigned short)half))
               : __bfloat162float(__ushort_as_bfloat16((unsigned short)half));
}

/* Four values to y, or to low in bf16 where that is not NULL; `at` counts values. */
static __device__ __forceinline__ void cuda_store4(float *y, uint16_t *low, int64_t at, float4 v)
{
    if (low)
        cuda_store(low + at, uint2{cuda_halves<false>(v.x, v.y), cuda_halves<false>(v.z, v.w)});
    else
        cuda_store(y + at, v);
}

template <bool F16>
static __device__ __forceinline__ void cuda_mma(float d[4], const uint32_t a[4],
                                                const uint32_t b[2])
{
    if (F16)
        mma_f16(d, a, b);
    else
        mma_bf16(d, a, b);
}

#endif
