/* Noise levels of a model, the list of schedules, and how names are compared. */
#include "sampler/schedule.h"
#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <string.h>

extern const struct schedule schedule_normal, schedule_karras, schedule_exponential,
    schedule_polyexponential, schedule_sgm_uniform, schedule_simple, schedule_beta, schedule_ays,
    schedule_trailing;

const struct schedule *const schedule_list[] = {
    &schedule_normal,      &schedule_karras,
    &schedule_exponential, &schedule_polyexponential,
    &schedule_sgm_uniform, &schedule_simple,
    &schedule_beta,        &schedule_ays,
    &schedule_trailing,    NULL,
};

void sigma_table_alphas(struct sigma_table *t, const double *alphas_cumprod)
{
    for (int i = 0; i < SIGMA_STEPS; i++) {
        t->sigma[i] = sqrt((1 - alphas_cumprod[i]) / alphas_cumprod[i]);
        t->log_sigma[i] = log(t->sigma[i]);
    }
}

void sigma_zero_snr(double *alphas_cumprod, double last)
{
    double first = sqrt(alphas_cumprod[0]), end = sqrt(alphas_cumprod[SIGMA_STEPS - 1]);
    for (int i = 0; i < SIGMA_STEPS; i++) {
        double root = (sqrt(alphas_cumprod[i]) - end) * first / (first - end);
        alphas_cumprod[i] = root * root;
    }
    alphas_cumprod[SIGMA_STEPS - 1] = last;
}

void sigma_table_scaled_linear(struct sigma_table *t, double first, double last)
{
    double a = sqrt(first), b = sqrt(last), product = 1, alphas[SIGMA_STEPS];
    for (int i = 0; i < SIGMA_STEPS; i++) {
        double root = a + (b - a) * i / (SIGMA_STEPS - 1);
        alphas[i] = product *= 1 - root * root;
    }
    sigma_table_alphas(t, alphas);
}

double sigma_from_time(const struct sigma_table *t, double time)
{
    time = fmin(fmax(time, 0), SIGMA_STEPS - 1);
    int low = (int)time, high = low + 1 < SIGMA_STEPS ? low + 1 : low;
    double w = time - low;
    return exp((1 - w) * t->log_sigma[low] + w * t->log_sigma[high]);
}

double sigma_to_time(const struct sigma_table *t, double sigma)
{
    double want = log(sigma);
    int low = 0, high = SIGMA_STEPS - 1; /* log_sigma[low] <= want < log_sigma[high] */
    while (high - low > 1) {
        int mid = (low + high) / 2;
        *(t->log_sigma[mid] <= want ? &low : &high) = mid;
    }
    double w = (want - t->log_sigma[low]) / (t->log_sigma[high] - t->log_sigma[low]);
    return low + fmin(fmax(w, 0), 1);
}

static char next_letter(const char **p)
{
    while (**p && strchr(" _-", **p))
        ++*p;
    char c = **p;
    if (c)
        ++*p;
    return (char)(c == '+' ? 'p' : tolower((unsigned char)c));
}

static bool same(const char *a, const char *b, const char *b_end)
{
    char ca, cb;
    do {
        ca = next_letter(&a);
        cb = b < b_end ? next_letter(&b) : '\0';
    } while (ca == cb && ca);
    return ca == cb;
}

bool schedule_name_is(const char *name, const char *own, const char *aliases)
{
    if (same(name, own, own + strlen(own)))
        return true;
    while (*aliases) {
        size_t len = strcspn(aliases, " ");
        if (same(name, aliases, aliases + len))
            return true;
        aliases += len + strspn(aliases + len, " ");
    }
    return false;
}

const struct schedule *schedule_find(const char *name)
{
    for (int i = 0; schedule_list[i]; i++)
        if (schedule_name_is(name, schedule_list[i]->name, schedule_list[i]->aliases))
            return schedule_list[i];
    return NULL;
}

void schedule_fill(const struct schedule *s, const struct sigma_table *t, int steps,
                   const struct schedule_opts *opts, float *sigmas)
{
    assert(steps >= 1);
    const struct schedule_opts o = opts ? *opts : (struct schedule_opts){0};
    struct schedule_range r = {.table = t,
                               .low = o.sigma_min > 0 ? o.sigma_min : t->sigma[0],
                               .high = o.sigma_max > 0 ? o.sigma_max : t->sigma[SIGMA_STEPS - 1],
                               .rho = o.rho > 0 ? o.rho : s->rho};
    for (int i = 0; i < steps; i++)
        sigmas[i] = (float)s->level(&r, i, steps + o.discard_penultimate);
    sigmas[steps] = 0;
}
