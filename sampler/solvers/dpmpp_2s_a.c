/* DPM-Solver++(2S), ancestral: one middle evaluation in log sigma, then fresh noise. */
#include "sampler/solver_int.h"

static enum status run(struct solver_state *s)
{
    const float *sigma = s->job->sigmas;
    int64_t n = s->job->n;
    float *x = s->x, *denoised = s->buf[0], *x2 = s->buf[1];
    enum status st = ST_OK;
    for (int i = 0; i < s->job->steps && st == ST_OK; i++) {
        st = solver_denoise(s, denoised, x, sigma[i]);
        if (st != ST_OK)
            break;
        struct ancestral a = solver_ancestral(sigma[i], sigma[i + 1], s->eta);
        double ratio = a.down / sigma[i];
        const float *toward = denoised;
        if (a.down > 0) {
            double half = sqrt(ratio);
            solver_mix2(x2, half, x, 1 - half, denoised, n);
            st = solver_denoise(s, s->buf[2], x2, sqrt(sigma[i] * a.down));
            if (st != ST_OK)
                break;
            toward = s->buf[2];
        }
        solver_mix2(x, ratio, x, 1 - ratio, toward, n);
        if (sigma[i + 1] > 0)
            solver_add_noise(s, x, x2, a.up);
        st = solver_step(s, i, denoised);
    }
    return st;
}

const struct solver solver_dpmpp_2s_a = {
    .name = "DPM++ 2S a",
    .aliases = "dpmpp2s k_dpmpp_2s_a dpmpp_2s_ancestral k_dpmpp_2s_ancestral "
               "dpmsolversinglestepscheduler",
    .paper = "Lu et al. 2022, DPM-Solver++; k-diffusion, sample_dpmpp_2s_ancestral",
    .stochastic = true,
    .evaluations = 2,
    .schedule = "karras",
    .buffers = 3,
    .run = run,
};
