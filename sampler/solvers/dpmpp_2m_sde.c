/* DPM-Solver++(2M) SDE, the midpoint kind. */
#include "sampler/solver_int.h"

static enum status run(struct solver_state *s)
{
    const float *sigma = s->job->sigmas;
    int64_t n = s->job->n;
    float *x = s->x, *denoised = s->buf[0], *old = s->buf[1];
    double last = 0; /* the step before in log sigma */
    enum status st = ST_OK;
    for (int i = 0; i < s->job->steps && st == ST_OK; i++) {
        st = solver_denoise(s, denoised, x, sigma[i]);
        if (st == ST_OK && sigma[i + 1] > 0) {
            double next = sigma[i + 1], h = log(sigma[i] / next);
            double take = -expm1(-h * (1 + s->eta)), more = last > 0 ? h / last / 2 : 0;
            solver_mix3(x, next / sigma[i] * exp(-s->eta * h), x, take * (1 + more), denoised,
                        -take * more, last > 0 ? old : denoised, n);
            if (s->eta > 0)
                st = solver_add_motion(s, x, s->buf[2], next * sqrt(-expm1(-2 * s->eta * h)),
                                       sigma[i], next);
            last = h;
        } else if (st == ST_OK) {
            memcpy(x, denoised, (size_t)n * sizeof *x);
        }
        if (st == ST_OK)
            st = solver_step(s, i, denoised);
        float *t = old;
        old = denoised;
        denoised = t;
    }
    return st;
}

const struct solver solver_dpmpp_2m_sde = {
    .name = "DPM++ 2M SDE",
    .aliases = "dpmpp2msde k_dpmpp_2m_sde",
    .paper = "k-diffusion, sample_dpmpp_2m_sde, midpoint",
    .stochastic = true,
    .evaluations = 1,
    .schedule = "karras",
    .buffers = 3,
    .run = run,
};
