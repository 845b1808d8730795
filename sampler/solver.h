/* Solvers: from noise to a latent along a list of noise levels.
 *
 *     const struct solver *s = solver_find("DPM++ 2M Karras", &schedule); // any program's spelling
 *     struct solver_job job = {.model = {denoise, ctx}, .n = 4 * 64 * 64, .sigmas = sigmas,
 *                              .steps = 20, .noise = &z};
 *     noise_normal(&z, x, job.n), and scale it by sigmas[0];
 *     if (solver_sample(s, &job, x, &err)) return err.code;        // x: the latent
 *
 * All work in the variance-exploding form of Karras et al. 2022, "Elucidating the Design Space": x
 * = x0 + sigma * noise, and the model answers with its estimate of x0. A variance-preserving model
 * (Stable Diffusion) gets x / sqrt(sigma^2 + 1) and the step whose sigma it is. Solvers follow
 * k-diffusion's functions of the same names; DDIM, DDPM, PLMS, UniPC and LCM follow diffusers',
 * which in this form need no alphas. Coefficients are doubles, states floats. One picture a run.
 * Thread rule: a job belongs to one thread. */
#ifndef EIDETIC_SAMPLER_SOLVER_H
#define EIDETIC_SAMPLER_SOLVER_H

#include "sampler/noise.h"
#include "sampler/schedule.h"
#include <stdbool.h>

struct solver_model {
    /* denoised [n] = the model's estimate of x0 from x [n] at noise level sigma > 0. */
    enum status (*denoise)(void *ctx, float *denoised, const float *x, float sigma,
                           struct error *err);
    void *ctx;
};

/* All-zero means the default. */
struct solver_opts {
    bool has_eta;
    double eta;      /* share of fresh noise: 1 for ancestral and SDE solvers, else 0 */
    double no_noise; /* 1 - s_noise: how much weaker than it should be fresh noise is made */
    double s_churn, s_tmin, s_tmax; /* Karras' churn (Euler, Heun, DPM2); s_tmax 0 = no limit */
    int order;                      /* LMS 4, DPM adaptive 3, UniPC 2 */
};

struct solver_job {
    struct solver_model model;
    int64_t n;
    const float *sigmas; /* [steps + 1], falling; the last one may be 0 */
    int steps;
    struct noise *noise;
    struct solver_opts opts;
    /* After each step (x as it then is, denoised: the step's estimate); anything but ST_OK ends
     * the run with it. NULL: nobody asks. */
    enum status (*step)(void *ctx, int i, const float *x, const float *denoised, struct error *err);
    void *step_ctx;
};

struct solver_state; /* solver_int.h */

struct solver {
    const char *name;    /* as AUTOMATIC1111 labels it */
    const char *aliases; /* other spellings, without case, spaces, '_' and '-'; space-separated */
    const char *paper;
    bool stochastic; /* draws noise at its steps */
    int evaluations; /* model calls a step, for estimates of time */
    /* Schedules leave out the level before the last (k-diffusion's DPM2 family). */
    bool discard_penultimate;
    const char *schedule; /* what it is run with unless told otherwise; NULL = normal */
    int buffers;          /* scratch of n floats each */
    enum status (*run)(struct solver_state *s);
};

extern const struct solver *const solver_list[]; /* NULL-terminated */

/* By any of its names, a schedule's name at the end included ("dpmpp_2m_karras"); *schedule is NULL
 * when the name says nothing of it. NULL: no such solver. */
const struct solver *solver_find(const char *name, const struct schedule **schedule);

/* x [n]: noise of level sigmas[0] in, the picture out. */
enum status solver_sample(const struct solver *s, const struct solver_job *job, float *x,
                          struct error *err);

#endif
