/* Heun's method: Euler, then the mean of the slopes at both ends. */
#include "sampler/solver_int.h"

static enum status run(struct solver_state *s)
{
    const float *sigma = s->job->sigmas;
    int64_t n = s->job->n;
    float *x = s->x, *denoised = s->buf[0], *x2 = s->buf[1], *denoised2 = s->buf[2];
    enum status st = ST_OK;
    for (int i = 0; i < s->job->steps && st == ST_OK; i++) {
        double hat = solver_churn(s, x2, sigma[i]), next = sigma[i + 1], ratio = next / hat;
        st = solver_denoise(s, denoised, x, hat);
        if (st != ST_OK)
            break;
        solver_mix2(x2, ratio, x, 1 - ratio, denoised, n);
        if (next > 0) {
            st = solver_denoise(s, denoised2, x2, next);
            if (st != ST_OK)
                break;
            double dt = next - hat; /* x += dt / 2 ((x - d) / hat + (x2 - d2) / next) */
            for (int64_t j = 0; j < n; j++)
                x2[j] =
                    (float)(x[j] +
                            dt / 2 * ((x[j] - denoised[j]) / hat + (x2[j] - denoised2[j]) / next));
        }
        memcpy(x, x2, (size_t)n * sizeof *x);
        st = solver_step(s, i, denoised);
    }
    return st;
}

const struct solver solver_heun = {
    .name = "Heun",
    .aliases = "k_heun heundiscretescheduler",
    .paper = "Karras et al. 2022, algorithm 2",
    .evaluations = 2,
    .buffers = 3,
    .run = run,
};
