/* PyTorch's CPU generator: the same seed gives the noise that torch.randn gives.
 *
 *     struct torch_rng r;
 *     torch_rng_seed(&r, 42);
 *     torch_rng_normal(&r, x, n); // = torch.manual_seed(42); torch.randn(n)
 *
 * mt19937 (Matsumoto and Nishimura 1998) seeded with the seed's low 32 bits. Integers and uniforms
 * equal PyTorch's bit for bit; normals lie within 4 ulp of its AVX2 build. A tensor of 16 values or
 * more is filled in blocks of 16 by Box-Muller in float; a smaller one value by value in double,
 * with the second of each pair kept for the next call. Recorded from torch 2.15 by
 * scripts/make_golden_solvers.py. Thread rule: a generator belongs to one thread. */
#ifndef EIDETIC_SAMPLER_TORCH_RNG_H
#define EIDETIC_SAMPLER_TORCH_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct torch_rng {
    uint32_t state[624];
    int at;
    bool has_next; /* the second normal of a pair, for tensors under 16 values */
    double next;
};

void torch_rng_seed(struct torch_rng *r, uint64_t seed);
uint32_t torch_rng_u32(struct torch_rng *r);
/* torch.rand: [0, 1), multiples of 2^-24. */
void torch_rng_uniform(struct torch_rng *r, float *y, int64_t n);
/* torch.randn of one contiguous tensor of n values. */
void torch_rng_normal(struct torch_rng *r, float *y, int64_t n);

#endif
