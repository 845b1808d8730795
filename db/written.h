/* What people wrote of a picture: title, description, keywords and a rating, by file, since a
 * sidecar stands beside one file of a content and not beside its copies.
 *
 *     const char *const keywords[] = {"Vienna", "Rosa"};
 *     struct db_written w = {"Morning", "Fog over the river", keywords, 2, 4};
 *     db_written_put(db, file, stamp, &w, &err);
 *     struct db_written_all all;
 *     db_written_get(db, image, &all, &err);      // of all files of the content, joined
 *     db_written_release(&all);
 *
 * They are found as tags and captions are (tags.h), and change with them in one transaction. */
#ifndef EIDETIC_DB_WRITTEN_H
#define EIDETIC_DB_WRITTEN_H

#include "db/db.h"

struct db_written {
    const char *title, *description; /* "" = none */
    const char *const *keyword;
    size_t n;
    int rating; /* 1..5, 0 = none, -1 = rejected */
};
/* Replaces what was written of this file. stamp: of its sidecars (image/words.h), 0 = none. */
enum status db_written_put(struct db *db, int64_t file, int64_t stamp, const struct db_written *w,
                           struct error *err);

struct db_written_all {
    char *title, *description; /* NULL = none */
    char **keyword;
    size_t n;
    int rating;
};
/* Of the files in path order: the first title and description, each keyword once (case aside), the
 * highest rating. ST_OK with nothing in it where nothing is written. */
enum status db_written_get(struct db *db, int64_t image, struct db_written_all *all,
                           struct error *err);
void db_written_release(struct db_written_all *all); /* takes a zeroed struct */

/* The date and place that a sidecar gives to a content. */
enum status db_image_set_taken(struct db *db, int64_t image, const char *taken, struct error *err);
enum status db_image_set_place(struct db *db, int64_t image, bool known, double lat, double lon,
                               double alt, struct error *err);

#endif
