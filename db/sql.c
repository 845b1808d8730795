/* SQLite in short words: kept statements, binding by format, and SQLite's codes as ours. */
#include "core/mem.h"
#include "core/path.h"
#include "db/db_int.h"
#include <errno.h>
#include <string.h>

enum status sql_error(sqlite3 *h, const char *path, struct error *err)
{
    int ext = h ? sqlite3_extended_errcode(h) : SQLITE_NOMEM;
    const char *text = h ? sqlite3_errmsg(h) : "out of memory";
    enum status code = ST_INTERNAL;
    switch (ext & 0xff) {
    case SQLITE_FULL:
    case SQLITE_READONLY:
        code = ST_NOSPACE;
        break;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        code = ST_FORMAT;
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        code = ST_LOCKED;
        break;
    case SQLITE_NOMEM:
        code = ST_NOMEM;
        break;
    case SQLITE_IOERR:
        code = ext == SQLITE_IOERR_NOMEM ? ST_NOMEM : ST_IO;
        switch (h ? sqlite3_system_errno(h) : 0) {
        case ENOSPC:
        case EDQUOT:
        case EFBIG:
        case EROFS:
            code = ST_NOSPACE;
        }
        break;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        code = ST_IO;
        break;
    case SQLITE_INTERRUPT:
        code = ST_INTERRUPTED;
        break;
    case SQLITE_TOOBIG:
        code = ST_LIMIT;
        break;
    }
    return error_set(err, code, "%s: %s", path, text);
}

enum status sql_open(struct db *db, const char *sql, sqlite3_stmt **st, struct error *err)
{
    for (int i = 0; i < db->n_kept; i++) {
        if (db->kept[i].sql == sql && !sqlite3_stmt_busy(db->kept[i].st)) {
            *st = db->kept[i].st;
            return ST_OK;
        }
    }
    *st = NULL;
    if (sqlite3_prepare_v3(db->h, sql, -1, SQLITE_PREPARE_PERSISTENT, st, NULL) != SQLITE_OK)
        return sql_error(db->h, db->path, err);
    bool known = false;
    for (int i = 0; i < db->n_kept; i++)
        known |= db->kept[i].sql == sql;
    if (!known && db->n_kept < DB_KEPT) {
        db->kept[db->n_kept].sql = sql;
        db->kept[db->n_kept++].st = *st;
    }
    return ST_OK;
}

void sql_close(struct db *db, sqlite3_stmt *st)
{
    if (!st)
        return;
    for (int i = 0; i < db->n_kept; i++) {
        if (db->kept[i].st == st) {
            sqlite3_reset(st);
            sqlite3_clear_bindings(st);
            return;
        }
    }
    sqlite3_finalize(st);
}

static void bind_list(sqlite3_stmt *st, const char *format, va_list ap)
{
    int i = 1;
    for (const char *f = format; *f; f++, i++) {
        switch (*f) {
        case 'i':
            sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
            break;
        case 'r':
            sqlite3_bind_double(st, i, va_arg(ap, double));
            break;
        case 't':
            sqlite3_bind_text(st, i, va_arg(ap, const char *), -1, SQLITE_STATIC);
            break;
        case 'b': {
            const void *p = va_arg(ap, const void *);
            sqlite3_bind_blob64(st, i, p, va_arg(ap, size_t), SQLITE_STATIC);
            break;
        }
        case 'n':
            sqlite3_bind_null(st, i);
            break;
        }
    }
}

void sql_bind(sqlite3_stmt *st, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    bind_list(st, format, ap);
    va_end(ap);
}

enum status sql_step(struct db *db, sqlite3_stmt *st, bool *row, struct error *err)
{
    int rc = sqlite3_step(st);
    if (row)
        *row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        return ST_OK;
    return sql_error(db->h, db->path, err);
}

static enum status open_bound(struct db *db, const char *sql, sqlite3_stmt **st, const char *format,
                              va_list ap, struct error *err)
{
    enum status rc = sql_open(db, sql, st, err);
    if (!rc)
        bind_list(*st, format, ap);
    return rc;
}

enum status sql_run(struct db *db, struct error *err, const char *sql, const char *format, ...)
{
    sqlite3_stmt *st;
    bool row;
    va_list ap;
    va_start(ap, format);
    enum status rc = open_bound(db, sql, &st, format, ap, err);
    va_end(ap);
    if (rc)
        return rc;
    do
        rc = sql_step(db, st, &row, err);
    while (!rc && row);
    sql_close(db, st);
    return rc;
}

enum status sql_int(struct db *db, struct error *err, int64_t *value, const char *sql,
                    const char *format, ...)
{
    sqlite3_stmt *st;
    bool row;
    va_list ap;
    va_start(ap, format);
    enum status rc = open_bound(db, sql, &st, format, ap, err);
    va_end(ap);
    if (rc)
        return rc;
    rc = sql_step(db, st, &row, err);
    if (!rc && row)
        *value = sqlite3_column_int64(st, 0);
    else if (!rc)
        rc = error_set(err, ST_NOT_FOUND, "%s: no such row", db->path);
    sql_close(db, st);
    return rc;
}

enum status sql_exec(struct db *db, const char *sql, struct error *err)
{
    if (sqlite3_exec(db->h, sql, NULL, NULL, NULL) != SQLITE_OK)
        return sql_error(db->h, db->path, err);
    return ST_OK;
}

bool path_range_init(struct path_range *r, const char *folder)
{
    size_t n = strlen(folder);
    while (n && folder[n - 1] == '/')
        n--;
    r->self = mem_strndup(folder, n); /* "" for "/": no file has that path */
    r->lo = mem_printf("%.*s/", (int)n, folder);
    r->hi = mem_printf("%.*s0", (int)n, folder); /* '0' follows '/' */
    if (r->self && r->lo && r->hi)
        return true;
    path_range_release(r);
    return false;
}

void path_range_release(struct path_range *r)
{
    mem_free(r->self);
    mem_free(r->lo);
    mem_free(r->hi);
    *r = (struct path_range){0};
}
