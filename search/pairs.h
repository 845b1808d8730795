/* All pairs of pictures that are alike, without comparing each with each.
 *
 *     struct search_pairs p = {0};
 *     search_pairs(s, &(struct db_filter){.folder = "/photos"}, &(struct pairs_opts){.least =
 * 0.95F}, &p,
 *                  &err);
 *     for (size_t i = 0; i < p.n; i++)
 *         use(p.pair[i].a, p.pair[i].b, p.pair[i].score);
 *     search_pairs_release(&p);
 *
 * Up to `exact_below` vectors all are compared. Above, each belongs to the nearest of about 2
 * sqrt(n) of their own number and is compared with what belongs to its PAIRS_PROBES nearest: n^1.5
 * work in place of n^2, and a pair whose members have no such cell in common is missed. Scores are
 * those of the f16 rows (error at most 1e-3). A picture has at most about PAIRS_MOST partners; of
 * more (thousands of blank scans) some are left out. Thread rule: that of the search. */
#ifndef EIDETIC_SEARCH_PAIRS_H
#define EIDETIC_SEARCH_PAIRS_H

#include "search/search.h"

enum { PAIRS_PROBES = 6, PAIRS_MOST = 256, PAIRS_EXACT = 16384 };

struct pairs_opts {
    float least;                                          /* cosine */
    size_t exact_below;                                   /* 0 = PAIRS_EXACT */
    void (*progress)(void *ctx, size_t done, size_t all); /* may be NULL */
    void *ctx;
};
struct search_pair {
    int64_t a, b; /* image ids, a < b */
    float score;
};
struct search_pairs {
    struct search_pair *pair; /* by a, then b; each once */
    size_t n;
    size_t pictures; /* with a vector, that the filter left */
    uint64_t scored; /* comparisons that were made */
    bool exact;      /* none is missed */
};
/* filter NULL: every present picture. */
enum status search_pairs(struct search *s, const struct db_filter *filter,
                         const struct pairs_opts *o, struct search_pairs *p, struct error *err);
void search_pairs_release(struct search_pairs *p); /* takes a zeroed struct */

#endif
