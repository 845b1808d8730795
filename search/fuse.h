/* Words and pixels in one order: the cosine of a sentence, and how much of it is written on a
 * picture: in its names, in its tags and caption.
 *
 *     search_topk(s, vector, filter, SEARCH_FUSE, &r, &err);
 *     search_fuse(s, "lake garda", vector, filter, &r, &err);    // r.hits in the new order
 *
 * With idf = log((N + 1) / (n + 1)) for a word that n of N pictures hold, a picture's share is the
 * idf of the sentence's words that it holds over that of all of them, and its place is by
 *
 *     cosine + FUSE_NAMES share_names^2 + FUSE_TAGS share_tags^8.
 *
 * The powers make a sentence that is written there whole count, and a word in passing not, so that
 * sentences lose nothing (docs/ARCHITECTURE.md has the figures; reciprocal rank fusion loses
 * much). Words that every fifth picture holds say nothing, articles and the like neither. A word
 * also means its plural and singular. Scores stay cosines. */
#ifndef EIDETIC_SEARCH_FUSE_H
#define EIDETIC_SEARCH_FUSE_H

#include "search/search.h"

#define FUSE_NAMES 0.5F
#define FUSE_TAGS 0.3F
enum { SEARCH_FUSE = 200, FUSE_WORDS = 32, FUSE_MOST = 2000 };

/* r: what search_topk found for q (dim floats, unit). Pictures that hold words of the sentence and
 * pass the filter are added, up to FUSE_MOST of those with the largest shares. */
enum status search_fuse(struct search *s, const char *sentence, const float *q,
                        const struct db_filter *filter, struct search_result *r, struct error *err);
float search_fused(const struct search_hit *h); /* what hits are ordered by */

#endif
