/* Where a run's noise comes from: one seed, one stream for steps, one Brownian motion for SDEs.
 *
 *     struct noise z;
 *     noise_init(&z, NOISE_TORCH, seed);
 *     noise_normal(&z, x, n);              // the first latent; scaled by the caller
 *     ... solver_sample(...) draws its steps' noise from the same struct ...
 *     noise_release(&z);
 *
 * NOISE_TORCH is torch's CPU generator (`--rng cpu`, ComfyUI, diffusers with a CPU generator),
 * NOISE_PHILOX NVIDIA's (`--rng cuda`, AUTOMATIC1111's pictures made on a GPU). One picture, one
 * struct, one thread: picture i of a batch has seed + i. */
#ifndef EIDETIC_SAMPLER_NOISE_H
#define EIDETIC_SAMPLER_NOISE_H

#include "sampler/brownian.h"
#include "sampler/philox.h"
#include "sampler/torch_rng.h"

enum noise_kind {
    NOISE_TORCH = 0,
    NOISE_PHILOX,
};

struct noise {
    enum noise_kind kind;
    uint64_t seed;
    struct torch_rng torch;
    struct philox philox;
    struct brownian *brownian; /* made at its first use */
};

void noise_init(struct noise *z, enum noise_kind kind, uint64_t seed);
void noise_release(struct noise *z);
void noise_normal(struct noise *z, float *y, int64_t n);
/* y = the motion's increment from sigma to sigma_next at unit variance. sigma_min and sigma_max are
 * the run's least positive and greatest level; only the first call's count. */
enum status noise_brownian(struct noise *z, float *y, int64_t n, float sigma, float sigma_next,
                           float sigma_min, float sigma_max, struct error *err);

#endif
