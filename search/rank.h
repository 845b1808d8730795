/* Does the best hit stand out, and where does the list end?
 *
 *     struct fits_params p = calibrated;                  // weights from the model's card
 *     p.mean = r.mean; p.sd = r.sd; p.n = r.moments_n;    // of this query, from search_topk
 *     float margin;
 *     bool fits = rank_fits(scores, n, &p, &margin);      // scores descending
 *
 * No flat threshold on the cosine is right: the good zone moves with the query. What tells is where
 * the best score lies in the distribution of this query's scores over the archive. */
#ifndef EIDETIC_SEARCH_RANK_H
#define EIDETIC_SEARCH_RANK_H

#include <stdbool.h>
#include <stddef.h>

/* margin = bias + w_score * s0 + w_z * z + w_gap * (s0 - s_g) + w_logn * ln(n), with s0 the best
 * score, z = (s0 - mean) / max(sd, 1e-6), s_g the score at rank gap_rank (0-based; the last where
 * there are fewer). It fits where margin >= 0. With all weights 0: the built-in default, z >= 3
 * (w_z = 1, bias = -3). */
struct fits_params {
    float bias, w_score, w_z, w_gap, w_logn;
    size_t gap_rank;   /* 0 = 9 */
    float min_score;   /* a best score below it never fits: margin = s0 - min_score where that is
                          lower; 0 = off */
    size_t min_n;      /* archives smaller than this have no distribution to speak of: w_z, w_logn
                          and bias are left out and small_score decides; 0 = 8 */
    float small_score; /* ... margin = s0 - small_score */
    double mean, sd;
    size_t n;
};
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
