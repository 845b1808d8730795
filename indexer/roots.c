/* The folders of a run. A known root below another one is walked on its own, and left out of the
 * walk from above: it may be hidden, excluded or behind a link, where that walk would not come, and
 * its files would then count as gone. */
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include "indexer/indexer_int.h"
#include <string.h>

static struct index_root *find(const struct index_roots *l, const char *path)
{
    for (size_t i = 0; i < l->n; i++)
        if (!strcmp(l->root[i].path, path))
            return &l->root[i];
    return NULL;
}

static enum status add(struct index_roots *l, const char *path, bool known)
{
    struct index_root *same = find(l, path);
    if (same) {
        same->known |= known;
        return ST_OK;
    }
    struct index_root *grown = mem_realloc_array(l->root, l->n + 1, sizeof *grown);
    if (!grown)
        return ST_NOMEM;
    l->root = grown;
    char *copy = mem_strdup(path);
    if (!copy)
        return ST_NOMEM;
    l->root[l->n++] = (struct index_root){.path = copy, .known = known};
    return ST_OK;
}

static bool is_inside_another(const struct index_roots *l, const char *path)
{
    for (size_t i = 0; i < l->n; i++)
        if (path_inside(path, l->root[i].path))
            return true;
    return false;
}

struct loading {
    struct index_roots *roots;
    bool all; /* every known root, not only those at or below one that was asked for */
};

static enum status add_known(void *ctx, const struct db_root *r)
{
    struct loading *l = ctx;
    return l->all || is_inside_another(l->roots, r->path) ? add(l->roots, r->path, true) : ST_OK;
}

enum status index_roots_load(struct index_run *run, struct error *err)
{
    struct index_roots *l = &run->roots;
    struct loading loading = {l, run->o->n_roots == 0};
    enum status st = ST_OK;
    for (size_t i = 0; !st && i < run->o->n_roots; i++)
        st = add(l, run->o->roots[i], false);
    if (st == ST_OK)
        st = db_roots_each(run->parts->db, add_known, &loading, err);
    if (st == ST_NOMEM)
        error_set(err, st, "out of memory");
    if (!st && !l->n)
        st = error_set(err, ST_USAGE, "no folder is known yet: name one");
    /* What vanished with its name inside another root was removed there, not unmounted. */
    for (size_t i = 0; !st && i < l->n; i++)
        for (size_t k = 0; l->root[i].known && k < l->n; k++)
            l->root[i].covered |= k != i && path_inside(l->root[i].path, l->root[k].path) &&
                                  !file_exists(l->root[i].path) && file_is_dir(l->root[k].path);
    return st;
}

enum status index_roots_inside(const struct index_roots *l, size_t i, const char ***inside,
                               struct error *err)
{
    size_t n = 0;
    *inside = mem_zarray(l->n + 1, sizeof **inside);
    if (!*inside)
        return error_set(err, ST_NOMEM, "out of memory");
    for (size_t k = 0; k < l->n; k++)
        if (k != i && !l->root[k].covered && path_inside(l->root[k].path, l->root[i].path))
            (*inside)[n++] = l->root[k].path;
    return ST_OK;
}

/* Last of all, since a moved file finds its vector through the row that goes here. */
enum status index_roots_prune(struct index_run *run, struct error *err)
{
    enum status st = ST_OK;
    for (size_t i = 0; !st && i < run->roots.n; i++) {
        const struct index_root *r = &run->roots.root[i];
        struct db_removed removed = {0};
        st = r->gone || r->covered ? db_forget(run->parts->db, r->path, &removed, err)
                                   : db_prune(run->parts->db, r->path, &removed, err);
        if (st == ST_NOT_FOUND) /* forgotten with the root above it */
            st = ST_OK;
        run->r->pruned += (uint64_t)removed.files;
    }
    return st;
}

void index_roots_release(struct index_roots *l)
{
    for (size_t i = 0; i < l->n; i++)
        mem_free(l->root[i].path);
    mem_free(l->root);
    *l = (struct index_roots){0};
}
