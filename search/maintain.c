/* Work on the caches that is not part of a search: building the index, throwing caches away,
 * verifying them. */
#include "core/mem.h"
#include "search/search_int.h"
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

/* NULL where the index at path is good enough for this view, otherwise why it is not. */
static const char *why_rebuild(struct db *db, const struct db_model *m, const struct view *v,
                               const char *path, struct error *err)
{
    const char *why = "there is none";
    void *state = NULL;
    struct vindex_info info;
    struct error e = {0};
    bool same = false;
    for (size_t i = 0; vindex_kinds[i]; i++) {
        const struct vindex_kind *k = vindex_kinds[i];
        enum status rc = k->open(&state, path, m->hex, m->dim, false, &info, &e);
        if (rc) {
            why = rc == ST_NOT_FOUND ? "there is none" : "it cannot be used";
            continue;
        }
        k->close(state);
        if (cache_same_history(db, m->id, info.generation, info.stamp, &same, err) || !same)
            return "it is of another state of the library";
        size_t live = v->n_rows - v->n_dead;
        size_t tail = v->n_rows - vec_first_after(v->blocks, v->n_blocks, info.generation);
        size_t indexed = live > tail ? live - tail : 0;
        if (tail > live / 10)
            return "a tenth is not in it";
        if (info.rows > indexed + indexed / 4)
            return "a fifth of it was removed";
        return NULL;
    }
    return why;
}

static enum status build_index(struct db *db, const struct db_model *m, const struct view *v,
                               const struct search_opts *o, struct error *err)
{
    uint64_t below = o->exact_below ? o->exact_below : 50000;
    char *path = CACHE_INDEX(db, m->hex);
    if (!path)
        return error_set(err, ST_NOMEM, "out of memory");
    enum status rc = ST_OK;
    if (v->n_rows - v->n_dead < below || o->no_index) {
        if (unlink(path) != 0 && errno != ENOENT) /* it would only go stale */
            rc = error_errno(err, errno, "%s", path);
    } else if (why_rebuild(db, m, v, path, err)) {
        struct vindex_build b = {
            .blocks = v->blocks,
            .n_blocks = v->n_blocks,
            .n_rows = v->n_rows,
            .dead = v->dead,
            .opts = o,
            .info = {.dim = m->dim, .generation = v->generation, .stamp = v->stamp},
        };
        snprintf(b.info.model, sizeof b.info.model, "%s", m->hex);
        rc = vindex_find("ivf")->build(path, &b, err);
    }
    mem_free(path);
    return rc;
}

enum status search_maintain(struct db *db, int64_t model, const struct search_opts *o,
                            struct error *err)
{
    static const struct search_opts defaults = {0};
    o = o ? o : &defaults;
    struct view v = {0};
    struct db_model m;
    struct flat_ops ops;
    bool own = false, rebuilt;
    char why[160];
    int lock = -1;
    if (db_in_transaction(db)) /* what is not committed yet must not get into the files */
        return error_set(err, ST_INTERNAL, "caches cannot be maintained inside a transaction");
    enum status rc = cache_lock(db, &lock, err);
    if (rc)
        return rc == ST_LOCKED ? ST_OK : rc;
    flat_ops_init(&ops, cpu_level_max());
    if (o->progress)
        o->progress(o->progress_ctx, "updating the vector file");
    rc = snapshot_begin(db, &own, err);
    if (!rc)
        rc = db_model_by_id(db, model, &m, err);
    if (!rc)
        rc = cache_update(db, &m, &ops, true, &rebuilt, why, err);
    if (!rc)
        rc = view_open(&v, db, &m, err);
    if (!rc)
        rc = build_index(db, &m, &v, o, err);
    snapshot_end(db, own);
    view_close(&v);
    cache_unlock(lock);
    return rc;
}

enum status search_drop_caches(struct db *db, const char *model_hex, struct error *err)
{
    int lock = -1;
    enum status rc = cache_lock(db, &lock, err);
    if (rc)
        return rc;
    DIR *d = opendir(db_library(db));
    if (!d)
        rc = error_errno(err, errno, "%s", db_library(db));
    for (struct dirent *f; !rc && (f = readdir(d));) {
        size_t n = strlen(f->d_name), head = 0;
        if (!strncmp(f->d_name, "vectors-", 8) && n > 12 && !strcmp(f->d_name + n - 4, ".bin"))
            head = 8;
        if (!strncmp(f->d_name, "faiss-", 6) && n > 10 && !strcmp(f->d_name + n - 4, ".idx"))
            head = 6;
        if (!head || (model_hex && (strlen(model_hex) != n - 4 - head ||
                                    strncmp(f->d_name + head, model_hex, n - 4 - head))))
            continue;
        char *path = mem_printf("%s/%s", db_library(db), f->d_name);
        if (!path)
            rc = error_set(err, ST_NOMEM, "out of memory");
        else if (unlink(path) != 0 && errno != ENOENT)
            rc = error_errno(err, errno, "%s", path);
        mem_free(path);
    }
    if (d)
        closedir(d);
    cache_unlock(lock);
    return rc;
}

struct checking {
    void (*found)(void *ctx, const char *what);
    void *ctx;
    int64_t problems;
    const struct vecfile *f;
    struct flat_ops ops;
    size_t block, i, missing, wrong; /* the walk along the file's live rows */
    int dim;
};

static void report(struct checking *c, const char *what)
{
    c->problems++;
    if (c->found)
        c->found(c->ctx, what);
}

static bool current(struct checking *c)
{
    for (; c->block < c->f->n_blocks; c->block++, c->i = 0) {
        const struct vec_block *k = &c->f->blocks[c->block];
        for (; c->i < k->n; c->i++) {
            size_t row = k->first + c->i;
            if (!c->f->dead || !(c->f->dead[row / 8] >> (row % 8) & 1))
                return true;
        }
    }
    return false;
}

/* SQLite's rows in the order of generations, against the file's in the same order. */
static enum status compare_row(void *ctx, int64_t image, int64_t generation, const float *v)
{
    struct checking *c = ctx;
    if (generation > c->f->generation)
        return ST_OK;
    while (current(c) && c->f->blocks[c->block].gens[c->i] < generation) {
        c->wrong++; /* in the file only */
        c->i++;
    }
    const struct vec_block *k = current(c) ? &c->f->blocks[c->block] : NULL;
    if (!k || k->gens[c->i] != generation || k->images[c->i] != image) {
        c->missing++;
        return ST_OK;
    }
    float row[DB_MAX_DIM], worst = 0;
    size_t dim = (size_t)c->dim;
    c->ops.to_f32(row, (const uint16_t *)k->rows + c->i * dim, dim);
    for (size_t j = 0; j < dim; j++) {
        float d = fabsf(row[j] - v[j]);
        worst = d <= worst ? worst : d; /* NaN stays */
    }
    c->wrong += !(worst <= 1e-3f); /* f16 of values up to 1: half a unit is 2.5e-4 */
    c->i++;
    return ST_OK;
}

static enum status compare(struct checking *c, const struct vecfile *f, struct db *db,
                           const struct db_model *m, struct error *err)
{
    char text[400];
    c->f = f;
    flat_ops_init(&c->ops, cpu_level_max());
    enum status rc = db_vectors_each(db, m->id, 0, compare_row, c, err);
    for (; !rc && current(c); c->i++)
        c->wrong++;
    if (!rc && (c->missing || c->wrong)) {
        snprintf(text, sizeof text, "%.200s: %zu vectors missing, %zu wrong or removed", c->f->path,
                 c->missing, c->wrong);
        report(c, text);
    }
    return rc;
}

static enum status check_vectors(struct checking *c, struct db *db, const struct db_model *m,
                                 bool deep, struct error *err)
{
    struct vecfile f = {0};
    struct error e = {0};
    bool same = false;
    char *path = CACHE_VECTORS(db, m->hex);
    if (!path)
        return error_set(err, ST_NOMEM, "out of memory");
    enum status rc = vecfile_open(&f, path, m->hex, m->dim, &e);
    if (rc == ST_NOT_FOUND) {
        rc = ST_OK;
        goto out;
    }
    if (!rc && deep)
        rc = vecfile_verify(&f, &e);
    if (rc == ST_FORMAT || rc == ST_UNSUPPORTED) {
        report(c, e.text);
        rc = ST_OK;
        goto out;
    }
    if (rc) {
        rc = error_set(err, rc, "%s", e.text);
        goto out;
    }
    rc = cache_same_history(db, m->id, f.generation, f.stamp, &same, err);
    if (!rc && !same) {
        snprintf(e.text, sizeof e.text, "%.180s: of another state of the library", path);
        report(c, e.text);
    } else if (!rc && deep && f.generation == m->generation) {
        /* Not a file that is behind: it has dead rows that it does not know of yet. */
        rc = compare(c, &f, db, m, err);
    }
out:
    vecfile_close(&f);
    mem_free(path);
    return rc;
}

static enum status check_index(struct checking *c, struct db *db, const struct db_model *m,
                               bool deep, struct error *err)
{
    struct error e = {0};
    struct vindex_info info;
    void *state = NULL;
    bool same = false;
    char *path = CACHE_INDEX(db, m->hex);
    if (!path)
        return error_set(err, ST_NOMEM, "out of memory");
    const struct vindex_kind *k = vindex_find("ivf");
    enum status rc = k->open(&state, path, m->hex, m->dim, deep, &info, &e);
    if (rc == ST_FORMAT || rc == ST_UNSUPPORTED) {
        report(c, e.text);
        rc = ST_OK;
    } else if (rc == ST_NOT_FOUND) {
        rc = ST_OK;
    } else if (rc) {
        rc = error_set(err, rc, "%s", e.text);
    } else {
        k->close(state);
        rc = cache_same_history(db, m->id, info.generation, info.stamp, &same, err);
        if (!rc && !same) {
            snprintf(e.text, sizeof e.text, "%.180s: of another state of the library", path);
            report(c, e.text);
        }
    }
    mem_free(path);
    return rc;
}

enum status search_check(struct db *db, int64_t model, bool deep,
                         void (*found)(void *ctx, const char *what), void *ctx, int64_t *problems,
                         struct error *err)
{
    struct checking c = {.found = found, .ctx = ctx};
    struct db_model m;
    bool own;
    enum status rc = snapshot_begin(db, &own, err);
    if (rc)
        return rc;
    rc = db_model_by_id(db, model, &m, err);
    c.dim = rc ? 0 : m.dim;
    if (!rc)
        rc = check_vectors(&c, db, &m, deep, err);
    if (!rc)
        rc = check_index(&c, db, &m, deep, err);
    snapshot_end(db, own);
    if (problems)
        *problems = c.problems;
    return rc;
}
