/* gitignore rules. The glob keeps two points to go back to (the last "*" and the last "**"), so
 * that hostile patterns cost at most length squared instead of exploding. */
#include "indexer/ignore.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include <string.h>

struct rule {
    const char *pattern;
    bool negated, dirs_only, anchored;
};

struct ignore {
    struct ignore *outer;
    char *dir, *text;
    struct rule *rule;
    size_t rules;
};

/* "[a-z]" at p against c; returns the byte behind the class, or NULL where it is not one. */
static const char *match_class(const char *p, unsigned char c, bool *hit)
{
    bool invert = p[1] == '!' || p[1] == '^';
    const char *s = p + 1 + invert, *first = s;
    *hit = false;
    for (; *s && (*s != ']' || s == first); s++) {
        unsigned char lo = (unsigned char)(*s == '\\' && s[1] ? *++s : *s), hi = lo;
        if (s[1] == '-' && s[2] && s[2] != ']') {
            s += 2;
            hi = (unsigned char)(*s == '\\' && s[1] ? *++s : *s);
        }
        *hit |= c >= lo && c <= hi;
    }
    *hit = *hit != invert && c != '/';
    return *s == ']' ? s + 1 : NULL;
}

/* One pattern element against *s: how many pattern bytes it took, 0 = no match. */
static size_t match_one(const char *p, const char *s)
{
    bool hit;
    const char *end;
    if (*p == '?')
        return *s != '/';
    if (*p == '[' && (end = match_class(p, (unsigned char)*s, &hit)))
        return hit ? (size_t)(end - p) : 0;
    if (*p == '\\' && p[1])
        return p[1] == *s ? 2 : 0;
    return *p == *s;
}

bool ignore_glob(const char *p, const char *s)
{
    const char *start = p;
    const char *star_p = NULL, *star_s = NULL, *deep_p = NULL, *deep_s = NULL;
    for (;;) {
        if (p[0] == '*' && p[1] == '*' && (p == start || p[-1] == '/') &&
            (p[2] == '/' || p[2] == 0)) {
            if (p[2] == 0)
                return *s != 0;
            deep_p = p += 3; /* "**" + "/" matches nothing or any number of whole folders */
            deep_s = s;
            star_p = NULL;
            continue;
        }
        if (*p == '*') {
            while (*p == '*')
                p++;
            star_p = p;
            star_s = s;
            continue;
        }
        if (*s == 0 && *p == 0)
            return true;
        size_t n = *s && *p ? match_one(p, s) : 0;
        if (n) {
            p += n;
            s++;
        } else if (star_p && *star_s && *star_s != '/') {
            p = star_p;
            s = ++star_s;
        } else if (deep_p && (deep_s = strchr(deep_s, '/'))) {
            p = deep_p;
            s = ++deep_s;
            star_p = NULL;
        } else {
            return false;
        }
    }
}

/* Turns one line into a rule; false: nothing in it. */
static bool parse_line(char *line, struct rule *r)
{
    *r = (struct rule){0};
    size_t n = strlen(line);
    if (n && line[n - 1] == '\r')
        line[--n] = 0;
    while (n && line[n - 1] == ' ' && !(n > 1 && line[n - 2] == '\\'))
        line[--n] = 0;
    if (line[0] == '#' || !n)
        return false;
    if (line[0] == '!') {
        r->negated = true;
        line++;
        n--;
    }
    if (n && line[n - 1] == '/') {
        r->dirs_only = true;
        line[--n] = 0;
    }
    r->anchored = strchr(line, '/') != NULL;
    if (line[0] == '/')
        line++;
    r->pattern = line;
    return *line != 0;
}

static enum status parse(struct ignore *ig, struct error *err)
{
    size_t lines = 1;
    for (const char *s = ig->text; *s; s++)
        lines += *s == '\n';
    ig->rule = mem_array(lines, sizeof *ig->rule);
    if (!ig->rule)
        return error_set(err, ST_NOMEM, "out of memory");
    char *first = ig->text + utf8_mark(ig->text, strlen(ig->text));
    for (char *line = first, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        ig->rules += parse_line(line, &ig->rule[ig->rules]);
    }
    return ST_OK;
}

enum status ignore_push(struct ignore **top, const char *dir, struct error *err)
{
    size_t size;
    enum status st = ST_NOMEM;
    struct ignore *ig = mem_zalloc(sizeof *ig);
    char *path = path_join(dir, IGNORE_FILE);
    if (!ig || !path || !(ig->dir = mem_strdup(dir))) {
        error_set(err, ST_NOMEM, "out of memory");
        goto fail;
    }
    st = file_read_all(&ig->text, &size, path, 1 << 20, err);
    if (st == ST_NOT_FOUND)
        st = ST_OK; /* the usual case: an empty level, so that push and pop pair up */
    else if (!st)
        st = parse(ig, err);
    if (st)
        goto fail;
    mem_free(path);
    ig->outer = *top;
    *top = ig;
    return ST_OK;
fail:
    mem_free(path);
    ignore_pop(&ig);
    return st;
}

void ignore_pop(struct ignore **top)
{
    struct ignore *ig = *top;
    if (!ig)
        return;
    *top = ig->outer;
    mem_free(ig->rule);
    mem_free(ig->text);
    mem_free(ig->dir);
    mem_free(ig);
}

bool ignore_matches(const struct ignore *top, const char *path, bool is_dir)
{
    for (const struct ignore *ig = top; ig; ig = ig->outer) {
        const char *below = path + strlen(ig->dir);
        while (*below == '/')
            below++;
        for (size_t i = ig->rules; i-- > 0;) {
            const struct rule *r = &ig->rule[i];
            if (r->dirs_only && !is_dir)
                continue;
            if (ignore_glob(r->pattern, r->anchored ? below : path_base(path)))
                return !r->negated;
        }
    }
    return false;
}
