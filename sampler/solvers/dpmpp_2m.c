/* DPM-Solver++(2M): one evaluation a step, the last estimate extrapolated. */
#include "sampler/solver_int.h"

static enum status run(struct solver_state *s)
{
    const float *sigma = s->job->sigmas;
    float *x = s->x, *denoised = s->buf[0], *old = s->buf[1];
    enum status st = ST_OK;
    for (int i = 0; i < s->job->steps && st == ST_OK; i++) {
        st = solver_denoise(s, denoised, x, sigma[i]);
        if (st != ST_OK)
            break;
        double ratio = (double)sigma[i + 1] / sigma[i], more = 0;
        if (i > 0 && sigma[i + 1] > 0) /* 1 / (2 r), r the last step's length over this one's */
            more = log(ratio) / log((double)sigma[i] / sigma[i - 1]) / 2;
        solver_mix3(x, ratio, x, (1 - ratio) * (1 + more), denoised, (ratio - 1) * more,
                    i > 0 ? old : denoised, s->job->n);
        st = solver_step(s, i, denoised);
        float *t = old;
        old = denoised;
        denoised = t;
    }
    return st;
}

const struct solver solver_dpmpp_2m = {
    .name = "DPM++ 2M",
    .aliases = "dpmpp2m k_dpmpp_2m dpmsolvermultistepscheduler",
    .paper = "Lu et al. 2022, DPM-Solver++; k-diffusion, sample_dpmpp_2m",
    .evaluations = 1,
    .schedule = "karras",
    .buffers = 2,
    .run = run,
};
