/* Ops that move, look up or convert values. */
#include "nn/cuda/kernels.cuh"

/* i counts y: [b, h/p, w/p] patches of [c, py, px]. */
__global__ void patchify_kernel(float *y, const float *x, int64_t n, int64_t w, int p)
{
    CUDA_EACH(i, n)
    {
        int64_t px = i % p, py = i / p % p, c = i / p / p % 3, patch = i / (3 * (int64_t)p * p);
        int64_t gw = w / p, row = patch / gw * p + py; /* over all pictures: h is whole patches */
        y[i] = x[(row * w + patch % gw * p + px) * 3 + c];
    }
}

int cuda_run_patchify(cudaStream_t s, float *y, const float *x, int64_t b, int64_t h, int64_t w,
                      int p)
{
    int64_t n = b * h * w * 3;
    if (n == 0)
        return 0;
    return CUDA_LAUNCH(patchify_kernel, cuda_blocks(n), CUDA_THREADS, 0, s, y, x, n, w, p);
}

__global__ void upsample_kernel(float *y, const float *x, int64_t n, int64_t h, int64_t w,
                                int64_t c)
{
    CUDA_EACH(i, n)
    {
        int64_t k = i % c, j = i / c % w, row = i / c / w % h, image = i / c / w / h;
        int64_t from = (image * ((h + 1) / 2) + row / 2) * ((w + 1) / 2) + j / 2;
        y[i] = x[from * c + k];
    }
}

int cuda_run_upsample(cudaStream_t s, float *y, const float *x, int64_t b, int64_t h, int64_t w,
                      int64_t c)
{
    int64_t n = b * h * w * c;
    if (n == 0)
        return 0;
    return CUDA_LAUNCH(upsample_kernel, cuda_blocks(n), CUDA_THREADS, 0, s, y, x, n, h, w, c);
}

__global__ void concat_kernel(float *y, const float *a, const float *b, int64_t n, int64_t ca,
                              int64_t cb)
{
    CUDA_EACH(i, n)
    {
        int64_t row = i / (ca + cb), k = i % (ca + cb);
        y[i] = k < ca ? a[row * ca + k] : b[row * cb + k - ca];
    }
}

int cuda_run_concat(cudaStream_t s, float *y, const float *a, const float *b, int64_t rows,
                    int64_t ca, int64_t cb)
{
    int64_t n = rows * (ca + cb);
    if (n == 0)
        return 0;
    return CUDA_LAUNCH(concat_kernel, cuda_blocks(n), CUDA_THREADS, 0, s, y, a, b, n, ca, cb);
}

template <int TYPE>
static __device__ __forceinline__ float widen(const void *w, int64_t i, float scale)
{
    if (TYPE == DT_F16)
        return __half2float(((const __half *)w)[i]);
    if (TYPE == DT_BF16)
        return __bfloat162float(((const __nv_bfloat16 *)w)[i]);
    if (TYPE == DT_I8)
        return (float)((const int8_t *)w)[i] * scale;
    if (TYPE == DT_Q8_0) {
        const uint8_t *block = (const uint8_t *)w + i / 32 * 34;
        unsigned short d = (unsigned short)(block[0] | block[1] << 8);
        return (float)(int8_t)block[2 + i % 32] * __half2float(__ushort_as_half(d));
    }
    return ((const float *)w)[i];
}

template <int TYPE>
__global__ void widen_kernel(float *y, const void *w, const float *scale, const int32_t *ids,
                             int64_t n, int64_t k)
{
    CUDA_EACH(i, n)
    {
        int64_t row = ids ? ids[i / k] : i / k;
        y[i] = widen<TYPE>(w, row * k + i % k, scale ? scale[row] : 1.0f);
    }
}

int cuda_run_widen(cudaStream_t s, float *y, const void *w, enum dtype type, const float *scale,
                   const int32_t *ids, int64_t rows, int64_t k)
{
    int64_t n = rows * k;
    unsigned grid = cuda_blocks(n);
    if (n == 0)
        return 0;
    switch (type) {
    case DT_F16:
        return CUDA_LAUNCH(widen_kernel<DT_F16>, grid, CUDA_THREADS, 0, s, y, w, scale, ids, n, k);
    case DT_BF16:
        return CUDA_LAUNCH(widen_kernel<DT_BF16>, grid, CUDA_THREADS, 0, s, y, w, scale, ids, n, k);
    case DT_I8:
        return CUDA_LAUNCH(widen_kernel<DT_I8>, grid, CUDA_THREADS, 0, s, y, w, scale, ids, n, k);
    case DT_Q8_0:
        return CUDA_LAUNCH(widen_kernel<DT_Q8_0>, grid, CUDA_THREADS, 0, s, y, w, scale, ids, n, k);
    default:
        return CUDA_LAUNCH(widen_kernel<DT_F32>, grid, CUDA_THREADS, 0, s, y, w, scale, ids, n, k);
    }
}

__global__ void narrow_kernel(uint16_t *y, int bf16, int64_t ldy, const float *x, int64_t ldx,
                              int64_t n, int64_t k)
{
    CUDA_EACH(i, n)
    {
        int64_t row = i / ldy, j = i % ldy;
        float f = j < k ? x[row * ldx + j] : 0.0f;
        y[i] = bf16 ? __bfloat16_as_ushort(__float2bfloat16_rn(f))
                    : __half_as_ushort(__float2half_rn(f));
    }
}

int cuda_run_narrow(cudaStream_t s, void *y, enum dtype type, int64_t ldy, const float *x,
                    int64_t ldx, int64_t rows, int64_t k)
{
    int64_t n = rows * ldy;
    if (n == 0)
        return 0;
    return CUDA_LAUNCH(narrow_kernel, cuda_blocks(n), CUDA_THREADS, 0, s, (uint16_t *)y,
                       type == DT_BF16 ? 1 : 0, ldy, x, ldx, n, k);
}
