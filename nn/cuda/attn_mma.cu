/* Attention on tensor cores: bf16 or f16 factors, f32 sums and softmax (FlashAttention-2; Dao
 * 2023). A block takes 64 queries of one head, 16 a warp. Queries stay in registers; tiles of keys
 * and values come by cp.async into one of two places while the other is used. The scores'
 * accumulator fragments are, rounded, the left factor's fragments of the second product: nothing of
 * them is written. */
#include "nn/cuda/half.cuh"

static const int WARPS = 4, ROWS = 16 * WARPS;

/* [b, t, heads * dh] f32, rows ld apart, to [b, heads, t, width] of 16 bits; zeros behind dh. */
template <bool F16>
__global__ void split_heads_kernel(uint16_t *y, const float *x, int64_t ld, int64_t n, int64_t t,
                                   int heads, int dh, int width)
{
    CUDA_EACH(i, n)
    {
        int j = (int)(i % width);
        int64_t row = i / width, at = row % t, head = row / t % heads, image = row / t / heads;
        float f = j < dh ? x[(image * t + at) * ld + head * dh + j] : 0.0f;
        y[i] = cuda_half<F16>(f);
    }
}

/* The same, eight at a time: width and dh are multiples of 8, n counts eights of y. */
template <bool F16>
__global__ void split_heads8_kernel(uint16_t *y, const float *x, int64_t ld, unsigned n, unsigned t,
                                    unsigned heads, unsigned dh, unsigned width)
{
    CUDA_EACH(i, n)
    {
        unsigned parts = width / 8, j = (unsigned)i % parts * 8, row = (unsigned)i / parts;
        unsigned at = row % t, head = row / t % heads, image = row / t / heads;
        const float *from = x + ((int64_t)image * t + at) * ld + head * dh + j;
        cuda_store(y + 8 * i, j < dh ? cuda_eight<F16>(from) : uint4{0, 0, 0, 0});
    }
}

/* A factor [b, t, heads * dh], or split into [b, heads, t, width]. */
struct low_rows {
    const uint16_t *p;
    int64_t image, head, row; /* distances */
};

/* n rows of DH values to shared memory, at distances of DH + 8: eight rows 16 bytes each then lie
 * in eight different groups of banks. Rows from `rows` and values from `dh` on become zeros. */
template <int DH>
static __device__ __forceinline__ void fetch(uint16_t *to, const uint16_t *from, int64_t ld, int dh,
                                             int n, int64_t rows)
{
    const int parts = DH / 8;
    for (int i = threadIdx.x; i < n * parts; i += WARPS * 32) {
        int row = i / parts, j = i % parts * 8;
        bool in = row < rows && j < dh;
        cp_async16(to + row * (DH + 8) + j, in ? from + row * ld + j : from, in ? 16 : 0);
    }
}

/* Over the four lanes that hold a row. */
static __device__ __forceinline__ float quad_max(float v)
{
    v = fmaxf(v, __shfl_xor_sync(0xFFFFFFFFu, v, 1));
    return fmaxf(v, __shfl_xor_sync(0xFFFFFFFFu, v, 2));
}
static __device__ __forceinline__ float quad_sum(float v)
{
    v += __shfl_xor_sync(0xFFFFFFFFu, v, 1);
    return v + __shfl_xor_sync(0xFFFFFFFFu, v, 2);
}

struct low_attn {
    low_rows q, k, v;
    cuda_attn a;
};

template <bool F16, int DH, int KEYS>
__global__ void __launch_bounds__(128) attn_mma_kernel(low_attn low)
{
    CUDA_DYNAMIC_SHARED(uint16_t, shared);
    const cuda_attn &a = low.a;
    const int ld = DH + 8;
    uint16_t *sq = shared, *sk = sq + ROWS * ld, *sv = sk + 2 * KEYS * ld;
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
    int64_t image = blockIdx.z, head = blockIdx.y, t0 = (int64_t)blockIdx.x * ROWS;
    int64_t len = a.kv_len ? a.kv_len[blockIdx.z] : a.tk;
    int64_t keys = a.causal && t0 + ROWS < len ? t0 + ROWS : len;
    const uint16_t *q = low.q.p + image * low.q.image + head * low.q.head + t0 * low.q.row;
    const uint16_t *k = low.k.p + image * low.k.image + head * low.k.head;
    const uint16_t *v = low.v.p + image * low.v.image + head * low.v.head;
    float scale = a.scale * 1.44269504088896340736f; /* of powers of 2 */
    float out[DH / 8][4] = {}, max[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
    uint32_t fq[DH / 16][4];

    fetch<DH>(sq, q, low.q.row, a.dh, ROWS, a.tq - t0);
    fetch<DH>(sk, k, low.k.row, a.dh, KEYS, keys);
    fetch<DH>(sv, v, low.v.row, a.dh, KEYS, keys);
    cp_async_commit();
    for (int64_t k0 = 0; k0 < keys || k0 == 0; k0 += KEYS) {
        int now = (int)(k0 / KEYS % 2), next = 1 - now;
        cp_async_wait<0>();
        __syncthreads(); /* this tile is there, and nobody reads the one before it any more */
        if (k0 + KEYS < keys) {
            fetch<DH>(sk + next * KEYS * ld, k + (k0 + KEYS) * low.k.row, low.k.row, a.dh, KEYS,
                      keys - k0 - KEYS);
            fetch<DH>(sv + next * KEYS * ld, v + (k0 + KEYS) * low.v.row, low.v.row, a.dh, KEYS,
                      keys - k0 - KEYS);
            cp_async_commit();
        }
        if (k0 == 0)
            for (int i = 0; i < DH / 16; i++)
                ldmatrix_x4(fq[i], sq + (warp * 16 + lane % 16) * ld + i * 16 + lane / 16 * 8);
        const uint16_t *tk = sk + now * KEYS * ld, *tv = sv + now * KEYS * ld;
        float s[KEYS / 8][4] = {};
#pragma unroll
        for (int n = 0; n < KEYS / 16; n++)
#pragma unroll
            for (int i = 0; i < DH / 16; i++) {
                uint32_t b[4];
                int row = n * 16 + lane / 16 * 8 + lane % 8, col = i * 16 + lane / 8 % 2 * 8;
                ldmatrix_x4(b, tk + row * ld + col);
                cuda_mma<F16>(s[2 * n], fq[i], b);
                cuda_mma<F16>(s[2 * n + 1], fq[i], b + 2);
            }
        if (k0 + KEYS > keys || (a.causal && k0 + KEYS > t0 + warp * 16)) { /* some are not seen */
            int64_t seen = keys - k0, query = t0 + warp * 16 + g - k0;
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    int key = n * 8 + 2 * t + i % 2;
                    if (key >= seen || (a.causal && key > query + 8 * (i / 2)))
                        s[n][i] = -INFINITY;
                }
        }
#pragma unroll
        for (int half = 0; half < 2; half++) { /* rows g and g + 8 */
            float top = max[half];
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
                top = fmaxf(top, fmaxf(s[n][2 * half], s[n][2 * half + 1]));
            top = quad_max(top);
            float base = top > -INFINITY ? top * scale : 0.0f, part = 0;
            float shrink = cuda_exp2(max[half] * scale - base);
            max[half] = top;
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    float &score = s[n][2 * half + i];
                    score = cuda_exp2(score * scale - base);
                    part += score;
                }
            sum[half] = sum[half] * shrink + part; /* this lane's part of the row */
#pragma unroll
            for (int n = 0; n < DH / 8; n++) {
                out[n][2 * half] *= shrink;
                out[n][2 * half + 1] *= shrink;
            }
        }
#pragma unroll
        for (int n = 0; n < KEYS / 16; n++) {
            uint32_t p[4] = {cuda_halves<F16>(s[2 * n][0], s[2 * n][1]),
                             cuda_halves<F16>(s[2 * n][2], s[2 * n][3]),
                             cuda_halves<F16>(s[2 * n + 1][0], s[2 * n + 1][1]),
                             cuda_halves<F16>(s[2 * n + 1][2], s[2 * n + 1][3])};
#pragma unroll
            for (int i = 0; i < DH / 16; i++) {
                uint32_t b[4];
                int row = n * 16 + lane % 16, col = i * 16 + lane / 16 * 8;
                ldmatrix_x4_trans(b, tv + row * ld + col);
                cuda_mma<F16>(out[2 * i], p, b);
                cuda_mma<F16>(out[2 * i + 1], p, b + 2);
            }
        }
    }
    for (int half = 0; half < 2; half++) {
        int64_t query = t0 + warp * 16 + g + 8 * half;
        float all = quad_sum(sum[half]), inv = all > 0 ? 1.0f / all : 0.0f;
        int64_t at = ((image * a.tq + query) * a.heads + head) * a.dh;
        for (int n = 0; n < DH / 8 && query < a.tq; n++) {
            float left = out[n][2 * half] * inv, right = out[n][2 * half + 1] * inv;
            int j = n * 8 + 2 * t;
            if (a.low_y && j < a.dh) /* heads of even widths */
                cuda_store(a.low_y + at + j, cuda_halves<false>(left, right));
            else if (j < a.dh)
                a.y[at + j] = left;
            if (!a.low_y && j + 1 < a.dh)
                a.y[at + j + 1] = right;
        }
    }
}

template <bool F16, int DH, int KEYS> static int run(cudaStream_t s, const low_attn &low)
{
    const cuda_attn &a = low.a;
    dim3 grid((unsigned)((a.tq + ROWS - 1) / ROWS), (unsigned)a.heads, (unsigned)a.b);
    int shared = (ROWS + 4 * KEYS) * (DH + 8) * 2;
    int e = shared > 48 << 10 ? CUDA_ALLOW_SHARED((attn_mma_kernel<F16, DH, KEYS>), shared) : 0;
    return e ? e
             : CUDA_LAUNCH((attn_mma_kernel<F16, DH, KEYS>), grid, WARPS * 32, (size_t)shared, s,
                           low);
}

/* The width that heads of dh values are padded to; 0: too wide. */
static int padded(int dh)
{
    static const int widths[] = {32, 48, 64, 80, 96, 128, 160};
    for (int w : widths)
        if (dh <= w)
            return w;
    return 0;
}

bool cuda_attn_reads_low(const struct cuda_attn *a)
{
    return padded(a->dh) && a->dh % 8 == 0 && a->ld_q % 8 == 0 && a->ld_k % 8 == 0 &&
           a->ld_v % 8 == 0 && cuda_aligned(a->low[0]) && cuda_aligned(a->low[1]) &&
           cuda_aligned(a->low[2]);
}

int64_t cuda_attn_low_bytes(const struct cuda_attn *a)
{
    return 2 * a->b * a->heads * (a->tq + 2 * a->tk) * padded(a->dh);
}

template <bool F16>
static int split(cudaStream_t s, uint16_t *y, const float *x, int64_t ld, int64_t t,
                 const cuda_attn *a, int width)
{
    int64_t n = a->b * a->heads * t * width;
    if (n == 0)
        return 0;
    if (a->dh % 8 == 0 && ld % 4 == 0 && cuda_small(n) && cuda_aligned(y) && cuda_aligned(x))
        return CUDA_LAUNCH(split_heads8_kernel<F16>, cuda_blocks(n / 8), CUDA_THREADS, 0, s, y, x,
                           ld, (unsigned)(n / 8), (unsigned)t, (unsigned)a->heads, (unsigned)a->dh,
                           (unsigned)width);
    return CUDA_LAUNCH(split_heads_kernel<F16>, cuda_blocks(n), CUDA_THREADS, 0, s, y, x, ld, n, t,
                       a->heads, a->dh, width);
}

template <bool F16> static int run_low(cudaStream_t s, const cuda_attn *a, void *scratch)
{
    int width = padded(a->dh);
    int64_t dh = a->dh, n = a->heads * (int64_t)width;
    low_attn low = {{a->low[0], a->tq * a->ld_q, dh, a->ld_q},
                    {a->low[1], a->tk * a->ld_k, dh, a->ld_k},
                    {a->low[2], a->tk * a->ld_v, dh, a->ld_v},
                    *a};
    if (a->b == 0 || a->tq == 0)
        return 0;
    int e = 0;
    if (!a->low[0]) {
        uint16_t *q = (uint16_t *)scratch, *k = q + a->b * a->tq * n, *v = k + a->b * a->tk * n;
        e = split<F16>(s, q, a->q, a->ld_q, a->tq, a, width);
        if (!e)
            e = split<F16>(s, k, a->k, a->ld_k, a->tk, a, width);
        if (!e)
            e = split<F16>(s, v, a->v, a->ld_v, a->tk, a, width);
        low.q = {q, a->tq * n, a->tq * width, width};
        low.k = {k, a->tk * n, a->tk * width, width};
        low.v = {v, a->tk * n, a->tk * width, width};
    }
    if (e)
        return e;
    switch (width) {
    case 32:
        return run<F16, 32, 64>(s, low);
    case 48:
        return run<F16, 48, 32>(s, low);
    case 64:
        return run<F16, 64, 64>(s, low);
    case 80:
        return run<F16, 80, 32>(s, low);
    case 96:
        return run<F16, 96, 32>(s, low);
    case 128:
        return run<F16, 128, 32>(s, low);
    default:
        return run<F16, 160, 32>(s, low);
    }
}

int cuda_run_attention_low(cudaStream_t s, const struct cuda_attn *a, void *scratch)
{
    return a->f16 ? run_low<true>(s, a, scratch) : run_low<false>(s, a, scratch);
}
