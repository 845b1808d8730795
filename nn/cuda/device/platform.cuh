/* What the .cu sources see of a device, under nvcc; tests/cuda_emulation/platform.cuh has the same
 * names for the CPU, and the include path chooses. */
#ifndef EIDETIC_CUDA_PLATFORM_CUH
#define EIDETIC_CUDA_PLATFORM_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <stdint.h>

extern "C" {
#include "nn/tensor.h"
}

#define CUDA_LAUNCH(kernel, grid, block, shared, stream, ...)                                      \
    (kernel<<<grid, block, shared, stream>>>(__VA_ARGS__), cudaGetLastError())
/* More than 48 KiB of dynamic shared memory must be asked for. */
#define CUDA_ALLOW_SHARED(kernel, bytes)                                                           \
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes)
#define CUDA_SHARED(type, name, n)                                                                 \
    __shared__ alignas(16) unsigned char name##_bytes[sizeof(type) * (n)];                         \
    type *name = reinterpret_cast<type *>(name##_bytes)
#define CUDA_DYNAMIC_SHARED(type, name)                                                            \
    extern __shared__ __align__(16) unsigned char cuda_dynamic_bytes[];                            \
    type *name = reinterpret_cast<type *>(cuda_dynamic_bytes)

template <class V> static __device__ __forceinline__ V cuda_load(const void *p)
{
    return *reinterpret_cast<const V *>(p);
}
template <class V> static __device__ __forceinline__ void cuda_store(void *p, V v)
{
    *reinterpret_cast<V *>(p) = v;
}

#endif
