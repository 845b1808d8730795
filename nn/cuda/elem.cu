/* Elementwise ops. Four values a thread where pointers and counts allow it. */
#include "nn/cuda/half.cuh"

template <int ACT> __global__ void act_kernel(float *y, const float *x, const float *r, int64_t n)
{
    CUDA_EACH(i, n)
    {
        float v = cuda_act<ACT>(x[i]);
        y[i] = r ? v + r[i] : v;
    }
}

template <int ACT> __global__ void act4_kernel(float *y, const float *x, const float *r, int64_t n)
{
    CUDA_EACH(i, n)
    {
        float4 v = cuda_load<float4>(x + 4 * i);
        v = make_float4(cuda_act<ACT>(v.x), cuda_act<ACT>(v.y), cuda_act<ACT>(v.z),
                        cuda_act<ACT>(v.w));
        if (r) {
            float4 u = cuda_load<float4>(r + 4 * i);
            v = make_float4(v.x + u.x, v.y + u.y, v.z + u.z, v.w + u.w);
        }
        cuda_store(y + 4 * i, v);
    }
}

template <int ACT>
static int run_act(cudaStream_t s, float *y, const float *x, const float *r, int64_t n)
{
    if (n % 4 == 0 && cuda_aligned(y) && cuda_aligned(x) && cuda_aligned(r))
        return CUDA_LAUNCH(act4_kernel<ACT>, cuda_blocks(n / 4), CUDA_THREADS, 0, s, y, x, r,
                           n / 4);
    return CUDA_LAUNCH(act_kernel<ACT>, cuda_blocks(n), CUDA_THREADS, 0, s, y, x, r, n);
}

struct two {
    float low, high;
};
static __device__ __forceinline__ two two_of(unsigned halves)
{
    return {cuda_wide<false>(halves & 0xFFFF), cuda_wide<false>(halves >> 16)};
}

template <int ACT> static __device__ __forceinline__ unsigned act_two(unsigned halves)
{
    two v = two_of(halves);
    return cuda_halves<false>(cuda_act<ACT>(v.low), cuda_act<ACT>(v.high));
}

/* n counts eights. */
template <int ACT> __global__ void act_low_kernel(uint16_t *y, int64_t n)
{
    CUDA_EACH(i, n)
    {
        uint4 v = cuda_load<uint4>(y + 8 * i);
        cuda_store(y + 8 * i, uint4{act_two<ACT>(v.x), act_two<ACT>(v.y), act_two<ACT>(v.z),
                                    act_two<ACT>(v.w)});
    }
}

template <int ACT> static int run_act_low(cudaStream_t s, uint16_t *y, int64_t n)
{
    return CUDA_LAUNCH(act_low_kernel<ACT>, cuda_blocks(n / 8), CUDA_THREADS, 0, s, y, n / 8);
}

template <int ACT> struct on_floats {
    static int run(cudaStream_t s, float *y, const float *x, const float *r, int64_t n)
    {
        return run_act<ACT>(s, y, x, r, n);
    }
};
template <int ACT> struct on_halves {
    static int run(cudaStream_t s, uint16_t *y, int64_t n)
    {
        return run_act_low<ACT>(s, y, n);
    }
};

template <template <int> class ON, class... ARGS> static int by_act(enum act act, ARGS... args)
{
    switch (act) {
    case ACT_GELU:
        return ON<ACT_GELU>::run(args...);
    case ACT_GELU_TANH:
        return ON<ACT_GELU_TANH>::run(args...);
    case ACT_QUICK_GELU:
        return ON<ACT_QUICK_GELU>::run(args...);
    case ACT_SILU:
        return ON<ACT_SILU>::run(args...);
    case ACT_RELU:
        return ON<ACT_RELU>::run(args...);
    case ACT_RELU6:
        return ON<ACT_RELU6>::run(args...);
    case ACT_TANH:
        return ON<ACT_TANH>::run(args...);
    case ACT_SIGMOID:
        return ON<ACT_SIGMOID>::run(args...);
    case ACT_NONE:
    case ACT_COUNT:
        break;
    }
    return ON<ACT_NONE>::run(args...);
}

int cuda_run_act(cudaStream_t s, float *y, const float *x, const float *r, int64_t n, enum act act)
{
    return n == 0 ? 0 : by_act<on_floats>(act, s, y, x, r, n);
}

int cuda_run_act_low(cudaStream_t s, uint16_t *y, int64_t n, enum act act)
{
    return n == 0 ? 0 : by_act<on_halves>(act, s, y, n);
}

static __device__ __forceinline__ unsigned mul_two(unsigned a, unsigned b)
{
    two v = two_of(a), u = two_of(b);
    return cuda_halves<false>(v.low * u.low, v.high * u.high);
}

__global__ void mul_low_kernel(uint16_t *y, const uint16_t *x, const uint16_t *r, int64_t n)
{
    CUDA_EACH(i, n)
    {
        uint4 v = cuda_load<uint4>(x + 8 * i), u = cuda_load<uint4>(r + 8 * i);
        cuda_store(y + 8 * i, uint4{mul_two(v.x, u.x), mul_two(v.y, u.y), mul_two(v.z, u.z),
                                    mul_two(v.w, u.w)});
    }
}

int cuda_run_mul_low(cudaStream_t s, uint16_t *y, const uint16_t *x, const uint16_t *r, int64_t n)
{
    if (n == 0)
        return 0;
    return CUDA_LAUNCH(mul_low_kernel, cuda_blocks(n / 8), CUDA_THREADS, 0, s, y, x, r, n / 8);
}

template <int OP> static __device__ __forceinline__ float combine(float x, float r)
{
    return OP == CUDA_ADD ? x + r : x * r;
}

template <int OP>
__global__ void binary_kernel(float *y, const float *x, const float *r, int64_t n, int64_t period)
{
    CUDA_EACH(i, n)
    {
        y[i] = combine<OP>(x[i], r[i % period]);
    }
}

/* n and period count fours; period 0: all of n. */
template <int OP>
__global__ void binary4_kernel(float *y, const float *x, const float *r, int64_t n, unsigned period)
{
    CUDA_EACH(i, n)
    {
        int64_t j = period ? (unsigned)i % period : i;
        float4 v = cuda_load<float4>(x + 4 * i), u = cuda_load<float4>(r + 4 * j);
        cuda_store(y + 4 * i, make_float4(combine<OP>(v.x, u.x), combine<OP>(v.y, u.y),
                                          combine<OP>(v.z, u.z), combine<OP>(v.w, u.w)));
    }
}

template <int OP>
static int run_binary(cudaStream_t s, float *y, const float *x, const float *r, int64_t n,
                      int64_t period)
{
    if (n % 4 == 0 && period % 4 == 0 && cuda_small(n) && cuda_aligned(y) && cuda_aligned(x) &&
        cuda_aligned(r))
        return CUDA_LAUNCH(binary4_kernel<OP>, cuda_blocks(n / 4), CUDA_THREADS, 0, s, y, x, r,
                           n / 4, period < n ? (unsigned)(period / 4) : 0u);
    return CUDA_LAUNCH(binary_kernel<OP>, cuda_blocks(n), CUDA_THREADS, 0, s, y, x, r, n, period);
}

int cuda_run_binary(cudaStream_t s, float *y, const float *x, const float *r, int64_t n,
                    int64_t period, enum cuda_binary op)
{
    if (n == 0)
        return 0;
    return op == CUDA_ADD ? run_binary<CUDA_ADD>(s, y, x, r, n, period)
                          : run_binary<CUDA_MUL>(s, y, x, r, n, period);
}

__global__ void scale_kernel(float *y, const float *x, float f, int64_t n)
{
    CUDA_EACH(i, n)
    {
        y[i] = x[i] * f;
    }
}

__global__ void scale4_kernel(float *y, const float *x, float f, int64_t n)
{
    CUDA_EACH(i, n)
    {
        float4 v = cuda_load<float4>(x + 4 * i);
        cuda_store(y + 4 * i, make_float4(v.x * f, v.y * f, v.z * f, v.w * f));
    }
}

int cuda_run_scale(cudaStream_t s, float *y, const float *x, float f, int64_t n)
{
    if (n == 0)
        return 0;
    if (n % 4 == 0 && cuda_aligned(y) && cuda_aligned(x))
        return CUDA_LAUNCH(scale4_kernel, cuda_blocks(n / 4), CUDA_THREADS, 0, s, y, x, f, n / 4);
    return CUDA_LAUNCH(scale_kernel, cuda_blocks(n), CUDA_THREADS, 0, s, y, x, f, n);
}

/* A thread a column; four sums, since one of many values loses digits. */
__global__ void mean_tokens_kernel(float *y, const float *x, const int32_t *len, int64_t b,
                                   int64_t t, int64_t d)
{
    CUDA_EACH(i, b * d)
    {
        int64_t n = len ? len[i / d] : t, j = 0;
        const float *p = x + i / d * t * d + i % d;
        float sum[4] = {0, 0, 0, 0};
        for (; j + 4 <= n; j += 4)
            for (int k = 0; k < 4; k++)
                sum[k] += p[(j + k) * d];
        for (; j < n; j++)
            sum[0] += p[j * d];
        y[i] = n > 0 ? ((sum[0] + sum[1]) + (sum[2] + sum[3])) / (float)n : 0.0f;
    }
}

int cuda_run_mean_tokens(cudaStream_t s, float *y, const float *x, const int32_t *len, int64_t b,
                         int64_t t, int64_t d)
{
    if (b * d == 0)
        return 0;
    return CUDA_LAUNCH(mean_tokens_kernel, cuda_blocks(b * d), CUDA_THREADS, 0, s, y, x, len, b, t,
                       d);
}

/* Rounded at each step, as the reference is: a fused multiply-subtract would give other bits. */
__global__ void normalize_kernel(float *y, const uint8_t *x, int64_t n, cuda_pixels p)
{
    CUDA_EACH(i, n)
    {
        int c = (int)(i % 3);
        y[i] = __fdiv_rn(__fsub_rn(__fmul_rn((float)x[i], p.alpha), p.mean[c]), p.std[c]);
    }
}

int cuda_run_normalize(cudaStream_t s, float *y, const uint8_t *x, int64_t n,
                       const struct cuda_pixels *p)
{
    if (n == 0)
        return 0;
    return CUDA_LAUNCH(normalize_kernel, cuda_blocks(n), CUDA_THREADS, 0, s, y, x, n, *p);
}
