/* UniPC in its B2 form over predicted x0: each evaluation first corrects the step that led to it,
 * then predicts the next one. */
#include "sampler/solver_int.h"

enum { MAX_ORDER = 3 };

struct history {
    float *d[MAX_ORDER + 1]; /* estimates, newest first; the last one is room for the next */
    double lambda[MAX_ORDER + 1];
};

/* Solves a (n rows of n) x = b by elimination with pivots; x replaces b. */
static void solve(double a[MAX_ORDER][MAX_ORDER], double *b, int n)
{
    for (int c = 0; c < n; c++) {
        int p = c;
        for (int r = c + 1; r < n; r++)
            p = fabs(a[r][c]) > fabs(a[p][c]) ? r : p;
        for (int k = 0; k < n; k++) {
            double t = a[c][k];
            a[c][k] = a[p][k];
            a[p][k] = t;
        }
        double t = b[c];
        b[c] = b[p];
        b[p] = t;
        for (int r = c + 1; r < n; r++) {
            double f = a[r][c] / a[c][c];
            for (int k = c; k < n; k++)
                a[r][k] -= f * a[c][k];
            b[r] -= f * b[c];
        }
    }
    for (int r = n - 1; r >= 0; r--) {
        for (int k = r + 1; k < n; k++)
            b[r] -= a[r][k] * b[k];
        b[r] /= a[r][r];
    }
}

/* Weights rho [order] of the differences at distances rk [order] (in units of h). */
static void weights(double *rho, const double *rk, int order, double hh)
{
    double a[MAX_ORDER][MAX_ORDER], phi = expm1(hh) / hh - 1, factorial = 1;
    for (int i = 0; i < order; i++) {
        for (int k = 0; k < order; k++)
            a[i][k] = pow(rk[k], i);
        rho[i] = phi * factorial / expm1(hh);
        factorial *= i + 2;
        phi = phi / hh - 1 / factorial;
    }
    solve(a, rho, order);
}

/* y = the step from x (at d[0]'s level) by h; with `now`, the estimate at its end, corrected. */
static void update(float *y, const float *x, const struct history *past, const float *now,
                   int order, double h, int64_t n)
{
    double phi1 = expm1(-h), rk[MAX_ORDER], rho[MAX_ORDER];
    solver_mix2(y, 1 + phi1, x, -phi1, past->d[0], n);
    for (int i = 1; i < order; i++)
        rk[i - 1] = (past->lambda[i] - past->lambda[0]) / h;
    rk[order - 1] = 1;
    if (now && order == 1)
        rho[0] = 0.5;
    else if (now)
        weights(rho, rk, order, -h);
    else if (order == 2)
        rho[0] = 0.5;
    else if (order > 2)
        weights(rho, rk, order - 1, -h);
    for (int i = 1; i < order; i++) {
        double c = -phi1 * rho[i - 1] / rk[i - 1];
        solver_mix3(y, 1, y, c, past->d[i], -c, past->d[0], n);
    }
    if (now)
        solver_mix3(y, 1, y, -phi1 * rho[order - 1], now, phi1 * rho[order - 1], past->d[0], n);
}

static enum status run(struct solver_state *s)
{
    const struct solver_job *job = s->job;
    int most = job->opts.order > 0 && job->opts.order <= MAX_ORDER ? job->opts.order : 2, order = 0;
    struct history past = {.d = {s->buf[0], s->buf[1], s->buf[2], s->buf[3]}};
    float *start = s->buf[4]; /* x before the step that led here */
    enum status st = ST_OK;
    for (int i = 0; i < job->steps && st == ST_OK; i++) {
        double lambda = -log((double)job->sigmas[i]);
        float *now = past.d[MAX_ORDER];
        st = solver_denoise(s, now, s->x, job->sigmas[i]);
        if (st != ST_OK)
            break;
        if (i > 0)
            update(s->x, start, &past, now, order, lambda - past.lambda[0], job->n);
        memmove(past.d + 1, past.d, MAX_ORDER * sizeof *past.d);
        memmove(past.lambda + 1, past.lambda, MAX_ORDER * sizeof *past.lambda);
        past.d[0] = now;
        past.lambda[0] = lambda;
        order = i + 1 < most ? i + 1 : most;
        order = job->steps - i < order ? job->steps - i : order;
        memcpy(start, s->x, (size_t)job->n * sizeof *start);
        if (job->sigmas[i + 1] > 0)
            update(s->x, start, &past, NULL, order, -log((double)job->sigmas[i + 1]) - lambda,
                   job->n);
        else
            memcpy(s->x, now, (size_t)job->n * sizeof *now);
        st = solver_step(s, i, now);
    }
    return st;
}

const struct solver solver_unipc = {
    .name = "UniPC",
    .aliases = "unipcmultistepscheduler",
    .paper = "Zhao et al. 2023",
    .evaluations = 1,
    .buffers = MAX_ORDER + 2,
    .run = run,
};
