/* Contents: one row for each distinct picture by its bytes, however many files hold it; and the
 * filter of a search.
 *
 *     struct db_image im = {.width = 640, .height = 480};
 *     memcpy(im.hash, xxh128, 16);
 *     if (db_image_find(db, im.hash, &id, &err) == ST_NOT_FOUND) db_image_put(db, &im, &id, &err);
 *     db_image_get(db, id, &im, &err); ... db_image_release(&im);
 *
 * Ids are never used twice, also after a removal. */
#ifndef EIDETIC_DB_IMAGES_H
#define EIDETIC_DB_IMAGES_H

#include "db/db.h"
#include "db/words.h"

struct db_image {
    int64_t id;
    uint8_t hash[16];  /* of the file's bytes */
    int64_t bytes;     /* of the file */
    int width, height; /* after orientation */
    int orientation;   /* EXIF's 1..8; 0 is stored as 1 */
    char format[8];
    char taken[32];   /* ISO 8601 as the file has it, or "" */
    int64_t taken_at; /* filled in by db_image_put from taken: without an offset it counts as UTC */
    bool has_taken;   /* likewise; false where taken is empty or not a date */
    char make[64], camera[96], lens[96]; /* UTF-8, "" = unknown */
    char burst[64];                      /* shared by the pictures of one burst; "" = none */
    bool has_gps, has_alt;
    double lat, lon, alt;
    bool generated;
    /* Of a generated picture; NULL = none. db_image_put reads them, db_image_get gives heap
     * strings.
     */
    char *prompt, *negative, *gen_model, *parameters;
    bool has_seed;
    int64_t seed;
    int64_t added;   /* 0 = now */
    int64_t present; /* files that hold it now; db_image_put ignores it */
};
void db_image_release(struct db_image *im); /* frees the strings of db_image_get; takes zeroed */

/* ST_NOT_FOUND where the content is new. */
enum status db_image_find(struct db *db, const uint8_t hash[16], int64_t *id, struct error *err);
/* Inserts, or updates the row with the same hash; *id is its id either way. */
enum status db_image_put(struct db *db, const struct db_image *im, int64_t *id, struct error *err);
enum status db_image_get(struct db *db, int64_t id, struct db_image *im, struct error *err);
/* The generated pictures that a present file holds and whose prompt is this one, newest first:
 * *ids mem_free, NULL where *n is 0. */
enum status db_images_of_prompt(struct db *db, const char *prompt, int64_t **ids, size_t *n,
                                struct error *err);
/* A path that holds the content: present before missing, below `folder` (may be NULL) before
 * elsewhere, then first in byte order. *path: mem_free. ST_NOT_FOUND where no file row refers to
 * it. */
enum status db_image_path(struct db *db, int64_t id, const char *folder, char **path,
                          struct error *err);
/* Each path of a content, in byte order; missing tells whether it was gone at the last scan. */
enum status db_image_paths_each(struct db *db, int64_t id,
                                enum status (*each)(void *ctx, const char *path, bool missing),
                                void *ctx, struct error *err);

/* companions.c: a path of each present picture of the same burst: those that carry the same id; of
 * one without, those without that the same camera took within a second of it, in the folder of
 * `path`. At most 100, in the order they were taken. */
enum status db_burst_each(struct db *db, int64_t id, const char *path,
                          enum status (*each)(void *ctx, const char *path), void *ctx,
                          struct error *err);
/* "" where it carries none. */
enum status db_burst_get(struct db *db, int64_t id, char burst[64], struct error *err);

/* "2019-05-04[T ]13:02:11[.5][+02:00|Z]", also shorter from the right ("2019", "2019-05"): seconds
 * since 1970, UTC where it names no offset. False: not a date. `end` gives the last second it
 * covers
 * ("2019" -> 2019-12-31T23:59:59), for --before. */
bool db_parse_time(const char *text, bool end, int64_t *seconds);

/* What db_parse_time reads, and dates as people write them: "july 2019", "4 july", "last summer",
 * "yesterday", "3 weeks ago" (db/when_words.c). now: db_wall_clock(), what a clock on the wall
 * shows, as if it were UTC; so are dates without an offset stored. The first and the last second of
 * it. */
bool db_parse_when(const char *text, int64_t now, int64_t *from, int64_t *to);
int64_t db_wall_clock(void);

enum db_generated { DB_GENERATED_ANY = 0, DB_GENERATED_NO, DB_GENERATED_ONLY };
/* All-zero: every content that a present file holds. Conditions are joined by AND. */
struct db_filter {
    const char *folder; /* absolute: files at or below */
    bool has_after, has_before;
    int64_t after,
        before; /* seconds, both inclusive, of `taken`; contents without a date never fit */
    enum db_generated generated;
    const char *camera; /* part of "make camera lens", ASCII case-insensitive */
    bool has_near;
    double lat, lon, km;                /* great-circle distance at most km */
    bool missing_too;                   /* also contents whose files are all missing */
    const struct db_expr *where, *also; /* conditions on words; NULL = none */
    int64_t without;                    /* this image id is left out; 0 = none */
};
/* The selected image ids, ascending; with `except` set those left out are listed instead (short
 * when the filter is all-zero, whatever the size of the library). */
struct db_idset {
    int64_t *ids;
    size_t n;
    bool except;
};
enum status db_filter_run(struct db *db, const struct db_filter *f, struct db_idset *set,
                          struct error *err); /* f NULL = all-zero */
void db_idset_release(struct db_idset *set);
/* A text that is the same only for the same filter over the same state of the database, as this
 * connection sees it. mem_free it. */
enum status db_filter_key(struct db *db, const struct db_filter *f, char **key, struct error *err);

#endif
