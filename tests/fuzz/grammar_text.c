/* The structure of texts: JSON and XML. */
#include "tests/fuzz/structure.h"
#include <string.h>

/* Where the JSON element at AT ends: at a comma or a bracket that is not within it. */
static size_t json_end(const uint8_t *d, size_t n, size_t at)
{
    int depth = 0;
    bool quoted = false;
    for (; at < n; at++) {
        if (quoted) {
            at += d[at] == '\\';
            quoted = at >= n || d[at] != '"';
        } else if (d[at] == '"') {
            quoted = true;
        } else if (d[at] == '{' || d[at] == '[') {
            depth++;
        } else if (d[at] == '}' || d[at] == ']') {
            if (depth-- == 0)
                return at;
        } else if (d[at] == ',' && depth == 0) {
            return at;
        }
    }
    return n;
}

/* An element and the comma after it. */
static bool json_next(struct record *r, const uint8_t *d, size_t n, size_t at, size_t index)
{
    size_t end = json_end(d, n, at);
    (void)index;
    *r = (struct record){0, end - at, end < n && d[end] == ','};
    return true;
}

static const struct grammar *json_inside(const uint8_t *d, const struct record *r, size_t index,
                                         size_t *skip)
{
    (void)index;
    bool quoted = false;
    for (size_t i = 0; i < r->body; i++) {
        if (d[i] == '"')
            quoted = !quoted;
        if (!quoted && (d[i] == '{' || d[i] == '[')) {
            *skip = i + 1;
            return &grammar_json;
        }
    }
    return NULL;
}

const struct grammar grammar_json = {.next = json_next, .inside = json_inside};

/* A byte that says what they are, then texts of JSON with a zero between them. */
static bool file_next(struct record *r, const uint8_t *d, size_t n, size_t at, size_t index)
{
    const uint8_t *end = memchr(d + at, 0, n - at);
    size_t size = end ? (size_t)(end - d) - at : n - at;
    *r = index ? (struct record){0, size, end != NULL} : (struct record){1, 0, 0};
    return true;
}

static const struct grammar *file_inside(const uint8_t *d, const struct record *r, size_t index,
                                         size_t *skip)
{
    (void)d;
    (void)r;
    *skip = 0;
    return index ? &grammar_json : NULL;
}

const struct grammar grammar_json_files = {.next = file_next, .inside = file_inside};

/* A tag with the text after it. */
static bool xml_next(struct record *r, const uint8_t *d, size_t n, size_t at, size_t index)
{
    const uint8_t *end = memchr(d + at + 1, '<', n - at - 1);
    const uint8_t *closed = memchr(d + at, '>', n - at);
    size_t size = (end ? (size_t)(end - d) : n) - at;
    size_t tag = closed && (size_t)(closed - d) - at < size ? (size_t)(closed - d) - at + 1 : 0;
    (void)index;
    *r = (struct record){tag, size - tag, 0};
    return true;
}

const struct grammar grammar_xml = {.next = xml_next};
