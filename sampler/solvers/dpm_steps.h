/* DPM-Solver's steps of order 1 to 3 in t = -log sigma, for DPM fast and DPM adaptive. */
#ifndef EIDETIC_SAMPLER_SOLVERS_DPM_STEPS_H
#define EIDETIC_SAMPLER_SOLVERS_DPM_STEPS_H

#include "sampler/solver_int.h"

enum { DPM_BUFFERS = 5 };

/* One step's evaluations: eps[0] at its start, eps[1] and eps[2] on the way. */
struct dpm_step {
    struct solver_state *s;
    float *eps[3], *u, *denoised; /* denoised: the estimate at the start */
    double t;
};

/* Takes the first DPM_BUFFERS buffers. */
struct dpm_step dpm_step_begin(struct solver_state *s, double t);
/* Where a step from t to t_next must go so that fresh noise of deviation *up leads to t_next;
 * t_next itself, and *up 0, where there is to be none. */
double dpm_step_target(const struct solver_state *s, double t, double t_next, double *up);
/* eps[0] from x at t. */
enum status dpm_step_first(struct dpm_step *d, const float *x);
/* y = the step of this order from x to t_next. Order 2 evaluates at r1 of the way unless eps[1] is
 * known; order 3 at a third and at two thirds. y is not x. */
void dpm_step_1(const struct dpm_step *d, float *y, const float *x, double t_next);
enum status dpm_step_2(struct dpm_step *d, float *y, const float *x, double t_next, double r1);
enum status dpm_step_3(struct dpm_step *d, float *y, const float *x, double t_next,
                       bool eps1_known);

#endif
