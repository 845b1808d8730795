/* Linear multistep (Adams-Bashforth) in sigma over the last four slopes. */
#include "sampler/solver_int.h"

enum { ORDER = 4 };

/* The integral over [t[i], t[i + 1]] of Lagrange's polynomial that is 1 at t[i - j] and 0 at the
 * other order - 1 points; three-point Gauss is exact up to degree 5. */
static double weight(const float *t, int i, int j, int order)
{
    static const double at[] = {-0.7745966692414834, 0, 0.7745966692414834};
    static const double share[] = {5 / 9.0, 8 / 9.0, 5 / 9.0};
    double half = ((double)t[i + 1] - t[i]) / 2, middle = ((double)t[i + 1] + t[i]) / 2, sum = 0;
    for (int g = 0; g < 3; g++) {
        double product = 1, tau = middle + half * at[g];
        for (int k = 0; k < order; k++)
            if (k != j)
                product *= (tau - t[i - k]) / ((double)t[i - j] - t[i - k]);
        sum += share[g] * product;
    }
    return half * sum;
}

static enum status run(struct solver_state *s)
{
    const float *sigma = s->job->sigmas;
    int most = s->job->opts.order > 0 && s->job->opts.order < ORDER ? s->job->opts.order : ORDER;
    float *x = s->x, *denoised = s->buf[ORDER];
    enum status st = ST_OK;
    for (int i = 0; i < s->job->steps && st == ST_OK; i++) {
        st = solver_denoise(s, denoised, x, sigma[i]);
        if (st != ST_OK)
            break;
        solver_mix2(s->buf[i % ORDER], 1.0 / sigma[i], x, -1.0 / sigma[i], denoised, s->job->n);
        int order = i + 1 < most ? i + 1 : most;
        for (int j = 0; j < order; j++)
            solver_mix2(x, 1, x, weight(sigma, i, j, order), s->buf[(i - j) % ORDER], s->job->n);
        st = solver_step(s, i, denoised);
    }
    return st;
}

const struct solver solver_lms = {
    .name = "LMS",
    .aliases = "k_lms lmsdiscretescheduler",
    .paper = "k-diffusion, sample_lms",
    .evaluations = 1,
    .buffers = ORDER + 1,
    .run = run,
};
