/* Keeping vectors-<model>.bin beside SQLite: catch up by generation, or make it anew. Whoever may
 * write the folder may do it, also a plain search: the file is only a copy, and the database's lock
 * is not needed. */
#include "core/mem.h"
#include "core/path.h"
#include "search/search_int.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

char *cache_path(struct db *db, const char *prefix, const char *hex, const char *suffix)
{
    return mem_printf("%s/%s%s%s", db_library(db), prefix, hex, suffix);
}

/* Temporaries of writers that were killed. Under the lock nobody else's is alive. */
static void sweep(const char *library)
{
    DIR *d = opendir(library);
    if (!d)
        return;
    for (struct dirent *f; (f = readdir(d));) {
        if ((strncmp(f->d_name, "vectors-", 8) && strncmp(f->d_name, "faiss-", 6)) ||
            !strstr(f->d_name, ".tmp-"))
            continue;
        char *path = path_join(library, f->d_name);
        if (path)
            unlink(path);
        mem_free(path);
    }
    closedir(d);
}

enum status cache_lock(struct db *db, int *fd, struct error *err)
{
    char *path = path_join(db_library(db), "caches.lock");
    if (!path)
        return error_set(err, ST_NOMEM, "out of memory");
    enum status rc = ST_OK;
    int f = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (f < 0)
        rc = error_errno(err, errno, "%s", path);
    else if (flock(f, LOCK_EX | LOCK_NB) != 0)
        rc = error_set(err, ST_LOCKED, "%s: another process is at the caches", path);
    mem_free(path);
    if (rc) {
        if (f >= 0)
            close(f);
        return rc;
    }
    sweep(db_library(db));
    *fd = f;
    return ST_OK;
}

void cache_unlock(int fd)
{
    if (fd >= 0)
        close(fd);
}

enum status snapshot_begin(struct db *db, bool *own, struct error *err)
{
    *own = !db_in_transaction(db);
    return *own ? db_begin_read(db, err) : ST_OK;
}

void snapshot_end(struct db *db, bool own)
{
    if (own)
        db_rollback(db);
}

enum status cache_same_history(struct db *db, int64_t model, int64_t generation, uint64_t stamp,
                               bool *same, struct error *err)
{
    int64_t now = 0;
    uint64_t known = 0;
    enum status rc = db_generation(db, model, &now, err);
    if (!rc)
        rc = db_stamp(db, model, generation, &known, err);
    *same = !rc && generation >= 0 && generation <= now && known == stamp;
    return rc;
}

/* Removals gathered from SQLite. */
struct removals {
    int64_t *images, *gens;
    size_t n, cap;
};

static enum status add_removal(void *ctx, int64_t image, int64_t generation)
{
    struct removals *r = ctx;
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 64;
        int64_t *images = mem_realloc_array(r->images, cap, sizeof *images);
        if (images)
            r->images = images;
        int64_t *gens = mem_realloc_array(r->gens, cap, sizeof *gens);
        if (gens)
            r->gens = gens;
        if (!images || !gens)
            return ST_NOMEM;
        r->cap = cap;
    }
    r->images[r->n] = image;
    r->gens[r->n++] = generation;
    return ST_OK;
}

static enum status load_removals(struct removals *r, struct db *db, int64_t model, int64_t after,
                                 struct error *err)
{
    enum status rc = db_removals_each(db, model, after, add_removal, r, err);
    return rc == ST_NOMEM ? error_set(err, rc, "out of memory (%zu removals)", r->n) : rc;
}

static void removals_release(struct removals *r)
{
    mem_free(r->images);
    mem_free(r->gens);
}

struct copying {
    struct vecfile_writer *w;
    struct db *db;
    int64_t model;
    struct error *err;
};

static enum status copy_row(void *ctx, int64_t image, int64_t generation, const float *v)
{
    struct copying *c = ctx;
    bool full;
    uint64_t stamp;
    enum status rc = vecfile_put_row(c->w, image, generation, v, &full, c->err);
    if (!rc && full && !(rc = db_stamp(c->db, c->model, generation, &stamp, c->err)))
        rc = vecfile_flush(c->w, generation, stamp, c->err);
    return rc;
}

/* Everything after `after` to the writer, the removals first: every row that is in SQLite now
 * outlives all of them. */
static enum status write_rest(struct vecfile_writer *w, struct db *db, const struct db_model *m,
                              int64_t after, uint64_t stamp_after, struct error *err)
{
    struct copying c = {.w = w, .db = db, .model = m->id, .err = err};
    struct removals r = {0};
    int64_t now;
    uint64_t stamp;
    enum status rc = db_generation(db, m->id, &now, err);
    if (!rc)
        rc = db_stamp(db, m->id, now, &stamp, err);
    if (!rc && after > 0) /* a new file holds nothing that could have died */
        rc = load_removals(&r, db, m->id, after, err);
    if (!rc)
        rc = vecfile_put_dead(w, r.images, r.gens, r.n, after, stamp_after, err);
    if (!rc)
        rc = db_vectors_each(db, m->id, after, copy_row, &c, err);
    if (!rc)
        rc = vecfile_flush(w, now, stamp, err);
    removals_release(&r);
    return rc;
}

static enum status make_anew(struct db *db, const struct db_model *m, const char *path,
                             const struct flat_ops *ops, struct error *err)
{
    struct vecfile_writer w;
    enum status rc = vecfile_create(&w, path, m->hex, m->dim, ops, err);
    if (rc)
        return rc;
    rc = write_rest(&w, db, m, 0, 0, err);
    if (!rc)
        return vecfile_commit(&w, err);
    vecfile_abort(&w);
    return rc;
}

static bool worth_squeezing(const struct vecfile *f)
{
    return (f->n_dead > 1000 && f->n_dead > f->n_rows / 5) ||
           (f->n_all_blocks > 512 && f->n_rows / f->n_all_blocks < 1024);
}

enum status cache_update(struct db *db, const struct db_model *m, const struct flat_ops *ops,
                         bool squeeze, bool *rebuilt, char *why, struct error *err)
{
    struct vecfile f = {0};
    struct vecfile_writer w;
    struct error e = {0};
    bool same = false;
    int64_t now;
    char *path = CACHE_VECTORS(db, m->hex);
    *rebuilt = false;
    if (!path)
        return error_set(err, ST_NOMEM, "out of memory");
    enum status rc = db_generation(db, m->id, &now, err);
    if (rc)
        goto out;
    enum status opened = vecfile_open(&f, path, m->hex, m->dim, &e);
    if (opened == ST_NOMEM) {
        rc = error_set(err, opened, "%s", e.text);
        goto out;
    }
    if (!opened && (rc = cache_same_history(db, m->id, f.generation, f.stamp, &same, err)))
        goto out;
    if (same && !(squeeze && worth_squeezing(&f))) {
        if (f.generation == now && f.end == f.map.size)
            goto out;
        if (!(rc = vecfile_append(&w, &f, ops, err))) {
            rc = write_rest(&w, db, m, f.generation, f.stamp, err);
            if (!rc)
                rc = vecfile_commit(&w, err);
            else
                vecfile_abort(&w);
        }
        goto out;
    }
    if (now == 0 && opened == ST_NOT_FOUND)
        goto out; /* no vectors, no file */
    *rebuilt = true;
    snprintf(why, 160, "%.150s",
             opened ? e.text
             : same ? "removed rows squeezed out"
                    : "of another state of the library");
    rc = make_anew(db, m, path, ops, err);
out:
    vecfile_close(&f);
    mem_free(path);
    return rc;
}

/* What the file lacks, into memory. */
struct loading {
    struct view *v;
    size_t cap, dim;
};

static enum status load_row(void *ctx, int64_t image, int64_t generation, const float *row)
{
    struct loading *l = ctx;
    struct view *v = l->v;
    if (v->n_tail == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64, cells;
        int64_t *images = mem_realloc_array(v->images, cap, sizeof *images);
        if (images)
            v->images = images;
        int64_t *gens = mem_realloc_array(v->gens, cap, sizeof *gens);
        if (gens)
            v->gens = gens;
        float *rows = mul_overflow_size(cap, l->dim, &cells)
                          ? NULL
                          : mem_realloc_array(v->rows, cells, sizeof *rows);
        if (rows)
            v->rows = rows;
        if (!images || !gens || !rows)
            return ST_NOMEM;
        l->cap = cap;
    }
    v->images[v->n_tail] = image;
    v->gens[v->n_tail] = generation;
    memcpy(v->rows + v->n_tail * l->dim, row, l->dim * sizeof *row);
    v->n_tail++;
    return ST_OK;
}

static enum status join_blocks(struct view *v, struct error *err)
{
    size_t bytes = v->file.n_rows / 8 + 1;
    v->blocks = mem_array(v->file.n_blocks + 1, sizeof *v->blocks);
    if (!v->blocks)
        return error_set(err, ST_NOMEM, "out of memory");
    if (v->file.n_blocks)
        memcpy(v->blocks, v->file.blocks, v->file.n_blocks * sizeof *v->blocks);
    v->n_blocks = v->file.n_blocks;
    v->n_rows = v->file.n_rows;
    if (v->n_tail) {
        v->blocks[v->n_blocks++] = (struct vec_block){.images = v->images,
                                                      .gens = v->gens,
                                                      .rows = v->rows,
                                                      .f32 = true,
                                                      .n = v->n_tail,
                                                      .first = v->n_rows};
        v->n_rows += v->n_tail;
    }
    v->n_dead = v->file.n_dead;
    if (!v->file.dead)
        return ST_OK;
    v->dead = mem_zalloc(v->n_rows / 8 + 1);
    if (!v->dead)
        return error_set(err, ST_NOMEM, "out of memory");
    memcpy(v->dead, v->file.dead, bytes);
    return ST_OK;
}

enum status view_open(struct view *v, struct db *db, const struct db_model *m, struct error *err)
{
    *v = (struct view){0};
    struct removals r = {0};
    bool same = false;
    char *path = CACHE_VECTORS(db, m->hex);
    if (!path)
        return error_set(err, ST_NOMEM, "out of memory");
    enum status rc = vecfile_open(&v->file, path, m->hex, m->dim, err);
    mem_free(path);
    if (rc == ST_NOMEM)
        return rc;
    bool opened = rc == ST_OK;
    rc = opened ? cache_same_history(db, m->id, v->file.generation, v->file.stamp, &same, err)
                : ST_OK;
    if (opened && !same)
        vecfile_close(&v->file);
    struct loading l = {.v = v, .dim = (size_t)m->dim};
    int64_t after = v->file.generation;
    if (!rc)
        rc = db_generation(db, m->id, &v->generation, err);
    if (!rc)
        rc = db_stamp(db, m->id, v->generation, &v->stamp, err);
    if (!rc && after > 0)
        rc = load_removals(&r, db, m->id, after, err);
    if (!rc && after < v->generation) {
        rc = db_vectors_each(db, m->id, after, load_row, &l, err);
        if (rc == ST_NOMEM)
            error_set(err, rc, "out of memory (%zu vectors)", v->n_tail);
    }
    if (!rc)
        rc = join_blocks(v, err);
    if (!rc)
        rc = vec_mark_dead(v->blocks, v->n_blocks, v->n_rows, r.images, r.gens, r.n, &v->dead,
                           &v->n_dead, err);
    removals_release(&r);
    if (rc)
        view_close(v);
    return rc;
}

void view_close(struct view *v)
{
    vecfile_close(&v->file);
    mem_free(v->blocks);
    mem_free(v->dead);
    mem_free(v->images);
    mem_free(v->gens);
    mem_free(v->rows);
    *v = (struct view){0};
}
