/* Sidecars: photo.jpg.xmp, to which words are added and from which nothing is ever taken, and the
 * same-stem .txt of programs that train on pictures. Both are replaced as a whole, so that a kill
 * leaves the old or the new one. */
#include "app/caption_write.h"
#include "core/file.h"
#include "image/words.h"
#include "image/xmp_merge.h"
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { TEXT_MAX = 1 << 20 };

int caption_write_parse(struct app *a, struct caption_write *w)
{
    for (const char *p = w->to; p && *p;) {
        size_t n = strcspn(p, ",");
        if (n == 2 && !strncmp(p, "db", n))
            w->db = true;
        else if (n == 3 && !strncmp(p, "xmp", n))
            w->xmp = true;
        else if (n == 3 && !strncmp(p, "txt", n))
            w->txt = true;
        else
            return app_usage(a, "--write takes db, xmp, txt, not \"%.40s\"", p);
        p += n + (p[n] == ',');
    }
    if (w->to && !*w->to)
        return app_usage(a, "--write takes db, xmp, txt");
    if (!w->txt && (w->separator || w->prefix || w->append || w->underscores))
        return app_usage(a,
                         "--separator, --prefix, --append and --underscores go with --write txt");
    if (!w->xmp && !w->txt && w->undesired)
        return app_usage(a, "--undesired-tags goes with --write txt or xmp");
    if (!w->separator)
        w->separator = ", ";
    if (!w->separator[0] || strlen(w->separator) > 16 || strpbrk(w->separator, "\r\n"))
        return app_usage(a, "--separator is 1 to 16 bytes of one line");
    if (w->prefix && strpbrk(w->prefix, "\r\n"))
        return app_usage(a, "--prefix is one line");
    return 0;
}

/* Is it one of a list with commas, blanks around it aside? */
static bool is_undesired(const char *list, const char *tag)
{
    size_t len = strlen(tag);
    for (const char *p = list; p && *p;) {
        p += strspn(p, " ,");
        size_t n = strcspn(p, ",");
        const char *next = p + n;
        while (n && p[n - 1] == ' ')
            n--;
        if (n == len && !strncasecmp(p, tag, n))
            return true;
        p = next;
    }
    return false;
}

/* The tags that are wanted, as they are to be written; *n of them, each mem_free, and the list. */
static char **wanted_tags(const struct caption_write *w, const struct db_tags *t, bool underscores,
                          size_t *n)
{
    char **tags = mem_zarray(t->n + 1, sizeof *tags);
    *n = 0;
    for (size_t i = 0; tags && i < t->n; i++) {
        if (is_undesired(w->undesired, t->tag[i].tag))
            continue;
        char *tag = mem_strdup(t->tag[i].tag);
        for (char *p = underscores ? tag : NULL; p && *p; p++)
            *p = (char)(*p == ' ' ? '_' : *p);
        if (!(tags[(*n)++] = tag))
            return tags; /* the caller sees the gap */
    }
    return tags;
}

static void free_tags(char **tags, size_t n)
{
    for (size_t i = 0; tags && i < n; i++)
        mem_free(tags[i]);
    mem_free(tags);
}

/* The old text of a sidecar, or NULL where there is none. Links and folders are left alone. */
static enum status read_old(char **text, size_t *size, const char *path, size_t most,
                            struct error *err)
{
    struct stat s;
    *text = NULL;
    *size = 0;
    if (lstat(path, &s))
        return ST_OK;
    if (!S_ISREG(s.st_mode))
        return error_set(err, ST_UNSUPPORTED, "%s: is no regular file; it was left alone", path);
    return file_read_all(text, size, path, most, err);
}

static enum status write_xmp(struct caption_write *w, const char *path, const char *caption,
                             char **tags, size_t n, struct error *err)
{
    char *name = image_sidecar_name(path, 0), *old = NULL, *text = NULL;
    size_t old_size = 0, size = 0;
    struct xmp_words add = {caption, (const char *const *)tags, n};
    enum status st = name ? read_old(&old, &old_size, name, IMAGE_SIDECAR_MAX, err)
                          : error_set(err, ST_NOMEM, "out of memory");
    if (!st)
        st = xmp_merge(&text, &size, old, old_size, &add, name, err);
    if (!st && text) {
        st = old ? file_write_atomic(name, text, size, err) : file_write_new(name, text, size, err);
        w->written += !st;
    } else if (!st) {
        w->same++;
    }
    mem_free(text);
    mem_free(old);
    mem_free(name);
    return st;
}

static bool holds(const char *text, const char *separator, const char *item)
{
    size_t len = strlen(item), step = strlen(separator);
    for (const char *p = text; p;) {
        const char *end = strstr(p, separator);
        size_t n = end ? (size_t)(end - p) : strlen(p);
        const char *q = p;
        while (n && strchr(" \t\r\n", q[n - 1]))
            n--;
        while (n && strchr(" \t\r\n", *q))
            q++, n--;
        if (n == len && !strncasecmp(q, item, n))
            return true;
        p = end ? end + step : NULL;
    }
    return false;
}

static void add_item(struct buf *b, const struct caption_write *w, const char *item)
{
    if (!item || !*item || (b->len && holds(b->data, w->separator, item)))
        return;
    if (b->len)
        buf_puts(b, w->separator);
    buf_puts(b, item);
}

/* The old text (append), the prefix, the caption, the tags, each item once. */
static void make_text(struct buf *b, const struct caption_write *w, const char *old,
                      const char *caption, char **tags, size_t n)
{
    size_t len = old ? strlen(old) : 0;
    while (len && strchr(" \t\r\n", old[len - 1]))
        len--;
    if (len)
        buf_append(b, old, len);
    add_item(b, w, w->prefix);
    add_item(b, w, caption);
    for (size_t i = 0; i < n; i++)
        add_item(b, w, tags[i]);
    buf_putc(b, '\n');
}

static char *text_name(const char *path)
{
    const char *ext = path_ext(path);
    size_t n = *ext ? (size_t)(ext - path) - 1 : strlen(path);
    return mem_printf("%.*s.txt", (int)n, path);
}

static enum status write_txt(struct caption_write *w, const char *path, const char *caption,
                             char **tags, size_t n, struct error *err)
{
    char *name = text_name(path), *old = NULL;
    size_t size = 0;
    struct buf b;
    buf_init(&b, 2 * TEXT_MAX);
    enum status st = name ? read_old(&old, &size, name, TEXT_MAX, err)
                          : error_set(err, ST_NOMEM, "out of memory");
    if (!st)
        make_text(&b, w, w->append ? old : NULL, caption, tags, n);
    if (!st && b.failed)
        st = error_set(err, ST_NOMEM, "%s: out of memory", name);
    if (!st && old && size == b.len && !memcmp(old, b.data, size))
        w->same++;
    else if (!st && old && !w->append && !w->replace)
        w->kept++;
    else if (!st)
        w->written += !(st = old ? file_write_atomic(name, b.data, b.len, err)
                                 : file_write_new(name, b.data, b.len, err));
    buf_release(&b);
    mem_free(old);
    mem_free(name);
    return st;
}

typedef enum status write_fn(struct caption_write *w, const char *path, const char *caption,
                             char **tags, size_t n, struct error *err);

static enum status write_sidecar(struct caption_write *w, const char *path, const struct db_tags *t,
                                 write_fn *write, bool underscores, struct error *err)
{
    size_t n = 0;
    char **tags = wanted_tags(w, t, underscores, &n);
    enum status st = !tags || (n && !tags[n - 1]) ? error_set(err, ST_NOMEM, "out of memory")
                                                  : write(w, path, t->caption, tags, n, err);
    free_tags(tags, n);
    return st;
}

enum status caption_write_sidecars(struct caption_write *w, const char *path,
                                   const struct db_tags *t, struct error *err)
{
    enum status st = ST_OK, second = ST_OK;
    if (w->xmp)
        st = write_sidecar(w, path, t, write_xmp, false, err);
    if (w->txt)
        second = write_sidecar(w, path, t, write_txt, w->underscores, st ? NULL : err);
    return st ? st : second;
}

void caption_write_report(const struct caption_write *w)
{
    if (w->xmp || w->txt)
        log_info("%zu sidecars written, %zu had it all already", w->written, w->same);
    if (w->kept)
        log_warn("%zu text files were there and say something else; they are left as they are "
                 "(--append adds to them, --redo replaces them)",
                 w->kept);
}
