/* The list of solvers, their names, and what they share. */
#include "core/mem.h"
#include "sampler/solver_int.h"
#include <assert.h>
#include <stdio.h>

extern const struct solver solver_euler, solver_euler_a, solver_heun, solver_lms, solver_dpm2,
    solver_dpm2_a, solver_dpmpp_2s_a, solver_dpmpp_2m, solver_dpmpp_sde, solver_dpmpp_2m_sde,
    solver_dpmpp_3m_sde, solver_dpm_fast, solver_dpm_adaptive, solver_ddim, solver_ddpm,
    solver_plms, solver_unipc, solver_lcm;

const struct solver *const solver_list[] = {
    &solver_euler,
    &solver_euler_a,
    &solver_heun,
    &solver_lms,
    &solver_dpm2,
    &solver_dpm2_a,
    &solver_dpmpp_2m,
    &solver_dpmpp_2s_a,
    &solver_dpmpp_sde,
    &solver_dpmpp_2m_sde,
    &solver_dpmpp_3m_sde,
    &solver_dpm_fast,
    &solver_dpm_adaptive,
    &solver_ddim,
    &solver_ddpm,
    &solver_plms,
    &solver_unipc,
    &solver_lcm,
    NULL,
};

static const struct solver *exactly(const char *name)
{
    for (int i = 0; solver_list[i]; i++)
        if (schedule_name_is(name, solver_list[i]->name, solver_list[i]->aliases))
            return solver_list[i];
    return NULL;
}

const struct solver *solver_find(const char *name, const struct schedule **schedule)
{
    *schedule = NULL;
    const struct solver *s = exactly(name);
    /* "DPM++ 2M Karras", "k_dpmpp_2m_ka": the longest solver whose rest names a schedule. */
    for (size_t len = strlen(name); !s && len-- > 1;) {
        char head[64];
        const struct schedule *tail = schedule_find(name + len);
        if (len >= sizeof head || !tail)
            continue;
        memcpy(head, name, len);
        head[len] = '\0';
        s = exactly(head);
        if (s)
            *schedule = tail;
    }
    return s;
}

enum status solver_sample(const struct solver *sv, const struct solver_job *job, float *x,
                          struct error *err)
{
    assert(job->steps >= 1 && job->n >= 1 && sv->buffers <= SOLVER_BUFFERS);
    struct solver_state s = {.job = job, .x = x, .err = err};
    s.eta = job->opts.has_eta ? job->opts.eta : (sv->stochastic ? 1 : 0);
    s.s_noise = 1 - job->opts.no_noise;
    s.sigma_min = s.sigma_max = job->sigmas[0];
    for (int i = 0; i <= job->steps; i++) {
        s.sigma_max = fmax(s.sigma_max, job->sigmas[i]);
        if (job->sigmas[i] > 0)
            s.sigma_min = fmin(s.sigma_min, job->sigmas[i]);
    }
    float *scratch = mem_array((size_t)job->n, (size_t)sv->buffers * sizeof *scratch);
    if (!scratch)
        return error_set(err, ST_NOMEM, "out of memory (%d latents of %lld values)", sv->buffers,
                         (long long)job->n);
    for (int i = 0; i < sv->buffers; i++)
        s.buf[i] = scratch + i * job->n;
    enum status st = sv->run(&s);
    mem_free(scratch);
    return st;
}

enum status solver_denoise(struct solver_state *s, float *denoised, const float *x, double sigma)
{
    return s->job->model.denoise(s->job->model.ctx, denoised, x, (float)sigma, s->err);
}

enum status solver_step(struct solver_state *s, int i, const float *denoised)
{
    const struct solver_job *job = s->job;
    return job->step ? job->step(job->step_ctx, i, s->x, denoised, s->err) : ST_OK;
}

void solver_mix2(float *y, double a, const float *x, double b, const float *d, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)(a * x[i] + b * d[i]);
}

void solver_mix3(float *y, double a, const float *x, double b, const float *d, double c,
                 const float *e, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)(a * x[i] + b * d[i] + c * e[i]);
}

void solver_add_noise(struct solver_state *s, float *x, float *z, double amount)
{
    noise_normal(s->job->noise, z, s->job->n);
    solver_mix2(x, 1, x, amount * s->s_noise, z, s->job->n);
}

enum status solver_add_motion(struct solver_state *s, float *x, float *z, double amount,
                              double sigma, double next)
{
    enum status st = noise_brownian(s->job->noise, z, s->job->n, (float)sigma, (float)next,
                                    (float)s->sigma_min, (float)s->sigma_max, s->err);
    if (st == ST_OK)
        solver_mix2(x, 1, x, amount * s->s_noise, z, s->job->n);
    return st;
}

double solver_churn(struct solver_state *s, float *z, double sigma)
{
    const struct solver_opts *o = &s->job->opts;
    bool inside = sigma >= o->s_tmin && (o->s_tmax <= 0 || sigma <= o->s_tmax);
    double gamma = inside ? fmin(o->s_churn / s->job->steps, sqrt(2) - 1) : 0;
    if (gamma <= 0)
        return sigma;
    double hat = sigma * (gamma + 1);
    solver_add_noise(s, s->x, z, sqrt(hat * hat - sigma * sigma));
    return hat;
}

struct ancestral solver_ancestral(double from, double to, double eta)
{
    if (eta == 0)
        return (struct ancestral){.down = to};
    double up = fmin(to, eta * sqrt(to * to * (from * from - to * to) / (from * from)));
    return (struct ancestral){.down = sqrt(to * to - up * up), .up = up};
}
