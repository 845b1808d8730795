/* Code points: decoding, classes and lower case. Surprising: the two references disagree with each
 * other on thousands of recently assigned code points, so every question names whose rules count.
 */
#include "clip/unicode.h"
#include "clip/unicode_int.h"
#include "core/mem.h"
#include <utf8proc.h>

void utext_release(struct utext *t)
{
    mem_free(t->c);
    *t = (struct utext){0};
}

bool utext_reserve(struct utext *t, size_t n)
{
    if (n <= t->cap)
        return true;
    size_t cap = t->cap + t->cap / 2;
    if (cap < n)
        cap = n;
    if (cap < 64)
        cap = 64;
    uint32_t *c = mem_realloc_array(t->c, cap, sizeof *c);
    if (!c)
        return false;
    t->c = c;
    t->cap = cap;
    return true;
}

bool utext_push(struct utext *t, uint32_t c)
{
    if (t->n == t->cap && !utext_reserve(t, t->n + 1))
        return false;
    t->c[t->n++] = c;
    return true;
}

bool utext_append(struct utext *t, const uint32_t *c, size_t n)
{
    if (!n)
        return true;
    if (!utext_reserve(t, t->n + n))
        return false;
    memcpy(t->c + t->n, c, n * sizeof *c);
    t->n += n;
    return true;
}

/* One sequence of at most n > 0 bytes; where it is invalid, the length of its maximal part. */
static size_t decode_one(const unsigned char *s, size_t n, uint32_t *c)
{
    unsigned lead = s[0];
    if (lead < 0x80) {
        *c = lead;
        return 1;
    }
    *c = 0xFFFD;
    size_t len = lead >= 0xC2 && lead <= 0xDF   ? 2
                 : (lead & 0xF0) == 0xE0        ? 3
                 : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                : 0;
    if (!len)
        return 1;
    /* the second byte has narrower limits: no overlong forms, no surrogates, nothing above 10FFFF
     */
    unsigned lo = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned hi = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    uint32_t v = lead & (0xFFu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if (i >= n || s[i] < lo || s[i] > hi)
            return i;
        v = v << 6 | (s[i] & 0x3F);
        lo = 0x80;
        hi = 0xBF;
    }
    *c = v;
    return len;
}

bool utext_decode(struct utext *t, const char *s, size_t n)
{
    t->n = 0;
    if (!utext_reserve(t, n)) /* never more code points than bytes */
        return false;
    for (size_t i = 0; i < n;)
        i += decode_one((const unsigned char *)s + i, n - i, &t->c[t->n++]);
    return true;
}

int32_t unicode_lookup(const struct unicode_range *r, size_t n, uint32_t c, int32_t none)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (c > r[mid].hi)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && c >= r[lo].lo ? r[lo].value : none;
}

static bool is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

enum unicode_class unicode_class(uint32_t c, enum unicode_rules rules)
{
    if (c < 128) {
        if ((c | 32) >= 'a' && (c | 32) <= 'z')
            return UNICODE_LETTER;
        if (c >= '0' && c <= '9')
            return UNICODE_NUMBER;
        return is_space(c) ? UNICODE_SPACE : UNICODE_OTHER;
    }
    if (is_space(c))
        return UNICODE_SPACE;
    int32_t k = rules == UNICODE_PYTHON ? unicode_lookup(unicode_regex, unicode_regex_n, c, -1)
                                        : unicode_lookup(unicode_onig, unicode_onig_n, c, -1);
    if (k >= 0)
        return (enum unicode_class)k;
    utf8proc_category_t cat = utf8proc_category((utf8proc_int32_t)c);
    if (cat >= UTF8PROC_CATEGORY_LU && cat <= UTF8PROC_CATEGORY_LO)
        return UNICODE_LETTER;
    if (cat >= UTF8PROC_CATEGORY_ND && cat <= UTF8PROC_CATEGORY_NO)
        return UNICODE_NUMBER;
    return UNICODE_OTHER;
}

bool unicode_is_python_space(uint32_t c)
{
    return is_space(c) || (c >= 0x1C && c <= 0x1F);
}

bool unicode_is_digit(uint32_t c)
{
    if (c < 128)
        return c >= '0' && c <= '9';
    /* Kawi and Nag Mundari digits came with Unicode 15 */
    return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_ND &&
           !(c >= 0x11F50 && c <= 0x11F59) && !(c >= 0x1E4F0 && c <= 0x1E4F9);
}

int unicode_columns(uint32_t c)
{
    return utf8proc_charwidth((utf8proc_int32_t)c);
}

static bool is_cased(uint32_t c)
{
    int32_t k = unicode_lookup(unicode_cased, unicode_cased_n, c, -1);
    if (k >= 0)
        return k;
    utf8proc_category_t cat = utf8proc_category((utf8proc_int32_t)c);
    return cat == UTF8PROC_CATEGORY_LU || cat == UTF8PROC_CATEGORY_LL ||
           cat == UTF8PROC_CATEGORY_LT;
}

static bool is_ignorable(uint32_t c)
{
    int32_t k = unicode_lookup(unicode_ignorable, unicode_ignorable_n, c, -1);
    if (k >= 0)
        return k;
    utf8proc_category_t cat = utf8proc_category((utf8proc_int32_t)c);
    return cat == UTF8PROC_CATEGORY_MN || cat == UTF8PROC_CATEGORY_ME ||
           cat == UTF8PROC_CATEGORY_CF || cat == UTF8PROC_CATEGORY_LM ||
           cat == UTF8PROC_CATEGORY_SK;
}

/* Is the capital sigma at i the last letter of a word (Unicode's Final_Sigma)? */
static bool is_final_sigma(const struct utext *t, size_t i)
{
    size_t j = i;
    while (j > 0 && is_ignorable(t->c[j - 1]))
        j--;
    if (j == 0 || !is_cased(t->c[j - 1]))
        return false;
    for (j = i + 1; j < t->n && is_ignorable(t->c[j]);)
        j++;
    return j == t->n || !is_cased(t->c[j]);
}

bool unicode_lower(struct utext *t, enum unicode_rules rules)
{
    size_t dotted = 0; /* U+0130 is the only one that grows */
    for (size_t i = 0; i < t->n; i++)
        dotted += t->c[i] == 0x130;
    if (!utext_reserve(t, t->n + dotted))
        return false;
    /* the sigmas first: their context is the text as it was */
    for (size_t i = 0; i < t->n && rules == UNICODE_PYTHON; i++)
        if (t->c[i] == 0x3A3 && is_final_sigma(t, i))
            t->c[i] = 0x3C2;
    for (size_t i = 0; i < t->n; i++) {
        uint32_t c = t->c[i];
        if (c < 128) {
            t->c[i] = c >= 'A' && c <= 'Z' ? c + 32 : c;
            continue;
        }
        int32_t add = rules == UNICODE_RUST
                          ? unicode_lookup(unicode_rust_lower, unicode_rust_lower_n, c, 0)
                          : 0;
        if (add)
            t->c[i] = (uint32_t)((int32_t)c + add);
        else if (c != 0x130)
            t->c[i] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
    }
    if (dotted) {
        size_t w = t->n + dotted;
        for (size_t i = t->n; i-- > 0;) {
            if (t->c[i] == 0x130) {
                t->c[--w] = 0x307;
                t->c[--w] = 'i';
            } else {
                t->c[--w] = t->c[i];
            }
        }
        t->n += dotted;
    }
    return true;
}

bool unicode_bert_is_mark(uint32_t c)
{
    if (c < 0x300)
        return false;
    return unicode_lookup(unicode_bert_mark, unicode_bert_mark_n, c,
                          utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_MN);
}

bool unicode_bert_is_punct(uint32_t c)
{
    if (c < 128)
        return c > ' ' && c < 127 && unicode_class(c, UNICODE_RUST) == UNICODE_OTHER;
    utf8proc_category_t cat = utf8proc_category((utf8proc_int32_t)c);
    bool p = cat >= UTF8PROC_CATEGORY_PC && cat <= UTF8PROC_CATEGORY_PO;
    return unicode_lookup(unicode_bert_punct, unicode_bert_punct_n, c, p);
}

bool unicode_bert_is_control(uint32_t c)
{
    if (c < 128)
        return (c < ' ' && c != '\t' && c != '\n' && c != '\r') || c == 127;
    utf8proc_category_t cat = utf8proc_category((utf8proc_int32_t)c);
    bool k = cat >= UTF8PROC_CATEGORY_CC && cat <= UTF8PROC_CATEGORY_CO;
    return c == 0xFFFD || unicode_lookup(unicode_bert_control, unicode_bert_control_n, c, k);
}

bool unicode_bert_is_cjk(uint32_t c)
{
    /* U+2B820..U+2B91F are left out by the reference, which means to include them */
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
           (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B81F) ||
           (c >= 0x2B920 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) ||
           (c >= 0x2F800 && c <= 0x2FA1F);
}
