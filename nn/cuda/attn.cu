/* Attention in f32 (online softmax; Milakov and Gimelshein 2018, Dao et al. 2022). A block takes 16
 * queries of one head, four a warp; keys and then values of a tile pass through one piece of shared
 * memory. For scores a lane is a key, for outputs a lane is every 32nd value of the head. */
#include "nn/cuda/kernels.cuh"

enum { WARPS = 4 };

struct tile {
    const float *from; /* the tile's first row */
    int64_t ld;
    int rows, dh;
};

/* Rows go to distances of dh + 1, so that lanes that read one column do not share a bank. */
template <int KEYS> static __device__ void load_tile(float *to, const tile &t)
{
    for (int i = threadIdx.x; i < KEYS * t.dh; i += WARPS * 32) {
        int row = i / t.dh, j = i % t.dh;
        to[row * (t.dh + 1) + j] = row < t.rows ? t.from[row * t.ld + j] : 0.0f;
    }
}

/* KEYS: of a tile, at most 32; QUERIES: of a warp; PARTS * 32 >= dh. */
template <int KEYS, int QUERIES, int PARTS>
__global__ void __launch_bounds__(WARPS * 32) attn_kernel(cuda_attn a)
{
    CUDA_DYNAMIC_SHARED(float, rows);
    CUDA_SHARED(float, weights, WARPS *QUERIES *KEYS);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, head = blockIdx.y, dh = a.dh;
    int64_t image = blockIdx.z, t0 = ((int64_t)blockIdx.x * WARPS + warp) * QUERIES;
    int64_t last = ((int64_t)blockIdx.x + 1) * WARPS * QUERIES; /* behind the block's queries */
    int64_t len = a.kv_len ? a.kv_len[image] : a.tk, d = (int64_t)a.heads * dh;
    int64_t keys = a.causal && last < len ? last : len;
    const float *q = a.q + (image * a.tq + t0) * a.ld_q + head * dh;
    float acc[QUERIES][PARTS] = {}, max[QUERIES], sum[QUERIES];
    float *p = weights + warp * QUERIES * KEYS; /* of this warp's queries, key by key */
    for (int i = 0; i < QUERIES; i++) {
        max[i] = -INFINITY;
        sum[i] = 0;
    }
    for (int64_t k0 = 0; k0 < keys; k0 += KEYS) {
        int n = (int)(keys - k0 < KEYS ? keys - k0 : KEYS);
        __syncthreads();
        load_tile<KEYS>(rows, tile{a.k + (image * a.tk + k0) * a.ld_k + head * dh, a.ld_k, n, dh});
        __syncthreads();
        for (int i = 0; i < QUERIES; i++) {
            bool seen = lane < n && t0 + i < a.tq && (!a.causal || k0 + lane <= t0 + i);
            float dot = 0;
            for (int j = 0; seen && j < dh; j++)
                dot += q[i * a.ld_q + j] * rows[lane * (dh + 1) + j];
            float score = seen ? dot * a.scale : -INFINITY;
            float top = fmaxf(max[i], cuda_warp_max(score));
            float shrink = top > -INFINITY ? expf(max[i] - top) : 1.0f;
            float weight = seen ? expf(score - top) : 0.0f;
            sum[i] = sum[i] * shrink + cuda_warp_sum(weight);
            max[i] = top;
            if (lane < KEYS)
                p[i * KEYS + lane] = weight;
            for (int k = 0; k < PARTS; k++)
                acc[i][k] *= shrink;
        }
        __syncthreads();
        load_tile<KEYS>(rows, tile{a.v + (image * a.tk + k0) * a.ld_v + head * dh, a.ld_v, n, dh});
        __syncthreads();
        for (int t = 0; t < n; t++)
            for (int i = 0; i < QUERIES; i++) {
                float weight = p[i * KEYS + t];
                for (int k = 0; k < PARTS; k++)
                    if (lane + 32 * k < dh)
                        acc[i][k] += weight * rows[t * (dh + 1) + lane + 32 * k];
            }
    }
    for (int i = 0; i < QUERIES && t0 + i < a.tq; i++)
        for (int k = 0; k < PARTS; k++)
            if (lane + 32 * k < dh)
                a.y[(image * a.tq + t0 + i) * d + head * dh + lane + 32 * k] =
                    sum[i] > 0 ? acc[i][k] / sum[i] : 0.0f;
}

template <int KEYS, int QUERIES, int PARTS> static int run(cudaStream_t s, const cuda_attn *a)
{
    dim3 grid((unsigned)((a->tq + WARPS * QUERIES - 1) / (WARPS * QUERIES)), (unsigned)a->heads,
              (unsigned)a->b);
    size_t shared = (size_t)KEYS * (size_t)(a->dh + 1) * sizeof(float);
    return CUDA_LAUNCH((attn_kernel<KEYS, QUERIES, PARTS>), grid, WARPS * 32, shared, s, *a);
}

/* Tiles are as many keys as 48 KiB take. */
int cuda_run_attention(cudaStream_t s, const struct cuda_attn *a)
{
    if (a->b == 0 || a->tq == 0)
        return 0;
    if (a->dh <= 32)
        return run<32, 4, 1>(s, a);
    if (a->dh <= 64)
        return run<32, 4, 2>(s, a);
    if (a->dh <= 96)
        return run<32, 4, 3>(s, a);
    if (a->dh <= 160)
        return run<32, 4, 5>(s, a);
    if (a->dh <= 256)
        return run<32, 4, 8>(s, a);
    if (a->dh <= 512)
        return run<16, 4, 16>(s, a);
    return run<8, 2, 32>(s, a);
}
