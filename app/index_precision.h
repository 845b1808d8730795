/* What --precision auto means for a model of which nothing is known: int8 where the first pictures
 * that are indexed keep their vectors in it, else bf16. Measured once a model and library.
 *
 *     struct index_opts o = {...};
 *     index_precision_measure(a, &o);     // library and model are open, the session is not needed
 *     index_run(&parts, &o, &report, &err);
 *
 * Each of the first INDEX_PRECISION_PICTURES must have a cosine of INDEX_PRECISION_NEAR to f32; of
 * fewer nothing is concluded. */
#ifndef EIDETIC_APP_INDEX_PRECISION_H
#define EIDETIC_APP_INDEX_PRECISION_H

#include "app/app.h"
#include "indexer/indexer.h"

enum { INDEX_PRECISION_PICTURES = 4 };
#define INDEX_PRECISION_NEAR 0.999

/* An index_opts' first_batch; ctx is the struct app, whose session is replaced too. */
enum status index_precision_choose(void *ctx, const uint8_t *const *pixels, int n,
                                   struct clip_session **session, struct error *err);
/* Sets o's first_batch where something is to be measured, and clears it where not. */
void index_precision_measure(struct app *a, struct index_opts *o);

#endif
