/* index --watch: between two runs the library is closed, so that others may write to it.
 *
 *     index_watch_open(a, "60", &opts, &w);         // before the first run; opts get the hooks
 *     while (!index_watch_next(a, w)) index again   // open for writing once more
 */
#ifndef EIDETIC_APP_INDEX_WATCH_H
#define EIDETIC_APP_INDEX_WATCH_H

#include "app/app.h"
#include "indexer/indexer.h"
#include "indexer/watch.h"

/* seconds: --watch's value, "" = the default. Non-zero: said, a->exit is set. */
int index_watch_open(struct app *a, const char *seconds, struct index_opts *o, struct watch **w);
/* Closes the library, waits for a change, and opens it again. */
int index_watch_next(struct app *a, struct watch *w);

#endif
