/* The midpoint method in log sigma: Karras' algorithm 2 with DPM-Solver-2's middle. */
#include "sampler/solver_int.h"

enum status solver_midpoint(struct solver_state *s, double from, double to)
{
    int64_t n = s->job->n;
    float *x = s->x, *denoised = s->buf[0], *x2 = s->buf[1], *denoised2 = s->buf[2];
    enum status st = solver_denoise(s, denoised, x, from);
    if (st != ST_OK)
        return st;
    if (to == 0) {
        memcpy(x, denoised, (size_t)n * sizeof *x);
        return ST_OK;
    }
    double mid = sqrt(from * to), ratio = mid / from, dt = to - from;
    solver_mix2(x2, ratio, x, 1 - ratio, denoised, n);
    st = solver_denoise(s, denoised2, x2, mid);
    if (st == ST_OK)
        solver_mix3(x, 1, x, dt / mid, x2, -dt / mid, denoised2, n);
    return st;
}

static enum status run(struct solver_state *s)
{
    const float *sigma = s->job->sigmas;
    enum status st = ST_OK;
    for (int i = 0; i < s->job->steps && st == ST_OK; i++) {
        double from = solver_churn(s, s->buf[1], sigma[i]), to = sigma[i + 1];
        st = solver_midpoint(s, from, to);
        if (st == ST_OK)
            st = solver_step(s, i, s->buf[0]);
    }
    return st;
}

const struct solver solver_dpm2 = {
    .name = "DPM2",
    .aliases = "k_dpm_2 dpm_2 kdpm2discretescheduler",
    .paper = "k-diffusion, sample_dpm_2; Lu et al. 2022",
    .evaluations = 2,
    .discard_penultimate = true,
    .buffers = 3,
    .run = run,
};
