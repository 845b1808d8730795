/* Models and vectors. The surprise: every put and removal takes the model's next generation number,
 * and nothing is replaced in place, so that caches can catch up by number. */
#include "db/vectors.h"
#include "core/mem.h"
#include "db/db_int.h"
#include <math.h>
#include <string.h>

static bool hex_ok(const char *hex)
{
    size_t n = strspn(hex, "0123456789abcdef");
    return n >= 1 && n <= 40 && !hex[n];
}

static void read_model(sqlite3_stmt *st, struct db_model *m)
{
    *m = (struct db_model){
        .id = sqlite3_column_int64(st, 0),
        .dim = sqlite3_column_int(st, 3),
        .generation = sqlite3_column_int64(st, 4),
        .vectors = sqlite3_column_int64(st, 5),
    };
    const char *hex = (const char *)sqlite3_column_text(st, 1);
    const char *name = (const char *)sqlite3_column_text(st, 2);
    snprintf(m->hex, sizeof m->hex, "%s", hex ? hex : "");
    snprintf(m->name, sizeof m->name, "%s", name ? name : "");
}

/* A damaged or foreign row must not become a size or part of a file name. */
static enum status model_ok(struct db *db, const struct db_model *m, struct error *err)
{
    if (!hex_ok(m->hex) || m->dim < 1 || m->dim > DB_MAX_DIM)
        return error_set(err, ST_FORMAT, "%s: model %lld is damaged", db->path, (long long)m->id);
    return ST_OK;
}

static enum status get_one(struct db *db, sqlite3_stmt *st, struct db_model *m, const char *what,
                           struct error *err)
{
    bool row;
    enum status rc = sql_step(db, st, &row, err);
    if (!rc && !row)
        rc = error_set(err, ST_NOT_FOUND, "model %s has no vectors in this library", what);
    if (!rc) {
        read_model(st, m);
        rc = model_ok(db, m, err);
    }
    return rc;
}

#define MODEL_COLUMNS "SELECT id, hex, name, dim, generation, vectors FROM models "

enum status db_model_get(struct db *db, const char *hex, struct db_model *m, struct error *err)
{
    sqlite3_stmt *st;
    enum status rc = sql_open(db, MODEL_COLUMNS "WHERE hex = ?", &st, err);
    if (rc)
        return rc;
    sql_bind(st, "t", hex);
    rc = get_one(db, st, m, hex, err);
    sql_close(db, st);
    return rc;
}

enum status db_model_by_id(struct db *db, int64_t id, struct db_model *m, struct error *err)
{
    sqlite3_stmt *st;
    enum status rc = sql_open(db, MODEL_COLUMNS "WHERE id = ?", &st, err);
    if (rc)
        return rc;
    sql_bind(st, "i", id);
    char what[24];
    snprintf(what, sizeof what, "%lld", (long long)id);
    rc = get_one(db, st, m, what, err);
    sql_close(db, st);
    return rc;
}

enum status db_models_each(struct db *db, enum status (*each)(void *ctx, const struct db_model *m),
                           void *ctx, struct error *err)
{
    sqlite3_stmt *st;
    bool row;
    enum status rc = sql_open(db, MODEL_COLUMNS "ORDER BY id", &st, err);
    while (!rc && !(rc = sql_step(db, st, &row, err)) && row) {
        struct db_model m;
        read_model(st, &m);
        rc = model_ok(db, &m, err);
        if (!rc)
            rc = each(ctx, &m);
    }
    sql_close(db, st);
    return rc;
}

enum status db_model_put(struct db *db, const char *hex, const char *name, int dim, int64_t *id,
                         struct error *err)
{
    if (!hex_ok(hex))
        return error_set(err, ST_FORMAT, "model id \"%.50s\" is not 1 to 40 hex digits", hex);
    if (dim < 1 || dim > DB_MAX_DIM)
        return error_set(err, ST_LIMIT, "model %s: dimension %d is not 1 to %d", hex, dim,
                         DB_MAX_DIM);
    bool own;
    struct db_model m;
    enum status rc = db_auto_begin(db, &own, err);
    if (rc)
        return rc;
    rc =
        sql_run(db, err,
                "INSERT INTO models (hex, name, dim) VALUES (?, ?, ?) ON CONFLICT (hex) DO NOTHING",
                "tti", hex, name ? name : "", (int64_t)dim);
    if (!rc)
        rc = db_model_get(db, hex, &m, err);
    if (!rc && m.dim != dim)
        rc = error_set(err, ST_FORMAT, "model %s has %d dimensions in the library, not %d", hex,
                       m.dim, dim);
    rc = db_auto_end(db, own, rc, err);
    if (!rc && id)
        *id = m.id;
    return rc;
}

enum status db_model_remove(struct db *db, int64_t model, struct error *err)
{
    bool own;
    enum status rc = db_auto_begin(db, &own, err);
    if (rc)
        return rc;
    rc = sql_run(db, err, "DELETE FROM models WHERE id = ?", "i", model);
    return db_auto_end(db, own, rc, err);
}

static bool unit_length(const float *v, int dim)
{
    double s = 0;
    for (int i = 0; i < dim; i++)
        s += (double)v[i] * v[i];
    return fabs(sqrt(s) - 1) <= 1e-3; /* false for NaN */
}

static enum status model_dim(struct db *db, int64_t model, int *dim, struct error *err)
{
    int64_t d = 0;
    enum status rc = sql_int(db, err, &d, "SELECT dim FROM models WHERE id = ?", "i", model);
    if (!rc && (d < 1 || d > DB_MAX_DIM))
        rc = error_set(err, ST_FORMAT, "%s: model %lld is damaged", db->path, (long long)model);
    *dim = (int)d;
    return rc;
}

enum status db_vector_put(struct db *db, int64_t model, const struct db_vector *v,
                          struct error *err)
{
    bool own;
    int dim;
    int64_t generation = 0;
    enum status rc = db_auto_begin(db, &own, err);
    if (rc)
        return rc;
    rc = model_dim(db, model, &dim, err);
    if (!rc && !unit_length(v->v, dim))
        rc = error_set(err, ST_FORMAT, "the vector of picture %lld is not of unit length",
                       (long long)v->image);
    if (!rc)
        rc = sql_run(db, err, "DELETE FROM vectors WHERE model = ? AND image = ?", "ii", model,
                     v->image);
    if (!rc)
        rc = sql_run(db, err, "UPDATE models SET generation = generation + 1 WHERE id = ?", "i",
                     model);
    if (!rc)
        rc =
            sql_int(db, err, &generation, "SELECT generation FROM models WHERE id = ?", "i", model);
    if (!rc)
        rc =
            sql_run(db, err,
                    "INSERT INTO vectors (model, image, generation, precision, flags, device, vec) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?)",
                    "iiiiitb", model, v->image, generation,
                    (int64_t)(v->precision ? v->precision : DB_PREC_F32), (int64_t)v->flags,
                    v->device ? v->device : "", (const void *)v->v, (size_t)dim * sizeof(float));
    db->vectors_changed = true;
    return db_auto_end(db, own, rc, err);
}

enum status db_vector_remove(struct db *db, int64_t model, int64_t image, struct error *err)
{
    bool own;
    enum status rc = db_auto_begin(db, &own, err);
    if (rc)
        return rc;
    rc = sql_run(db, err, "DELETE FROM vectors WHERE model = ? AND image = ?", "ii", model, image);
    db->vectors_changed = true;
    return db_auto_end(db, own, rc, err);
}

enum status db_vector_exists(struct db *db, int64_t model, int64_t image, bool *exists,
                             struct error *err)
{
    int64_t n = 0;
    enum status rc =
        sql_int(db, err, &n, "SELECT EXISTS (SELECT 1 FROM vectors WHERE model = ? AND image = ?)",
                "ii", model, image);
    *exists = n != 0;
    return rc;
}

static enum status blob_size_ok(struct db *db, sqlite3_stmt *st, int column, int dim, int64_t image,
                                struct error *err)
{
    if (sqlite3_column_bytes(st, column) != dim * (int)sizeof(float))
        return error_set(err, ST_FORMAT, "%s: the vector of picture %lld has %d bytes, not %d",
                         db->path, (long long)image, sqlite3_column_bytes(st, column),
                         dim * (int)sizeof(float));
    return ST_OK;
}

enum status db_vectors_get(struct db *db, int64_t model, const int64_t *images, size_t n, int dim,
                           float *out, bool *have, struct error *err)
{
    sqlite3_stmt *st;
    enum status rc =
        sql_open(db, "SELECT vec FROM vectors WHERE model = ? AND image = ?", &st, err);
    for (size_t i = 0; !rc && i < n; i++) {
        bool row;
        float *to = out + i * (size_t)dim;
        sql_bind(st, "ii", model, images[i]);
        rc = sql_step(db, st, &row, err);
        if (!rc && row && !(rc = blob_size_ok(db, st, 0, dim, images[i], err)))
            memcpy(to, sqlite3_column_blob(st, 0), (size_t)dim * sizeof *to);
        else if (!rc)
            memset(to, 0, (size_t)dim * sizeof *to);
        if (have)
            have[i] = !rc && row;
        sqlite3_reset(st);
    }
    sql_close(db, st);
    return rc;
}

enum status db_vector_info(struct db *db, int64_t model, int64_t image,
                           enum db_precision *precision, unsigned *flags, char *device,
                           struct error *err)
{
    sqlite3_stmt *st;
    bool row;
    enum status rc = sql_open(
        db, "SELECT precision, flags, device FROM vectors WHERE model = ? AND image = ?", &st, err);
    if (rc)
        return rc;
    sql_bind(st, "ii", model, image);
    rc = sql_step(db, st, &row, err);
    if (!rc && !row)
        rc = error_set(err, ST_NOT_FOUND, "picture %lld has no vector of this model",
                       (long long)image);
    if (!rc) {
        const char *d = (const char *)sqlite3_column_text(st, 2);
        *precision = (enum db_precision)sqlite3_column_int(st, 0);
        *flags = (unsigned)sqlite3_column_int64(st, 1);
        snprintf(device, 32, "%s", d ? d : "");
    }
    sql_close(db, st);
    return rc;
}

enum status db_vectors_each(struct db *db, int64_t model, int64_t after, db_vector_fn *each,
                            void *ctx, struct error *err)
{
    int dim;
    sqlite3_stmt *st = NULL;
    bool row;
    enum status rc = model_dim(db, model, &dim, err);
    float *v = rc ? NULL : mem_array((size_t)dim, sizeof *v);
    if (!rc && !v)
        rc = error_set(err, ST_NOMEM, "out of memory (%d values)", dim);
    if (!rc)
        rc = sql_open(db,
                      "SELECT image, generation, vec FROM vectors WHERE model = ? AND "
                      "generation > ? ORDER BY generation",
                      &st, err);
    if (!rc)
        sql_bind(st, "ii", model, after);
    while (!rc && !(rc = sql_step(db, st, &row, err)) && row) {
        int64_t image = sqlite3_column_int64(st, 0);
        if ((rc = blob_size_ok(db, st, 2, dim, image, err)))
            break;
        memcpy(v, sqlite3_column_blob(st, 2), (size_t)dim * sizeof *v); /* may be unaligned */
        rc = each(ctx, image, sqlite3_column_int64(st, 1), v);
    }
    sql_close(db, st);
    mem_free(v);
    return rc;
}

enum status db_vectors_mean(struct db *db, int64_t model, size_t most, float *out, size_t *n,
                            struct error *err)
{
    int dim;
    int64_t generation = 0;
    sqlite3_stmt *st = NULL;
    bool row;
    *n = 0;
    enum status rc = model_dim(db, model, &dim, err);
    double *sum = rc ? NULL : mem_zarray((size_t)dim, sizeof *sum);
    if (!rc && !sum)
        rc = error_set(err, ST_NOMEM, "out of memory (%d values)", dim);
    if (!rc)
        rc = db_generation(db, model, &generation, err);
    if (!rc)
        rc = sql_open(db,
                      "SELECT vec, image FROM vectors WHERE model = ?1 AND generation % ?2 = 0 "
                      "ORDER BY generation LIMIT ?3",
                      &st, err);
    if (!rc)
        sql_bind(st, "iii", model, generation / (int64_t)most + 1, (int64_t)most);
    while (!rc && !(rc = sql_step(db, st, &row, err)) && row) {
        if ((rc = blob_size_ok(db, st, 0, dim, sqlite3_column_int64(st, 1), err)))
            break;
        const unsigned char *blob = sqlite3_column_blob(st, 0);
        for (int j = 0; j < dim; j++) {
            float x;
            memcpy(&x, blob + (size_t)j * sizeof x, sizeof x); /* may be unaligned */
            sum[j] += (double)x;
        }
        ++*n;
    }
    for (int j = 0; !rc && j < dim; j++)
        out[j] = *n ? (float)(sum[j] / (double)*n) : 0;
    sql_close(db, st);
    mem_free(sum);
    return rc;
}

enum status db_removals_each(struct db *db, int64_t model, int64_t after, db_removal_fn *each,
                             void *ctx, struct error *err)
{
    sqlite3_stmt *st;
    bool row;
    enum status rc = sql_open(db,
                              "SELECT image, generation FROM vector_removals WHERE model = ? AND "
                              "generation > ? ORDER BY generation",
                              &st, err);
    if (!rc)
        sql_bind(st, "ii", model, after);
    while (!rc && !(rc = sql_step(db, st, &row, err)) && row)
        rc = each(ctx, sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1));
    sql_close(db, st);
    return rc;
}

enum status db_generation(struct db *db, int64_t model, int64_t *generation, struct error *err)
{
    return sql_int(db, err, generation, "SELECT generation FROM models WHERE id = ?", "i", model);
}

enum status db_stamp(struct db *db, int64_t model, int64_t generation, uint64_t *stamp,
                     struct error *err)
{
    int64_t s = 0;
    enum status rc = ST_OK;
    *stamp = 0;
    if (generation > 0)
        rc = sql_int(db, err, &s,
                     "SELECT stamp FROM vector_commits WHERE model = ? AND generation >= ? "
                     "ORDER BY generation LIMIT 1",
                     "ii", model, generation);
    if (rc == ST_NOT_FOUND)
        return ST_OK;
    *stamp = (uint64_t)s;
    return rc;
}
