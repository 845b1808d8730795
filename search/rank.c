/* Whether the best hit stands out, and where the list ends. */
#include "search/rank.h"
#include <math.h>

static double calibrated_margin(double best, const struct fits_params *p)
{
    size_t n = p->n;
    if (n < p->n_min)
        n = p->n_min;
    if (p->n_max && n > p->n_max)
        n = p->n_max;
    double sd = p->n < RANK_FEW ? RANK_FEW_SPREAD : p->sd;
    return best + p->spread_weight * sd - p->threshold -
           p->threshold_per_log10_n * log10(n ? (double)n : 1);
}

/* What the best of n values of a standard normal distribution comes to (Fisher and Tippett's
 * limit): 1.7 of 20, 3.1 of 1,000, 4.3 of 100,000. */
static double expected_best(double n)
{
    double a = sqrt(2 * log(n));
    return a - (log(log(n)) + log(4 * M_PI)) / (2 * a);
}

static double z_margin(double best, const struct fits_params *p)
{
    if (p->n < RANK_FEW)
        return isfinite(best) ? 0 : -1;
    double z = (best - p->mean) / (p->sd > 1e-6 ? p->sd : 1e-6);
    return z - expected_best((double)p->n) - RANK_BEYOND_CHANCE;
}

bool rank_fits(const float *scores, size_t n, const struct fits_params *p, float *margin)
{
    double m = n == 0          ? -1
               : p->calibrated ? calibrated_margin(scores[0], p)
                               : z_margin(scores[0], p);
    if (!isfinite(m))
        m = -1;
    if (margin)
        *margin = (float)m;
    return m >= 0;
}

size_t rank_cut(const float *scores, size_t n, const struct rank_cut *c)
{
    if (n == 0)
        return 0;
    double least = c->has_min ? c->min_score : -INFINITY;
    if (c->relative > 0) {
        double r = c->relative < 1 ? c->relative : 1;
        double cut = c->mean + r * (scores[0] - c->mean);
        if (r == 1) /* not by arithmetic, which may round above the best */
            cut = scores[0];
        least = cut > least ? cut : least;
    }
    size_t kept = 0;
    while (kept < n && scores[kept] >= least)
        kept++;
    return kept;
}
