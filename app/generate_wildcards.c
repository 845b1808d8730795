/* Wildcards in prompts. The text grows from left to right: what a line put in is looked at again.
 */
#include "app/generate_wildcards.h"
#include "core/buf.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/rng.h"
#include <stdlib.h>
#include <string.h>

enum { NAME_MOST = 100, FILE_MOST = 16 << 20, TEXT_MOST = 1 << 18, REPLACED_MOST = 1000 };

static bool in_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '/';
}

/* The first "__name__" of s: how long it is with its underscores; 0: there is none. */
static size_t find(const char *s, const char **at)
{
    for (*at = s; (*at = strstr(*at, "__")); ++*at) {
        size_t n = 0;
        while (in_name((*at)[2 + n]) && strncmp(*at + 2 + n, "__", 2) != 0 && n < NAME_MOST)
            n++;
        if (n && !strncmp(*at + 2 + n, "__", 2))
            return n + 4;
    }
    return 0;
}

/* The file's path with all links resolved, which must lie in the folder. */
static enum status resolve(char **path, const char *dir, const char *name, size_t n,
                           struct error *err)
{
    char *asked = mem_printf("%s/%.*s.txt", dir, (int)n, name);
    char *real = asked ? realpath(asked, NULL) : NULL, *root = realpath(dir, NULL);
    enum status st = ST_OK;
    *path = NULL;
    if (!asked)
        st = error_set(err, ST_NOMEM, "out of memory for a prompt");
    else if (!root || !real)
        st = error_set(err, ST_NOT_FOUND, "__%.*s__: there is no %.200s", (int)n, name, asked);
    else if (!path_inside(real, root))
        st = error_set(err, ST_USAGE, "__%.*s__ leads out of %.150s", (int)n, name, dir);
    else if (!(*path = mem_strdup(real)))
        st = error_set(err, ST_NOMEM, "out of memory for a prompt");
    free(real); /* the C library's */
    free(root);
    mem_free(asked);
    return st;
}

static bool counts(const char *line, size_t n)
{
    return n && line[0] != '#';
}

/* The line's text without blanks around it; *s moves to the next. */
static const char *next_line(const char **s, size_t *n)
{
    const char *line = *s + strspn(*s, " \t");
    size_t len = strcspn(line, "\r\n");
    *s = line + len + strspn(line + len, "\r\n");
    while (len && (line[len - 1] == ' ' || line[len - 1] == '\t'))
        len--;
    *n = len;
    return line;
}

/* One of the file's lines, into b. */
static enum status pick(struct buf *b, const char *path, struct rng *rng, struct error *err)
{
    char *text = NULL;
    size_t size = 0, n = 0;
    uint32_t lines = 0, want;
    enum status st = file_read_all(&text, &size, path, FILE_MOST, err);
    if (!st && !utf8_valid(text, size))
        st = error_set(err, ST_FORMAT, "%s: not valid UTF-8", path);
    for (const char *s = text; !st && *s;) {
        const char *line = next_line(&s, &n); /* before n is looked at */
        lines += counts(line, n);
    }
    if (!st && !lines)
        st = error_set(err, ST_FORMAT, "%s: has no lines", path);
    want = st ? 0 : rng_below(rng, lines);
    for (const char *s = text; !st && *s;) {
        const char *line = next_line(&s, &n);
        if (counts(line, n) && want-- == 0)
            buf_append(b, line, n);
    }
    mem_free(text);
    return st;
}

static enum status replace(struct buf *b, const char *text, const char *at, size_t n,
                           const char *dir, struct rng *rng, struct error *err)
{
    char *path = NULL;
    buf_append(b, text, (size_t)(at - text));
    enum status st = resolve(&path, dir, at + 2, n - 4, err);
    if (!st)
        st = pick(b, path, rng, err);
    buf_puts(b, at + n);
    mem_free(path);
    return st;
}

enum status generate_wildcards(char **words, const char *prompt, const char *dir, uint64_t seed,
                               struct error *err)
{
    struct rng rng = {seed};
    enum status st = ST_OK;
    const char *at;
    char *text = mem_strdup(prompt);
    int replaced = 0;
    for (size_t n; !st && text && (n = find(text, &at)) > 0; replaced++) {
        struct buf b;
        buf_init(&b, TEXT_MOST);
        if (replaced == REPLACED_MOST)
            st = error_set(err, ST_LIMIT, "%.*s: wildcards lead to each other without an end",
                           (int)n, at);
        else
            st = replace(&b, text, at, n, dir, &rng, err);
        if (!st && b.failed)
            st = error_set(err, ST_LIMIT, "the prompt grows beyond %d bytes", TEXT_MOST);
        mem_free(text);
        text = st ? NULL : buf_take(&b);
        buf_release(&b);
    }
    if (!st && !text)
        st = error_set(err, ST_NOMEM, "out of memory for a prompt");
    *words = text;
    return st;
}
