/* What this machine can do at most, measured: multiply-adds held in registers (f32, bf16, 8-bit
 * integers), and a copy that no cache holds, each on all threads of a pool.
 *
 *     struct peak p;
 *     peak_measure(&p, pool, cpu_level_max());
 *     printf("%.0f GFLOP/s\n", p.flops * 1e-9);
 *
 * The best of some rounds, within about a second. A rate is 1 where its instructions
 * are missing: flops below AVX2, bf16 and int8 below AVX-512 with VNNI and BF16.
 * Thread rule: as the pool's. */
#ifndef EIDETIC_CORE_PEAK_H
#define EIDETIC_CORE_PEAK_H

#include "core/cpu.h"
#include "core/threads.h"

struct peak {
    double flops, bf16, int8; /* a second; a multiply-add counts as two. flops: in f32 */
    double bytes;             /* a second, read and written */
};

/* level: whose vectors may be used; no more than cpu_level_max(). */
void peak_measure(struct peak *peak, struct pool *pool, enum cpu_level level);

/* Seconds on a clock that goes with the pool: processor time for one thread, else wall-clock time.
 */
double peak_clock(const struct pool *pool);

#endif
