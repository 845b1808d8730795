/* Is the database whole? SQLite's own checks, then what only we know of it. */
#include "core/mem.h"
#include "db/db_int.h"
#include "db/vectors.h"
#include <math.h>
#include <string.h>
#include <sys/stat.h>

struct checking {
    struct db *db;
    void (*found)(void *ctx, const char *what);
    void *ctx;
    int64_t problems;
};

static void report(struct checking *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void report(struct checking *c, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->problems++;
    if (c->found)
        c->found(c->ctx, text);
}

static enum status integrity(struct checking *c, struct error *err)
{
    sqlite3_stmt *st;
    bool row;
    enum status rc = sql_open(c->db, "PRAGMA integrity_check", &st, err);
    while (!rc && !(rc = sql_step(c->db, st, &row, err)) && row) {
        const char *text = (const char *)sqlite3_column_text(st, 0);
        if (!text || strcmp(text, "ok"))
            report(c, "database structure: %.300s", text ? text : "?");
    }
    sql_close(c->db, st);
    return rc;
}

static enum status foreign_keys(struct checking *c, struct error *err)
{
    sqlite3_stmt *st;
    bool row;
    enum status rc = sql_open(c->db, "PRAGMA foreign_key_check", &st, err);
    while (!rc && !(rc = sql_step(c->db, st, &row, err)) && row) {
        const char *from = (const char *)sqlite3_column_text(st, 0);
        const char *to = (const char *)sqlite3_column_text(st, 2);
        report(c, "row %lld of %s refers to a row of %s that is not there",
               (long long)sqlite3_column_int64(st, 1), from ? from : "?", to ? to : "?");
    }
    sql_close(c->db, st);
    return rc;
}

/* Each counts rows that must not exist. */
static const struct {
    const char *sql, *what;
} rules[] = {
    {"SELECT count(*) FROM images WHERE present <> (SELECT count(*) FROM files "
     "WHERE image = images.id AND status = 1)",
     "pictures with a wrong count of present files"},
    {"SELECT count(*) FROM files WHERE status = 1 AND image IS NULL",
     "present files without a content"},
    {"SELECT count(*) FROM files WHERE status = 3 AND image IS NOT NULL",
     "failed files with a content"},
    {"SELECT count(*) FROM files WHERE status = 3 AND path NOT IN (SELECT path FROM errors)",
     "failed files without an error"},
    {"SELECT count(*) FROM vectors v JOIN models m ON m.id = v.model "
     "WHERE v.generation > m.generation OR v.generation < 1",
     "vectors with a generation that their model has not reached"},
    {"SELECT count(*) FROM models WHERE generation > 0 AND generation IS NOT "
     "(SELECT max(generation) FROM vector_commits WHERE model = models.id)",
     "models whose generation no commit covers"},
    {"SELECT count(*) FROM models WHERE vectors <> "
     "(SELECT count(*) FROM vectors WHERE model = models.id)",
     "models with a wrong count of vectors"},
    {"SELECT count(*) FROM vectors v JOIN models m ON m.id = v.model "
     "WHERE length(v.vec) <> 4 * m.dim",
     "vectors of a wrong size"},
};

static enum status counts(struct checking *c, struct error *err)
{
    enum status rc = ST_OK;
    for (size_t i = 0; !rc && i < sizeof rules / sizeof *rules; i++) {
        int64_t n = 0;
        rc = sql_int(c->db, err, &n, rules[i].sql, "");
        if (!rc && n)
            report(c, "%lld %s", (long long)n, rules[i].what);
    }
    return rc;
}

static enum status lengths(struct checking *c, struct error *err)
{
    sqlite3_stmt *st;
    bool row;
    enum status rc = sql_open(c->db, "SELECT model, image, vec FROM vectors", &st, err);
    while (!rc && !(rc = sql_step(c->db, st, &row, err)) && row) {
        const unsigned char *p = sqlite3_column_blob(st, 2);
        size_t n = (size_t)sqlite3_column_bytes(st, 2) / sizeof(float);
        double s = 0;
        for (size_t i = 0; i < n; i++) {
            float x;
            memcpy(&x, p + i * sizeof x, sizeof x);
            s += (double)x * x;
        }
        if (!(fabs(sqrt(s) - 1) <= 1e-3))
            report(c, "the vector of picture %lld (model %lld) has length %g, not 1",
                   (long long)sqlite3_column_int64(st, 1), (long long)sqlite3_column_int64(st, 0),
                   sqrt(s));
    }
    sql_close(c->db, st);
    return rc;
}

enum status db_check(struct db *db, bool deep, void (*found)(void *ctx, const char *what),
                     void *ctx, int64_t *problems, struct error *err)
{
    struct checking c = {.db = db, .found = found, .ctx = ctx};
    struct error e = {0};
    enum status rc = deep ? integrity(&c, &e) : ST_OK;
    if (!rc)
        rc = foreign_keys(&c, &e);
    if (!rc)
        rc = counts(&c, &e);
    if (!rc && deep)
        rc = lengths(&c, &e);
    if (rc == ST_FORMAT) { /* damage found on the way is the answer, not a failure to look */
        report(&c, "%s", e.text);
        rc = ST_OK;
    }
    if (rc && err)
        *err = e;
    if (problems)
        *problems = c.problems;
    return rc;
}

enum status db_stats(struct db *db, struct db_stats *s, struct error *err)
{
    const struct {
        const char *sql;
        int64_t *to;
    } what[] = {
        {"SELECT count(*) FROM roots", &s->roots},
        {"SELECT count(*) FROM files WHERE status = 2", &s->files_missing},
        {"SELECT count(*) FROM files WHERE status = 3", &s->files_failed},
        {"SELECT count(*) FROM files", &s->files_present}, /* less the two above */
        {"SELECT count(*) FROM errors", &s->errors},
        {"SELECT count(*) FROM images", &s->images},
        {"SELECT count(*) FROM images WHERE present = 0", &s->images_present}, /* likewise */
        {"SELECT count(*) FROM images WHERE generated = 1 AND present > 0", &s->generated},
        {"SELECT coalesce(sum(vectors), 0) FROM models", &s->vectors},
    };
    int64_t schema = 0;
    enum status rc = ST_OK;
    *s = (struct db_stats){0};
    for (size_t i = 0; !rc && i < sizeof what / sizeof *what; i++)
        rc = sql_int(db, err, what[i].to, what[i].sql, "");
    if (!rc)
        rc = sql_int(db, err, &schema, "PRAGMA user_version", "");
    if (rc)
        return rc;
    s->files_present -= s->files_missing + s->files_failed;
    s->images_present = s->images - s->images_present;
    s->schema = (int)schema;
    struct stat st;
    if (stat(db->path, &st) == 0)
        s->db_bytes = st.st_size;
    char *wal = mem_printf("%s-wal", db->path);
    if (wal && stat(wal, &st) == 0)
        s->db_bytes += st.st_size;
    mem_free(wal);
    return ST_OK;
}
