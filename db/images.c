/* Contents: one row a distinct picture. Text columns are filled from fixed arrays and read back cut
 * to them, so a longer text in a foreign database cannot overrun. */
#include "db/images.h"
#include "core/mem.h"
#include "db/db_int.h"
#include <string.h>
#include <time.h>

void db_image_release(struct db_image *im)
{
    mem_free(im->prompt);
    mem_free(im->negative);
    mem_free(im->gen_model);
    mem_free(im->parameters);
    im->prompt = im->negative = im->gen_model = im->parameters = NULL;
}

enum status db_image_find(struct db *db, const uint8_t hash[16], int64_t *id, struct error *err)
{
    enum status rc = sql_int(db, err, id, "SELECT id FROM images WHERE hash = ?", "b",
                             (const void *)hash, (size_t)16);
    if (rc == ST_NOT_FOUND)
        error_set(err, rc, "no picture with this content");
    return rc;
}

static void bind_image(sqlite3_stmt *st, const struct db_image *im, bool has_taken,
                       int64_t taken_at)
{
    sql_bind(st, "biiiittnttt", (const void *)im->hash, (size_t)16, im->bytes, (int64_t)im->width,
             (int64_t)im->height, (int64_t)(im->orientation ? im->orientation : 1), im->format,
             im->taken, im->make, im->camera, im->lens);
    if (has_taken)
        sqlite3_bind_int64(st, 8, taken_at);
    if (im->has_gps) {
        sqlite3_bind_double(st, 12, im->lat);
        sqlite3_bind_double(st, 13, im->lon);
    }
    if (im->has_alt)
        sqlite3_bind_double(st, 14, im->alt);
    sqlite3_bind_int(st, 15, im->generated);
    sqlite3_bind_text(st, 16, im->prompt, -1, SQLITE_STATIC);
    if (im->has_seed)
        sqlite3_bind_int64(st, 17, im->seed);
    sqlite3_bind_text(st, 18, im->gen_model, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 19, im->added ? im->added : (int64_t)time(NULL));
    sqlite3_bind_text(st, 20, im->negative, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 21, im->parameters, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 22, im->burst[0] ? im->burst : NULL, -1, SQLITE_STATIC);
}

enum status db_image_put(struct db *db, const struct db_image *im, int64_t *id, struct error *err)
{
    int64_t taken_at = 0, row_id = 0;
    bool has_taken = db_parse_time(im->taken, false, &taken_at), own, row;
    enum status rc = db_auto_begin(db, &own, err);
    if (rc)
        return rc;
    sqlite3_stmt *st;
    rc =
        sql_open(db,
                 "INSERT INTO images (hash, bytes, width, height, orientation, format, taken, "
                 "taken_at, make, camera, lens, lat, lon, alt, generated, prompt, seed, gen_model, "
                 "added, negative, parameters, burst) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
                 "?10, ?11, ?12, "
                 "?13, ?14, ?15, "
                 "?16, ?17, ?18, ?19, ?20, ?21, ?22) ON CONFLICT (hash) DO UPDATE SET bytes = ?2, "
                 "width = ?3, "
                 "height = ?4, orientation = ?5, format = ?6, taken = ?7, taken_at = ?8, "
                 "make = ?9, camera = ?10, lens = ?11, lat = ?12, lon = ?13, alt = ?14, "
                 "generated = max(generated, ?15), prompt = coalesce(?16, prompt), "
                 "seed = coalesce(?17, seed), gen_model = coalesce(?18, gen_model), "
                 "negative = coalesce(?20, negative), parameters = coalesce(?21, parameters), "
                 "burst = coalesce(?22, burst) "
                 "RETURNING id",
                 &st, err);
    if (!rc) {
        bind_image(st, im, has_taken, taken_at);
        rc = sql_step(db, st, &row, err);
        if (!rc && row)
            row_id = sqlite3_column_int64(st, 0);
        sql_close(db, st);
    }
    rc = db_auto_end(db, own, rc, err);
    if (!rc && id)
        *id = row_id;
    return rc;
}

static void copy_text(char *to, size_t size, sqlite3_stmt *st, int column)
{
    const char *text = (const char *)sqlite3_column_text(st, column);
    size_t n = text ? strlen(text) : 0;
    if (n >= size)
        n = size - 1;
    if (n)
        memcpy(to, text, n);
    to[n] = 0;
}

static bool has(sqlite3_stmt *st, int column)
{
    return sqlite3_column_type(st, column) != SQLITE_NULL;
}

static bool read_string(char **to, sqlite3_stmt *st, int column)
{
    const char *text = (const char *)sqlite3_column_text(st, column);
    return !text || (*to = mem_strdup(text));
}

static enum status read_image(sqlite3_stmt *st, struct db_image *im, struct error *err)
{
    *im = (struct db_image){
        .id = sqlite3_column_int64(st, 0),
        .bytes = sqlite3_column_int64(st, 2),
        .width = sqlite3_column_int(st, 3),
        .height = sqlite3_column_int(st, 4),
        .orientation = sqlite3_column_int(st, 5),
        .has_taken = has(st, 8),
        .taken_at = sqlite3_column_int64(st, 8),
        .has_gps = has(st, 12) && has(st, 13),
        .lat = sqlite3_column_double(st, 12),
        .lon = sqlite3_column_double(st, 13),
        .has_alt = has(st, 14),
        .alt = sqlite3_column_double(st, 14),
        .generated = sqlite3_column_int(st, 15) != 0,
        .has_seed = has(st, 17),
        .seed = sqlite3_column_int64(st, 17),
        .added = sqlite3_column_int64(st, 19),
        .present = sqlite3_column_int64(st, 20),
    };
    const void *hash = sqlite3_column_blob(st, 1);
    if (hash && sqlite3_column_bytes(st, 1) == 16)
        memcpy(im->hash, hash, 16);
    copy_text(im->format, sizeof im->format, st, 6);
    copy_text(im->taken, sizeof im->taken, st, 7);
    copy_text(im->make, sizeof im->make, st, 9);
    copy_text(im->camera, sizeof im->camera, st, 10);
    copy_text(im->lens, sizeof im->lens, st, 11);
    copy_text(im->burst, sizeof im->burst, st, 23);
    if (read_string(&im->prompt, st, 16) && read_string(&im->gen_model, st, 18) &&
        read_string(&im->negative, st, 21) && read_string(&im->parameters, st, 22))
        return ST_OK;
    db_image_release(im);
    return error_set(err, ST_NOMEM, "out of memory");
}

enum status db_image_get(struct db *db, int64_t id, struct db_image *im, struct error *err)
{
    *im = (struct db_image){0};
    sqlite3_stmt *st;
    enum status rc = sql_open(db,
                              "SELECT id, hash, bytes, width, height, orientation, format, taken, "
                              "taken_at, make, camera, lens, lat, lon, alt, generated, prompt, "
                              "seed, gen_model, added, present, negative, parameters, burst "
                              "FROM images WHERE id = ?",
                              &st, err);
    if (rc)
        return rc;
    sql_bind(st, "i", id);
    bool row;
    rc = sql_step(db, st, &row, err);
    if (!rc)
        rc =
            row ? read_image(st, im, err)
                : error_set(err, ST_NOT_FOUND, "picture %lld is not in the library", (long long)id);
    sql_close(db, st);
    return rc;
}

enum status db_images_of_prompt(struct db *db, const char *prompt, int64_t **ids, size_t *n,
                                struct error *err)
{
    sqlite3_stmt *st;
    bool row;
    size_t cap = 0;
    *ids = NULL;
    *n = 0;
    enum status rc = sql_open(db,
                              "SELECT id FROM images WHERE generated = 1 AND prompt = ? AND "
                              "present > 0 ORDER BY id DESC",
                              &st, err);
    if (!rc)
        sql_bind(st, "t", prompt);
    while (!rc && !(rc = sql_step(db, st, &row, err)) && row) {
        if (*n == cap) {
            cap = cap ? cap * 2 : 8;
            int64_t *grown = mem_realloc_array(*ids, cap, sizeof *grown);
            if (!grown) {
                rc = error_set(err, ST_NOMEM, "out of memory");
                break;
            }
            *ids = grown;
        }
        (*ids)[(*n)++] = sqlite3_column_int64(st, 0);
    }
    sql_close(db, st);
    if (rc) {
        mem_free(*ids);
        *ids = NULL;
        *n = 0;
    }
    return rc;
}

enum status db_image_path(struct db *db, int64_t id, const char *folder, char **path,
                          struct error *err)
{
    *path = NULL;
    struct path_range r;
    if (!path_range_init(&r, folder ? folder : "/"))
        return error_set(err, ST_NOMEM, "out of memory");
    sqlite3_stmt *st;
    enum status rc = sql_open(db,
                              "SELECT path FROM files WHERE image = ?1 ORDER BY status <> 1, "
                              "NOT (path = ?2 OR (path >= ?3 AND path < ?4)), path LIMIT 1",
                              &st, err);
    if (!rc) {
        sql_bind(st, "ibbb", id, r.self, strlen(r.self), r.lo, strlen(r.lo), r.hi, strlen(r.hi));
        bool row;
        rc = sql_step(db, st, &row, err);
        if (!rc && !row)
            rc = error_set(err, ST_NOT_FOUND, "no file holds picture %lld", (long long)id);
        const char *p = !rc ? sqlite3_column_blob(st, 0) : NULL;
        if (!rc && !(*path = mem_strndup(p ? p : "", (size_t)sqlite3_column_bytes(st, 0))))
            rc = error_set(err, ST_NOMEM, "out of memory");
        sql_close(db, st);
    }
    path_range_release(&r);
    return rc;
}

enum status db_image_paths_each(struct db *db, int64_t id,
                                enum status (*each)(void *ctx, const char *path, bool missing),
                                void *ctx, struct error *err)
{
    sqlite3_stmt *st;
    enum status rc =
        sql_open(db, "SELECT path, status FROM files WHERE image = ? ORDER BY path", &st, err);
    if (!rc)
        sql_bind(st, "i", id);
    bool row;
    while (!rc && !(rc = sql_step(db, st, &row, err)) && row) {
        const char *p = sqlite3_column_blob(st, 0);
        char *path = mem_strndup(p ? p : "", (size_t)sqlite3_column_bytes(st, 0));
        rc = path ? each(ctx, path, sqlite3_column_int(st, 1) != 1)
                  : error_set(err, ST_NOMEM, "out of memory");
        mem_free(path);
    }
    sql_close(db, st);
    return rc;
}
