/* The nearest rows of a matrix to some queries: all scores, then the best by segments, whose best
 * are again segments, until one is left. Order is that of one number, a score's bits made
 * comparable above its place's complement, so that of equal scores the first place wins. */
#include "nn/cuda/kernels.cuh"

static const int QUERIES = 4, SEGMENT = 4096, PER = SEGMENT / CUDA_THREADS;

/* 0 stands for nothing, 1 for NaN, and greater is greater. */
static __device__ __forceinline__ uint32_t key_of(float f)
{
    uint32_t u = __float_as_uint(f);
    if (f != f)
        return 1;
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}

static __device__ __forceinline__ float score_of(uint32_t key)
{
    if (key <= 1)
        return __uint_as_float(0x7FC00000u);
    return __uint_as_float(key & 0x80000000u ? key & 0x7FFFFFFFu : ~key);
}

/* A warp a row, for QUERIES queries at once. keys [m, n]: 0 where the row does not count */
template <bool HALF>
__global__ void __launch_bounds__(CUDA_THREADS) nearest_keys_kernel(uint32_t *keys, cuda_nearest a)
{
    const float *q = a.q;
    const void *rows = a.rows;
    int64_t m = a.m, n = a.n, d = a.d;
    CUDA_DYNAMIC_SHARED(float, own); /* the queries */
    int lane = threadIdx.x % 32;
    int64_t q0 = (int64_t)blockIdx.y * QUERIES, step = (int64_t)gridDim.x * (CUDA_THREADS / 32);
    for (int64_t i = threadIdx.x; i < QUERIES * d; i += CUDA_THREADS)
        own[i] = q0 + i / d < m ? q[q0 * d + i] : 0.0f;
    __syncthreads();
    for (int64_t r = (int64_t)blockIdx.x * (CUDA_THREADS / 32) + threadIdx.x / 32; r < n;
         r += step) {
        float sum[QUERIES] = {};
        bool kept = !a.keep || (a.keep[r / 8] >> (r % 8) & 1);
        for (int64_t j = kept ? lane : d; j < d; j += 32) {
            float v = HALF ? __half2float(((const __half *)rows)[r * d + j])
                           : ((const float *)rows)[r * d + j];
            for (int i = 0; i < QUERIES; i++)
                sum[i] += v * own[i * d + j];
        }
        for (int i = 0; i < QUERIES; i++) {
            float all = cuda_warp_sum(sum[i]);
            if (lane == 0 && q0 + i < m)
                keys[(q0 + i) * n + r] = kept ? key_of(all) : 0;
        }
    }
}

struct candidates { /* [m, n] */
    uint32_t *key;
    int32_t *row; /* NULL: their places */
    int64_t n;
};

static __device__ __forceinline__ uint64_t best_of_warp(uint64_t v)
{
    for (int o = 16; o > 0; o /= 2) {
        uint64_t other = __shfl_xor_sync(0xFFFFFFFFu, v, o);
        v = other > v ? other : v;
    }
    return v;
}

/* The k best of each segment, best first; what a short segment lacks has key 0. */
__global__ void __launch_bounds__(CUDA_THREADS)
    nearest_pick_kernel(candidates to, candidates from, int k)
{
    CUDA_SHARED(uint64_t, best, CUDA_THREADS / 32);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int64_t first = (int64_t)blockIdx.x * SEGMENT, query = blockIdx.y;
    uint64_t own[PER];
    for (int i = 0; i < PER; i++) {
        int64_t at = first + threadIdx.x + (int64_t)i * CUDA_THREADS;
        uint32_t key = at < from.n ? from.key[query * from.n + at] : 0;
        own[i] = key ? (uint64_t)key << 32 | (0xFFFFFFFFu - (uint32_t)(at - first)) : 0;
    }
    for (int t = 0; t < k; t++) {
        uint64_t top = 0;
        for (int i = 0; i < PER; i++)
            top = own[i] > top ? own[i] : top;
        top = best_of_warp(top);
        if (lane == 0)
            best[warp] = top;
        __syncthreads();
        top = best_of_warp(lane < CUDA_THREADS / 32 ? best[lane] : 0);
        __syncthreads(); /* all have read before the next turn writes */
        for (int i = 0; i < PER; i++)
            own[i] = own[i] == top ? 0 : own[i];
        if (threadIdx.x == 0) {
            int64_t out = query * to.n + (int64_t)blockIdx.x * k + t;
            int64_t at = first + (int64_t)(0xFFFFFFFFu - (uint32_t)top);
            to.key[out] = (uint32_t)(top >> 32);
            to.row[out] = !top ? 0 : from.row ? from.row[query * from.n + at] : (int32_t)at;
        }
    }
}

__global__ void nearest_tell_kernel(float *score, float *row, candidates from, int64_t n)
{
    CUDA_EACH(i, n)
    {
        score[i] = score_of(from.key[i]);
        row[i] = from.key[i] ? (float)from.row[i] : -1.0f;
    }
}

static int64_t segments(int64_t n)
{
    return (n + SEGMENT - 1) / SEGMENT;
}

/* Keys of all rows, and twice the candidates of the first picking. */
int64_t cuda_nearest_bytes(int64_t m, int64_t n, int64_t k)
{
    return 4 * m * n + 16 * m * segments(n) * k;
}

int cuda_run_nearest(cudaStream_t s, const struct cuda_nearest *a, void *scratch)
{
    int64_t most = a->m * segments(a->n) * a->k;
    candidates all = {(uint32_t *)scratch, NULL, a->n}, part[2];
    part[0].key = all.key + a->m * a->n;
    part[0].row = (int32_t *)(part[0].key + most);
    part[1].key = (uint32_t *)(part[0].row + most);
    part[1].row = (int32_t *)(part[1].key + most);
    int64_t blocks = (a->n + CUDA_THREADS / 32 - 1) / (CUDA_THREADS / 32);
    dim3 grid((unsigned)(blocks < 4096 ? blocks : 4096),
              (unsigned)((a->m + QUERIES - 1) / QUERIES));
    size_t shared = (size_t)(QUERIES * a->d) * sizeof(float);
    int e =
        a->half
            ? CUDA_LAUNCH(nearest_keys_kernel<true>, grid, CUDA_THREADS, shared, s, all.key, *a)
            : CUDA_LAUNCH(nearest_keys_kernel<false>, grid, CUDA_THREADS, shared, s, all.key, *a);
    candidates from = all;
    for (int turn = 0; !e; turn++) {
        int64_t parts = segments(from.n);
        candidates to = part[turn % 2];
        to.n = parts * a->k;
        e = CUDA_LAUNCH(nearest_pick_kernel, dim3((unsigned)parts, (unsigned)a->m), CUDA_THREADS, 0,
                        s, to, from, (int)a->k);
        from = to;
        if (parts == 1)
            break;
    }
    if (e)
        return e;
    return CUDA_LAUNCH(nearest_tell_kernel, cuda_blocks(a->m * a->k), CUDA_THREADS, 0, s, a->score,
                       a->row, from, a->m * a->k);
}
