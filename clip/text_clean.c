/* ftfy's steps and white space. Surprising: ftfy works line by line, repeats all steps on a line
 * until nothing changes, and one '<' stops entity decoding for that line and all that follow. */
#include "clip/text_clean.h"
#include "clip/text_int.h"
#include "clip/unicode_int.h"

enum { SEGMENT_MAX = 1000000 }; /* ftfy's max_decode_length, in code points */

void text_whitespace(struct utext *t)
{
    size_t w = 0;
    bool gap = false;
    for (size_t i = 0; i < t->n; i++) {
        if (unicode_is_python_space(t->c[i])) {
            gap = true;
            continue;
        }
        if (gap && w)
            t->c[w++] = ' ';
        gap = false;
        t->c[w++] = t->c[i];
    }
    t->n = w;
}

/* The letters of a Latin ligature, 0 when c is none. U+0149's apostrophe is uncurled later. */
static size_t ligature(uint32_t c, const char **s)
{
    static const struct {
        uint16_t c;
        const char *s;
    } table[] = {{0x132, "IJ"},   {0x133, "ij"},  {0x1F1, "DZ"},  {0x1F2, "Dz"},  {0x1F3, "dz"},
                 {0x1C7, "LJ"},   {0x1C8, "Lj"},  {0x1C9, "lj"},  {0x1CA, "NJ"},  {0x1CB, "Nj"},
                 {0x1CC, "nj"},   {0xFB00, "ff"}, {0xFB01, "fi"}, {0xFB02, "fl"}, {0xFB03, "ffi"},
                 {0xFB04, "ffl"}, {0xFB06, "st"}, {0x149, "'n"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].c == c) {
            *s = table[i].s;
            return strlen(*s);
        }
    return 0;
}

/* Ligatures, widths, quotes and line breaks of one code point that is not ASCII. */
static bool push_fixed(struct utext *out, uint32_t c)
{
    const char *s;
    c = text_c1(c);
    if (c >= 0x1C4 && c <= 0x1C6) { /* Ǆ ǅ ǆ: D or d, and Ž or ž */
        static const uint16_t pair[3][2] = {{'D', 0x17D}, {'D', 0x17E}, {'d', 0x17E}};
        return utext_push(out, pair[c - 0x1C4][0]) && utext_push(out, pair[c - 0x1C4][1]);
    }
    if (c == 0xFB05) /* long s and t */
        return utext_push(out, 0x17F) && utext_push(out, 't');
    size_t n = ligature(c, &s);
    if (n) {
        for (size_t i = 0; i < n; i++)
            if (!utext_push(out, (unsigned char)s[i]))
                return false;
        return true;
    }
    if (c == 0xFFE3) /* fullwidth macron */
        return utext_push(out, ' ') && utext_push(out, 0x304);
    if (c == 0x3000)
        c = ' ';
    else if (c >= 0xFF01 && c <= 0xFF5E)
        c -= 0xFEE0;
    else if (c >= 0xFF5F && c < 0xFFEF && unicode_width[c - 0xFF5F])
        c = unicode_width[c - 0xFF5F];
    else if (c == 0x2BC || (c >= 0x2018 && c <= 0x201B))
        c = '\'';
    else if (c >= 0x201C && c <= 0x201F)
        c = '"';
    else if (c == 0x2028 || c == 0x2029)
        c = '\n';
    return utext_push(out, c);
}

static bool fix_characters(struct utext *t, struct utext *out)
{
    out->n = 0;
    for (size_t i = 0; i < t->n; i++) {
        uint32_t c = t->c[i];
        if (c == '\r') {
            if (i + 1 < t->n && t->c[i + 1] == '\n')
                i++;
            c = '\n';
        }
        if (c < 128 ? !utext_push(out, c) : !push_fixed(out, c))
            return false;
    }
    struct utext x = *t;
    *t = *out;
    *out = x;
    return true;
}

static bool is_removed_control(uint32_t c)
{
    return c <= 8 || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F ||
           (c >= 0x206A && c <= 0x206F) || c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFC);
}

/* ESC [ digits and semicolons, one letter; then the controls, a stray ESC among them. */
static void remove_escapes_and_controls(struct utext *t)
{
    size_t w = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (t->c[i] == 0x1B && i + 1 < t->n && t->c[i + 1] == '[') {
            size_t j = i + 2;
            while (j < t->n && (t->c[j] == ';' || unicode_is_digit(t->c[j])))
                j++;
            if (j < t->n && (t->c[j] | 32) >= 'a' && (t->c[j] | 32) <= 'z') {
                i = j;
                continue;
            }
        }
        if (!is_removed_control(t->c[i]))
            t->c[w++] = t->c[i];
    }
    t->n = w;
}

static bool same(const struct utext *a, const struct utext *b)
{
    return a->n == b->n && (!a->n || !memcmp(a->c, b->c, a->n * sizeof *a->c));
}

/* Plain ASCII is fixed already, but for entities. */
static bool is_clean_ascii(const struct utext *t)
{
    bool odd = false;
    for (size_t i = 0; i < t->n; i++)
        odd |= t->c[i] >= 127 || (t->c[i] < 32 && t->c[i] != '\n' && t->c[i] != '\t');
    return !odd;
}

/* All steps on one segment until they change nothing. */
static bool fix_segment(struct utext *t, bool entities, struct utext *before, struct utext *tmp)
{
    do {
        before->n = 0;
        if (!utext_append(before, t->c, t->n))
            return false;
        if (entities)
            text_unescape_strict(t);
        if (is_clean_ascii(t))
            continue;
        if (!fix_characters(t, tmp))
            return false;
        remove_escapes_and_controls(t);
        if (!unicode_nfc(t, UNICODE_PYTHON))
            return false;
    } while (!same(t, before));
    return true;
}

static bool has(const uint32_t *c, size_t n, uint32_t x)
{
    for (size_t i = 0; i < n; i++)
        if (c[i] == x)
            return true;
    return false;
}

bool text_fix(struct utext *t)
{
    struct utext out = {0}, segment = {0}, before = {0}, tmp = {0};
    bool ok = utext_reserve(&out, t->n), entities = true;
    for (size_t i = 0; ok && i < t->n;) {
        size_t end = i;
        while (end < t->n && end - i < SEGMENT_MAX && t->c[end] != '\n')
            end++;
        end += end < t->n && end - i < SEGMENT_MAX; /* the line break belongs to its line */
        entities = entities && !has(t->c + i, end - i, '<');
        segment.n = 0;
        ok = utext_append(&segment, t->c + i, end - i) &&
             fix_segment(&segment, entities, &before, &tmp) &&
             utext_append(&out, segment.c, segment.n);
        i = end;
    }
    utext_release(&segment);
    utext_release(&before);
    utext_release(&tmp);
    if (!ok) {
        utext_release(&out);
        return false;
    }
    utext_release(t);
    *t = out;
    return true;
}

bool text_clean_whitespace(struct utext *t)
{
    if (!text_fix(t))
        return false;
    text_unescape(t);
    text_unescape(t);
    text_whitespace(t);
    return true;
}

bool text_clean_open_clip(struct utext *t)
{
    return text_clean_whitespace(t) && unicode_lower(t, UNICODE_PYTHON);
}

bool text_clean_canonicalize(struct utext *t)
{
    if (!text_fix(t))
        return false;
    text_unescape(t);
    text_unescape(t);
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        uint32_t c = t->c[i] == '_' ? ' ' : t->c[i];
        bool punct = (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
                     (c >= '{' && c <= '~');
        if (!punct)
            t->c[n++] = c;
    }
    t->n = n;
    if (!unicode_lower(t, UNICODE_PYTHON))
        return false;
    text_whitespace(t);
    return true;
}
