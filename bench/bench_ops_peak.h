/* What this machine can do at most, measured: multiply-adds held in registers, and a copy that no
 * cache holds, each on all threads of a pool. */
#ifndef EIDETIC_BENCH_BENCH_OPS_PEAK_H
#define EIDETIC_BENCH_BENCH_OPS_PEAK_H

#include "core/cpu.h"
#include "core/mem.h"
#include "core/progress.h"
#include "core/threads.h"
#include <immintrin.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

struct peak {
    double flops, bytes; /* a second */
};

/* Seconds: processor time for one thread, else wall-clock time. */
static inline double bench_clock(const struct pool *pool)
{
    struct timespec t;
    if (pool_threads(pool) > 1)
        return time_now();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

enum { PEAK_ROUNDS = 200000, PEAK_BYTES = 64 << 20 };

/* Ten chains hide the latency of four cycles at two a cycle. */
__attribute__((target("avx512f"))) static inline float peak_avx512(void)
{
    __m512 a[10], s = _mm512_set1_ps(0.999f), t = _mm512_set1_ps(0.001f);
    for (int i = 0; i < 10; i++)
        a[i] = _mm512_set1_ps((float)i);
    for (int r = 0; r < PEAK_ROUNDS; r++)
#pragma GCC unroll 10
        for (int i = 0; i < 10; i++)
            a[i] = _mm512_fmadd_ps(a[i], s, t);
    for (int i = 1; i < 10; i++)
        a[0] = _mm512_add_ps(a[0], a[i]);
    return _mm512_reduce_add_ps(a[0]);
}

__attribute__((target("avx2,fma"))) static inline float peak_avx2(void)
{
    __m256 a[10], s = _mm256_set1_ps(0.999f), t = _mm256_set1_ps(0.001f);
    for (int i = 0; i < 10; i++)
        a[i] = _mm256_set1_ps((float)i);
    for (int r = 0; r < PEAK_ROUNDS; r++)
#pragma GCC unroll 10
        for (int i = 0; i < 10; i++)
            a[i] = _mm256_fmadd_ps(a[i], s, t);
    for (int i = 1; i < 10; i++)
        a[0] = _mm256_add_ps(a[0], a[i]);
    return _mm256_cvtss_f32(a[0]);
}

struct peak_ctx {
    bool wide;
    char *from, *to;
    volatile float sink;
};

static inline void peak_flops_body(void *ctx, int i, int thread)
{
    (void)i;
    (void)thread;
    struct peak_ctx *p = ctx;
    p->sink = p->wide ? peak_avx512() : peak_avx2();
}

static inline void peak_copy_body(void *ctx, int i, int thread)
{
    (void)thread;
    struct peak_ctx *p = ctx;
    memcpy(p->to + (size_t)i * (PEAK_BYTES / 64), p->from + (size_t)i * (PEAK_BYTES / 64),
           PEAK_BYTES / 64);
}

/* In what "cpu:avx2" may use for that name, else in the widest the machine has. */
static inline void peak_measure(struct peak *peak, struct pool *pool, const char *backend)
{
    struct peak_ctx p = {.wide = cpu_level_max() >= CPU_AVX512 && !strstr(backend, "avx2")};
    int n = pool_threads(pool);
    *peak = (struct peak){1, 1};
    p.from = mem_zalloc(PEAK_BYTES);
    p.to = mem_zalloc(PEAK_BYTES);
    for (int round = 0; round < 20 && cpu_level_max() >= CPU_AVX2; round++) {
        double t = bench_clock(pool);
        pool_for(pool, n, peak_flops_body, &p);
        t = bench_clock(pool) - t;
        double flops = 2.0 * (p.wide ? 16 : 8) * 10 * PEAK_ROUNDS * n / t;
        peak->flops = flops > peak->flops ? flops : peak->flops;
    }
    for (int round = 0; round < 20 && p.from && p.to; round++) {
        double t = bench_clock(pool);
        pool_for(pool, 64, peak_copy_body, &p);
        t = bench_clock(pool) - t;
        peak->bytes = 2.0 * PEAK_BYTES / t > peak->bytes ? 2.0 * PEAK_BYTES / t : peak->bytes;
    }
    mem_free(p.from);
    mem_free(p.to);
}

#endif
