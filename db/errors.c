/* Errors of files and folders. The code is stored by name, since enum status may grow in the
 * middle. */
#include "core/mem.h"
#include "db/db_int.h"
#include "db/files.h"
#include <string.h>
#include <time.h>

static enum status code_of(const char *name)
{
    for (int c = ST_OK; c <= ST_INTERNAL; c++)
        if (name && !strcmp(name, status_name((enum status)c)))
            return (enum status)c;
    return ST_INTERNAL;
}

enum status db_error_put(struct db *db, const struct db_error *e, struct error *err)
{
    bool own;
    enum status rc = db_auto_begin(db, &own, err);
    if (rc)
        return rc;
    rc = sql_run(db, err,
                 "INSERT INTO errors (path, code, text, at, size, mtime_ns) "
                 "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET "
                 "code = excluded.code, text = excluded.text, at = excluded.at, "
                 "size = excluded.size, mtime_ns = excluded.mtime_ns",
                 "bttiii", e->path, strlen(e->path), status_name(e->code), e->text ? e->text : "",
                 e->when ? e->when : (int64_t)time(NULL), e->size, e->mtime_ns);
    return db_auto_end(db, own, rc, err);
}

enum status db_error_clear(struct db *db, const char *path, struct error *err)
{
    bool own;
    enum status rc = db_auto_begin(db, &own, err);
    if (rc)
        return rc;
    rc = sql_run(db, err, "DELETE FROM errors WHERE path = ?", "b", path, strlen(path));
    return db_auto_end(db, own, rc, err);
}

enum status db_error_clear_folders(struct db *db, const char *folder, struct error *err)
{
    bool own;
    enum status rc = db_auto_begin(db, &own, err);
    if (rc)
        return rc;
    struct path_range r;
    if (path_range_init(&r, folder)) {
        rc = sql_run(db, err,
                     "DELETE FROM errors WHERE (path = ? OR (path >= ? AND path < ?)) AND "
                     "path NOT IN (SELECT path FROM files WHERE status = 3)",
                     "bbb", r.self, strlen(r.self), r.lo, strlen(r.lo), r.hi, strlen(r.hi));
        path_range_release(&r);
    } else {
        rc = error_set(err, ST_NOMEM, "out of memory");
    }
    return db_auto_end(db, own, rc, err);
}

enum status db_errors_each(struct db *db, enum status (*each)(void *ctx, const struct db_error *e),
                           void *ctx, struct error *err)
{
    sqlite3_stmt *st;
    bool row;
    enum status rc = sql_open(
        db, "SELECT path, code, text, at, size, mtime_ns FROM errors ORDER BY path", &st, err);
    while (!rc && !(rc = sql_step(db, st, &row, err)) && row) {
        const char *p = sqlite3_column_blob(st, 0);
        char *path = mem_strndup(p ? p : "", (size_t)sqlite3_column_bytes(st, 0));
        const char *text = (const char *)sqlite3_column_text(st, 2);
        struct db_error e = {
            .path = path,
            .code = code_of((const char *)sqlite3_column_text(st, 1)),
            .text = text ? text : "",
            .when = sqlite3_column_int64(st, 3),
            .size = sqlite3_column_int64(st, 4),
            .mtime_ns = sqlite3_column_int64(st, 5),
        };
        rc = path ? each(ctx, &e) : error_set(err, ST_NOMEM, "out of memory");
        mem_free(path);
    }
    sql_close(db, st);
    return rc;
}
