/* DPM2's midpoint down to below the level, then fresh noise up to it. */
#include "sampler/solver_int.h"

static enum status run(struct solver_state *s)
{
    const float *sigma = s->job->sigmas;
    int64_t n = s->job->n;
    float *x = s->x, *denoised = s->buf[0], *x2 = s->buf[1], *denoised2 = s->buf[2];
    enum status st = ST_OK;
    for (int i = 0; i < s->job->steps && st == ST_OK; i++) {
        struct ancestral a = solver_ancestral(sigma[i], sigma[i + 1], s->eta);
        double from = sigma[i], to = a.down;
        st = solver_denoise(s, denoised, x, from);
        if (st == ST_OK && to == 0) {
            memcpy(x, denoised, (size_t)n * sizeof *x);
        } else if (st == ST_OK) {
            double mid = sqrt(from * to), ratio = mid / from, dt = to - from;
            solver_mix2(x2, ratio, x, 1 - ratio, denoised, n);
            st = solver_denoise(s, denoised2, x2, mid);
            if (st == ST_OK)
                solver_mix3(x, 1, x, dt / mid, x2, -dt / mid, denoised2, n);
            if (st == ST_OK)
                solver_add_noise(s, x, x2, a.up);
        }
        if (st == ST_OK)
            st = solver_step(s, i, denoised);
    }
    return st;
}

const struct solver solver_dpm2_a = {
    .name = "DPM2 a",
    .aliases = "dpm2a k_dpm_2_a dpm_2_ancestral k_dpm_2_ancestral kdpm2ancestraldiscretescheduler",
    .paper = "k-diffusion, sample_dpm_2_ancestral",
    .stochastic = true,
    .evaluations = 2,
    .discard_penultimate = true,
    .buffers = 3,
    .run = run,
};
