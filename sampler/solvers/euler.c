/* Euler's method along Karras' ODE dx/dsigma = (x - x0) / sigma. */
#include "sampler/solver_int.h"

static enum status run(struct solver_state *s)
{
    const float *sigma = s->job->sigmas;
    float *x = s->x, *denoised = s->buf[0];
    enum status st = ST_OK;
    for (int i = 0; i < s->job->steps && st == ST_OK; i++) {
        double hat = solver_churn(s, s->buf[1], sigma[i]);
        st = solver_denoise(s, denoised, x, hat);
        if (st != ST_OK)
            break;
        double ratio = sigma[i + 1] / hat;
        solver_mix2(x, ratio, x, 1 - ratio, denoised, s->job->n);
        st = solver_step(s, i, denoised);
    }
    return st;
}

const struct solver solver_euler = {
    .name = "Euler",
    .aliases = "k_euler eulerdiscretescheduler",
    .paper = "Karras et al. 2022, algorithm 2, first order",
    .evaluations = 1,
    .buffers = 2,
    .run = run,
};
