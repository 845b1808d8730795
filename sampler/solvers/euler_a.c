/* Euler steps that go further down than asked and come back up with fresh noise. */
#include "sampler/solver_int.h"

enum status solver_run_ancestral(struct solver_state *s)
{
    const float *sigma = s->job->sigmas;
    float *x = s->x, *denoised = s->buf[0];
    enum status st = ST_OK;
    for (int i = 0; i < s->job->steps && st == ST_OK; i++) {
        st = solver_denoise(s, denoised, x, sigma[i]);
        if (st != ST_OK)
            break;
        struct ancestral a = solver_ancestral(sigma[i], sigma[i + 1], s->eta);
        double ratio = a.down / sigma[i];
        solver_mix2(x, ratio, x, 1 - ratio, denoised, s->job->n);
        if (sigma[i + 1] > 0)
            solver_add_noise(s, x, s->buf[1], a.up);
        st = solver_step(s, i, denoised);
    }
    return st;
}

const struct solver solver_euler_a = {
    .name = "Euler a",
    .aliases = "eulera k_euler_a euler_ancestral k_euler_ancestral eulerancestraldiscretescheduler",
    .paper = "k-diffusion, sample_euler_ancestral",
    .stochastic = true,
    .evaluations = 1,
    .buffers = 2,
    .run = solver_run_ancestral,
};
