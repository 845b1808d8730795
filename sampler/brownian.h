/* Brownian motion fixed by a seed: the noise of the SDE solvers.
 *
 *     struct brownian *b = NULL;
 *     brownian_new(&b, sigma_min, sigma_max, n, seed, &err);
 *     brownian_noise(b, y, sigma, sigma_next); // unit variance, the same whatever was asked before
 *     brownian_free(b);
 *
 * Follows torchsde's BrownianTree as k-diffusion's BrownianTreeNoiseSampler drives it: intervals
 * are halved, each half's share drawn from torch_rng with a seed that NumPy's SeedSequence makes of
 * the entropy and the node's place. Within 1e-5 of it; times are rounded to 1e-6 as there. A motion
 * belongs to one thread. */
#ifndef EIDETIC_SAMPLER_BROWNIAN_H
#define EIDETIC_SAMPLER_BROWNIAN_H

#include "core/error.h"
#include <stdint.h>

struct brownian;
enum status brownian_new(struct brownian **b, float t0, float t1, int64_t n, uint64_t seed,
                         struct error *err);
void brownian_free(struct brownian *b);

/* y [n] = (W(to) - W(from)) / sqrt(|to - from|), zeros where from == to; times outside [t0, t1] are
 * moved to its ends. */
void brownian_noise(struct brownian *b, float *y, float from, float to);

/* The first word of numpy.random.SeedSequence(entropy, spawn_key=(key, depth),
 * pool_size=24).generate_state(1); without the spawn key where depth < 0. For tests. */
uint32_t brownian_node_seed(uint64_t entropy, uint64_t key, int depth);

#endif
