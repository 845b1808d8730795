/* Whether the best hit stands out, and where the list ends. */
#include "search/rank.h"
#include <math.h>

bool rank_fits(const float *scores, size_t n, const struct fits_params *p, float *margin)
{
    float m = -1;
    if (n > 0) {
        size_t min_n = p->min_n ? p->min_n : 8, gap = p->gap_rank ? p->gap_rank : 9;
        double best = scores[0], sd = p->sd > 1e-6 ? p->sd : 1e-6;
        double w_z = p->w_z, bias = p->bias;
        if (p->w_score == 0 && p->w_z == 0 && p->w_gap == 0 && p->w_logn == 0 && p->bias == 0) {
            w_z = 1;
            bias = -3;
        }
        double s_gap = scores[gap < n ? gap : n - 1];
        double value = p->n < min_n ? best - p->small_score
                                    : bias + p->w_score * best + w_z * (best - p->mean) / sd +
                                          p->w_gap * (best - s_gap) + p->w_logn * log((double)p->n);
        if (p->min_score != 0 && best - p->min_score < 0 && best - p->min_score < value)
            value = best - p->min_score;
        m = isfinite(value) ? (float)value : -1;
    }
    if (margin)
        *margin = m;
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
