/* The library's database: one folder, one SQLite file, which is the truth; everything else in the
 * folder (vectors-*.bin, faiss-*.idx) is a cache that search/ rebuilds from it.
 *
 *     struct db *db = NULL;
 *     struct db_opts o = {.mode = DB_CREATE, .command = "index"};
 *     if (db_open(&db, "/home/a/.local/share/eidetic", &o, &err)) return err.code;
 *     db_begin(db, &err); ... db_file_put(...); db_vector_put(...); db_commit(db, &err);
 *     db_close(db);
 *
 * All SQL of the program is in this folder: db.h opens, locks, checks and copies; files.h has
 * roots, files and their errors; images.h contents and what is known of them, and the filter of a
 * search; vectors.h models and vectors.
 *
 * Writers: one at a time, by a lock on <library>/lock that is held from db_open to db_close.
 * Readers never need it and see the last commit (WAL). On network file systems, where WAL's shared
 * memory does not work, the rollback journal is used and readers wait for writers up to busy_ms.
 *
 * Power loss: commits are synchronous (FULL), so what db_commit returned ST_OK for is on the disk;
 * an open transaction is lost whole. kill -9 the same.
 *
 * Transactions: a function that writes does so in the open transaction, or in one of its own where
 * none is open. After a failed write inside a transaction call db_rollback; nothing of it stays.
 *
 * Paths are absolute byte strings of any bytes but NUL, compared byte by byte. Times are seconds
 * since 1970 UTC. Thread rule: one thread at a time uses a struct db; open one a thread. Errors:
 * ST_LOCKED names the holder, ST_NOSPACE disk full or not writable, ST_FORMAT not a library or
 * damaged, ST_UNSUPPORTED written by a newer version, ST_NOT_FOUND no library there. */
#ifndef EIDETIC_DB_DB_H
#define EIDETIC_DB_DB_H

#include "core/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;

enum db_mode {
    DB_READ = 0, /* no lock, no writes; also from a read-only medium */
    DB_WRITE,    /* the library must exist */
    DB_CREATE,   /* as DB_WRITE, made where absent */
};

struct db_opts {
    enum db_mode mode;
    int lock_wait_ms;    /* how long a second writer waits for the first; 0 = not at all */
    int busy_ms;         /* SQLite's own locks; 0 = 10,000 */
    const char *command; /* written into the lock file, for the one who waits; may be NULL */
};

enum status db_open(struct db **db, const char *library, const struct db_opts *o,
                    struct error *err);
void db_close(struct db *db); /* takes NULL; rolls an open transaction back */

const char *db_library(const struct db *db); /* the folder, absolute */
bool db_is_wal(const struct db *db);

enum status db_begin(struct db *db, struct error *err); /* to write; must not be nested */
enum status db_begin_read(struct db *db,
                          struct error *err);            /* one unchanging view of several reads */
enum status db_commit(struct db *db, struct error *err); /* on failure all is rolled back */
void db_rollback(struct db *db);                         /* also where nothing is open */
bool db_in_transaction(const struct db *db);

/* *value: NUL-terminated, mem_free; NULL and ST_OK where the key is not set. value NULL deletes. */
enum status db_setting_get(struct db *db, const char *key, char **value, struct error *err);
enum status db_setting_set(struct db *db, const char *key, const char *value, struct error *err);

struct db_stats {
    int64_t roots, files_present, files_missing, files_failed, errors;
    int64_t images;         /* contents, whether or not a file holds them now */
    int64_t images_present; /* with at least one present file: what a search sees */
    int64_t generated;      /* of images_present */
    int64_t vectors;        /* of all models */
    int64_t db_bytes;       /* library.db with its WAL */
    int schema;             /* user_version */
};
enum status db_stats(struct db *db, struct db_stats *s, struct error *err);

/* Calls found(ctx, sentence) for each thing that is wrong; *problems counts them. Looks at SQLite's
 * own structure, foreign keys, counters, and each vector's size and length (1 within 1e-3). deep
 * false skips what reads every page (integrity_check and the vectors). ST_OK means that the check
 * could be made, not that all is well. */
enum status db_check(struct db *db, bool deep, void (*found)(void *ctx, const char *what),
                     void *ctx, int64_t *problems, struct error *err);

/* A consistent copy of the database while others go on, through a temporary file beside `path` that
 * is read back (integrity_check: ST_FORMAT) and renamed at the end; progress may be NULL (pages
 * done, pages in all). Refuses an existing path: ST_USAGE. */
enum status db_backup(struct db *db, const char *path,
                      void (*progress)(void *ctx, int64_t done, int64_t total), void *ctx,
                      struct error *err);

/* Who holds the writer's lock now: "pid 123 on host (eidetic index)", mem_free; NULL: nobody. */
char *db_lock_holder(const char *library);

#endif
