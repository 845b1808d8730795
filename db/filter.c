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

/* What lies at or below a folder; status tells whether missing files count. From an index alone. */
static void write_folder(struct buf *b, const struct db_filter *f, const char *more)
{
    const char *status = f->missing_too ? "" : " AND status = 1";
    static const char *const where[] = {"path = ?1", "path >= ?2 AND path < ?3"};
    for (int i = 0; i < 2; i++)
        buf_printf(b, "%sSELECT image FROM files WHERE %s AND image IS NOT NULL%s%s",
                   i ? " UNION ALL " : "", where[i], status, more);
}

static enum status write_sql(struct buf *b, const struct db_filter *f, bool except,
                             struct error *err)
{
    struct db_filter others = *f;
    others.folder = NULL;
    if (f->folder && is_plain(&others)) {
        write_folder(b, f, " AND image <> ?8");
        return ST_OK;
    }
    if (except) { /* not "present = 0 OR id = ?8", for which SQLite reads the whole table */
        if (!f->missing_too)
            buf_puts(b, "SELECT id FROM images WHERE present = 0 UNION ALL ");
        buf_puts(b, "SELECT ?8 WHERE ?8 <> 0");
        return ST_OK;
    }
    buf_puts(b, f->has_near ? "SELECT id, lat, lon FROM images WHERE "
                            : "SELECT id FROM images WHERE ");
    buf_puts(b, f->missing_too ? "1" : "present > 0");
    buf_puts(b, " AND id <> ?8");
    if (f->folder) {
        buf_puts(b, " AND id IN (");
        write_folder(b, f, "");
        buf_puts(b, ")");
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
    if (f->has_near) /* the second one holds for all: it brings lon into the filter's key */
        buf_puts(b, " AND abs(lat - ?7) <= ?9 AND abs(lon - ?10) <= 1e6");
    int n = 0;
    enum status rc = f->where ? where_write(b, f->where, f->missing_too, &n, err) : ST_OK;
    return rc || !f->also ? rc : where_write(b, f->also, f->missing_too, &n, err);
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
        sqlite3_bind_double(st, 10, f->lon);
    }
    int n = 0;
    enum status rc = f->where ? where_bind(st, f->where, &n, err) : ST_OK;
    return rc || !f->also ? rc : where_bind(st, f->also, &n, err);
}

/* Ascending, each once; least significant digit first. False: no memory. */
static bool sort_ids(struct db_idset *set)
{
    enum { BITS = 11, DIGITS = 1 << BITS };
    const uint64_t sign = (uint64_t)1 << 63; /* a damaged database may hold negative ids */
    int64_t *from = set->ids, *to = mem_array(set->n, sizeof *to);
    size_t *at = mem_array(DIGITS, sizeof *at), n = 0;
    uint64_t differ = 0;
    bool ok = to && at;
    for (size_t i = 1; i < set->n; i++)
        differ |= (uint64_t)from[i] ^ (uint64_t)from[0];
    for (int shift = 0; ok && shift < 64; shift += BITS) {
        if (!(differ >> shift & (DIGITS - 1)))
            continue;
        memset(at, 0, DIGITS * sizeof *at);
        for (size_t i = 0; i < set->n; i++)
            at[((uint64_t)from[i] ^ sign) >> shift & (DIGITS - 1)]++;
        for (size_t d = 0, sum = 0; d < DIGITS; d++) {
            size_t count = at[d];
            at[d] = sum;
            sum += count;
        }
        for (size_t i = 0; i < set->n; i++)
            to[at[((uint64_t)from[i] ^ sign) >> shift & (DIGITS - 1)]++] = from[i];
        int64_t *other = from;
        from = to;
        to = other;
    }
    for (size_t i = 0; ok && i < set->n; i++)
        if (!n || from[n - 1] != from[i])
            from[n++] = from[i];
    if (ok) {
        set->ids = from;
        set->n = n;
    }
    mem_free(to); /* the one of the two that does not hold the result */
    mem_free(at);
    return ok;
}

static enum status collect(struct db *db, sqlite3_stmt *st, const struct db_filter *f,
                           struct db_idset *set, struct error *err)
{
    size_t cap = 0;
    bool row, sorted = true;
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
        set->ids[set->n] = sqlite3_column_int64(st, 0);
        sorted = sorted && (!set->n || set->ids[set->n - 1] < set->ids[set->n]);
        set->n++;
    }
    if (!rc && !sorted && !sort_ids(set))
        rc = error_set(err, ST_NOMEM, "out of memory (%zu pictures)", set->n);
    return rc;
}

/* The statement with its values; sqlite3_finalize it and release the range behind it. */
static enum status prepare(struct db *db, const struct db_filter *f, struct path_range *range,
                           sqlite3_stmt **st, struct error *err)
{
    struct buf sql;
    buf_init(&sql, 1 << 18);
    enum status rc = write_sql(&sql, f, is_plain(f), err);
    if (!rc && (sql.failed || (f->folder && !path_range_init(range, f->folder))))
        rc = error_set(err, ST_NOMEM, "out of memory");
    if (!rc && sqlite3_prepare_v2(db->h, sql.data, -1, st, NULL) != SQLITE_OK)
        rc = sql_error(db->h, db->path, err);
    if (!rc)
        rc = bind_filter(*st, f, range, err);
    buf_release(&sql);
    return rc;
}

static const struct db_filter all = {0};

enum status db_filter_run(struct db *db, const struct db_filter *f, struct db_idset *set,
                          struct error *err)
{
    f = f ? f : &all;
    *set = (struct db_idset){.except = is_plain(f)};
    struct path_range range = {0};
    sqlite3_stmt *st = NULL;
    enum status rc = prepare(db, f, &range, &st, err);
    if (!rc)
        rc = collect(db, st, f, set, err);
    sqlite3_finalize(st);
    path_range_release(&range);
    if (rc)
        db_idset_release(set);
    return rc;
}

enum status db_filter_key(struct db *db, const struct db_filter *f, char **key, struct error *err)
{
    struct path_range range = {0};
    sqlite3_stmt *st = NULL;
    int64_t others = 0; /* commits of other connections */
    *key = NULL;
    enum status rc = sql_int(db, err, &others, "PRAGMA data_version", "");
    if (!rc)
        rc = prepare(db, f ? f : &all, &range, &st, err);
    char *sql = rc ? NULL : sqlite3_expanded_sql(st);
    if (sql)
        *key = mem_printf("%lld %lld %s", (long long)others,
                          (long long)sqlite3_total_changes64(db->h), sql);
    if (!rc && !*key)
        rc = error_set(err, ST_NOMEM, "out of memory");
    sqlite3_free(sql);
    sqlite3_finalize(st);
    path_range_release(&range);
    return rc;
}
