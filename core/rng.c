/* SplitMix64 (Steele, Lea, Flood 2014). */
#include "core/rng.h"
#include <math.h>

uint64_t rng_u64(struct rng *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
    return (uint32_t)(((rng_u64(r) >> 32) * n) >> 32);
}

float rng_uniform(struct rng *r)
{
    return (float)(rng_u64(r) >> 40) * 0x1p-24f;
}

/* Box-Muller, one value a call: plain rather than fast. */
float rng_normal(struct rng *r)
{
    double u = ((double)(rng_u64(r) >> 11) + 0.5) * 0x1p-53;
    double v = (double)(rng_u64(r) >> 11) * 0x1p-53;
    return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}
