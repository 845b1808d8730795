/* DPM2's midpoint down to below the level, then fresh noise up to it. */
#include "sampler/solver_int.h"

static enum status run(struct solver_state *s)
{
    const float *sigma = s->job->sigmas;
    enum status st = ST_OK;
    for (int i = 0; i < s->job->steps && st == ST_OK; i++) {
        struct ancestral a = solver_ancestral(sigma[i], sigma[i + 1], s->eta);
        st = solver_midpoint(s, sigma[i], a.down);
        if (st == ST_OK && a.down > 0)
            solver_add_noise(s, s->x, s->buf[1], a.up);
        if (st == ST_OK)
            st = solver_step(s, i, s->buf[0]);
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
