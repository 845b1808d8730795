/* Private to db/: the handle, and SQL in short words.
 *
 *     sqlite3_stmt *st;
 *     bool row;
 *     if (sql_open(db, "SELECT id FROM roots WHERE path = ?", &st, err)) return ...;
 *     sql_bind(st, "b", path, strlen(path));
 *     while ((rc = sql_step(db, st, &row, err)) == ST_OK && row) use(sqlite3_column_int64(st, 0));
 *     sql_close(db, st);
 *
 * Statements are kept by the address of their text, so the text must be a literal; a kept one that
 * is busy (a callback asks the same again) is prepared afresh. */
#ifndef EIDETIC_DB_DB_INT_H
#define EIDETIC_DB_DB_INT_H

#include "db/db.h"
#include <sqlite3.h>

#define DB_APPLICATION_ID 0x45494454 /* "EIDT"; persisted */
#define DB_KEPT 64

struct db {
    sqlite3 *h;
    char *library; /* folder */
    char *path;    /* of library.db */
    int lock_fd;   /* -1: no lock held */
    bool writable, wal;
    bool vectors_changed; /* in the open transaction */
    bool to_end; /* the open transaction is over, but for a ROLLBACK that there was no memory for */
    struct {
        const char *sql;
        sqlite3_stmt *st;
    } kept[DB_KEPT];
    int n_kept;
};

enum status sql_open(struct db *db, const char *sql, sqlite3_stmt **st, struct error *err);
void sql_close(struct db *db, sqlite3_stmt *st); /* takes NULL */
/* i int64_t, r double, t text (NULL: null), b bytes and size_t, n null. Bytes must live until
 * sql_close. A failure (no memory) shows in the next sql_step, as sqlite3's own contract has it. */
void sql_bind(sqlite3_stmt *st, const char *format, ...);
enum status sql_step(struct db *db, sqlite3_stmt *st, bool *row, struct error *err);
/* The whole of it for what gives no rows, and for one integer (ST_NOT_FOUND where there is no row).
 */
enum status sql_run(struct db *db, struct error *err, const char *sql, const char *format, ...);
enum status sql_int(struct db *db, struct error *err, int64_t *value, const char *sql,
                    const char *format, ...);
enum status sql_exec(struct db *db, const char *sql, struct error *err); /* several statements */
/* Status and text of the handle's last failure. */
enum status sql_error(sqlite3 *h, const char *path, struct error *err);

/* A transaction of one's own where none is open. */
enum status db_auto_begin(struct db *db, bool *own, struct error *err);
enum status db_auto_end(struct db *db, bool own, enum status rc, struct error *err);

/* The range of paths strictly below a folder: lo <= p < hi. NULL: no memory. */
struct path_range {
    char *self, *lo, *hi; /* self: without the trailing slash */
};
bool path_range_init(struct path_range *r, const char *folder);
void path_range_release(struct path_range *r);

/* tags.c: the rows of `words` that the transaction made stale. */
enum status words_refresh(struct db *db, struct error *err);
struct db_expr;
struct buf;
#define DB_WHERE_FIRST 20 /* the number of a condition's first parameter */
/* words.c: " AND <condition>" behind a WHERE over images, and its parameters. *n counts nodes, over
 * all conditions of a statement. */
enum status where_write(struct buf *b, const struct db_expr *x, bool missing_too, int *n,
                        struct error *err);
enum status where_bind(sqlite3_stmt *st, const struct db_expr *x, int *n, struct error *err);
/* lock.c */
enum status lock_take(int *fd, const char *library, int wait_ms, const char *command,
                      struct error *err);
void lock_release(int fd);
/* migrate.c */
enum status db_migrate(struct db *db, struct error *err);
int db_schema_latest(void);

#endif
