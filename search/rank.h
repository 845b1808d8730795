/* Does the best hit stand out, and where does the list end?
 *
 *     struct fits_params p = calibrated;                  // weights from the model's card
 *     p.mean = r.mean; p.sd = r.sd; p.n = r.moments_n;    // of this query, from search_topk
 *     float margin;
 *     bool fits = rank_fits(scores, n, &p, &margin);      // scores descending
 *
 * No flat threshold on the cosine is right: the good zone moves with the query. A sentence that
 * something fits also spreads the archive's scores wider, so the best score and the spread are
 * judged together, against a threshold that grows with the number of pictures (the best of many is
 * higher by chance). The constants belong to a model and are measured on its development pictures.
 */
#ifndef EIDETIC_SEARCH_RANK_H
#define EIDETIC_SEARCH_RANK_H

#include <stdbool.h>
#include <stddef.h>

/* calibrated: margin = s0 + spread_weight * sd - threshold - threshold_per_log10_n * log10(n), with
 * s0 the best score and n held between n_min and n_max (0 = no bound). Under RANK_FEW pictures sd
 * says nothing and RANK_FEW_SPREAD stands in. Not calibrated (any other model): margin = (s0 -
 * mean) / sd - 3, and among few pictures the best one fits. It fits where margin >= 0. */
struct fits_params {
    bool calibrated;
    float spread_weight, threshold, threshold_per_log10_n;
    size_t n_min, n_max;
    double mean, sd; /* of this query's scores over the archive (population form) */
    size_t n;
};
enum { RANK_FEW = 8 };
#define RANK_FEW_SPREAD 0.08
#define RANK_BEYOND_CHANCE 0.5
/* n == 0 never fits (margin -1). margin may be NULL. */
bool rank_fits(const float *scores, size_t n, const struct fits_params *p, float *margin);

/* How many of n descending scores to show: those >= min_score (where has_min) and, where relative >
 * 0, >= mean + relative * (s0 - mean): 0 keeps all, 1 only the best and its equals. */
struct rank_cut {
    bool has_min;
    float min_score;
    float relative;
    double mean;
};
size_t rank_cut(const float *scores, size_t n, const struct rank_cut *c);

#endif
