/* Contents that several files hold. */
#include "core/mem.h"
#include "db/db_int.h"
#include "db/files.h"
#include <string.h>

#define BELOW "status = 1 AND image IS NOT NULL AND (path = ?1 OR (path >= ?2 AND path < ?3))"

enum status db_copies_each(struct db *db, const char *folder,
                           enum status (*each)(void *ctx, int64_t image, const char *path,
                                               int64_t mtime_ns),
                           void *ctx, struct error *err)
{
    struct path_range r;
    sqlite3_stmt *st;
    bool row;
    if (!path_range_init(&r, folder ? folder : "/"))
        return error_set(err, ST_NOMEM, "out of memory");
    enum status rc =
        sql_open(db,
                 "SELECT image, path, mtime_ns FROM files WHERE " BELOW " AND image IN "
                 "(SELECT image FROM files WHERE " BELOW
                 " GROUP BY image HAVING count(*) > 1) ORDER BY image, path",
                 &st, err);
    if (!rc)
        sql_bind(st, "bbb", r.self, strlen(r.self), r.lo, strlen(r.lo), r.hi, strlen(r.hi));
    while (!rc && !(rc = sql_step(db, st, &row, err)) && row) {
        const char *p = sqlite3_column_blob(st, 1);
        char *path = mem_strndup(p ? p : "", (size_t)sqlite3_column_bytes(st, 1));
        rc = path ? each(ctx, sqlite3_column_int64(st, 0), path, sqlite3_column_int64(st, 2))
                  : error_set(err, ST_NOMEM, "out of memory");
        mem_free(path);
    }
    sql_close(db, st);
    path_range_release(&r);
    return rc;
}
