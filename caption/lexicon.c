/* Label lists: reading, and the order in which children are added to their parents. */
#include "caption/lexicon.h"
#include "core/buf.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

extern const unsigned char caption_lexicon[];
extern const size_t caption_lexicon_size;

/* Kinds in the list that share a facet; any other kind is LEXICON_THING. */
static const struct {
    const char *kind;
    enum lexicon_facet facet;
} facets[] = {
    {"scene", LEXICON_SCENE},   {"weather", LEXICON_SCENE}, {"activity", LEXICON_ACTIVITY},
    {"colour", LEXICON_COLOUR}, {"photo", LEXICON_PHOTO},   {"person", LEXICON_PERSON},
};

struct name {
    const char *text;
    size_t line, index;
};
struct reading {
    struct lexicon *v;
    const char *name;     /* of the list */
    const char **parents; /* by term */
    size_t *lines;        /* by term */
    struct name *sorted;
    size_t n_sorted;
};

static int by_text(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    int c = strcmp(x->text, y->text);
    return c ? c : (x->line > y->line) - (x->line < y->line);
}

static char *trim(char *s)
{
    s += strspn(s, " \t\r");
    size_t n = strlen(s);
    while (n && strchr(" \t\r", s[n - 1]))
        s[--n] = 0;
    return s;
}

static uint8_t facet_of(const char *kind)
{
    for (size_t i = 0; i < sizeof facets / sizeof *facets; i++)
        if (!strcmp(kind, facets[i].kind))
            return (uint8_t)facets[i].facet;
    return LEXICON_THING;
}

/* One line, NUL-terminated, to a term; its parent's name is kept for later. */
static enum status read_line(struct reading *r, char *line, size_t number, struct error *err)
{
    char *facet = strchr(line, '\t'), *parent = NULL;
    if (facet) {
        *facet++ = 0;
        if ((parent = strchr(facet, '\t')))
            *parent++ = 0;
    }
    char *text = trim(line);
    if (!*text)
        return ST_OK;
    if (!utf8_valid(text, strlen(text)) || (parent && !utf8_valid(parent, strlen(parent))))
        return error_set(err, ST_FORMAT, "%s: line %zu is not UTF-8", r->name, number);
    if (strlen(text) > LEXICON_MAX_LABEL)
        return error_set(err, ST_LIMIT, "%s: the label in line %zu is longer than %d bytes",
                         r->name, number, LEXICON_MAX_LABEL);
    if (r->v->n == LEXICON_MAX_TERMS)
        return error_set(err, ST_LIMIT, "%s: more than %d labels", r->name, LEXICON_MAX_TERMS);
    r->parents[r->v->n] = parent ? trim(parent) : "";
    r->lines[r->v->n] = number;
    r->v->term[r->v->n++] = (struct lexicon_term){
        .text = text, .parent = -1, .facet = facet ? facet_of(trim(facet)) : LEXICON_THING};
    return ST_OK;
}

/* Sorts the names, and takes out all but the first of equal ones. */
static void drop_repeated(struct reading *r)
{
    struct lexicon *v = r->v;
    for (size_t i = 0; i < v->n; i++)
        r->sorted[i] = (struct name){v->term[i].text, r->lines[i], i};
    qsort(r->sorted, v->n, sizeof *r->sorted, by_text);
    for (size_t i = 1; i < v->n; i++)
        if (!strcmp(r->sorted[i].text, r->sorted[i - 1].text))
            r->lines[r->sorted[i].index] = 0;
    size_t kept = 0;
    for (size_t i = 0; i < v->n; i++) {
        if (!r->lines[i])
            continue;
        v->term[kept] = v->term[i];
        r->parents[kept] = r->parents[i];
        r->lines[kept] = r->lines[i];
        r->sorted[kept] = (struct name){v->term[i].text, r->lines[i], kept};
        kept++;
    }
    v->n = r->n_sorted = kept;
    qsort(r->sorted, kept, sizeof *r->sorted, by_text);
}

static int find(const struct reading *r, const char *text)
{
    size_t lo = 0, hi = r->n_sorted;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(r->sorted[mid].text, text);
        if (!c)
            return (int)r->sorted[mid].index;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return -1;
}

/* up: every term before its parent. Terms without children that wait are taken away one by one;
 * what then is left over lies in a circle. */
static enum status order_terms(struct reading *r, struct error *err)
{
    struct lexicon *v = r->v;
    size_t done = 0;
    int *waiting = mem_zarray(v->n + 1, sizeof *waiting);
    if (!waiting)
        return error_set(err, ST_NOMEM, "out of memory");
    for (size_t i = 0; i < v->n; i++)
        if (v->term[i].parent >= 0)
            waiting[v->term[i].parent]++;
    for (size_t i = 0; i < v->n; i++)
        if (!waiting[i])
            v->up[done++] = (int)i;
    for (size_t i = 0; i < done; i++) {
        int p = v->term[v->up[i]].parent;
        if (p >= 0 && --waiting[p] == 0)
            v->up[done++] = p;
    }
    enum status st = ST_OK;
    for (size_t i = 0; done < v->n && !st && i < v->n; i++)
        if (waiting[i] > 0)
            st = error_set(err, ST_FORMAT, "%s: \"%.60s\" in line %zu is its own parent's parent",
                           r->name, v->term[i].text, r->lines[i]);
    mem_free(waiting);
    return st;
}

static enum status link_parents(struct reading *r, struct error *err)
{
    struct lexicon *v = r->v;
    for (size_t i = 0; i < v->n; i++) {
        if (!r->parents[i][0])
            continue;
        int p = find(r, r->parents[i]);
        if (p < 0)
            return error_set(err, ST_FORMAT, "%s: line %zu: there is no label \"%.60s\"", r->name,
                             r->lines[i], r->parents[i]);
        v->term[i].parent = p;
    }
    return order_terms(r, err);
}

static enum status make_key(struct lexicon *v, struct error *err)
{
    struct buf b;
    buf_init(&b, (size_t)2 * LEXICON_MAX_BYTES);
    for (size_t i = 0; i < v->n; i++)
        buf_printf(&b, "%s\t%d\t%d\n", v->term[i].text, v->term[i].facet, v->term[i].parent);
    if (b.failed)
        return error_set(err, ST_NOMEM, "out of memory");
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits(b.data ? b.data : "", b.len));
    memcpy(v->key, c.digest, sizeof v->key);
    buf_release(&b);
    return ST_OK;
}

static enum status read_lines(struct reading *r, size_t size, struct error *err)
{
    enum status st = ST_OK;
    size_t number = 0;
    char *p = r->v->memory + utf8_mark(r->v->memory, size), *end = r->v->memory + size;
    while (!st && p < end) {
        char *stop = memchr(p, '\n', (size_t)(end - p));
        stop = stop ? stop : end;
        if (memchr(p, 0, (size_t)(stop - p)))
            return error_set(err, ST_FORMAT, "%s: line %zu holds a NUL byte", r->name, number + 1);
        *stop = 0; /* at the end: the NUL that stands there already */
        st = read_line(r, p, ++number, err);
        p = stop + 1;
    }
    if (!st && !r->v->n)
        st = error_set(err, ST_FORMAT, "%s: no label in it", r->name);
    return st;
}

enum status lexicon_parse(struct lexicon *v, const char *text, size_t size, const char *name,
                          struct error *err)
{
    struct reading r = {.v = v, .name = name};
    size_t most = 1;
    *v = (struct lexicon){0};
    for (size_t i = 0; i < size; i++)
        most += text[i] == '\n';
    if (most > LEXICON_MAX_TERMS)
        most = LEXICON_MAX_TERMS;
    enum status st = ST_OK;
    if (size > LEXICON_MAX_BYTES)
        st = error_set(err, ST_LIMIT, "%s: larger than %d MB", name, LEXICON_MAX_BYTES >> 20);
    v->memory = st ? NULL : mem_alloc(size + 1);
    v->term = st ? NULL : mem_array(most, sizeof *v->term);
    v->up = st ? NULL : mem_array(most, sizeof *v->up);
    r.parents = st ? NULL : mem_array(most, sizeof *r.parents);
    r.lines = st ? NULL : mem_array(most, sizeof *r.lines);
    r.sorted = st ? NULL : mem_array(most, sizeof *r.sorted);
    if (!st && !(v->memory && v->term && v->up && r.parents && r.lines && r.sorted))
        st = error_set(err, ST_NOMEM, "out of memory (%zu labels)", most);
    if (!st) {
        memcpy(v->memory, text, size);
        v->memory[size] = 0;
        st = read_lines(&r, size, err);
    }
    if (!st) {
        drop_repeated(&r);
        st = link_parents(&r, err);
    }
    if (!st)
        st = make_key(v, err);
    mem_free(r.parents);
    mem_free(r.lines);
    mem_free(r.sorted);
    if (st)
        lexicon_release(v);
    return st;
}

enum status lexicon_builtin(struct lexicon *v, struct error *err)
{
    return lexicon_parse(v, (const char *)caption_lexicon, caption_lexicon_size,
                         "built-in vocabulary", err);
}

enum status lexicon_read(struct lexicon *v, const char *path, struct error *err)
{
    char *text = NULL;
    size_t size;
    *v = (struct lexicon){0};
    enum status st = file_read_all(&text, &size, path, LEXICON_MAX_BYTES, err);
    if (!st)
        st = lexicon_parse(v, text, size, path, err);
    mem_free(text);
    return st;
}

enum status lexicon_from_texts(struct lexicon *v, const char *const *texts, size_t n,
                               struct error *err)
{
    struct buf b;
    *v = (struct lexicon){0};
    buf_init(&b, LEXICON_MAX_BYTES);
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%s\n", texts[i]);
    enum status st = b.failed ? error_set(err, ST_LIMIT, "too many labels")
                              : lexicon_parse(v, b.data ? b.data : "", b.len, "labels", err);
    buf_release(&b);
    return st;
}

void lexicon_release(struct lexicon *v)
{
    mem_free(v->term);
    mem_free(v->up);
    mem_free(v->memory);
    *v = (struct lexicon){0};
}
