/* DPM-Solver++ as an SDE: a middle evaluation at half the step in log sigma, noise from a Brownian
 * motion at both. */
#include "sampler/solver_int.h"

static enum status step(struct solver_state *s, const float *denoised, double from, double to)
{
    int64_t n = s->job->n;
    float *x = s->x, *x2 = s->buf[1], *z = s->buf[2], *denoised2 = s->buf[3];
    double mid = sqrt(from * to);
    struct ancestral a = solver_ancestral(from, mid, s->eta),
                     b = solver_ancestral(from, to, s->eta);
    solver_mix2(x2, a.down / from, x, 1 - a.down / from, denoised, n);
    enum status st = solver_add_motion(s, x2, z, a.up, from, mid);
    if (st == ST_OK)
        st = solver_denoise(s, denoised2, x2, mid);
    if (st != ST_OK)
        return st;
    solver_mix2(x, b.down / from, x, 1 - b.down / from, denoised2, n);
    return solver_add_motion(s, x, z, b.up, from, to);
}

static enum status run(struct solver_state *s)
{
    const float *sigma = s->job->sigmas;
    float *denoised = s->buf[0];
    enum status st = ST_OK;
    for (int i = 0; i < s->job->steps && st == ST_OK; i++) {
        st = solver_denoise(s, denoised, s->x, sigma[i]);
        if (st == ST_OK && sigma[i + 1] > 0)
            st = step(s, denoised, sigma[i], sigma[i + 1]);
        else if (st == ST_OK)
            memcpy(s->x, denoised, (size_t)s->job->n * sizeof *denoised);
        if (st == ST_OK)
            st = solver_step(s, i, denoised);
    }
    return st;
}

const struct solver solver_dpmpp_sde = {
    .name = "DPM++ SDE",
    .aliases = "dpmppsde k_dpmpp_sde dpmsolversdescheduler",
    .paper = "k-diffusion, sample_dpmpp_sde; Lu et al. 2022",
    .stochastic = true,
    .evaluations = 2,
    .schedule = "karras",
    .buffers = 4,
    .run = run,
};
