/* Convolutions in f32: an implicit matrix product, whose left factor is gathered from the picture a
 * tile at a time and never written; and depthwise ones. */
#include "nn/cuda/half.cuh"

enum { TILE = 64, DEPTH = 16, PER = 4 }; /* 64 x 64 outputs a block, 4 x 4 a thread */

/* Where output pixel m looks. */
struct place {
    int image, top, left;
};

static __device__ place place_of(const cuda_conv &a, int64_t m)
{
    int x = (int)(m % a.wo), y = (int)(m / a.wo % a.ho);
    return place{(int)(m / a.wo / a.ho), y * a.stride - a.top, x * a.stride - a.left};
}

static __device__ int wrapped(int i, int n)
{
    i %= n;
    return i < 0 ? i + n : i;
}

/* The k-th value of a patch, k over [kh, kw, c]. */
static __device__ float patch_value(const cuda_conv &a, const place &p, int k)
{
    int c = k % a.c, tap = k / a.c, y = p.top + tap / a.kw, x = p.left + tap % a.kw;
    if (a.circular) {
        y = wrapped(y, a.h);
        x = wrapped(x, a.width);
    }
    if (y < 0 || y >= a.h || x < 0 || x >= a.width)
        return 0.0f;
    return a.x[(((int64_t)p.image * a.h + y) * a.width + x) * a.c + c];
}

__global__ void __launch_bounds__(CUDA_THREADS) conv_kernel(cuda_conv a, int64_t pixels)
{
    CUDA_SHARED(float, left, DEPTH *(TILE + 1));
    CUDA_SHARED(float, right, DEPTH *(TILE + 1));
    int depth = a.kh * a.kw * a.c, t = threadIdx.x;
    int64_t m0 = (int64_t)blockIdx.x * TILE;
    int n0 = blockIdx.y * TILE, mt = t / (TILE / PER) * PER, nt = t % (TILE / PER) * PER;
    int row = t / DEPTH, col = t % DEPTH; /* of what this thread loads; rows 16 apart follow */
    float acc[PER][PER] = {};
    for (int k0 = 0; k0 < depth; k0 += DEPTH) {
        int k = k0 + col;
        __syncthreads();
        for (int i = row; i < TILE; i += CUDA_THREADS / DEPTH) {
            bool in = k < depth && m0 + i < pixels;
            left[col * (TILE + 1) + i] = in ? patch_value(a, place_of(a, m0 + i), k) : 0.0f;
            bool out = k < depth && n0 + i < a.n;
            right[col * (TILE + 1) + i] = out ? a.w[(int64_t)(n0 + i) * depth + k] : 0.0f;
        }
        __syncthreads();
        for (int j = 0; j < DEPTH; j++)
            for (int y = 0; y < PER; y++)
                for (int x = 0; x < PER; x++)
                    acc[y][x] += left[j * (TILE + 1) + mt + y] * right[j * (TILE + 1) + nt + x];
    }
    for (int y = 0; y < PER && m0 + mt + y < pixels; y++)
        for (int x = 0; x < PER && n0 + nt + x < a.n; x++) {
            float v = acc[y][x] + (a.bias ? a.bias[n0 + nt + x] : 0.0f);
            a.y[(m0 + mt + y) * a.n + n0 + nt + x] = cuda_act_any(v, (int)a.act);
        }
}

int cuda_run_conv(cudaStream_t s, const struct cuda_conv *a)
{
    int64_t pixels = (int64_t)a->b * a->ho * a->wo;
    if (pixels * a->n == 0)
        return 0;
    dim3 grid((unsigned)((pixels + TILE - 1) / TILE), (unsigned)((a->n + TILE - 1) / TILE));
    return CUDA_LAUNCH(conv_kernel, grid, CUDA_THREADS, 0, s, *a, pixels);
}

__global__ void depthwise_kernel(cuda_conv a, int64_t n)
{
    CUDA_EACH(i, n)
    {
        int c = (int)(i % a.c);
        place p = place_of(a, i / a.c);
        float sum = a.bias ? a.bias[c] : 0.0f;
        for (int ky = 0; ky < a.kh; ky++)
            for (int kx = 0; kx < a.kw; kx++) {
                int y = p.top + ky, x = p.left + kx;
                if (y >= 0 && y < a.h && x >= 0 && x < a.width)
                    sum += a.x[(((int64_t)p.image * a.h + y) * a.width + x) * a.c + c] *
                           a.w[(ky * a.kw + kx) * a.c + c];
            }
        a.y[i] = cuda_act_any(sum, (int)a.act);
    }
}

int cuda_run_depthwise(cudaStream_t s, const struct cuda_conv *a)
{
    int64_t n = (int64_t)a->b * a->ho * a->wo * a->c;
    if (n == 0)
        return 0;
    return CUDA_LAUNCH(depthwise_kernel, cuda_blocks(n), CUDA_THREADS, 0, s, *a, n);
}

template <bool F16>
__global__ void conv_end_kernel(float *y, const uint16_t *sum, const float *bias, int64_t count,
                                int n, int act)
{
    CUDA_EACH(i, count)
    {
        float v = cuda_wide<F16>(sum[i]);
        y[i] = cuda_act_any(bias ? v + bias[i % n] : v, act);
    }
}

/* count and n count fours. */
template <bool F16>
__global__ void conv_end4_kernel(float *y, const uint16_t *sum, const float *bias, unsigned count,
                                 unsigned n, int act)
{
    CUDA_EACH(i, count)
    {
        uint2 two = cuda_load<uint2>(sum + 4 * i);
        float4 v = make_float4(cuda_wide<F16>(two.x & 0xFFFF), cuda_wide<F16>(two.x >> 16),
                               cuda_wide<F16>(two.y & 0xFFFF), cuda_wide<F16>(two.y >> 16));
        if (bias) {
            float4 b = cuda_load<float4>(bias + 4 * ((unsigned)i % n));
            v = make_float4(v.x + b.x, v.y + b.y, v.z + b.z, v.w + b.w);
        }
        cuda_store(y + 4 * i, make_float4(cuda_act_any(v.x, act), cuda_act_any(v.y, act),
                                          cuda_act_any(v.z, act), cuda_act_any(v.w, act)));
    }
}

template <bool F16>
static int conv_end(cudaStream_t s, const cuda_conv *a, const uint16_t *sum, int64_t count)
{
    if (a->n % 4 == 0 && cuda_small(count) && cuda_aligned(a->y) && cuda_aligned(sum) &&
        cuda_aligned(a->bias))
        return CUDA_LAUNCH(conv_end4_kernel<F16>, cuda_blocks(count / 4), CUDA_THREADS, 0, s, a->y,
                           sum, a->bias, (unsigned)(count / 4), (unsigned)a->n / 4, (int)a->act);
    return CUDA_LAUNCH(conv_end_kernel<F16>, cuda_blocks(count), CUDA_THREADS, 0, s, a->y, sum,
                       a->bias, count, a->n, (int)a->act);
}

int cuda_run_conv_end(cudaStream_t s, const struct cuda_conv *a, const void *sum)
{
    int64_t count = (int64_t)a->b * a->ho * a->wo * a->n;
    const uint16_t *from = (const uint16_t *)sum;
    if (count == 0)
        return 0;
    return a->f16 ? conv_end<true>(s, a, from, count) : conv_end<false>(s, a, from, count);
}
