/* Where `caption --write` puts words besides the library: sidecars beside the pictures. */
#ifndef EIDETIC_APP_CAPTION_WRITE_H
#define EIDETIC_APP_CAPTION_WRITE_H

#include "app/app.h"
#include "db/tags.h"

struct caption_write {
    /* options */
    const char *to; /* "db,xmp,txt", any of them */
    const char *separator, *prefix, *undesired;
    bool append, underscores;
    /* from `to` */
    bool db, xmp, txt;
    bool replace; /* a text file that is there and was not asked to be appended to */
    /* results */
    size_t written, same, kept;
};

/* Reads `to`, and says what does not go together. */
int caption_write_parse(struct app *a, struct caption_write *w);
/* path.xmp and the same-stem .txt, as asked for; after a failure of the one, the other all the
 * same.
 */
enum status caption_write_sidecars(struct caption_write *w, const char *path,
                                   const struct db_tags *t, struct error *err);
void caption_write_report(const struct caption_write *w);

#endif
