/* DPM-Solver-fast: as many steps of order 3 as the evaluations allow, then what is left.
 * Surprising: of the job's levels only the first and the least positive one count, and it ends at
 * that one. */
#include "sampler/solvers/dpm_steps.h"

static enum status step(struct solver_state *s, int order, double t, double t_next)
{
    struct dpm_step d = dpm_step_begin(s, t);
    double up, to = dpm_step_target(s, t, t_next, &up);
    float *y = s->buf[DPM_BUFFERS];
    enum status st = dpm_step_first(&d, s->x);
    if (st == ST_OK && order == 1)
        dpm_step_1(&d, y, s->x, to);
    else if (st == ST_OK)
        st = order == 2 ? dpm_step_2(&d, y, s->x, to, 0.5) : dpm_step_3(&d, y, s->x, to, false);
    if (st != ST_OK)
        return st;
    memcpy(s->x, y, (size_t)s->job->n * sizeof *y);
    if (up > 0)
        solver_add_noise(s, s->x, y, up);
    return ST_OK;
}

static enum status run(struct solver_state *s)
{
    int evaluations = s->job->steps, steps = evaluations / 3 + 1;
    double start = -log(s->sigma_max), end = -log(s->sigma_min);
    enum status st = ST_OK;
    for (int i = 0; i < steps && st == ST_OK; i++) {
        int order = 3;
        if (evaluations % 3 == 0)
            order = i < steps - 2 ? 3 : steps - i; /* the last two: 2 and 1 */
        else if (i == steps - 1)
            order = evaluations % 3;
        double t = start + (end - start) * i / steps,
               next = start + (end - start) * (i + 1) / steps;
        st = step(s, order, t, next);
        if (st == ST_OK)
            st = solver_step(s, i, s->buf[4]);
    }
    return st;
}

const struct solver solver_dpm_fast = {
    .name = "DPM fast",
    .aliases = "dpmfast k_dpm_fast",
    .paper = "Lu et al. 2022, DPM-Solver; k-diffusion, sample_dpm_fast",
    .evaluations = 1,
    .buffers = DPM_BUFFERS + 1,
    .run = run,
};
