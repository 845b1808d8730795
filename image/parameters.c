/* Reading AUTOMATIC1111's text. Its last line is read from the front, pair by pair; what does not
 * look like a pair ends it, so that a foreign tail costs no more than itself. */
#include "image/parameters.h"
#include "core/mem.h"
#include "core/path.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char negative_mark[] = "Negative prompt:";

void parameters_release(struct parameters *p)
{
    mem_free(p->memory);
    *p = (struct parameters){0};
}

const char *parameters_get(const struct parameters *p, const char *key)
{
    for (int i = 0; i < p->n; i++)
        if (!strcmp(p->item[i].key, key))
            return p->item[i].value;
    return NULL;
}

bool parameters_whole(const struct parameters *p, const char *key, int64_t *value)
{
    const char *text = parameters_get(p, key);
    char *end;
    errno = 0;
    *value = text ? strtoll(text, &end, 10) : 0;
    return text && !errno && end > text && !*end;
}

static char *trim(char *s)
{
    s += strspn(s, " \t\r\n");
    size_t n = strlen(s);
    while (n && strchr(" \t\r\n", s[n - 1]))
        s[--n] = 0;
    return s;
}

/* The quoted value at s in place; returns the byte behind its quote, or NULL where there is none.
 */
static char *unquote(char *s)
{
    char *to = s, *from = s + 1;
    for (; *from && *from != '"'; from++) {
        if (*from == '\\' && from[1]) {
            from++;
            *to++ = (char)(*from == 'n' ? '\n' : *from == 't' ? '\t' : *from);
        } else {
            *to++ = *from;
        }
    }
    if (*from != '"')
        return NULL;
    *to = 0;
    return from + 1;
}

static bool is_key(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && !strchr(" _-/+.()", s[i]) &&
            (unsigned char)s[i] < 0x80)
            return false;
    return n > 0;
}

static void read_pairs(struct parameters *p, char *s)
{
    while (*s && p->n < PARAMETERS_KEYS) {
        s += strspn(s, " ,");
        char *colon = strchr(s, ':');
        if (!colon || !is_key(s, (size_t)(colon - s)))
            return;
        struct parameter *it = &p->item[p->n];
        *colon = 0;
        it->key = s;
        char *value = colon + 1 + strspn(colon + 1, " "), *end;
        if (*value == '"') {
            end = unquote(value);
            end = end ? end + strcspn(end, ",") : NULL;
        } else {
            end = value + strcspn(value, ",");
        }
        if (!end)
            return;
        bool last = *end == 0;
        *end = 0;
        it->value = value;
        p->n++;
        s = end + !last;
    }
}

enum status parameters_parse(struct parameters *p, const char *text, struct error *err)
{
    *p = (struct parameters){.prompt = "", .negative = ""};
    p->memory = mem_strdup(text);
    if (!p->memory)
        return error_set(err, ST_NOMEM, "out of memory");
    char *all = trim(p->memory), *last = strrchr(all, '\n');
    last = last ? last + 1 : all;
    if (strncmp(trim(last), "Steps:", 6) != 0) {
        parameters_release(p);
        return error_set(err, ST_FORMAT, "the text has no line of generation parameters");
    }
    if (last > all)
        last[-1] = 0;
    char *negative = NULL;
    if (last > all) {
        for (char *line = all; line && !negative; line = strchr(line, '\n')) {
            line += *line == '\n';
            if (!strncmp(line, negative_mark, sizeof negative_mark - 1))
                negative = line;
        }
        if (negative) {
            p->negative = trim(negative + sizeof negative_mark - 1);
            *negative = 0;
        }
        p->prompt = trim(all);
    }
    read_pairs(p, trim(last));
    return ST_OK;
}

void parameters_put(struct buf *b, const char *key, const char *value)
{
    buf_printf(b, ", %s: ", key);
    if (!strpbrk(value, ",:\n\"")) {
        buf_puts(b, value);
        return;
    }
    buf_putc(b, '"');
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            buf_putc(b, '\\');
        if (*value == '\n')
            buf_puts(b, "\\n");
        else
            buf_putc(b, *value);
    }
    buf_putc(b, '"');
}

/* Such a text is ASCII for the greater part: which of two neighbours is zero more often? */
static bool high_first(const uint8_t *p, size_t n)
{
    size_t zeros[2] = {0};
    for (size_t i = 0; i + 1 < n; i += 2) {
        zeros[0] += p[i] == 0;
        zeros[1] += p[i + 1] == 0;
    }
    return zeros[0] > zeros[1];
}

static bool put_utf16(char out[PARAMETERS_MAX], const uint8_t *p, size_t n)
{
    size_t len = 0;
    if (n < 2)
        return false;
    bool mark = utf16_unit(p, true) == 0xFEFF || utf16_unit(p, false) == 0xFEFF;
    bool big = mark ? p[0] == 0xFE : high_first(p, n);
    for (size_t i = mark ? 2 : 0; i + 1 < n;) {
        char one[4];
        uint32_t c;
        i += utf16_decode(p + i, n - i, big, &c);
        if (!c)
            break;
        if (c >= 0xD800 && c < 0xE000)
            return false;
        size_t k = utf8_encode(c, one);
        if (len + k >= PARAMETERS_MAX)
            return false;
        memcpy(out + len, one, k);
        len += k;
    }
    out[len] = 0;
    return true;
}

void exif_read_parameters(char out[PARAMETERS_MAX], const uint8_t *p, size_t n)
{
    struct parameters parsed;
    bool ok = false;
    out[0] = 0;
    if (n > 8 && !memcmp(p, "UNICODE\0", 8)) {
        ok = put_utf16(out, p + 8, n - 8);
    } else if (n > 8 && !memcmp(p, "ASCII\0\0\0", 8)) {
        n = strnlen((const char *)p + 8, n - 8);
        ok = n < PARAMETERS_MAX && utf8_valid((const char *)p + 8, n);
        if (ok)
            memcpy(out, p + 8, n);
        out[ok ? n : 0] = 0;
    }
    if (!ok || parameters_parse(&parsed, out, NULL)) {
        out[0] = 0;
        return;
    }
    parameters_release(&parsed);
}
