/* DPM-Solver-12 and -23 with steps as long as the error of the lower order allows. Surprising: the
 * number of steps asked for means nothing here. */
#include "sampler/solvers/dpm_steps.h"

enum { MAX_TRIES = 10000 };

/* Söderlind's digital filter, as k-diffusion's PIDStepSizeController with its defaults (integral
 * part only): true when the step is accepted; *h becomes the next one to try. */
static bool propose(double *h, double error, double order)
{
    double factor = 1 + atan(pow(1 / (error + 1e-8), 1 / order) - 1);
    *h *= factor;
    return factor >= 0.81;
}

/* The root mean square of (low - high) / max(atol, rtol max(|low|, |before|)). */
static double distance(const float *low, const float *high, const float *before, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double scale = fmax(0.0078, 0.05 * (double)fmaxf(fabsf(low[i]), fabsf(before[i])));
        double e = (low[i] - high[i]) / scale;
        sum += e * e;
    }
    return sqrt(sum / (double)n);
}

static enum status run(struct solver_state *s)
{
    int order = s->job->opts.order == 2 ? 2 : 3, taken = 0;
    size_t bytes = (size_t)s->job->n * sizeof *s->x;
    double t = -log(s->sigma_max), end = -log(s->sigma_min), h = 0.05;
    float *low = s->buf[DPM_BUFFERS], *high = s->buf[DPM_BUFFERS + 1];
    float *before = s->buf[DPM_BUFFERS + 2];
    enum status st = ST_OK;
    memcpy(before, s->x, bytes);
    for (int tries = 0; t < end - 1e-5 && st == ST_OK; tries++) {
        if (tries == MAX_TRIES)
            return error_set(s->err, ST_LIMIT, "DPM adaptive found no step that is exact enough");
        double next = fmin(end, t + h), up, to = dpm_step_target(s, t, next, &up);
        struct dpm_step d = dpm_step_begin(s, t);
        st = dpm_step_first(&d, s->x);
        if (st == ST_OK && order == 2) {
            dpm_step_1(&d, low, s->x, to);
            st = dpm_step_2(&d, high, s->x, to, 0.5);
        } else if (st == ST_OK) {
            st = dpm_step_2(&d, low, s->x, to, 1 / 3.0);
            if (st == ST_OK)
                st = dpm_step_3(&d, high, s->x, to, true);
        }
        if (st != ST_OK)
            break;
        if (propose(&h, distance(low, high, before, s->job->n), s->eta > 0 ? 1.5 : order)) {
            memcpy(before, low, bytes);
            memcpy(s->x, high, bytes);
            if (up > 0)
                solver_add_noise(s, s->x, high, up);
            t = next;
            if (st == ST_OK)
                st = solver_step(s, taken++, d.denoised);
        }
    }
    return st;
}

const struct solver solver_dpm_adaptive = {
    .name = "DPM adaptive",
    .aliases = "dpmad dpmadaptive k_dpm_ad k_dpm_adaptive",
    .paper = "Lu et al. 2022, DPM-Solver; k-diffusion, sample_dpm_adaptive",
    .evaluations = 3,
    .buffers = DPM_BUFFERS + 3,
    .run = run,
};
