/* Opening a search over a library: caches brought up to date where that is allowed, then mapped. */
#include "search/search.h"
#include "core/mem.h"
#include "search/search_int.h"
#include <string.h>

void selection_release(struct selection *c)
{
    mem_free(c->key);
    mem_free(c->keep);
    db_idset_release(&c->set);
    *c = (struct selection){0};
}

static void close_view(struct search *s)
{
    selection_release(&s->chosen);
    ahead_release(&s->ahead);
    s->era++;
    if (s->kind)
        s->kind->close(s->index);
    s->kind = NULL;
    s->index = NULL;
    view_close(&s->view);
}

/* The vector file on the disk, if nobody else is at it. Why not, is a note and no failure: the
 * search works from SQLite as well. */
static enum status refresh_file(struct search *s, struct error *err)
{
    struct error e = {0};
    int lock = -1;
    if (s->opts.caches_read_only)
        return ST_OK;
    enum status rc = cache_lock(s->db, &lock, &e);
    if (!rc) {
        rc = cache_update(s->db, &s->model, &s->ops, false, &s->rebuilt, s->why, &e);
        cache_unlock(lock);
    }
    if (rc == ST_NOMEM || rc == ST_FORMAT)
        return err ? (*err = e, rc) : rc;
    if (rc && rc != ST_LOCKED)
        snprintf(s->why, sizeof s->why, "%.150s", e.text);
    return ST_OK;
}

static enum status open_index(struct search *s, struct error *err)
{
    uint64_t below = s->opts.exact_below ? s->opts.exact_below : 50000;
    size_t live = s->view.n_rows - s->view.n_dead;
    if (s->opts.no_index || live < below)
        return ST_OK;
    char *path = CACHE_INDEX(s->db, s->model.hex);
    if (!path)
        return error_set(err, ST_NOMEM, "out of memory");
    struct error e = {0};
    enum status rc = ST_NOT_FOUND;
    bool same = false;
    for (size_t i = 0; vindex_kinds[i] && rc; i++) {
        rc =
            vindex_kinds[i]->open(&s->index, path, s->model.hex, s->model.dim, false, &s->info, &e);
        if (!rc)
            s->kind = vindex_kinds[i];
        else if (rc == ST_NOMEM)
            break;
    }
    mem_free(path);
    if (rc == ST_NOMEM)
        return err ? (*err = e, rc) : rc;
    if (rc && rc != ST_NOT_FOUND)
        snprintf(s->why, sizeof s->why, "%.150s", e.text);
    if (rc)
        return ST_OK; /* scanned exactly */
    rc = cache_same_history(s->db, s->model.id, s->info.generation, s->info.stamp, &same, err);
    if (!rc && !same) {
        s->kind->close(s->index);
        s->kind = NULL;
        snprintf(s->why, sizeof s->why, "the index is of another state of the library");
    }
    if (s->kind)
        s->tail_from = vec_first_after(s->view.blocks, s->view.n_blocks, s->info.generation);
    return rc;
}

static enum status open_all(struct search *s, struct error *err)
{
    bool own;
    enum status rc = snapshot_begin(s->db, &own, err);
    if (rc)
        return rc;
    s->rebuilt = false;
    s->why[0] = 0;
    rc = db_model_by_id(s->db, s->model.id, &s->model, err);
    if (!rc && own) /* what is not committed yet must not get into the file */
        rc = refresh_file(s, err);
    if (!rc)
        rc = view_open(&s->view, s->db, &s->model, err);
    if (!rc)
        rc = open_index(s, err);
    snapshot_end(s->db, own);
    if (rc)
        close_view(s);
    return rc;
}

enum status search_open(struct search **out, struct db *db, int64_t model,
                        const struct search_opts *o, struct error *err)
{
    *out = NULL;
    struct search *s = mem_zalloc(sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "out of memory");
    s->db = db;
    s->model.id = model;
    if (o)
        s->opts = *o;
    s->opts.queries = NULL;
    s->opts.n_queries = 0;
    s->opts.progress = NULL;
    if (s->opts.threads <= 0)
        s->opts.threads = cpu_count();
    flat_ops_init(&s->ops, cpu_level_max());
    enum status rc = ST_OK;
    if (s->opts.threads > 1 && !(s->pool = pool_new(s->opts.threads)))
        rc = error_set(err, ST_NOMEM, "cannot start %d threads", s->opts.threads);
    if (!rc)
        rc = open_all(s, err);
    if (rc) {
        search_close(s);
        return rc;
    }
    *out = s;
    return ST_OK;
}

void search_close(struct search *s)
{
    if (!s)
        return;
    close_view(s);
    pool_free(s->pool);
    mem_free(s);
}

enum status search_refresh(struct search *s, struct error *err)
{
    int64_t now;
    enum status rc = db_generation(s->db, s->model.id, &now, err);
    if (rc || (now == s->view.generation && s->view.blocks))
        return rc;
    close_view(s);
    return open_all(s, err);
}

void search_stats(const struct search *s, struct search_stats *st)
{
    const struct view *v = &s->view;
    *st = (struct search_stats){
        .kind = s->kind ? s->kind->name : "exact",
        .rows = v->n_rows - v->n_dead,
        .dead = v->n_dead,
        .in_memory = v->n_tail,
        .bytes = v->file.map.size + (s->kind ? s->info.bytes : 0),
        .generation = v->generation,
        .recall = s->kind ? s->info.recall : 1,
        .nlist = s->kind ? s->info.nlist : 0,
        .nprobe = s->kind ? s->info.nprobe : 0,
        .rebuilt = s->rebuilt,
    };
    if (s->kind) {
        st->tail = v->n_rows - s->tail_from;
        for (size_t i = s->tail_from; i < v->n_rows; i++)
            st->tail -= v->dead && (v->dead[i / 8] >> (i % 8) & 1);
        st->indexed = st->rows - st->tail;
        snprintf(st->description, sizeof st->description, "%s", s->info.description);
    } else {
        snprintf(st->description, sizeof st->description, "flat f16 %s", s->ops.name);
    }
    snprintf(st->why, sizeof st->why, "%s", s->why);
}

void search_result_release(struct search_result *r)
{
    mem_free(r->hits);
    *r = (struct search_result){0};
}
