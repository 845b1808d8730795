/* What the .cu sources see of a device, on the CPU: nn/cuda/device/platform.cuh has the same names
 * for nvcc, and the include path chooses. */
#ifndef EIDETIC_CUDA_PLATFORM_CUH
#define EIDETIC_CUDA_PLATFORM_CUH

#include "cuda_emulation/emulation.cuh"
#include <cmath>
#include <cstring>

#define __global__ static
#define __device__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)

#define threadIdx (emu::current->thread)
#define blockIdx (emu::current->block)
#define blockDim (emu::current->block_dim)
#define gridDim (emu::current->grid_dim)

#define CUDA_LAUNCH(kernel, grid, block, shared, stream, ...)                                      \
    emu::launch_kernel(#kernel, kernel, grid, block, shared, stream, __VA_ARGS__)
#define CUDA_ALLOW_SHARED(kernel, bytes) cudaSuccess
#define CUDA_SHARED(type, name, n) type *name = (type *)emu::static_shared(sizeof(type) * (n))
#define CUDA_DYNAMIC_SHARED(type, name) type *name = (type *)emu::dynamic_shared()

#define __syncthreads() emu::barrier(__FILE__, __LINE__)
#define __syncwarp() ((void)emu::exchange(0xFFFFFFFFu, 0, __FILE__, __LINE__))

namespace emu
{
template <class T> T shuffle(unsigned mask, T v, int from, const char *file, int line)
{
    uint64_t u = 0;
    memcpy(&u, &v, sizeof v);
    const uint64_t *all = exchange(mask, u, file, line);
    memcpy(&v, &all[from], sizeof v);
    return v;
}
inline unsigned vote(unsigned mask, bool yes, const char *file, int line)
{
    const uint64_t *all = exchange(mask, yes, file, line);
    unsigned bits = 0;
    for (int i = 0; i < 32; i++)
        bits |= (mask >> i & 1 && all[i]) ? 1u << i : 0;
    return bits;
}
} // namespace emu

#define __shfl_xor_sync(mask, v, x)                                                                \
    emu::shuffle(mask, v, emu::current->lane ^ (x), __FILE__, __LINE__)
#define __shfl_sync(mask, v, from) emu::shuffle(mask, v, (from)&31, __FILE__, __LINE__)
#define __ballot_sync(mask, yes) emu::vote(mask, yes, __FILE__, __LINE__)

struct float2 {
    float x, y;
};
struct float4 {
    float x, y, z, w;
};
struct uint2 {
    unsigned x, y;
};
struct uint4 {
    unsigned x, y, z, w;
};
static inline float4 make_float4(float x, float y, float z, float w)
{
    return {x, y, z, w};
}

/* A vector load or store: hardware faults where p is not aligned. */
template <class V> static inline V cuda_load(const void *p)
{
    emu::check_aligned(p, sizeof(V), "a vector load");
    V v;
    memcpy(&v, p, sizeof v);
    return v;
}
template <class V> static inline void cuda_store(void *p, V v)
{
    emu::check_aligned(p, sizeof(V), "a vector store");
    memcpy(p, &v, sizeof v);
}

extern "C" {
#include "nn/tensor.h"
}

struct __half {
    uint16_t bits;
};
struct __nv_bfloat16 {
    uint16_t bits;
};
static inline float __half2float(__half h)
{
    return f16_to_f32(h.bits);
}
static inline __half __float2half_rn(float f)
{
    return {f32_to_f16(f)};
}
static inline float __bfloat162float(__nv_bfloat16 h)
{
    return bf16_to_f32(h.bits);
}
static inline __nv_bfloat16 __float2bfloat16_rn(float f)
{
    return {f32_to_bf16(f)};
}
static inline __half __ushort_as_half(unsigned short u)
{
    return {u};
}
static inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short u)
{
    return {u};
}
static inline unsigned short __half_as_ushort(__half h)
{
    return h.bits;
}
static inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 h)
{
    return h.bits;
}

static inline uint32_t __float_as_uint(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}
static inline float __uint_as_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline float __fmul_rn(float a, float b)
{
    return a * b;
}
static inline float __fsub_rn(float a, float b)
{
    return a - b;
}
static inline float __fdiv_rn(float a, float b)
{
    return a / b;
}

/* Fibers of one thread: nothing comes between. */
template <class T> static inline T atomicAdd(T *p, T v)
{
    T old = *p;
    *p = old + v;
    return old;
}

#endif
