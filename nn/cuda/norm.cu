/* Norms over rows, a warp a row; group norm over channels-last pictures. */
#include "nn/cuda/half.cuh"

enum { ROWS = CUDA_THREADS / 32 }; /* of a block */

static unsigned row_blocks(int64_t rows)
{
    int64_t n = (rows + ROWS - 1) / ROWS;
    return (unsigned)(n < CUDA_MAX_BLOCKS ? n : CUDA_MAX_BLOCKS);
}
#define CUDA_EACH_ROW(i, rows)                                                                     \
    for (int64_t i = (int64_t)blockIdx.x * ROWS + threadIdx.x / 32; i < (rows);                    \
         i += (int64_t)gridDim.x * ROWS)

__global__ void layernorm_kernel(float *y, const float *x, const float *w, const float *b,
                                 float eps, int64_t rows, int64_t d)
{
    int lane = threadIdx.x % 32;
    CUDA_EACH_ROW(i, rows)
    {
        const float *p = x + i * d;
        float sum = 0, var = 0;
        for (int64_t j = lane; j < d; j += 32)
            sum += p[j];
        float mean = cuda_warp_sum(sum) / (float)d, rest = 0;
        for (int64_t j = lane; j < d; j += 32) {
            rest += p[j] - mean;
            var += (p[j] - mean) * (p[j] - mean);
        }
        rest = cuda_warp_sum(rest) / (float)d; /* what rounding the mean has lost */
        float inv = 1.0f / sqrtf(cuda_warp_sum(var) / (float)d - rest * rest + eps);
        for (int64_t j = lane; j < d; j += 32)
            y[i * d + j] = (p[j] - mean - rest) * inv * w[j] + (b ? b[j] : 0.0f);
    }
}

static __device__ __forceinline__ float sum4(float4 v)
{
    return (v.x + v.y) + (v.z + v.w);
}
static __device__ __forceinline__ float4 minus(float4 v, float f)
{
    return make_float4(v.x - f, v.y - f, v.z - f, v.w - f);
}

/* A row stays in registers, so that it is read once; d counts fours, at most 32 * FOURS. */
template <int FOURS>
__global__ void layernorm4_kernel(float *y, uint16_t *low, const float *x, const float *w,
                                  const float *b, float eps, int64_t rows, int d)
{
    int lane = threadIdx.x % 32;
    float n = 4.0f * (float)d;
    CUDA_EACH_ROW(i, rows)
    {
        float4 v[FOURS];
        float sum = 0, rest = 0, var = 0;
#pragma unroll
        for (int k = 0; k < FOURS; k++)
            if (lane + 32 * k < d) {
                v[k] = cuda_load<float4>(x + 4 * (i * d + lane + 32 * k));
                sum += sum4(v[k]);
            }
        float mean = cuda_warp_sum(sum) / n;
#pragma unroll
        for (int k = 0; k < FOURS; k++)
            if (lane + 32 * k < d) {
                float4 u = v[k] = minus(v[k], mean);
                rest += sum4(u);
                var += (u.x * u.x + u.y * u.y) + (u.z * u.z + u.w * u.w);
            }
        rest = cuda_warp_sum(rest) / n; /* what rounding the mean has lost */
        float inv = 1.0f / sqrtf(cuda_warp_sum(var) / n - rest * rest + eps);
#pragma unroll
        for (int k = 0; k < FOURS; k++)
            if (lane + 32 * k < d) {
                int j = 4 * (lane + 32 * k);
                float4 u = minus(v[k], rest), f = cuda_load<float4>(w + j);
                float4 a = b ? cuda_load<float4>(b + j) : make_float4(0, 0, 0, 0);
                cuda_store4(y, low, 4 * i * d + j,
                            make_float4(u.x * inv * f.x + a.x, u.y * inv * f.y + a.y,
                                        u.z * inv * f.z + a.z, u.w * inv * f.w + a.w));
            }
    }
}

int cuda_run_layernorm(cudaStream_t s, float *y, uint16_t *low, const float *x, const float *w,
                       const float *b, float eps, int64_t rows, int64_t d)
{
    if (rows * d == 0)
        return 0;
    bool fours =
        d % 4 == 0 && cuda_aligned(y) && cuda_aligned(x) && cuda_aligned(w) && cuda_aligned(b);
    if (fours && d <= 1024)
        return CUDA_LAUNCH(layernorm4_kernel<8>, row_blocks(rows), CUDA_THREADS, 0, s, y, low, x, w,
                           b, eps, rows, (int)(d / 4));
    if (fours && d <= CUDA_LAYERNORM_LOW)
        return CUDA_LAUNCH(layernorm4_kernel<16>, row_blocks(rows), CUDA_THREADS, 0, s, y, low, x,
                           w, b, eps, rows, (int)(d / 4));
    return CUDA_LAUNCH(layernorm_kernel, row_blocks(rows), CUDA_THREADS, 0, s, y, x, w, b, eps,
                       rows, d);
}

__global__ void l2norm_kernel(float *y, const float *x, float eps, int64_t rows, int64_t d)
{
    int lane = threadIdx.x % 32;
    CUDA_EACH_ROW(i, rows)
    {
        float sum = 0;
        for (int64_t j = lane; j < d; j += 32)
            sum += x[i * d + j] * x[i * d + j];
        float norm = fmaxf(sqrtf(cuda_warp_sum(sum)), eps);
        for (int64_t j = lane; j < d; j += 32)
            y[i * d + j] = x[i * d + j] / norm;
    }
}

int cuda_run_l2norm(cudaStream_t s, float *y, const float *x, float eps, int64_t rows, int64_t d)
{
    if (rows * d == 0)
        return 0;
    return CUDA_LAUNCH(l2norm_kernel, row_blocks(rows), CUDA_THREADS, 0, s, y, x, eps, rows, d);
}

__global__ void softmax_kernel(float *y, const float *x, float scale, int64_t rows, int64_t d)
{
    int lane = threadIdx.x % 32;
    CUDA_EACH_ROW(i, rows)
    {
        float max = -INFINITY, sum = 0;
        for (int64_t j = lane; j < d; j += 32)
            max = fmaxf(max, x[i * d + j] * scale);
        max = cuda_warp_max(max);
        for (int64_t j = lane; j < d; j += 32)
            sum += expf(x[i * d + j] * scale - max);
        float inv = 1.0f / cuda_warp_sum(sum);
        for (int64_t j = lane; j < d; j += 32)
            y[i * d + j] = expf(x[i * d + j] * scale - max) * inv;
    }
}

int cuda_run_softmax(cudaStream_t s, float *y, const float *x, float scale, int64_t rows, int64_t d)
{
    if (rows * d == 0)
        return 0;
    return CUDA_LAUNCH(softmax_kernel, row_blocks(rows), CUDA_THREADS, 0, s, y, x, scale, rows, d);
}

/* Group norm in three steps, as the CPU's: sums per channel over chunks of rows, of differences
 * from the chunk's first row; factors per channel; scaling. */
static int64_t span_of(const struct cuda_gnorm *g)
{
    enum { LEAST = 64, MOST_CHUNKS = 1024 };
    return (g->rows / MOST_CHUNKS + LEAST) / LEAST * LEAST;
}

static int64_t chunks_of(const struct cuda_gnorm *g)
{
    return (g->rows + span_of(g) - 1) / span_of(g);
}

int64_t cuda_gnorm_floats(const struct cuda_gnorm *g)
{
    return 2 * g->images * g->c * (chunks_of(g) + 1);
}

/* sums [images, chunks, 2, c] */
__global__ void gnorm_sums_kernel(float *sums, const float *x, int64_t rows, int64_t span,
                                  int64_t chunks, int64_t c)
{
    int64_t chunk = blockIdx.x, image = blockIdx.y, row0 = chunk * span;
    int64_t n = rows - row0 < span ? rows - row0 : span;
    const float *p = x + (image * rows + row0) * c;
    float *out = sums + (image * chunks + chunk) * 2 * c;
    for (int64_t j = threadIdx.x; j < c; j += blockDim.x) {
        float first = p[j], sum = 0, square = 0;
        for (int64_t i = 1; i < n; i++) {
            float d = p[i * c + j] - first;
            sum += d;
            square += d * d;
        }
        out[j] = sum;
        out[c + j] = square;
    }
}

/* The same, four channels a thread: `across` threads lie beside each other, and each lane of them
 * takes another row. c counts fours. */
__global__ void gnorm_sums4_kernel(float *sums, const float *x, int64_t rows, int64_t span,
                                   int64_t chunks, int c, int across)
{
    CUDA_SHARED(float, part, 8 * CUDA_THREADS);
    int lanes = CUDA_THREADS / across, lane = threadIdx.x / across;
    int j = blockIdx.z * across + threadIdx.x % across;
    int64_t chunk = blockIdx.x, image = blockIdx.y, row0 = chunk * span;
    int64_t n = rows - row0 < span ? rows - row0 : span;
    const float *p = x + 4 * ((image * rows + row0) * c + j);
    float *own = part + 8 * threadIdx.x;
    if (j < c) {
        float4 first = cuda_load<float4>(p), sum = make_float4(0, 0, 0, 0), square = sum;
        for (int i = lane; i < n; i += lanes) {
            float4 v = cuda_load<float4>(p + 4 * (int64_t)i * c);
            v = make_float4(v.x - first.x, v.y - first.y, v.z - first.z, v.w - first.w);
            sum = make_float4(sum.x + v.x, sum.y + v.y, sum.z + v.z, sum.w + v.w);
            square = make_float4(square.x + v.x * v.x, square.y + v.y * v.y, square.z + v.z * v.z,
                                 square.w + v.w * v.w);
        }
        cuda_store(own, sum);
        cuda_store(own + 4, square);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < 8 * across; i += CUDA_THREADS) {
        int channel = 4 * blockIdx.z * across + i % (4 * across), which = i / (4 * across);
        const float *q = part + i % (4 * across) / 4 * 8 + 4 * which + i % 4;
        float all = 0;
        for (int k = 0; k < lanes; k++)
            all += q[8 * k * across];
        if (channel < 4 * c)
            sums[((image * chunks + chunk) * 2 + which) * 4 * c + channel] = all;
    }
}

/* Threads beside each other, so that few of them lie behind the last channel. */
static int across_of(int64_t fours)
{
    int best = 16;
    for (int n = 16; n <= CUDA_THREADS; n *= 2)
        if ((fours + n - 1) / n * n <= (fours + best - 1) / best * best)
            best = n;
    return best;
}

struct moments {
    double n, mean, m2;
};

/* Chan, Golub and LeVeque's formula. */
static __device__ void moments_add(moments &m, double n, double mean, double m2)
{
    double all = m.n + n, d = mean - m.mean;
    if (n == 0)
        return;
    m.mean += d * n / all;
    m.m2 += m2 + d * d * m.n * n / all;
    m.n = all;
}

static __device__ moments moments_over_warp(moments m)
{
    for (int o = 16; o > 0; o /= 2) {
        double n = __shfl_xor_sync(0xFFFFFFFFu, m.n, o);
        double mean = __shfl_xor_sync(0xFFFFFFFFu, m.mean, o);
        double m2 = __shfl_xor_sync(0xFFFFFFFFu, m.m2, o);
        moments_add(m, n, mean, m2);
    }
    return m;
}

/* A block a group: factors [images, 2, c] are each channel's scale and shift. */
__global__ void gnorm_factors_kernel(float *factors, const float *sums, const float *x,
                                     const float *e, const float *w, const float *b, int64_t rows,
                                     int64_t span, int64_t chunks, int64_t c, int groups, float eps)
{
    CUDA_SHARED(moments, warp, ROWS);
    int64_t group = blockIdx.x, image = blockIdx.y, width = c / groups, j0 = group * width;
    int lane = threadIdx.x % 32;
    moments m = {0, 0, 0};
    for (int64_t i = threadIdx.x; i < chunks * width; i += CUDA_THREADS) {
        int64_t chunk = i / width, j = j0 + i % width, row0 = chunk * span;
        int64_t at = (image * chunks + chunk) * 2 * c + j;
        double n = (double)(rows - row0 < span ? rows - row0 : span), sum = sums[at] / n;
        double first = (double)x[(image * rows + row0) * c + j] + (e ? e[image * c + j] : 0.0f);
        moments_add(m, n, first + sum, sums[at + c] - sum * sum * n);
    }
    m = moments_over_warp(m);
    if (lane == 0)
        warp[threadIdx.x / 32] = m;
    __syncthreads();
    m = {0, 0, 0};
    for (int i = 0; i < ROWS; i++)
        moments_add(m, warp[i].n, warp[i].mean, warp[i].m2);
    double mean = m.mean, inv = 1.0 / sqrt(m.m2 / m.n + (double)eps);
    for (int64_t j = j0 + threadIdx.x; j < j0 + width; j += CUDA_THREADS) {
        double scale = inv * w[j];
        factors[image * 2 * c + j] = (float)scale;
        factors[(image * 2 + 1) * c + j] =
            (float)(((e ? (double)e[image * c + j] : 0.0) - mean) * scale + b[j]);
    }
}

__global__ void gnorm_apply_kernel(float *y, const float *x, const float *factors, int64_t n,
                                   int64_t rows, int64_t c, int act)
{
    CUDA_EACH(i, n)
    {
        const float *f = factors + i / (rows * c) * 2 * c + i % c;
        y[i] = cuda_act_any(x[i] * f[0] + f[c], act);
    }
}

/* n and c count fours of one picture. */
template <int ACT>
__global__ void gnorm_apply4_kernel(float *y, uint16_t *low, const float *x, const float *factors,
                                    unsigned n, unsigned c)
{
    int64_t image = blockIdx.y;
    CUDA_EACH(i, n)
    {
        const float *f = factors + 4 * (image * 2 * c + (unsigned)i % c);
        int64_t at = 4 * (image * n + i);
        float4 v = cuda_load<float4>(x + at), u = cuda_load<float4>(f);
        float4 b = cuda_load<float4>(f + 4 * c);
        cuda_store4(y, low, at,
                    make_float4(cuda_act<ACT>(v.x * u.x + b.x), cuda_act<ACT>(v.y * u.y + b.y),
                                cuda_act<ACT>(v.z * u.z + b.z), cuda_act<ACT>(v.w * u.w + b.w)));
    }
}

static int gnorm_apply(cudaStream_t s, const struct cuda_gnorm *g, const float *factors)
{
    int64_t one = g->rows * g->c, n = g->images * one;
    bool fours = g->c % 4 == 0 && cuda_small(one) && cuda_aligned(g->x) && cuda_aligned(g->y);
    dim3 grid(cuda_blocks(one / 4), (unsigned)g->images);
    unsigned n4 = (unsigned)(one / 4), c4 = (unsigned)(g->c / 4);
    if (fours && g->act == ACT_SILU)
        return CUDA_LAUNCH(gnorm_apply4_kernel<ACT_SILU>, grid, CUDA_THREADS, 0, s, g->y, g->low,
                           g->x, factors, n4, c4);
    if (fours && g->act == ACT_NONE)
        return CUDA_LAUNCH(gnorm_apply4_kernel<ACT_NONE>, grid, CUDA_THREADS, 0, s, g->y, g->low,
                           g->x, factors, n4, c4);
    return CUDA_LAUNCH(gnorm_apply_kernel, cuda_blocks(n), CUDA_THREADS, 0, s, g->y, g->x, factors,
                       n, g->rows, g->c, (int)g->act);
}

static int gnorm_sums(cudaStream_t s, const struct cuda_gnorm *g)
{
    unsigned chunks = (unsigned)chunks_of(g), images = (unsigned)g->images;
    if (g->c % 4 || !cuda_aligned(g->x) || !cuda_aligned(g->sums))
        return CUDA_LAUNCH(gnorm_sums_kernel, dim3(chunks, images), CUDA_THREADS, 0, s, g->sums,
                           g->x, g->rows, span_of(g), (int64_t)chunks, g->c);
    int across = across_of(g->c / 4);
    unsigned groups = (unsigned)((g->c / 4 + across - 1) / across);
    return CUDA_LAUNCH(gnorm_sums4_kernel, dim3(chunks, images, groups), CUDA_THREADS, 0, s,
                       g->sums, g->x, g->rows, span_of(g), (int64_t)chunks, (int)(g->c / 4),
                       across);
}

int cuda_run_groupnorm(cudaStream_t s, const struct cuda_gnorm *g)
{
    int64_t n = g->images * g->rows * g->c, chunks = chunks_of(g);
    float *factors = g->sums + 2 * g->images * g->c * chunks;
    if (n == 0)
        return 0;
    dim3 pairs((unsigned)g->groups, (unsigned)g->images);
    int e = gnorm_sums(s, g);
    if (!e)
        e = CUDA_LAUNCH(gnorm_factors_kernel, pairs, CUDA_THREADS, 0, s, factors, g->sums, g->x,
                        g->e, g->w, g->b, g->rows, span_of(g), chunks, g->c, g->groups, g->eps);
    return e ? e : gnorm_apply(s, g, factors);
}
