/* Roots, files and their errors.
 *
 *     struct db_file_table t = {0};
 *     db_files_load(db, "/photos", &t, &err);                // all rows below, sorted by path
 *     struct db_file_row *r = db_file_table_find(&t, path);  // NULL: new
 *     if (r && r->size == st_size && r->mtime_ns == m && r->status == DB_FILE_PRESENT)
 *         r->seen = true;
 *     ...
 *     // those not seen; their rows are kept
 *     db_files_mark_missing(db, &t, unreadable, n_unreadable, &n, &err);
 *     db_file_table_release(&t);
 *
 * A file row says where a content (images.h) was found. A row is never deleted by a scan: a missing
 * file keeps its content and vector until db_forget or db_prune. */
#ifndef EIDETIC_DB_FILES_H
#define EIDETIC_DB_FILES_H

#include "db/db.h"

struct db_root {
    int64_t id;
    const char *path;
    int64_t added, last_scan; /* last_scan 0: never finished */
    uint64_t dev;             /* st_dev when last scanned: a changed one hints at another medium */
};

/* Adds the root or finds it; *id may be NULL. dev 0 leaves what is stored. */
enum status db_root_put(struct db *db, const char *path, uint64_t dev, int64_t *id,
                        struct error *err);
enum status db_root_scanned(struct db *db, int64_t root, struct error *err); /* last_scan = now */
/* In path order. Stops and returns what each returns unless ST_OK. The row is valid during the
 * call. */
enum status db_roots_each(struct db *db, enum status (*each)(void *ctx, const struct db_root *r),
                          void *ctx, struct error *err);

/* Persisted. */
enum db_file_status {
    DB_FILE_PRESENT = 1,
    DB_FILE_MISSING = 2, /* not seen by the last scan of a root above it */
    DB_FILE_FAILED = 3,  /* not read or decoded: see errors; not retried while unchanged */
};

struct db_file {
    int64_t id;       /* ignored by db_file_put */
    int64_t root;     /* 0 = none */
    const char *path; /* absolute */
    int64_t size, mtime_ns;
    uint64_t dev, ino;
    int64_t image; /* content row; 0 = none (failed) */
    enum db_file_status status;
};

/* Inserts or replaces the row of f->path; one that is present clears the path's error. */
enum status db_file_put(struct db *db, const struct db_file *f, int64_t *id, struct error *err);
/* db_file_put as failed without content, and the error, in one. f->image and f->status are ignored.
 */
enum status db_file_failed(struct db *db, const struct db_file *f, enum status code,
                           const char *text, struct error *err);
/* Only the status; for a missing file that is back unchanged. */
enum status db_file_set_status(struct db *db, int64_t file, enum db_file_status status,
                               struct error *err);
/* ST_NOT_FOUND without touching err->text's meaning; f->path is the caller's own pointer. */
enum status db_file_get(struct db *db, const char *path, struct db_file *f, struct error *err);

struct db_file_row {
    const char *path; /* in the table's memory */
    int64_t id, image, size, mtime_ns;
    uint64_t dev, ino;
    int64_t sidecars; /* stamp of when its words were read (written.h); -1 = they never were */
    uint8_t status;   /* enum db_file_status */
    bool seen;        /* the caller sets it */
};
struct db_file_table {
    struct db_file_row *rows; /* sorted by path, byte by byte */
    size_t n;
    char *paths;
};
/* All rows at or below folder ("/photos" or "/photos/"; "/" = all): about 0.3 s and 15 MB for
 * 100,000. */
enum status db_files_load(struct db *db, const char *folder, struct db_file_table *t,
                          struct error *err);
struct db_file_row *db_file_table_find(const struct db_file_table *t, const char *path);
void db_file_table_release(struct db_file_table *t);
/* Rows that are present or failed and not seen become missing, except at or below one of `keep`
 * (folders that could not be read, roots that are not mounted). *marked may be NULL. Deletes
 * nothing. */
enum status db_files_mark_missing(struct db *db, const struct db_file_table *t,
                                  const char *const *keep, size_t n_keep, int64_t *marked,
                                  struct error *err);

/* The present files at or below folder (NULL = anywhere) of each content that at least two of them
 * hold: by content, then path. */
enum status db_copies_each(struct db *db, const char *folder,
                           enum status (*each)(void *ctx, int64_t image, const char *path,
                                               int64_t mtime_ns),
                           void *ctx, struct error *err);

struct db_error {
    const char *path; /* file or folder */
    enum status code;
    const char *text;
    int64_t when, size, mtime_ns; /* size, mtime_ns: as the file was then */
};
enum status db_error_put(struct db *db, const struct db_error *e,
                         struct error *err); /* when 0 = now */
enum status db_error_clear(struct db *db, const char *path, struct error *err);
/* Clears the errors at or below folder but those of failed files: what a new scan will find again.
 */
enum status db_error_clear_folders(struct db *db, const char *folder, struct error *err);
enum status db_errors_each(struct db *db, enum status (*each)(void *ctx, const struct db_error *e),
                           void *ctx, struct error *err); /* in path order */

struct db_removed {
    int64_t roots, files, images, vectors;
};
/* Takes the file or folder `path` out of the library: rows, errors, roots at or below it, then the
 * contents that no file row refers to any more, and their vectors. ST_NOT_FOUND where nothing is
 * known there. */
enum status db_forget(struct db *db, const char *path, struct db_removed *removed,
                      struct error *err);
/* The missing rows at or below folder (NULL = anywhere), and every content that no file row refers
 * to. */
enum status db_prune(struct db *db, const char *folder, struct db_removed *removed,
                     struct error *err);

#endif
