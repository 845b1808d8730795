/* The scan: what is on the disk against what the catalogue knows. An empty root that had pictures
 * counts as not mounted, since an unmounted drive usually leaves its empty folder behind. */
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include "image/image.h"
#include "indexer/indexer_int.h"
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

struct scan {
    struct index_run *run;
    struct db_file_table table;
    const char *path; /* of the root */
    int64_t root;
    uint64_t files;
    char **keep; /* folders that could not be read: what is below them stays as it was */
    size_t keep_n, keep_cap;
    size_t known;       /* rows of the table that are this root's own */
    enum status failed; /* of a callback that cannot return one */
    struct error *err;
};

/* image: where only words are to be read. */
static enum status add_work(struct scan *s, const struct walk_file *f, int64_t image,
                            struct error *err)
{
    struct index_list *l = &s->run->work;
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 1024;
        struct index_item *grown = mem_realloc_array(l->item, cap, sizeof *grown);
        if (!grown)
            return error_set(err, ST_NOMEM, "out of memory");
        l->item = grown;
        l->cap = cap;
    }
    char *path = mem_strdup(f->path);
    if (!path)
        return error_set(err, ST_NOMEM, "out of memory");
    l->item[l->n++] = (struct index_item){.path = path,
                                          .root = s->root,
                                          .size = f->size,
                                          .mtime_ns = f->mtime_ns,
                                          .dev = f->dev,
                                          .ino = f->ino,
                                          .sidecars = f->sidecars,
                                          .image = image};
    return ST_OK;
}

/* Is this file as the catalogue knows it, with a vector of this model? */
static enum status is_settled(struct scan *s, const struct walk_file *f,
                              const struct db_file_row *row, bool *settled, struct error *err)
{
    struct index_run *run = s->run;
    *settled = false;
    if (!row || row->size != f->size || row->mtime_ns != f->mtime_ns)
        return ST_OK;
    if (row->status == DB_FILE_FAILED || !row->image) {
        /* one that went and came back has no error any more: it is tried again */
        *settled = row->status == DB_FILE_FAILED && !run->o->retry_failed;
        run->r->known_bad += *settled;
        return ST_OK;
    }
    enum status st = db_vector_exists(run->parts->db, run->model, row->image, settled, err);
    if (!st && *settled)
        run->r->unchanged++;
    return st;
}

/* By the path below the root, so that a drive has the same shards wherever it is mounted. */
static bool in_shard(const struct scan *s, const char *path)
{
    const struct index_opts *o = s->run->o;
    const char *below = path + strlen(s->path);
    while (*below == '/')
        below++;
    return !o->shards || XXH3_64bits(below, strlen(below)) % o->shards == o->shard - 1;
}

static enum status on_file(void *ctx, const struct walk_file *f, struct error *err)
{
    struct scan *s = ctx;
    struct index_run *run = s->run;
    if (index_stopped(run))
        return error_set(err, ST_INTERRUPTED, "interrupted");
    s->files++;
    struct db_file_row *row = db_file_table_find(&s->table, f->path);
    if (row)
        row->seen = true;
    if (!in_shard(s, f->path))
        return ST_OK;
    if (++run->r->scanned % 256 == 0)
        index_report_progress(run);
    bool settled;
    enum status st = is_settled(s, f, row, &settled, err);
    if (!st && settled && row->image && row->sidecars != f->sidecars)
        st = add_work(s, f, row->image, err);
    if (st || (settled && row->status != DB_FILE_MISSING))
        return st;
    if (!settled)
        return add_work(s, f, 0, err);
    st = index_write_begin(run, err); /* back again, as it was */
    if (!st)
        st = db_file_set_status(run->parts->db, row->id, DB_FILE_PRESENT, err);
    return st;
}

static bool is_stopped(void *ctx)
{
    return index_stopped(((struct scan *)ctx)->run);
}

static void on_error(void *ctx, const char *path, bool is_dir, const struct error *e)
{
    struct scan *s = ctx;
    struct index_run *run = s->run;
    struct db_error entry = {.path = path, .code = e->code, .text = e->text};
    run->r->failed++;
    if (!s->failed && !(s->failed = index_write_begin(run, s->err)))
        s->failed = db_error_put(run->parts->db, &entry, s->err);
    if (s->failed || !is_dir)
        return;
    if (s->keep_n == s->keep_cap) {
        size_t cap = s->keep_cap ? s->keep_cap * 2 : 8;
        char **grown = mem_realloc_array(s->keep, cap, sizeof *grown);
        if (grown) {
            s->keep = grown;
            s->keep_cap = cap;
        }
    }
    char *copy = s->keep_n < s->keep_cap ? mem_strdup(path) : NULL;
    if (copy)
        s->keep[s->keep_n++] = copy;
    else
        s->failed = error_set(s->err, ST_NOMEM, "out of memory");
}

/* Files of a folder that is not there: kept as they are, or pruned on request. */
static enum status root_is_gone(struct scan *s, const char *root, const char *why,
                                struct error *err)
{
    struct index_run *run = s->run;
    run->r->roots_gone++;
    if (run->o->prune)
        return db_files_mark_missing(run->parts->db, &s->table, NULL, 0, NULL, err);
    index_warn(run, root, "%s; the %zu files known there are kept (--prune would forget them)", why,
               s->known);
    return ST_OK;
}

/* Left out by an option that was not given this time, or by a new rule: worth a word, since they
 * are found no more although they are there. */
static void tell_left_out(const struct scan *s, const char *root)
{
    size_t n = 0;
    for (size_t i = 0; i < s->table.n; i++) {
        const struct db_file_row *row = &s->table.rows[i];
        bool kept = row->seen || row->status == DB_FILE_MISSING;
        for (size_t k = 0; k < s->keep_n && !kept; k++)
            kept = path_inside(row->path, s->keep[k]);
        n += !kept && file_exists(row->path);
    }
    if (n)
        index_warn(s->run, root,
                   "has %zu known files that are still there, but hidden, linked, excluded or "
                   "ignored now: searches leave them out",
                   n);
}

static enum status settle_missing(struct scan *s, const char *root, struct error *err)
{
    struct index_run *run = s->run;
    if (!s->files && !s->keep_n && s->known)
        return root_is_gone(s, root, "holds no pictures any more (is a drive not mounted?)", err);
    int64_t marked = 0;
    tell_left_out(s, root);
    enum status st = db_files_mark_missing(run->parts->db, &s->table, (const char *const *)s->keep,
                                           s->keep_n, &marked, err);
    run->r->missing += (uint64_t)marked;
    if (!st)
        st = db_root_scanned(run->parts->db, s->root, err);
    return st;
}

/* A root that cannot be read is one more unreadable folder: the other roots go on. */
static enum status walk_root(struct scan *s, const char *root, const struct walk_opts *walk,
                             struct error *err)
{
    struct error e = {ST_OK, ""};
    enum status st = walk_tree(root, walk, on_file, on_error, s, &e);
    if (st == ST_IO && !s->files) {
        on_error(s, root, true, &e);
        return ST_OK;
    }
    return st ? error_set(err, st, "%s", e.text) : ST_OK;
}

/* Of a root that is there. What could not be read before is listed again if it still cannot. */
static enum status scan_present(struct scan *s, const char *root, const struct walk_opts *walk,
                                const struct stat *sb, struct error *err)
{
    struct db *db = s->run->parts->db;
    bool folder = S_ISDIR(sb->st_mode);
    enum status st = index_write_begin(s->run, err);
    if (!st)
        st = db_error_clear_folders(db, root, err);
    if (!st && folder) /* a single file is indexed without becoming a root */
        st = db_root_put(db, root, sb->st_dev, &s->root, err);
    if (!st)
        st = walk_root(s, root, walk, err);
    if (!st)
        st = s->failed;
    return !st && folder ? settle_missing(s, root, err) : st;
}

/* Files of a root below this one are settled by that one's own scan. */
static void leave_to_others(struct scan *s, const char *const *inside)
{
    for (size_t i = 0; i < s->table.n; i++) {
        struct db_file_row *row = &s->table.rows[i];
        for (size_t k = 0; inside[k] && !row->seen; k++)
            row->seen = path_inside(row->path, inside[k]);
        s->known += !row->seen;
    }
}

static enum status scan_root(struct index_run *run, size_t i, struct error *err)
{
    const char *root = run->roots.root[i].path, **inside = NULL;
    struct scan s = {.run = run, .err = err, .path = root};
    struct walk_opts walk = run->o->walk;
    struct stat sb;
    enum status st = index_roots_inside(&run->roots, i, &inside, err);
    if (!st)
        st = db_files_load(run->parts->db, root, &s.table, err);
    if (st)
        goto out;
    walk.want = image_name_supported;
    walk.is_second = image_name_is_raw;
    walk.is_first = image_name_is_jpeg;
    walk.stopped = is_stopped;
    walk.skip = inside;
    leave_to_others(&s, inside);
    if (stat(root, &sb) == 0) {
        st = scan_present(&s, root, &walk, &sb, err);
    } else if (s.table.n || run->roots.root[i].known) {
        run->roots.root[i].gone = true;
        st = index_write_begin(run, err);
        if (!st)
            st = root_is_gone(&s, root, "is not there", err);
    } else {
        st = error_set(err, ST_NOT_FOUND, "%s: no such folder", root);
    }
out:
    for (size_t k = 0; k < s.keep_n; k++)
        mem_free(s.keep[k]);
    mem_free(s.keep);
    mem_free(inside);
    db_file_table_release(&s.table);
    return st;
}

enum status index_scan(struct index_run *run, struct error *err)
{
    enum status st = ST_OK;
    for (size_t i = 0; !st && i < run->roots.n; i++)
        if (!run->roots.root[i].covered)
            st = scan_root(run, i, err);
    return st ? st : index_write_commit(run, true, err);
}
