/* Norms over rows, a warp a row; group norm over channels-last pictures. */
#include "nn/cuda/kernels.cuh"

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

int cuda_run_layernorm(cudaStream_t s, float *y, const float *x, const float *w, const float *b,
                       float eps, int64_t rows, int64_t d)
{
    if (rows * d == 0)
        return 0;
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
static const int64_t CHUNK = 64;

static int64_t chunks_of(const struct cuda_gnorm *g)
{
    return (g->rows + CHUNK - 1) / CHUNK;
}

int64_t cuda_gnorm_floats(const struct cuda_gnorm *g)
{
    return 2 * g->images * g->c * (chunks_of(g) + 1);
}

/* sums [images, chunks, 2, c] */
__global__ void gnorm_sums_kernel(float *sums, const float *x, int64_t rows, int64_t chunks,
                                  int64_t c)
{
    int64_t chunk = blockIdx.x, image = blockIdx.y, row0 = chunk * CHUNK;
    int64_t n = rows - row0 < CHUNK ? rows - row0 : CHUNK;
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

/* A warp a group: factors [images, 2, c] are each channel's scale and shift. */
__global__ void gnorm_factors_kernel(float *factors, const float *sums, const float *x,
                                     const float *e, const float *w, const float *b, int64_t rows,
                                     int64_t chunks, int64_t c, int groups, float eps)
{
    int64_t group = blockIdx.x, image = blockIdx.y, width = c / groups, j0 = group * width;
    int lane = threadIdx.x;
    moments m = {0, 0, 0};
    for (int64_t i = lane; i < chunks * width; i += 32) {
        int64_t chunk = i / width, j = j0 + i % width, row0 = chunk * CHUNK;
        int64_t at = (image * chunks + chunk) * 2 * c + j;
        double n = (double)(rows - row0 < CHUNK ? rows - row0 : CHUNK), sum = sums[at] / n;
        double first = (double)x[(image * rows + row0) * c + j] + (e ? e[image * c + j] : 0.0f);
        moments_add(m, n, first + sum, sums[at + c] - sum * sum * n);
    }
    for (int o = 16; o > 0; o /= 2) {
        double n = __shfl_xor_sync(0xFFFFFFFFu, m.n, o);
        double mean = __shfl_xor_sync(0xFFFFFFFFu, m.mean, o);
        double m2 = __shfl_xor_sync(0xFFFFFFFFu, m.m2, o);
        moments_add(m, n, mean, m2);
    }
    /* Lanes added in other orders: all take the first one's word. */
    double mean = __shfl_sync(0xFFFFFFFFu, m.mean, 0);
    double var = __shfl_sync(0xFFFFFFFFu, m.m2 / m.n, 0);
    double inv = 1.0 / sqrt(var + (double)eps);
    for (int64_t j = j0 + lane; j < j0 + width; j += 32) {
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

int cuda_run_groupnorm(cudaStream_t s, const struct cuda_gnorm *g)
{
    int64_t n = g->images * g->rows * g->c, chunks = chunks_of(g);
    float *factors = g->sums + 2 * g->images * g->c * chunks;
    if (n == 0)
        return 0;
    dim3 parts((unsigned)chunks, (unsigned)g->images),
        pairs((unsigned)g->groups, (unsigned)g->images);
    int e = CUDA_LAUNCH(gnorm_sums_kernel, parts, CUDA_THREADS, 0, s, g->sums, g->x, g->rows,
                        chunks, g->c);
    if (!e)
        e = CUDA_LAUNCH(gnorm_factors_kernel, pairs, 32, 0, s, factors, g->sums, g->x, g->e, g->w,
                        g->b, g->rows, chunks, g->c, g->groups, g->eps);
    if (!e)
        e = CUDA_LAUNCH(gnorm_apply_kernel, cuda_blocks(n), CUDA_THREADS, 0, s, g->y, g->x, factors,
                        n, g->rows, g->c, (int)g->act);
    return e;
}
