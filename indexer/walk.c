/* The walk holds one folder's names at a time on each level and no open folder while it is below,
 * so depth costs memory but never file descriptors. */
#include "indexer/walk.h"
#include "core/mem.h"
#include "core/path.h"
#include "image/words.h"
#include "indexer/ignore.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *const walk_default_excludes[] = {"@eaDir", "node_modules", ".git",
                                             "System Volume Information", NULL};

enum { MAX_DEPTH = 512 };

struct inode {
    uint64_t dev, ino;
};

struct walk {
    const struct walk_opts *o;
    walk_file_fn *on_file;
    walk_error_fn *on_error;
    void *ctx;
    struct ignore *ignore;
    struct inode *seen; /* folders, when links are followed */
    size_t seen_n, seen_cap;
    int depth;
};

struct names {
    char **name;
    size_t n, cap;
    bool sidecars; /* one of them ends in .xmp */
};

static void names_release(struct names *l)
{
    for (size_t i = 0; i < l->n; i++)
        mem_free(l->name[i]);
    mem_free(l->name);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum status names_add(struct names *l, const char *name, struct error *err)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        char **grown = mem_realloc_array(l->name, cap, sizeof *grown);
        if (!grown)
            return error_set(err, ST_NOMEM, "out of memory");
        l->name = grown;
        l->cap = cap;
    }
    if (!(l->name[l->n] = mem_strdup(name)))
        return error_set(err, ST_NOMEM, "out of memory");
    l->sidecars |= path_has_ext(name, "xmp");
    l->n++;
    return ST_OK;
}

static enum status names_read(struct names *l, const char *dir, struct error *err)
{
    DIR *d = opendir(dir);
    if (!d)
        return error_errno(err, errno, "%s", dir);
    enum status st = ST_OK;
    for (struct dirent *e; !st && (errno = 0, e = readdir(d));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            st = names_add(l, e->d_name, err);
    if (!st && errno)
        st = error_errno(err, errno, "%s", dir);
    closedir(d);
    if (!st && l->n)
        qsort(l->name, l->n, sizeof *l->name, compare_names);
    return st;
}

static enum status mark_seen(struct walk *w, const struct stat *s, bool *again, struct error *err)
{
    *again = false;
    for (size_t i = 0; i < w->seen_n; i++)
        *again |= w->seen[i].dev == s->st_dev && w->seen[i].ino == s->st_ino;
    if (*again)
        return ST_OK;
    if (w->seen_n == w->seen_cap) {
        size_t cap = w->seen_cap ? w->seen_cap * 2 : 64;
        struct inode *grown = mem_realloc_array(w->seen, cap, sizeof *grown);
        if (!grown)
            return error_set(err, ST_NOMEM, "out of memory");
        w->seen = grown;
        w->seen_cap = cap;
    }
    w->seen[w->seen_n++] = (struct inode){s->st_dev, s->st_ino};
    return ST_OK;
}

static bool is_excluded_dir(const struct walk *w, const char *name)
{
    const char *const *x = w->o->exclude_dirs ? w->o->exclude_dirs : walk_default_excludes;
    for (; *x; x++)
        if (!strcmp(*x, name))
            return true;
    return false;
}

static bool is_skipped(const struct walk *w, const char *path)
{
    for (const char *const *p = w->o->skip; p && *p; p++)
        if (!strcmp(*p, path))
            return true;
    return false;
}

static int64_t mtime_of(const struct stat *s)
{
    return (int64_t)s->st_mtim.tv_sec * 1000000000 + s->st_mtim.tv_nsec;
}

/* l: the names in the file's folder; NULL asks the disk for each that there may be. */
static int64_t stamp_of(const char *path, const struct names *l)
{
    int64_t stamp = 0;
    struct stat s;
    if (l && !l->sidecars)
        return 0;
    for (int i = 0; i < IMAGE_SIDECARS; i++) {
        char *name = image_sidecar_name(path, i);
        const char *base = name ? path_base(name) : NULL;
        if (base && (!l || bsearch(&base, l->name, l->n, sizeof *l->name, compare_names)) &&
            !stat(name, &s) && S_ISREG(s.st_mode))
            stamp = image_sidecar_stamp(stamp, s.st_size, mtime_of(&s));
        mem_free(name);
    }
    return stamp;
}

static enum status visit_file(struct walk *w, const char *path, const struct names *l,
                              const struct stat *s, struct error *err)
{
    if (w->o->want && !w->o->want(path))
        return ST_OK;
    struct walk_file f = {.path = path,
                          .size = s->st_size,
                          .mtime_ns = mtime_of(s),
                          .dev = s->st_dev,
                          .ino = s->st_ino,
                          .sidecars = stamp_of(path, l)};
    return w->on_file(w->ctx, &f, err);
}

static enum status visit_dir(struct walk *w, const char *dir, struct error *err);

/* Does the file's folder hold one that stands for it, and is not ignored? Sorted, names with the
 * same stem and dot stand together. */
static bool has_first(const struct walk *w, const char *dir, const struct names *l, size_t at)
{
    const char *name = l->name[at], *dot = strrchr(name, '.');
    size_t stem = dot ? (size_t)(dot - name) + 1 : 0;
    bool found = false;
    if (!stem || !w->o->is_second || !w->o->is_second(name))
        return false;
    while (at > 0 && !strncmp(l->name[at - 1], name, stem))
        at--;
    for (; !found && at < l->n && !strncmp(l->name[at], name, stem); at++)
        if (!strchr(l->name[at] + stem, '.') && w->o->is_first(l->name[at])) {
            char *path = path_join(dir, l->name[at]);
            found = path && !ignore_matches(w->ignore, path, false);
            mem_free(path);
        }
    return found;
}

static enum status visit(struct walk *w, const char *dir, const struct names *l, size_t at,
                         struct error *err)
{
    const char *name = l->name[at];
    if (name[0] == '.' && !w->o->include_hidden)
        return ST_OK;
    char *path = path_join(dir, name);
    if (!path)
        return error_set(err, ST_NOMEM, "out of memory");
    enum status st = ST_OK;
    struct stat s;
    struct error e;
    if (is_skipped(w, path))
        goto out;
    int rc = lstat(path, &s);
    if (!rc && S_ISLNK(s.st_mode)) {
        if (!w->o->follow_symlinks)
            goto out;
        rc = stat(path, &s);
    }
    if (rc) {
        if (errno != ENOENT &&
            errno != ELOOP) { /* gone, dangling or in a circle: nothing was lost */
            error_errno(&e, errno, "%s", path);
            w->on_error(w->ctx, path, true, &e);
        }
    } else if (S_ISDIR(s.st_mode)) {
        bool again = false;
        if (is_excluded_dir(w, name) || ignore_matches(w->ignore, path, true))
            goto out;
        if (w->o->follow_symlinks)
            st = mark_seen(w, &s, &again, err);
        if (!st && !again)
            st = visit_dir(w, path, err);
    } else if (S_ISREG(s.st_mode) && !ignore_matches(w->ignore, path, false) &&
               !has_first(w, dir, l, at)) {
        st = visit_file(w, path, l, &s, err);
    }
out:
    mem_free(path);
    return st;
}

static enum status visit_dir(struct walk *w, const char *dir, struct error *err)
{
    struct names l = {0};
    struct error e;
    enum status st;
    if (w->depth >= MAX_DEPTH) {
        error_set(&e, ST_LIMIT, "%s: more than %d folders deep", dir, MAX_DEPTH);
        w->on_error(w->ctx, dir, true, &e);
        return ST_OK;
    }
    if (w->o->stopped && w->o->stopped(w->ctx))
        return error_set(err, ST_INTERRUPTED, "interrupted");
    if (w->o->on_dir)
        w->o->on_dir(w->o->dir_ctx, dir);
    st = names_read(&l, dir, &e);
    bool pushed = !st && !(st = ignore_push(&w->ignore, dir, &e));
    w->depth++;
    if (st && st != ST_NOMEM) {
        w->on_error(w->ctx, dir, true, &e);
        st = ST_OK;
    } else if (st) {
        error_set(err, st, "%s", e.text);
    } else {
        for (size_t i = 0; !st && i < l.n; i++)
            st = visit(w, dir, &l, i, err);
    }
    w->depth--;
    if (pushed)
        ignore_pop(&w->ignore);
    names_release(&l);
    return st;
}

enum status walk_tree(const char *root, const struct walk_opts *o, walk_file_fn *on_file,
                      walk_error_fn *on_error, void *ctx, struct error *err)
{
    struct walk w = {.o = o, .on_file = on_file, .on_error = on_error, .ctx = ctx};
    struct stat s;
    if (stat(root, &s))
        return error_errno(err, errno, "%s", root);
    if (S_ISREG(s.st_mode))
        return visit_file(&w, root, NULL, &s, err);
    if (!S_ISDIR(s.st_mode))
        return error_set(err, ST_USAGE, "%s: neither a folder nor a file", root);
    DIR *d = opendir(root); /* the root's own trouble is the caller's, not on_error's */
    if (!d)
        return error_errno(err, errno, "%s", root);
    closedir(d);
    bool again;
    enum status st = mark_seen(&w, &s, &again, err);
    if (!st)
        st = visit_dir(&w, root, err);
    while (w.ignore)
        ignore_pop(&w.ignore);
    mem_free(w.seen);
    return st;
}
