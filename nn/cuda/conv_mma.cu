/* Convolutions on tensor cores: the implicit matrix product of conv.cu with bf16 or f16 factors
 * and f32 sums. Both factors come by cp.async, eight channels a time, into one of two places while
 * the other is used; what lies outside the picture is filled with zeros by the copy itself. A block
 * makes 128 pixels x 64 outputs, a warp 32 x 64. */
#include "nn/cuda/half.cuh"

static const int PIXELS = 128, OUTPUTS = 64, DEPTH = 32, LD = DEPTH + 8, THREADS = 128;
static const int ROWS = THREADS / (DEPTH / 8); /* of a tile that all threads fetch at once */

struct low_conv {
    cuda_conv a;
    const uint16_t *x, *w; /* [b, h, width, c] and [n, kh, kw, c] */
};

struct origin {
    int image, top, left;
    bool in;
};

static __device__ __forceinline__ origin origin_of(const cuda_conv &a, int64_t pixel)
{
    int64_t row = pixel / a.wo;
    origin o;
    o.in = pixel < (int64_t)a.b * a.ho * a.wo;
    o.image = (int)(row / a.ho);
    o.top = (int)(row % a.ho) * a.stride - a.top;
    o.left = (int)(pixel % a.wo) * a.stride - a.left;
    return o;
}

static __device__ __forceinline__ int wrapped(int i, int n)
{
    i %= n;
    return i < 0 ? i + n : i;
}

/* Channels k .. k + 7 of a patch, k over [kh, kw, c]. */
static __device__ __forceinline__ void fetch_patch(uint16_t *to, const low_conv &l, const origin &o,
                                                   int k, int depth)
{
    int c = k % l.a.c, tap = k / l.a.c, y = o.top + tap / l.a.kw, x = o.left + tap % l.a.kw;
    if (l.a.circular) {
        y = wrapped(y, l.a.h);
        x = wrapped(x, l.a.width);
    }
    bool in = o.in && k < depth && y >= 0 && y < l.a.h && x >= 0 && x < l.a.width;
    int64_t at = (((int64_t)o.image * l.a.h + y) * l.a.width + x) * l.a.c + c;
    cp_async16(to, in ? l.x + at : l.x, in ? 16 : 0);
}

template <bool F16> __global__ void __launch_bounds__(THREADS) conv_mma_kernel(low_conv l)
{
    CUDA_SHARED(uint16_t, left, 2 * PIXELS * LD);
    CUDA_SHARED(uint16_t, right, 2 * OUTPUTS * LD);
    const cuda_conv &a = l.a;
    int depth = a.kh * a.kw * a.c, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int row = threadIdx.x / (DEPTH / 8), col = threadIdx.x % (DEPTH / 8) * 8; /* fetched */
    int64_t m0 = (int64_t)blockIdx.x * PIXELS, pixels = (int64_t)a.b * a.ho * a.wo;
    int n0 = blockIdx.y * OUTPUTS;
    origin from[PIXELS / ROWS];
    float acc[2][OUTPUTS / 8][4] = {};
#pragma unroll
    for (int i = 0; i < PIXELS / ROWS; i++)
        from[i] = origin_of(a, m0 + row + i * ROWS);
    for (int k0 = -DEPTH; k0 < depth; k0 += DEPTH) { /* the first turn only fetches */
        int now = k0 / DEPTH & 1, next = 1 - now;
        cp_async_wait<0>();
        __syncthreads(); /* this tile is there, and nobody reads the one before it any more */
        if (k0 + DEPTH < depth) {
            int k = k0 + DEPTH + col;
#pragma unroll
            for (int i = 0; i < PIXELS / ROWS; i++)
                fetch_patch(left + (next * PIXELS + row + i * ROWS) * LD + col, l, from[i], k,
                            depth);
#pragma unroll
            for (int i = 0; i < OUTPUTS / ROWS; i++) {
                int n = n0 + row + i * ROWS;
                bool in = n < a.n && k < depth;
                cp_async16(right + (next * OUTPUTS + row + i * ROWS) * LD + col,
                           in ? l.w + (int64_t)n * depth + k : l.w, in ? 16 : 0);
            }
            cp_async_commit();
        }
        if (k0 < 0)
            continue;
#pragma unroll
        for (int k = 0; k < DEPTH; k += 16) {
            uint32_t fa[2][4];
#pragma unroll
            for (int i = 0; i < 2; i++)
                ldmatrix_x4(fa[i], left + (now * PIXELS + warp * 32 + i * 16 + lane % 16) * LD + k +
                                       lane / 16 * 8);
#pragma unroll
            for (int n = 0; n < OUTPUTS / 16; n++) {
                uint32_t fb[4];
                int r = n * 16 + lane / 16 * 8 + lane % 8;
                ldmatrix_x4(fb, right + (now * OUTPUTS + r) * LD + k + lane / 8 % 2 * 8);
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    cuda_mma<F16>(acc[i][2 * n], fa[i], fb);
                    cuda_mma<F16>(acc[i][2 * n + 1], fa[i], fb + 2);
                }
            }
        }
    }
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int n = 0; n < OUTPUTS / 8; n++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                int64_t m = m0 + warp * 32 + i * 16 + lane / 4 + 8 * (j / 2);
                int o = n0 + n * 8 + lane % 4 * 2 + j % 2;
                if (m < pixels && o < a.n) {
                    float v = acc[i][n][j] + (a.bias ? a.bias[o] : 0.0f);
                    a.y[m * a.n + o] = cuda_act_any(v, (int)a.act);
                }
            }
}

int cuda_run_conv_low(cudaStream_t s, const struct cuda_conv *a, const void *x, const void *w)
{
    int64_t pixels = (int64_t)a->b * a->ho * a->wo;
    if (pixels * a->n == 0)
        return 0;
    low_conv l = {*a, (const uint16_t *)x, (const uint16_t *)w};
    dim3 grid((unsigned)((pixels + PIXELS - 1) / PIXELS),
              (unsigned)((a->n + OUTPUTS - 1) / OUTPUTS));
    return a->f16 ? CUDA_LAUNCH(conv_mma_kernel<true>, grid, THREADS, 0, s, l)
                  : CUDA_LAUNCH(conv_mma_kernel<false>, grid, THREADS, 0, s, l);
}
