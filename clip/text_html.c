/* HTML character references, in place. Surprising: Python's html.unescape takes the longest known
 * name that the text starts with, closed or not ("&notit;" is "¬it;"), while ftfy wants the
 * semicolon and the whole name, but knows all-caps forms that HTML does not. */
#include "clip/text_clean.h"
#include "clip/text_int.h"

/* Lines "name;<TAB>HEX[ HEX[ HEX]]" in byte order of their names, searched as they are. */
extern const unsigned char clip_html_entities[], clip_html_entities_upper[];
extern const size_t clip_html_entities_size, clip_html_entities_upper_size;

enum { NAME_MAX_LEN = 32, VALUE_MAX = 3 };

static size_t parse_value(const unsigned char *s, const unsigned char *end, uint32_t *out)
{
    size_t n = 0;
    uint32_t v = 0;
    for (; s < end; s++) {
        if (*s == ' ') {
            out[n++] = v;
            v = 0;
        } else {
            v = v * 16 + (uint32_t)(*s <= '9' ? *s - '0' : *s - 'A' + 10);
        }
    }
    out[n++] = v;
    return n;
}

/* How many code points the entity has, 0 when the table lacks it. */
static size_t find_entity(const unsigned char *table, size_t size, const char *name, size_t len,
                          uint32_t *out)
{
    size_t lo = 0, hi = size; /* both at the start of a line */
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        while (mid > lo && table[mid - 1] != '\n')
            mid--;
        const unsigned char *line = table + mid;
        const unsigned char *end = memchr(line, '\n', size - mid);
        const unsigned char *tab = end ? memchr(line, '\t', (size_t)(end - line)) : NULL;
        if (!tab)
            return 0;
        size_t n = (size_t)(tab - line);
        int cmp = memcmp(name, line, len < n ? len : n);
        if (cmp == 0 && len == n)
            return parse_value(tab + 1, end, out);
        if (cmp < 0 || (cmp == 0 && len < n))
            hi = mid;
        else
            lo = (size_t)(end - table) + 1;
    }
    return 0;
}

static bool is_alnum(uint32_t c)
{
    return c < 128 && unicode_class(c, UNICODE_RUST) != UNICODE_OTHER &&
           unicode_class(c, UNICODE_RUST) != UNICODE_SPACE;
}

static int digit_value(uint32_t c, unsigned base)
{
    if (c >= '0' && c <= '9')
        return (int)(c - '0');
    if (base == 16 && (c | 32) >= 'a' && (c | 32) <= 'f')
        return (int)((c | 32) - 'a' + 10);
    return -1;
}

uint32_t text_c1(uint32_t c)
{
    static const uint16_t map[32] = {0x20AC, 0x81,   0x201A, 0x192,  0x201E, 0x2026, 0x2020, 0x2021,
                                     0x2C6,  0x2030, 0x160,  0x2039, 0x152,  0x8D,   0x17D,  0x8F,
                                     0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
                                     0x2DC,  0x2122, 0x161,  0x203A, 0x153,  0x9D,   0x17E,  0x178};
    return c >= 0x80 && c <= 0x9F ? map[c - 0x80] : c;
}

/* What a numeric reference stands for: 0 or 1 code points. */
static size_t numeric_value(uint32_t v, uint32_t *out)
{
    *out = v;
    if (v == 0 || (v >= 0xD800 && v <= 0xDFFF) || v > 0x10FFFF)
        *out = 0xFFFD;
    else if (v >= 0x80 && v <= 0x9F)
        *out = text_c1(v);
    else if ((v < 0x20 && v != 9 && v != 10 && v != 12 && v != 13) || v == 0x7F ||
             (v >= 0xFDD0 && v <= 0xFDEF) || (v & 0xFFFE) == 0xFFFE)
        return 0;
    return 1;
}

/* s[0..n) begins behind "&#". Returns the length of x, digits and semicolon, 0 if there is none. */
static size_t parse_numeric(const uint32_t *s, size_t n, uint32_t *value, bool *closed)
{
    unsigned base = n && (s[0] | 32) == 'x' ? 16 : 10;
    size_t start = base == 16, i = start;
    uint32_t v = 0;
    for (int d; i < n && (d = digit_value(s[i], base)) >= 0; i++)
        v = v > 0x10FFFF ? v : v * base + (uint32_t)d;
    if (i == start)
        return 0;
    *value = v;
    *closed = i < n && s[i] == ';';
    return i + *closed;
}

/* s[0..n) begins behind '&'. How many are used up, 0 if it is no reference. */
static size_t lax_reference(const uint32_t *s, size_t n, uint32_t *out, size_t *n_out)
{
    uint32_t v = 0;
    bool closed;
    if (n && s[0] == '#') {
        size_t used = parse_numeric(s + 1, n - 1, &v, &closed);
        if (used)
            *n_out = numeric_value(v, out);
        return used ? used + 1 : 0;
    }
    char name[NAME_MAX_LEN + 1];
    size_t len = 0;
    while (len < NAME_MAX_LEN && len < n && is_alnum(s[len])) {
        name[len] = (char)s[len];
        len++;
    }
    if (len < n && s[len] == ';')
        name[len++] = ';';
    for (; len > 1; len--) {
        *n_out = find_entity(clip_html_entities, clip_html_entities_size, name, len, out);
        if (*n_out)
            return len;
    }
    return 0;
}

static size_t strict_reference(const uint32_t *s, size_t n, uint32_t *out, size_t *n_out)
{
    size_t hash = n && s[0] == '#', len = hash;
    while (len < n && len - hash < 25 && is_alnum(s[len]))
        len++;
    if (len == hash || len - hash > 24 || len == n || s[len] != ';')
        return 0;
    if (hash) {
        uint32_t v = 0;
        bool closed = false;
        if (parse_numeric(s + 1, n - 1, &v, &closed) != len || !closed)
            return 0;
        *n_out = numeric_value(v, out);
        return *n_out && *out == ';' ? 0 : len + 1; /* it looks for a ';' in what came out */
    }
    char name[32];
    for (size_t i = 0; i <= len; i++)
        name[i] = (char)s[i];
    *n_out = find_entity(clip_html_entities, clip_html_entities_size, name, len + 1, out);
    if (!*n_out)
        *n_out = find_entity(clip_html_entities_upper, clip_html_entities_upper_size, name, len + 1,
                             out);
    return *n_out ? len + 1 : 0;
}

static void unescape(struct utext *t,
                     size_t reference(const uint32_t *s, size_t n, uint32_t *out, size_t *n_out))
{
    size_t w = 0;
    while (w < t->n && t->c[w] != '&')
        w++;
    for (size_t i = w; i < t->n;) {
        uint32_t value[VALUE_MAX];
        size_t n = 0;
        size_t used = t->c[i] == '&' ? reference(t->c + i + 1, t->n - i - 1, value, &n) : 0;
        if (!used) {
            t->c[w++] = t->c[i++];
            continue;
        }
        for (size_t k = 0; k < n; k++) /* every reference is at least as long as its value */
            t->c[w++] = value[k];
        i += used + 1;
    }
    t->n = w;
}

void text_unescape(struct utext *t)
{
    unescape(t, lax_reference);
}

void text_unescape_strict(struct utext *t)
{
    unescape(t, strict_reference);
}
