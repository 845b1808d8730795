/* Roots and files. A scan compares against a sorted copy of the rows in memory, so that an
 * unchanged file costs no statement at all. */
#include "db/files.h"
#include "core/mem.h"
#include "core/path.h"
#include "db/db_int.h"
#include <string.h>
#include <time.h>

enum status db_root_put(struct db *db, const char *path, uint64_t dev, int64_t *id,
                        struct error *err)
{
    bool own;
    enum status rc = db_auto_begin(db, &own, err);
    if (rc)
        return rc;
    int64_t root = 0;
    rc = sql_run(db, err,
                 "INSERT INTO roots (path, added, dev) VALUES (?, ?, ?) ON CONFLICT (path) "
                 "DO UPDATE SET dev = excluded.dev WHERE excluded.dev <> 0",
                 "bii", path, strlen(path), (int64_t)time(NULL), (int64_t)dev);
    if (!rc)
        rc =
            sql_int(db, err, &root, "SELECT id FROM roots WHERE path = ?", "b", path, strlen(path));
    rc = db_auto_end(db, own, rc, err);
    if (!rc && id)
        *id = root;
    return rc;
}

enum status db_root_scanned(struct db *db, int64_t root, struct error *err)
{
    bool own;
    enum status rc = db_auto_begin(db, &own, err);
    if (rc)
        return rc;
    rc = sql_run(db, err, "UPDATE roots SET last_scan = ? WHERE id = ?", "ii", (int64_t)time(NULL),
                 root);
    return db_auto_end(db, own, rc, err);
}

/* A path column as a string: blobs have no NUL behind them. */
static char *column_path(sqlite3_stmt *st, int column)
{
    const char *p = sqlite3_column_blob(st, column);
    return mem_strndup(p ? p : "", (size_t)sqlite3_column_bytes(st, column));
}

enum status db_roots_each(struct db *db, enum status (*each)(void *ctx, const struct db_root *r),
                          void *ctx, struct error *err)
{
    sqlite3_stmt *st;
    enum status rc =
        sql_open(db, "SELECT id, path, added, last_scan, dev FROM roots ORDER BY path", &st, err);
    bool row;
    while (!rc && !(rc = sql_step(db, st, &row, err)) && row) {
        char *path = column_path(st, 1);
        struct db_root r = {
            .id = sqlite3_column_int64(st, 0),
            .path = path,
            .added = sqlite3_column_int64(st, 2),
            .last_scan = sqlite3_column_int64(st, 3),
            .dev = (uint64_t)sqlite3_column_int64(st, 4),
        };
        rc = path ? each(ctx, &r) : error_set(err, ST_NOMEM, "out of memory");
        mem_free(path);
    }
    sql_close(db, st);
    return rc;
}

enum status db_file_put(struct db *db, const struct db_file *f, int64_t *id, struct error *err)
{
    bool own;
    enum status rc = db_auto_begin(db, &own, err);
    if (rc)
        return rc;
    int64_t row = 0;
    size_t n = strlen(f->path);
    sqlite3_stmt *st;
    rc = sql_open(db,
                  "INSERT INTO files (root, path, size, mtime_ns, dev, ino, image, status) "
                  "VALUES (nullif(?, 0), ?, ?, ?, ?, ?, nullif(?, 0), ?) ON CONFLICT (path) "
                  "DO UPDATE SET root = coalesce(excluded.root, root), size = excluded.size, "
                  "mtime_ns = excluded.mtime_ns, dev = excluded.dev, ino = excluded.ino, "
                  "image = excluded.image, status = excluded.status RETURNING id",
                  &st, err);
    if (!rc) {
        sql_bind(st, "ibiiiiii", f->root, f->path, n, f->size, f->mtime_ns, (int64_t)f->dev,
                 (int64_t)f->ino, f->image, (int64_t)f->status);
        bool got;
        rc = sql_step(db, st, &got, err);
        if (!rc && got)
            row = sqlite3_column_int64(st, 0);
        sql_close(db, st);
    }
    if (!rc && f->status == DB_FILE_PRESENT)
        rc = sql_run(db, err, "DELETE FROM errors WHERE path = ?", "b", f->path, n);
    rc = db_auto_end(db, own, rc, err);
    if (!rc && id)
        *id = row;
    return rc;
}

enum status db_file_failed(struct db *db, const struct db_file *f, enum status code,
                           const char *text, struct error *err)
{
    bool own;
    enum status rc = db_auto_begin(db, &own, err);
    if (rc)
        return rc;
    struct db_file failed = *f;
    failed.image = 0;
    failed.status = DB_FILE_FAILED;
    rc = db_file_put(db, &failed, NULL, err);
    struct db_error e = {
        .path = f->path, .code = code, .text = text, .size = f->size, .mtime_ns = f->mtime_ns};
    if (!rc)
        rc = db_error_put(db, &e, err);
    return db_auto_end(db, own, rc, err);
}

enum status db_file_set_status(struct db *db, int64_t file, enum db_file_status status,
                               struct error *err)
{
    bool own;
    enum status rc = db_auto_begin(db, &own, err);
    if (rc)
        return rc;
    rc = sql_run(db, err, "UPDATE files SET status = ? WHERE id = ?", "ii", (int64_t)status, file);
    return db_auto_end(db, own, rc, err);
}

enum status db_file_get(struct db *db, const char *path, struct db_file *f, struct error *err)
{
    sqlite3_stmt *st;
    enum status rc = sql_open(db,
                              "SELECT id, coalesce(root, 0), size, mtime_ns, dev, ino, "
                              "coalesce(image, 0), status FROM files WHERE path = ?",
                              &st, err);
    if (rc)
        return rc;
    sql_bind(st, "b", path, strlen(path));
    bool row;
    rc = sql_step(db, st, &row, err);
    if (!rc && !row)
        rc = error_set(err, ST_NOT_FOUND, "%s: not in the library", path);
    if (!rc)
        *f = (struct db_file){
            .id = sqlite3_column_int64(st, 0),
            .root = sqlite3_column_int64(st, 1),
            .path = path,
            .size = sqlite3_column_int64(st, 2),
            .mtime_ns = sqlite3_column_int64(st, 3),
            .dev = (uint64_t)sqlite3_column_int64(st, 4),
            .ino = (uint64_t)sqlite3_column_int64(st, 5),
            .image = sqlite3_column_int64(st, 6),
            .status = (enum db_file_status)sqlite3_column_int(st, 7),
        };
    sql_close(db, st);
    return rc;
}

/* The table while it grows; paths are offsets until the end, since both arrays move. */
struct loading {
    struct db_file_table t;
    size_t cap, paths_len, paths_cap;
    size_t *offsets;
};

static bool loading_add(struct loading *l, sqlite3_stmt *st)
{
    struct db_file_table *t = &l->t;
    if (t->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 256;
        void *rows = mem_realloc_array(t->rows, cap, sizeof *t->rows);
        if (rows)
            t->rows = rows;
        void *offsets = mem_realloc_array(l->offsets, cap, sizeof *l->offsets);
        if (offsets)
            l->offsets = offsets;
        if (!rows || !offsets)
            return false;
        l->cap = cap;
    }
    size_t len = (size_t)sqlite3_column_bytes(st, 7);
    const char *path = sqlite3_column_blob(st, 7);
    if (l->paths_len + len + 1 > l->paths_cap) {
        size_t cap = l->paths_cap * 2 + len + 16384;
        char *paths = mem_realloc(t->paths, cap);
        if (!paths)
            return false;
        t->paths = paths;
        l->paths_cap = cap;
    }
    l->offsets[t->n] = l->paths_len;
    if (len)
        memcpy(t->paths + l->paths_len, path, len);
    t->paths[l->paths_len + len] = 0;
    l->paths_len += len + 1;
    t->rows[t->n++] = (struct db_file_row){
        .id = sqlite3_column_int64(st, 0),
        .image = sqlite3_column_int64(st, 1),
        .size = sqlite3_column_int64(st, 2),
        .mtime_ns = sqlite3_column_int64(st, 3),
        .dev = (uint64_t)sqlite3_column_int64(st, 4),
        .ino = (uint64_t)sqlite3_column_int64(st, 5),
        .status = (uint8_t)sqlite3_column_int(st, 6),
        .sidecars = sqlite3_column_int64(st, 8),
    };
    return true;
}

enum status db_files_load(struct db *db, const char *folder, struct db_file_table *t,
                          struct error *err)
{
    *t = (struct db_file_table){0};
    struct loading l = {0};
    struct path_range range;
    if (!path_range_init(&range, folder))
        return error_set(err, ST_NOMEM, "out of memory");
    sqlite3_stmt *st;
    bool row;
    enum status rc =
        sql_open(db,
                 "SELECT id, coalesce(image, 0), size, mtime_ns, dev, ino, status, path, "
                 "coalesce(sidecars, -1) "
                 "FROM files WHERE path = ?1 OR (path >= ?2 AND path < ?3) "
                 "ORDER BY path",
                 &st, err);
    if (!rc)
        sql_bind(st, "bbb", range.self, strlen(range.self), range.lo, strlen(range.lo), range.hi,
                 strlen(range.hi));
    while (!rc && !(rc = sql_step(db, st, &row, err)) && row)
        if (!loading_add(&l, st))
            rc = error_set(err, ST_NOMEM, "out of memory (%zu files)", l.t.n);
    sql_close(db, st);
    for (size_t i = 0; !rc && i < l.t.n; i++)
        l.t.rows[i].path = l.t.paths + l.offsets[i];
    mem_free(l.offsets);
    path_range_release(&range);
    if (rc)
        db_file_table_release(&l.t);
    *t = l.t;
    return rc;
}

struct db_file_row *db_file_table_find(const struct db_file_table *t, const char *path)
{
    size_t lo = 0, hi = t->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(t->rows[mid].path, path); /* unsigned bytes, as SQLite's memcmp */
        if (c == 0)
            return &t->rows[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

void db_file_table_release(struct db_file_table *t)
{
    mem_free(t->rows);
    mem_free(t->paths);
    *t = (struct db_file_table){0};
}

enum status db_files_mark_missing(struct db *db, const struct db_file_table *t,
                                  const char *const *keep, size_t n_keep, int64_t *marked,
                                  struct error *err)
{
    bool own;
    enum status rc = db_auto_begin(db, &own, err);
    if (rc)
        return rc;
    int64_t n = 0;
    for (size_t i = 0; !rc && i < t->n; i++) {
        const struct db_file_row *r = &t->rows[i];
        bool spared = r->seen || r->status == DB_FILE_MISSING;
        for (size_t j = 0; !spared && j < n_keep; j++)
            spared = path_inside(r->path, keep[j]);
        if (spared)
            continue;
        rc = db_file_set_status(db, r->id, DB_FILE_MISSING, err);
        if (!rc && r->status == DB_FILE_FAILED) /* nothing is left to be repaired */
            rc = db_error_clear(db, r->path, err);
        n++;
    }
    rc = db_auto_end(db, own, rc, err);
    if (marked)
        *marked = rc ? 0 : n;
    return rc;
}
