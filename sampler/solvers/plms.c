/* PLMS: Adams-Bashforth over the predicted noise. Surprising: the first step costs two evaluations
 * (an improved Euler step), of which only the first enters the history. */
#include "sampler/solver_int.h"

enum { HISTORY = 4 };

/* y = weights over the newest estimates of the noise (e[0] the newest). */
static void extrapolate(float *y, float *const e[HISTORY], int known, int64_t n)
{
    static const double w[HISTORY][HISTORY] = {
        {1},
        {3 / 2.0, -1 / 2.0},
        {23 / 12.0, -16 / 12.0, 5 / 12.0},
        {55 / 24.0, -59 / 24.0, 37 / 24.0, -9 / 24.0},
    };
    solver_mix2(y, w[known - 1][0], e[0], 0, e[0], n);
    for (int k = 1; k < known; k++)
        solver_mix2(y, 1, y, w[known - 1][k], e[k], n);
}

static enum status run(struct solver_state *s)
{
    const float *sigma = s->job->sigmas;
    int64_t n = s->job->n;
    float *x = s->x, *denoised = s->buf[4], *eps = s->buf[5], *x2 = s->buf[6];
    float *e[HISTORY] = {s->buf[0], s->buf[1], s->buf[2], s->buf[3]};
    enum status st = ST_OK;
    for (int i = 0; i < s->job->steps && st == ST_OK; i++) {
        st = solver_denoise(s, denoised, x, sigma[i]);
        if (st != ST_OK)
            break;
        float *oldest = e[HISTORY - 1];
        memmove(e + 1, e, (HISTORY - 1) * sizeof *e);
        e[0] = oldest;
        solver_mix2(e[0], 1.0 / sigma[i], x, -1.0 / sigma[i], denoised, n);
        double dt = (double)sigma[i + 1] - sigma[i], next = sigma[i + 1];
        extrapolate(eps, e, i < HISTORY ? i + 1 : HISTORY, n);
        if (i == 0 && next > 0) {
            solver_mix2(x2, 1, x, dt, eps, n);
            st = solver_denoise(s, denoised, x2, next);
            if (st != ST_OK)
                break;
            solver_mix3(eps, 0.5, eps, 0.5 / next, x2, -0.5 / next, denoised, n);
        }
        solver_mix2(x, 1, x, dt, eps, n);
        st = solver_step(s, i, denoised);
    }
    return st;
}

const struct solver solver_plms = {
    .name = "PLMS",
    .aliases = "pndm pndmscheduler",
    .paper = "Liu et al. 2022, PNDM without Runge-Kutta steps",
    .evaluations = 1,
    .buffers = HISTORY + 3,
    .run = run,
};
