/* A search's filter as SQL that yields image ids. The all-zero filter lists what is left out
 * instead (an index knows it), so the usual search over a large library costs nothing here. */
#include "core/buf.h"
#include "core/mem.h"
#include "db/db_int.h"
#include "db/images.h"
#include <math.h>
#include <string.h>

void db_idset_release(struct db_idset *set)
{
    mem_free(set->ids);
    *set = (struct db_idset){0};
}

/* Haversine; the Earth as a sphere of 6371 km, within 0.5 % of the ellipsoid. */
static double distance_km(double lat1, double lon1, double lat2, double lon2)
{
    const double rad = 3.14159265358979323846 / 180;
    double a = sin((lat2 - lat1) * rad / 2), b = sin((lon2 - lon1) * rad / 2);
    double h = a * a + cos(lat1 * rad) * cos(lat2 * rad) * b * b;
    return 2 * 6371.0 * asin(sqrt(h < 1 ? h : 1));
}

static bool is_plain(const struct db_filter *f)
{
    return !f->folder && !f->has_after && !f->has_before && f->generated == DB_GENERATED_ANY &&
           !f->camera && !f->has_near && !f->where && !f->also;
}

static enum status write_sql(struct buf *b, const struct db_filter *f, bool except,
                             struct error *err)
{
    buf_puts(b, "SELECT id, lat, lon FROM images WHERE ");
    if (except) {
        buf_puts(b, f->missing_too ? "id = ?8" : "present = 0 OR id = ?8");
    } else {
        buf_puts(b, f->missing_too ? "1" : "present > 0");
        buf_puts(b, " AND id <> ?8");
    }
    if (f->folder) {
        buf_puts(b, " AND id IN (SELECT image FROM files WHERE "
                    "(path = ?1 OR (path >= ?2 AND path < ?3)) AND image IS NOT NULL");
        buf_puts(b, f->missing_too ? ")" : " AND status = 1)");
    }
    if (f->has_after)
        buf_puts(b, " AND taken_at >= ?4");
    if (f->has_before)
        buf_puts(b, " AND taken_at <= ?5");
    if (f->generated != DB_GENERATED_ANY)
        buf_puts(b,
                 f->generated == DB_GENERATED_ONLY ? " AND generated = 1" : " AND generated = 0");
    if (f->camera)
        buf_puts(b, " AND instr(lower(make || ' ' || camera || ' ' || lens), lower(?6)) > 0");
    if (f->has_near)
        buf_puts(b, " AND abs(lat - ?7) <= ?9 AND lon IS NOT NULL");
    int n = 0;
    enum status rc = f->where ? where_write(b, f->where, f->missing_too, &n, err) : ST_OK;
    if (!rc && f->also)
        rc = where_write(b, f->also, f->missing_too, &n, err);
    buf_puts(b, " ORDER BY id");
    return rc;
}

static enum status bind_filter(sqlite3_stmt *st, const struct db_filter *f,
                               const struct path_range *r, struct error *err)
{
    /* Not all are used; SQLite answers SQLITE_RANGE for those that are not, which is fine. */
    if (f->folder) {
        sqlite3_bind_blob64(st, 1, r->self, strlen(r->self), SQLITE_STATIC);
        sqlite3_bind_blob64(st, 2, r->lo, strlen(r->lo), SQLITE_STATIC);
        sqlite3_bind_blob64(st, 3, r->hi, strlen(r->hi), SQLITE_STATIC);
    }
    if (f->has_after)
        sqlite3_bind_int64(st, 4, f->after);
    if (f->has_before)
        sqlite3_bind_int64(st, 5, f->before);
    if (f->camera)
        sqlite3_bind_text(st, 6, f->camera, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 8, f->without);
    if (f->has_near) {
        sqlite3_bind_double(st, 7, f->lat);
        sqlite3_bind_double(st, 9,
                            f->km / 111.0 + 1e-6); /* a degree of latitude: at least 110.57 km */
    }
    int n = 0;
    enum status rc = f->where ? where_bind(st, f->where, &n, err) : ST_OK;
    return rc || !f->also ? rc : where_bind(st, f->also, &n, err);
}

static enum status collect(struct db *db, sqlite3_stmt *st, const struct db_filter *f,
                           struct db_idset *set, struct error *err)
{
    size_t cap = 0;
    bool row;
    enum status rc = ST_OK;
    while (!rc && !(rc = sql_step(db, st, &row, err)) && row) {
        if (f->has_near && distance_km(f->lat, f->lon, sqlite3_column_double(st, 1),
                                       sqlite3_column_double(st, 2)) > f->km)
            continue;
        if (set->n == cap) {
            cap = cap ? cap * 2 : 64;
            int64_t *ids = mem_realloc_array(set->ids, cap, sizeof *ids);
            if (!ids)
                return error_set(err, ST_NOMEM, "out of memory (%zu pictures)", cap);
            set->ids = ids;
        }
        set->ids[set->n++] = sqlite3_column_int64(st, 0);
    }
    return rc;
}

enum status db_filter_run(struct db *db, const struct db_filter *f, struct db_idset *set,
                          struct error *err)
{
    static const struct db_filter all = {0};
    f = f ? f : &all;
    *set = (struct db_idset){.except = is_plain(f)};
    struct path_range range = {0};
    sqlite3_stmt *st = NULL;
    enum status rc = ST_OK;
    struct buf sql;
    buf_init(&sql, 1 << 18);
    if ((rc = write_sql(&sql, f, set->except, err)))
        goto out;
    if (sql.failed || (f->folder && !path_range_init(&range, f->folder))) {
        rc = error_set(err, ST_NOMEM, "out of memory");
        goto out;
    }
    if (sqlite3_prepare_v2(db->h, sql.data, -1, &st, NULL) != SQLITE_OK) {
        rc = sql_error(db->h, db->path, err);
        goto out;
    }
    rc = bind_filter(st, f, &range, err);
    if (!rc)
        rc = collect(db, st, f, set, err);
out:
    sqlite3_finalize(st);
    path_range_release(&range);
    buf_release(&sql);
    if (rc)
        db_idset_release(set);
    return rc;
}
