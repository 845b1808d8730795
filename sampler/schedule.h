/* Schedules: which noise levels a run steps through.
 *
 *     struct sigma_table table;
 *     sigma_table_scaled_linear(&table, 0.00085, 0.012);        // Stable Diffusion 1.x
 *     float sigmas[21];
 *     schedule_fill(schedule_find("karras"), &table, 20, NULL, sigmas); // 20 steps: 21 levels
 *
 * Level 0 ends every list. k-diffusion's functions of the same names; "sgm uniform", "simple" and
 * "beta" as AUTOMATIC1111 and diffusers have them, "align your steps" after Sabour et al. 2024. */
#ifndef EIDETIC_SAMPLER_SCHEDULE_H
#define EIDETIC_SAMPLER_SCHEDULE_H

#include <stdbool.h>

enum { SIGMA_STEPS = 1000 };

/* The levels a model was trained on: sigma[t] = sqrt((1 - abar) / abar), rising. */
struct sigma_table {
    double sigma[SIGMA_STEPS], log_sigma[SIGMA_STEPS];
};
/* betas = linspace(sqrt(first), sqrt(last), 1000)^2. */
void sigma_table_scaled_linear(struct sigma_table *t, double first, double last);
/* From cumulative products of 1 - beta, [1000], each in (0, 1). */
void sigma_table_alphas(struct sigma_table *t, const double *alphas_cumprod);
/* Lin et al. 2024: products moved and stretched so that the last would be 0 and the first stays;
 * `last` stands for that 0, since its level would be infinite. */
void sigma_zero_snr(double *alphas_cumprod, double last);
/* Log-linear between the table's points, clamped to it; t may be fractional. */
double sigma_from_time(const struct sigma_table *t, double time);
double sigma_to_time(const struct sigma_table *t, double sigma);

/* All-zero means the default. */
struct schedule_opts {
    bool discard_penultimate;    /* as struct solver's */
    double rho;                  /* karras 7, polyexponential 1 */
    double sigma_min, sigma_max; /* the table's ends; not for simple and align your steps */
};

/* What fill gets: ready numbers. */
struct schedule_range {
    const struct sigma_table *table;
    double low, high, rho;
};

struct schedule {
    const char *name;    /* "karras" */
    const char *aliases; /* as struct solver's */
    double rho;          /* unless told otherwise */
    /* Level i of n, all above 0. */
    double (*level)(const struct schedule_range *r, int i, int n);
};

extern const struct schedule *const schedule_list[]; /* NULL-terminated */
const struct schedule *schedule_find(const char *name);

/* sigmas [steps + 1], the last 0; steps >= 1; o may be NULL. */
void schedule_fill(const struct schedule *s, const struct sigma_table *t, int steps,
                   const struct schedule_opts *o, float *sigmas);
/* Where level i of n lies between the first (0) and the last (1). */
static inline double schedule_ramp(int i, int n)
{
    return n > 1 ? i / (n - 1.0) : 0;
}

/* Does `name`, without case, spaces, '_' and '-' and with "pp" for "++", equal own (so reduced) or
 * one of the space-separated aliases? */
bool schedule_name_is(const char *name, const char *own, const char *aliases);

#endif
