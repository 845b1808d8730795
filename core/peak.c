/* The machine's limits. Surprising: they are measured with the same clock as what is compared with
 * them, so that other programs' load falls on both sides. */
#include "core/peak.h"
#include "core/mem.h"
#include "core/progress.h"
#include <immintrin.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 20, CHAIN = 200000, COPIED = 64 << 20, PARTS = 64 };

double peak_clock(const struct pool *pool)
{
    struct timespec t;
    if (pool_threads(pool) > 1)
        return time_now();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Ten chains hide the latency of four cycles at two a cycle. */
__attribute__((target("avx512f"))) static float chain_avx512(void)
{
    __m512 a[10], s = _mm512_set1_ps(0.999f), t = _mm512_set1_ps(0.001f);
    for (int i = 0; i < 10; i++)
        a[i] = _mm512_set1_ps((float)i);
    for (int r = 0; r < CHAIN; r++)
#pragma GCC unroll 10
        for (int i = 0; i < 10; i++)
            a[i] = _mm512_fmadd_ps(a[i], s, t);
    for (int i = 1; i < 10; i++)
        a[0] = _mm512_add_ps(a[0], a[i]);
    return _mm512_reduce_add_ps(a[0]);
}

__attribute__((target("avx2,fma"))) static float chain_avx2(void)
{
    __m256 a[10], s = _mm256_set1_ps(0.999f), t = _mm256_set1_ps(0.001f);
    for (int i = 0; i < 10; i++)
        a[i] = _mm256_set1_ps((float)i);
    for (int r = 0; r < CHAIN; r++)
#pragma GCC unroll 10
        for (int i = 0; i < 10; i++)
            a[i] = _mm256_fmadd_ps(a[i], s, t);
    for (int i = 1; i < 10; i++)
        a[0] = _mm256_add_ps(a[0], a[i]);
    return _mm256_cvtss_f32(a[0]);
}

__attribute__((target("avx512f,avx512bf16"))) static float chain_bf16(void)
{
    __m512 a[10], s = _mm512_set1_ps(0.999f);
    for (int i = 0; i < 10; i++)
        a[i] = _mm512_set1_ps((float)i);
    for (int r = 0; r < CHAIN; r++)
#pragma GCC unroll 10
        for (int i = 0; i < 10; i++)
            a[i] = _mm512_dpbf16_ps(a[i], (__m512bh)s, (__m512bh)s);
    for (int i = 1; i < 10; i++)
        a[0] = _mm512_add_ps(a[0], a[i]);
    return _mm512_reduce_add_ps(a[0]);
}

__attribute__((target("avx512f,avx512vnni"))) static float chain_int8(void)
{
    __m512i a[10], s = _mm512_set1_epi8(3);
    for (int i = 0; i < 10; i++)
        a[i] = _mm512_set1_epi32(i);
    for (int r = 0; r < CHAIN; r++)
#pragma GCC unroll 10
        for (int i = 0; i < 10; i++)
            a[i] = _mm512_dpbusd_epi32(a[i], s, s);
    for (int i = 1; i < 10; i++)
        a[0] = _mm512_add_epi32(a[0], a[i]);
    return (float)_mm512_reduce_add_epi32(a[0]);
}

struct work {
    float (*chain)(void);
    char *from, *to;
    volatile float sink;
};

static void run_chain(void *ctx, int i, int thread)
{
    (void)i;
    (void)thread;
    struct work *w = ctx;
    w->sink = w->chain();
}

static void run_copy(void *ctx, int i, int thread)
{
    (void)thread;
    struct work *w = ctx;
    memcpy(w->to + (size_t)i * (COPIED / PARTS), w->from + (size_t)i * (COPIED / PARTS),
           COPIED / PARTS);
}

/* lanes: multiply-adds of one instruction. */
static double rate(struct pool *pool, struct work *w, float (*chain)(void), int lanes)
{
    double best = 1;
    int n = pool_threads(pool);
    w->chain = chain;
    for (int round = 0; round < ROUNDS; round++) {
        double t = peak_clock(pool);
        pool_for(pool, n, run_chain, w);
        t = peak_clock(pool) - t;
        double flops = 2.0 * lanes * 10 * CHAIN * n / t;
        best = flops > best ? flops : best;
    }
    return best;
}

void peak_measure(struct peak *peak, struct pool *pool, enum cpu_level level)
{
    struct work w = {0};
    *peak = (struct peak){1, 1, 1, 1};
    if (level >= CPU_AVX512)
        peak->flops = rate(pool, &w, chain_avx512, 16);
    else if (level >= CPU_AVX2)
        peak->flops = rate(pool, &w, chain_avx2, 8);
    if (level >= CPU_AVX512VNNI) {
        peak->bf16 = rate(pool, &w, chain_bf16, 32);
        peak->int8 = rate(pool, &w, chain_int8, 64);
    }
    w.from = mem_zalloc(COPIED);
    w.to = mem_zalloc(COPIED);
    for (int round = 0; round < ROUNDS && w.from && w.to; round++) {
        double t = peak_clock(pool);
        pool_for(pool, PARTS, run_copy, &w);
        t = peak_clock(pool) - t;
        peak->bytes = 2.0 * COPIED / t > peak->bytes ? 2.0 * COPIED / t : peak->bytes;
    }
    mem_free(w.from);
    mem_free(w.to);
}
