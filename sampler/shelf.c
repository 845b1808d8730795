/* Files by name below a folder. */
#include "sampler/shelf.h"
#include "core/buf.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_DEPTH = 8, MAX_FILES = 200000, MAX_NAME = 96, NEAREST = 3 };

static bool is_weight_file(const char *name)
{
    return path_has_ext(name, "safetensors") || path_has_ext(name, "pt") ||
           path_has_ext(name, "bin") || path_has_ext(name, "ckpt");
}

static enum status add(struct shelf *s, const char *path, struct error *err)
{
    if (s->n == MAX_FILES)
        return error_set(err, ST_LIMIT, "%.150s: more than %d files", s->dir, (int)MAX_FILES);
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 64;
        struct shelf_item *p = mem_realloc_array(s->item, cap, sizeof *p);
        if (!p)
            return error_set(err, ST_NOMEM, "out of memory listing a folder");
        s->item = p;
        s->cap = cap;
    }
    const char *below = path + strlen(s->dir) + 1, *ext = path_ext(path);
    struct shelf_item *it = &s->item[s->n];
    it->path = mem_strdup(path);
    it->name = mem_strndup(below, (size_t)(ext - below) - 1);
    if (!it->path || !it->name) {
        mem_free(it->path);
        mem_free(it->name);
        return error_set(err, ST_NOMEM, "out of memory listing a folder");
    }
    s->n++;
    return ST_OK;
}

static enum status walk(struct shelf *s, const char *dir, int depth, struct error *err)
{
    DIR *d = opendir(dir);
    enum status st = ST_OK;
    if (!d)
        return error_errno(err, errno, "%.180s", dir);
    for (struct dirent *e; !st && (e = readdir(d));) {
        struct stat link, at;
        if (e->d_name[0] == '.')
            continue;
        char *path = mem_printf("%s/%s", dir, e->d_name);
        if (!path)
            st = error_set(err, ST_NOMEM, "out of memory listing a folder");
        else if (lstat(path, &link) || stat(path, &at))
            st = ST_OK; /* gone in the meantime, or a link to nowhere */
        else if (S_ISDIR(at.st_mode) && S_ISDIR(link.st_mode) && depth < MAX_DEPTH)
            st = walk(s, path, depth + 1, err);
        else if (S_ISREG(at.st_mode) && is_weight_file(path))
            st = add(s, path, err);
        mem_free(path);
    }
    closedir(d);
    return st;
}

static int by_name(const void *a, const void *b)
{
    const struct shelf_item *x = a, *y = b;
    int c = strcmp(x->name, y->name);
    return c ? c : strcmp(x->path, y->path);
}

enum status shelf_open(struct shelf *s, const char *dir, struct error *err)
{
    size_t n = strlen(dir);
    *s = (struct shelf){0};
    if (!file_is_dir(dir))
        return error_set(err, ST_USAGE, "%.180s: no such folder", dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    s->dir = mem_strndup(dir, n);
    enum status st = s->dir ? walk(s, s->dir, 0, err) : error_set(err, ST_NOMEM, "out of memory");
    if (st)
        shelf_close(s);
    else if (s->n)
        qsort(s->item, s->n, sizeof *s->item, by_name);
    return st;
}

void shelf_close(struct shelf *s)
{
    for (size_t i = 0; i < s->n; i++) {
        mem_free(s->item[i].path);
        mem_free(s->item[i].name);
    }
    mem_free(s->item);
    mem_free(s->dir);
    *s = (struct shelf){0};
}

/* Does the wanted name mean this one: all of it, or what stands behind its folders? */
static bool means(const struct shelf_item *it, const char *name)
{
    if (strcmp(it->name, name) == 0 || strcmp(path_base(it->name), name) == 0)
        return true;
    return strcmp(path_base(it->path), name) == 0; /* with its extension */
}

/* Levenshtein's distance without regard to case, of the first MAX_NAME bytes. */
static int distance(const char *a, const char *b)
{
    int row[MAX_NAME + 1];
    size_t n = strnlen(a, MAX_NAME), m = strnlen(b, MAX_NAME);
    for (size_t j = 0; j <= m; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int corner = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            bool same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
            int best = corner + !same;
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            corner = row[j];
            row[j] = best;
        }
    }
    return row[m];
}

/* The nearest names, nearest first, with commas. */
static void list_nearest(const struct shelf *s, const char *name, struct buf *out)
{
    const struct shelf_item *best[NEAREST] = {0};
    int far[NEAREST] = {0};
    for (size_t i = 0; i < s->n; i++) {
        const struct shelf_item *it = &s->item[i];
        int d = distance(name, path_base(it->name));
        for (int k = 0; k < NEAREST; k++)
            if (!best[k] || d < far[k]) {
                for (int j = NEAREST - 1; j > k; j--) {
                    best[j] = best[j - 1];
                    far[j] = far[j - 1];
                }
                best[k] = it;
                far[k] = d;
                break;
            }
    }
    for (int k = 0; k < NEAREST && best[k]; k++) {
        char part[64];
        snprintf(part, sizeof part, "%.56s", path_base(best[k]->name));
        buf_puts(out, k ? ", " : "");
        buf_text_safe(out, part);
    }
}

enum status shelf_find(const struct shelf *s, const char *name, const char *kind, const char **path,
                       struct error *err)
{
    const struct shelf_item *found = NULL, *second = NULL;
    struct buf b, n;
    *path = NULL;
    for (size_t i = 0; i < s->n && *name; i++)
        if (means(&s->item[i], name)) {
            second = found ? &s->item[i] : second;
            found = found ? found : &s->item[i];
        }
    if (found && !second) {
        *path = found->path;
        return ST_OK;
    }
    buf_init(&b, 4096);
    buf_init(&n, 4096);
    buf_text_safe(&n, name);
    const char *shown = n.data ? n.data : "";
    enum status st;
    if (second) {
        buf_text_safe(&b, second->path + strlen(s->dir) + 1);
        buf_puts(&b, "");
        st = error_set(err, ST_USAGE, "two files fit the %s \"%.60s\": %.60s and %.60s", kind,
                       shown, found->path + strlen(s->dir) + 1, b.data ? b.data : "");
    } else {
        list_nearest(s, name, &b);
        st = error_set(err, ST_NOT_FOUND, "no %s is called \"%.60s\"%s%.170s", kind, shown,
                       b.data && *b.data ? "; the nearest: " : ", the folder has none",
                       b.data ? b.data : "");
    }
    buf_release(&b);
    buf_release(&n);
    return st;
}
