/* NFC and NFD in linear time. Surprising: utf8proc_map sorts combining marks by swapping
 * neighbours, which is quadratic on a line of marks, so runs are sorted here; and marks that a
 * reference does not know yet stand still there: they cut the text into pieces. */
#include "clip/unicode.h"
#include "clip/unicode_int.h"
#include "core/mem.h"
#include <utf8proc.h>

static unsigned mark_class(uint32_t c)
{
    return c < 0x300 ? 0 : utf8proc_get_property((utf8proc_int32_t)c)->combining_class;
}

/* Stable, by combining class. */
static bool sort_run(uint32_t *c, size_t n, struct utext *tmp)
{
    if (n <= 24) {
        for (size_t i = 1; i < n; i++) {
            uint32_t x = c[i];
            size_t j = i;
            for (; j > 0 && mark_class(c[j - 1]) > mark_class(x); j--)
                c[j] = c[j - 1];
            c[j] = x;
        }
        return true;
    }
    size_t at[257] = {0};
    if (!utext_reserve(tmp, n))
        return false;
    for (size_t i = 0; i < n; i++)
        at[(mark_class(c[i]) & 255) + 1]++;
    for (size_t i = 1; i < 257; i++)
        at[i] += at[i - 1];
    for (size_t i = 0; i < n; i++)
        tmp->c[at[mark_class(c[i]) & 255]++] = c[i];
    memcpy(c, tmp->c, n * sizeof *c);
    return true;
}

static bool sort_marks(uint32_t *c, size_t n, struct utext *tmp)
{
    for (size_t i = 0; i < n;) {
        size_t start = i;
        while (i < n && mark_class(c[i]))
            i++;
        if (i - start > 1 && !sort_run(c + start, i - start, tmp))
            return false;
        i += i == start;
    }
    return true;
}

static bool decompose(struct utext *out, uint32_t c)
{
    utf8proc_int32_t d[16];
    int last = UTF8PROC_BOUNDCLASS_START;
    utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)c, d, 16,
                                                 UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &last);
    if (n < 1 || n > 16)
        return utext_push(out, c);
    for (utf8proc_ssize_t i = 0; i < n; i++)
        if (!utext_push(out, (uint32_t)d[i]))
            return false;
    return true;
}

static bool normalize(struct utext *t, const struct unicode_range *barrier, size_t n_barrier,
                      bool compose)
{
    struct utext out = {0}, tmp = {0};
    bool ok = utext_reserve(&out, t->n + t->n / 2);
    for (size_t i = 0; ok && i < t->n;) {
        size_t start = out.n;
        bool stop = false;
        while (ok && i < t->n && !stop) {
            stop = t->c[i] >= 0x300 && unicode_lookup(barrier, n_barrier, t->c[i], 0);
            if (!stop)
                ok = decompose(&out, t->c[i++]);
        }
        size_t n = out.n - start;
        ok = ok && sort_marks(out.c + start, n, &tmp);
        if (ok && compose && n) {
            utf8proc_ssize_t k =
                utf8proc_normalize_utf32((utf8proc_int32_t *)(out.c + start), (utf8proc_ssize_t)n,
                                         UTF8PROC_STABLE | UTF8PROC_COMPOSE);
            out.n = start + (size_t)k;
        }
        if (ok && stop)
            ok = utext_push(&out, t->c[i++]);
    }
    utext_release(&tmp);
    if (!ok) {
        utext_release(&out);
        return false;
    }
    utext_release(t);
    *t = out;
    return true;
}

/* No code point below this changes, composes or moves in the given form. */
static bool is_plain(const struct utext *t, uint32_t limit)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->c[i] >= limit)
            return false;
    return true;
}

bool unicode_nfc(struct utext *t, enum unicode_rules rules)
{
    if (is_plain(t, 0x300))
        return true;
    return rules == UNICODE_PYTHON
               ? normalize(t, unicode_python_barrier, unicode_python_barrier_n, true)
               : normalize(t, unicode_rust_barrier, unicode_rust_barrier_n, true);
}

bool unicode_nfd(struct utext *t, enum unicode_rules rules)
{
    if (is_plain(t, 0xC0))
        return true;
    return rules == UNICODE_PYTHON
               ? normalize(t, unicode_python_barrier, unicode_python_barrier_n, false)
               : normalize(t, unicode_rust_barrier, unicode_rust_barrier_n, false);
}
