/* Rows in 8 bits and back, as nn/cpu/gemm_low.h defines them: q = round(x * 127 / max|x|), and the
 * scale max|x| / 127. Rounded at each step as the reference is, so that the bytes are the same. */
#include "nn/cuda/kernels.cuh"

/* A warp a row; bytes from k to ld become zeros. */
__global__ void quantize_kernel(int8_t *q, int64_t ld, float *scale, const float *x, int64_t rows,
                                int64_t k)
{
    int lane = threadIdx.x % 32;
    int64_t step = (int64_t)gridDim.x * (CUDA_THREADS / 32);
    for (int64_t i = (int64_t)blockIdx.x * (CUDA_THREADS / 32) + threadIdx.x / 32; i < rows;
         i += step) {
        const float *p = x + i * k;
        float most = 0;
        for (int64_t j = lane; j < k; j += 32)
            most = fmaxf(most, fabsf(p[j]));
        most = cuda_warp_max(most);
        float back = most > 0 ? __fdiv_rn(127.0f, most) : 0.0f;
        for (int64_t j = lane; j < ld; j += 32) {
            float v = j < k ? rintf(__fmul_rn(p[j], back)) : 0.0f;
            q[i * ld + j] = (int8_t)fminf(fmaxf(v, -127.0f), 127.0f);
        }
        if (lane == 0)
            scale[i] = __fdiv_rn(most, 127.0f);
    }
}

int cuda_run_quantize(cudaStream_t s, int8_t *q, int64_t ld, float *scale, const float *x,
                      int64_t rows, int64_t k)
{
    int64_t blocks = (rows + CUDA_THREADS / 32 - 1) / (CUDA_THREADS / 32);
    if (rows == 0)
        return 0;
    return CUDA_LAUNCH(quantize_kernel,
                       (unsigned)(blocks < CUDA_MAX_BLOCKS ? blocks : CUDA_MAX_BLOCKS),
                       CUDA_THREADS, 0, s, q, ld, scale, x, rows, k);
}

__global__ void spread_bytes_kernel(int8_t *y, int64_t ld, const int8_t *x, int64_t n, int64_t k)
{
    CUDA_EACH(i, n)
    {
        y[i] = i % ld < k ? x[i / ld * k + i % ld] : (int8_t)0;
    }
}

int cuda_run_spread_bytes(cudaStream_t s, int8_t *y, int64_t ld, const int8_t *x, int64_t rows,
                          int64_t k)
{
    if (rows * ld == 0)
        return 0;
    return CUDA_LAUNCH(spread_bytes_kernel, cuda_blocks(rows * ld), CUDA_THREADS, 0, s, y, ld, x,
                       rows * ld, k);
}

__global__ void dequantize_kernel(cuda_int8 a, int64_t count)
{
    CUDA_EACH(i, count)
    {
        int64_t row = i / a.n, col = i % a.n;
        float v = (float)a.sum[row * a.ld + col] * __fmul_rn(a.scale_x[row], a.scale_w[col]);
        v = cuda_act_any(v + (a.bias ? a.bias[col] : 0.0f), (int)a.act);
        a.y[i] = a.r ? v + a.r[i] : v;
    }
}

int cuda_run_dequantize(cudaStream_t s, const struct cuda_int8 *a)
{
    if (a->m * a->n == 0)
        return 0;
    return CUDA_LAUNCH(dequantize_kernel, cuda_blocks(a->m * a->n), CUDA_THREADS, 0, s, *a,
                       a->m * a->n);
}
