/* Searching for many sentences at once on a graphics card.
 *
 *     struct search_device *d = search_device_open(a);     // NULL: --device names none, or said
 *     search_device_look(d, search, queries, m, &filter);  // [m, dim]; then search_topk as ever
 *     search_device_close(d);                              // before the search
 *
 * All three take NULL. What the card cannot do is said once a call and done without it. */
#ifndef EIDETIC_APP_SEARCH_DEVICE_H
#define EIDETIC_APP_SEARCH_DEVICE_H

#include "app/app.h"
#include "search/search.h"

struct search_device;
struct search_device *search_device_open(struct app *a);
void search_device_look(struct search_device *d, struct search *s, const float *queries, size_t m,
                        const struct db_filter *filter);
void search_device_close(struct search_device *d);

#endif
