/* Latent consistency models: take the estimate, add noise of the next level. */
#include "sampler/solver_int.h"

static enum status run(struct solver_state *s)
{
    const float *sigma = s->job->sigmas;
    float *x = s->x, *denoised = s->buf[0];
    enum status st = ST_OK;
    for (int i = 0; i < s->job->steps && st == ST_OK; i++) {
        st = solver_denoise(s, denoised, x, sigma[i]);
        if (st != ST_OK)
            break;
        memcpy(x, denoised, (size_t)s->job->n * sizeof *x);
        if (sigma[i + 1] > 0)
            solver_add_noise(s, x, s->buf[1], sigma[i + 1]);
        st = solver_step(s, i, denoised);
    }
    return st;
}

const struct solver solver_lcm = {
    .name = "LCM",
    .aliases = "lcmscheduler",
    .paper = "Luo et al. 2023",
    .stochastic = true,
    .evaluations = 1,
    .schedule = "sgm uniform",
    .buffers = 2,
    .run = run,
};
