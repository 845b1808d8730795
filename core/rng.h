/* A small seeded generator (SplitMix64) for tests, benchmarks and k-means seeds; not for noise that
 * must match another program (that is sampler/). */
#ifndef EIDETIC_CORE_RNG_H
#define EIDETIC_CORE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t state;
};

uint64_t rng_u64(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t n); /* [0, n), n > 0 */
float rng_uniform(struct rng *r);              /* [0, 1) */
float rng_normal(struct rng *r);               /* mean 0, deviation 1 */

#endif
