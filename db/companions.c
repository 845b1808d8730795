/* Pictures of one burst. */
#include "core/mem.h"
#include "core/path.h"
#include "db/db_int.h"
#include "db/images.h"
#include <string.h>

enum status db_burst_get(struct db *db, int64_t id, char burst[64], struct error *err)
{
    sqlite3_stmt *st;
    bool row = false;
    burst[0] = 0;
    enum status rc = sql_open(db, "SELECT burst FROM images WHERE id = ?", &st, err);
    if (!rc)
        sql_bind(st, "i", id);
    if (!rc)
        rc = sql_step(db, st, &row, err);
    const char *text = !rc && row ? (const char *)sqlite3_column_text(st, 0) : NULL;
    if (text && strlen(text) < 64)
        memcpy(burst, text, strlen(text) + 1);
    sql_close(db, st);
    return rc;
}

static bool same_folder(const char *a, const char *b)
{
    size_t n = (size_t)(path_base(a) - a);
    return n == (size_t)(path_base(b) - b) && !memcmp(a, b, n);
}

#define A_PATH "(SELECT path FROM files WHERE image = i.id AND status = 1 ORDER BY path LIMIT 1)"
#define OTHERS "i.id <> ?1 AND i.present > 0 "
#define IN_ORDER "ORDER BY i.taken_at, 1 LIMIT 100"

enum status db_burst_each(struct db *db, int64_t id, const char *path,
                          enum status (*each)(void *ctx, const char *path), void *ctx,
                          struct error *err)
{
    static const char by_id[] = "SELECT " A_PATH " FROM images i WHERE " OTHERS
                                "AND i.burst = (SELECT burst FROM images WHERE id = ?1) " IN_ORDER;
    /* More than a camera takes in three seconds are dates without a time of day. */
    static const char by_time[] =
        "SELECT " A_PATH " FROM images me JOIN images i ON i.taken_at BETWEEN me.taken_at - 1 AND "
        "me.taken_at + 1 AND i.camera = me.camera WHERE me.id = ?1 AND " OTHERS
        "AND me.camera <> '' AND i.burst IS NULL AND i.generated = 0 AND (SELECT count(*) FROM "
        "(SELECT 1 FROM images c WHERE c.taken_at BETWEEN me.taken_at - 1 AND me.taken_at + 1 "
        "LIMIT 102)) < 102 " IN_ORDER;
    char burst[64];
    sqlite3_stmt *st = NULL;
    bool row;
    enum status rc = db_burst_get(db, id, burst, err);
    if (!rc)
        rc = sql_open(db, burst[0] ? by_id : by_time, &st, err);
    if (!rc)
        sql_bind(st, "i", id);
    while (!rc && !(rc = sql_step(db, st, &row, err)) && row) {
        const char *p = sqlite3_column_blob(st, 0);
        char *other = mem_strndup(p ? p : "", (size_t)sqlite3_column_bytes(st, 0));
        if (!other)
            rc = error_set(err, ST_NOMEM, "out of memory");
        else if (other[0] && (burst[0] || same_folder(other, path)))
            rc = each(ctx, other);
        mem_free(other);
    }
    sql_close(db, st);
    return rc;
}
