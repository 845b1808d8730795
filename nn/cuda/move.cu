/* Ops that move, look up or convert values. */
#include "nn/cuda/half.cuh"

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

/* n and c count fours. */
__global__ void upsample4_kernel(float *y, uint16_t *low, const float *x, unsigned n, unsigned h,
                                 unsigned w, unsigned c)
{
    CUDA_EACH(at, n)
    {
        unsigned i = (unsigned)at, k = i % c, j = i / c % w, row = i / c / w, top = row % h;
        unsigned from = (row / h * ((h + 1) / 2) + top / 2) * ((w + 1) / 2) + j / 2;
        cuda_store4(y, low, 4 * at, cuda_load<float4>(x + 4 * ((int64_t)from * c + k)));
    }
}

int cuda_run_upsample(cudaStream_t s, float *y, uint16_t *low, const float *x, int64_t b, int64_t h,
                      int64_t w, int64_t c)
{
    int64_t n = b * h * w * c;
    if (n == 0)
        return 0;
    if (low || (c % 4 == 0 && cuda_small(n) && cuda_aligned(y) && cuda_aligned(x)))
        return CUDA_LAUNCH(upsample4_kernel, cuda_blocks(n / 4), CUDA_THREADS, 0, s, y, low, x,
                           (unsigned)(n / 4), (unsigned)h, (unsigned)w, (unsigned)(c / 4));
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

/* n, ca and cb count fours. */
__global__ void concat4_kernel(float *y, const float *a, const float *b, unsigned n, unsigned ca,
                               unsigned cb)
{
    CUDA_EACH(at, n)
    {
        unsigned i = (unsigned)at, row = i / (ca + cb), k = i % (ca + cb);
        const float *from =
            k < ca ? a + 4 * ((int64_t)row * ca + k) : b + 4 * ((int64_t)row * cb + k - ca);
        cuda_store(y + 4 * at, cuda_load<float4>(from));
    }
}

int cuda_run_concat(cudaStream_t s, float *y, const float *a, const float *b, int64_t rows,
                    int64_t ca, int64_t cb)
{
    int64_t n = rows * (ca + cb);
    if (n == 0)
        return 0;
    if (ca % 4 == 0 && cb % 4 == 0 && cuda_small(n) && cuda_aligned(y) && cuda_aligned(a) &&
        cuda_aligned(b))
        return CUDA_LAUNCH(concat4_kernel, cuda_blocks(n / 4), CUDA_THREADS, 0, s, y, a, b,
                           (unsigned)(n / 4), (unsigned)(ca / 4), (unsigned)(cb / 4));
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

template <bool F16>
__global__ void narrow_kernel(uint16_t *y, int64_t ldy, const float *x, int64_t ldx, int64_t n,
                              int64_t k)
{
    CUDA_EACH(i, n)
    {
        int64_t row = i / ldy, j = i % ldy;
        y[i] = cuda_half<F16>(j < k ? x[row * ldx + j] : 0.0f);
    }
}

/* Rows without gaps; n counts eights. */
template <bool F16> __global__ void narrow8_kernel(uint16_t *y, const float *x, int64_t n)
{
    CUDA_EACH(i, n)
    {
        cuda_store(y + 8 * i, cuda_eight<F16>(x + 8 * i));
    }
}

template <bool F16>
static int run_narrow(cudaStream_t s, uint16_t *y, int64_t ldy, const float *x, int64_t ldx,
                      int64_t n, int64_t k)
{
    if (ldy == k && ldx == k && n % 8 == 0 && cuda_aligned(y) && cuda_aligned(x))
        return CUDA_LAUNCH(narrow8_kernel<F16>, cuda_blocks(n / 8), CUDA_THREADS, 0, s, y, x,
                           n / 8);
    return CUDA_LAUNCH(narrow_kernel<F16>, cuda_blocks(n), CUDA_THREADS, 0, s, y, ldy, x, ldx, n,
                       k);
}

int cuda_run_narrow(cudaStream_t s, void *y, enum dtype type, int64_t ldy, const float *x,
                    int64_t ldx, int64_t rows, int64_t k)
{
    int64_t n = rows * ldy;
    if (n == 0)
        return 0;
    return type == DT_F16 ? run_narrow<true>(s, (uint16_t *)y, ldy, x, ldx, n, k)
                          : run_narrow<false>(s, (uint16_t *)y, ldy, x, ldx, n, k);
}
