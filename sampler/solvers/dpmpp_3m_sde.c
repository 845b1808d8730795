/* DPM-Solver++(3M) SDE: two differences of the last three estimates. */
#include "sampler/solver_int.h"

/* x += phi2 d1 - phi3 d2, the differences of three estimates at distances h1 and h2 (in units of
 * h: r0, r1); two estimates where d2 is NULL. */
static void correct(float *x, const float *d, const float *d1, const float *d2, double r0,
                    double r1, double h_eta, int64_t n)
{
    double phi2 = expm1(-h_eta) / h_eta + 1, phi3 = phi2 / h_eta - 0.5;
    for (int64_t j = 0; j < n; j++) {
        double first = (d[j] - d1[j]) / r0;
        if (!d2) {
            x[j] += (float)(phi2 * first);
            continue;
        }
        double change = (first - (d1[j] - d2[j]) / r1) / (r0 + r1);
        x[j] += (float)(phi2 * (first + change * r0) - phi3 * change);
    }
}

static enum status run(struct solver_state *s)
{
    const float *sigma = s->job->sigmas;
    int64_t n = s->job->n;
    float *x = s->x, *d[3] = {s->buf[0], s->buf[1], s->buf[2]}; /* newest first */
    double h1 = 0, h2 = 0;
    enum status st = ST_OK;
    for (int i = 0; i < s->job->steps && st == ST_OK; i++) {
        st = solver_denoise(s, d[0], x, sigma[i]);
        if (st == ST_OK && sigma[i + 1] > 0) {
            double next = sigma[i + 1], h = log(sigma[i] / next), h_eta = h * (1 + s->eta);
            solver_mix2(x, exp(-h_eta), x, -expm1(-h_eta), d[0], n);
            if (h1 > 0)
                correct(x, d[0], d[1], h2 > 0 ? d[2] : NULL, h1 / h, h2 / h, h_eta, n);
            if (s->eta > 0)
                st = solver_add_motion(s, x, s->buf[3], next * sqrt(-expm1(-2 * s->eta * h)),
                                       sigma[i], next);
            h2 = h1;
            h1 = h;
        } else if (st == ST_OK) {
            memcpy(x, d[0], (size_t)n * sizeof *x);
        }
        if (st == ST_OK)
            st = solver_step(s, i, d[0]);
        float *t = d[2];
        d[2] = d[1];
        d[1] = d[0];
        d[0] = t;
    }
    return st;
}

const struct solver solver_dpmpp_3m_sde = {
    .name = "DPM++ 3M SDE",
    .aliases = "dpmpp3msde k_dpmpp_3m_sde",
    .paper = "k-diffusion, sample_dpmpp_3m_sde",
    .stochastic = true,
    .evaluations = 1,
    .schedule = "exponential",
    .buffers = 4,
    .run = run,
};
