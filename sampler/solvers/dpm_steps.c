/* DPM-Solver's steps (Lu et al. 2022, algorithms 1 to 3), as k-diffusion's DPMSolver. */
#include "sampler/solvers/dpm_steps.h"

struct dpm_step dpm_step_begin(struct solver_state *s, double t)
{
    return (struct dpm_step){.s = s,
                             .eps = {s->buf[0], s->buf[1], s->buf[2]},
                             .u = s->buf[3],
                             .denoised = s->buf[4],
                             .t = t};
}

double dpm_step_target(const struct solver_state *s, double t, double t_next, double *up)
{
    *up = 0;
    if (s->eta <= 0)
        return t_next;
    double down = solver_ancestral(exp(-t), exp(-t_next), s->eta).down;
    double to = fmin(-log(s->sigma_min), -log(down));
    *up = sqrt(fmax(exp(-2 * t_next) - exp(-2 * to), 0));
    return to;
}

static enum status eps_at(struct dpm_step *d, float *eps, float *denoised, const float *x, double t)
{
    double sigma = exp(-t);
    enum status st = solver_denoise(d->s, denoised, x, sigma);
    if (st == ST_OK)
        solver_mix2(eps, 1 / sigma, x, -1 / sigma, denoised, d->s->job->n);
    return st;
}

enum status dpm_step_first(struct dpm_step *d, const float *x)
{
    return eps_at(d, d->eps[0], d->denoised, x, d->t);
}

void dpm_step_1(const struct dpm_step *d, float *y, const float *x, double t_next)
{
    solver_mix2(y, 1, x, -exp(-t_next) * expm1(t_next - d->t), d->eps[0], d->s->job->n);
}

/* eps[k] at r of the way; its own buffer takes the estimate, which nobody asks for. */
static enum status on_the_way(struct dpm_step *d, int k, const float *u, double r, double h)
{
    return eps_at(d, d->eps[k], d->eps[k], u, d->t + r * h);
}

enum status dpm_step_2(struct dpm_step *d, float *y, const float *x, double t_next, double r1)
{
    double h = t_next - d->t, sigma = exp(-t_next);
    dpm_step_1(d, d->u, x, d->t + r1 * h);
    enum status st = on_the_way(d, 1, d->u, r1, h);
    double a = -sigma * expm1(h), b = a / (2 * r1);
    if (st == ST_OK)
        solver_mix3(y, 1, x, a - b, d->eps[0], b, d->eps[1], d->s->job->n);
    return st;
}

enum status dpm_step_3(struct dpm_step *d, float *y, const float *x, double t_next, bool eps1_known)
{
    const double r1 = 1 / 3.0, r2 = 2 / 3.0;
    int64_t n = d->s->job->n;
    double h = t_next - d->t, s2 = exp(-(d->t + r2 * h)), sigma = exp(-t_next);
    enum status st = ST_OK;
    if (!eps1_known) {
        dpm_step_1(d, d->u, x, d->t + r1 * h);
        st = on_the_way(d, 1, d->u, r1, h);
    }
    double a = -s2 * expm1(r2 * h), b = -s2 * (r2 / r1) * (expm1(r2 * h) / (r2 * h) - 1);
    if (st == ST_OK) {
        solver_mix3(d->u, 1, x, a - b, d->eps[0], b, d->eps[1], n);
        st = on_the_way(d, 2, d->u, r2, h);
    }
    a = -sigma * expm1(h), b = -sigma / r2 * (expm1(h) / h - 1);
    if (st == ST_OK)
        solver_mix3(y, 1, x, a - b, d->eps[0], b, d->eps[2], n);
    return st;
}
