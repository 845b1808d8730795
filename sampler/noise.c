/* A run's noise. */
#include "sampler/noise.h"
#include <stddef.h>

void noise_init(struct noise *z, enum noise_kind kind, uint64_t seed)
{
    *z = (struct noise){.kind = kind, .seed = seed, .philox = {.seed = seed}};
    torch_rng_seed(&z->torch, seed);
}

void noise_release(struct noise *z)
{
    brownian_free(z->brownian);
    z->brownian = NULL;
}

void noise_normal(struct noise *z, float *y, int64_t n)
{
    if (z->kind == NOISE_PHILOX)
        philox_normal(&z->philox, y, n);
    else
        torch_rng_normal(&z->torch, y, n);
}

enum status noise_brownian(struct noise *z, float *y, int64_t n, float sigma, float sigma_next,
                           float sigma_min, float sigma_max, struct error *err)
{
    enum status st = ST_OK;
    if (!z->brownian)
        st = brownian_new(&z->brownian, sigma_min, sigma_max, n, z->seed, err);
    if (st == ST_OK)
        brownian_noise(z->brownian, y, sigma, sigma_next);
    return st;
}
