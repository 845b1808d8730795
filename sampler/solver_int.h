/* What solvers share; for sampler/solvers alone. */
#ifndef EIDETIC_SAMPLER_SOLVER_INT_H
#define EIDETIC_SAMPLER_SOLVER_INT_H

#include "sampler/solver.h"
#include <math.h>
#include <string.h>

enum { SOLVER_BUFFERS = 12 };

struct solver_state {
    const struct solver_job *job;
    float *x;
    float *buf[SOLVER_BUFFERS];
    struct error *err;
    double eta, s_noise, sigma_min, sigma_max; /* of the positive levels */
};

enum status solver_denoise(struct solver_state *s, float *denoised, const float *x, double sigma);
/* Ends step i. */
enum status solver_step(struct solver_state *s, int i, const float *denoised);
/* y = a x + b d, and + c e; y may be any of them. */
void solver_mix2(float *y, double a, const float *x, double b, const float *d, int64_t n);
void solver_mix3(float *y, double a, const float *x, double b, const float *d, double c,
                 const float *e, int64_t n);
/* x += amount * s_noise * fresh noise (plain, or the motion's from sigma to next), through z. */
void solver_add_noise(struct solver_state *s, float *x, float *z, double amount);
enum status solver_add_motion(struct solver_state *s, float *x, float *z, double amount,
                              double sigma, double next);
/* Karras' churn: raises x from sigma to the returned level. z: scratch. */
double solver_churn(struct solver_state *s, float *z, double sigma);

/* k-diffusion's get_ancestral_step: down to `down`, then noise of deviation `up`. */
struct ancestral {
    double down, up;
};
struct ancestral solver_ancestral(double from, double to, double eta);

/* "Euler a" (euler_a.c), which DDIM and DDPM are in this form. Two buffers. */
enum status solver_run_ancestral(struct solver_state *s);
/* x from level `from` to `to` by the middle in log sigma (dpm2.c), to 0 by the estimate, which is
 * left in buf[0]. Three buffers. */
enum status solver_midpoint(struct solver_state *s, double from, double to);

#endif
