/* Paths as byte strings. */
#include "core/path.h"
#include "core/mem.h"
#include <string.h>
#include <strings.h>
#include <unistd.h>

char *path_join(const char *a, const char *b)
{
    if (b[0] == '/' || !a[0])
        return mem_strdup(b);
    size_t n = strlen(a);
    return mem_printf("%s%s%s", a, a[n - 1] == '/' ? "" : "/", b);
}

/* Lexical on purpose: a symlinked folder keeps the name that the user gave it. */
char *path_absolute(const char *p)
{
    char *cwd = p[0] == '/' ? NULL : getcwd(NULL, 0);
    if (p[0] != '/' && !cwd)
        return NULL;
    char *full = path_join(cwd ? cwd : "/", p);
    mem_free(cwd);
    if (!full)
        return NULL;
    char *out = full; /* the folded path is never longer than what was read */
    for (const char *s = full; *s;) {
        while (*s == '/')
            s++;
        size_t n = strcspn(s, "/");
        if (n == 2 && s[0] == '.' && s[1] == '.') {
            while (out > full && *--out != '/')
                ;
        } else if (n && !(n == 1 && s[0] == '.')) {
            *out++ = '/';
            memmove(out, s, n);
            out += n;
        }
        s += n;
    }
    if (out == full)
        *out++ = '/';
    *out = 0;
    return full;
}

const char *path_base(const char *p)
{
    const char *slash = strrchr(p, '/');
    return slash ? slash + 1 : p;
}

const char *path_ext(const char *p)
{
    const char *base = path_base(p), *dot = strrchr(base, '.');
    return dot && dot != base ? dot + 1 : base + strlen(base);
}

char *path_dir(const char *p)
{
    const char *slash = strrchr(p, '/');
    if (!slash)
        return mem_strdup(".");
    return mem_strndup(p, slash == p ? 1 : (size_t)(slash - p));
}

bool path_has_ext(const char *p, const char *ext)
{
    return strcasecmp(path_ext(p), ext) == 0;
}

bool path_inside(const char *p, const char *dir)
{
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    if (n == 1 && dir[0] == '/')
        return p[0] == '/';
    return strncmp(p, dir, n) == 0 && (p[n] == 0 || p[n] == '/');
}

size_t utf8_decode(const char *s, size_t n, uint32_t *cp)
{
    const unsigned char *u = (const unsigned char *)s;
    *cp = 0xFFFD;
    if (u[0] < 0x80) {
        *cp = u[0];
        return 1;
    }
    size_t len = u[0] >= 0xF0 ? 4 : u[0] >= 0xE0 ? 3 : 2;
    if (u[0] < 0xC2 || u[0] > 0xF4 || n < len)
        return 1;
    uint32_t c = u[0] & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((u[i] & 0xC0) != 0x80)
            return 1;
        c = c << 6 | (u[i] & 0x3F);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (c < least[len] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return 1;
    *cp = c;
    return len;
}

uint32_t utf16_unit(const uint8_t *p, bool big)
{
    return big ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

size_t utf16_decode(const uint8_t *p, size_t n, bool big, uint32_t *cp)
{
    *cp = utf16_unit(p, big);
    if (*cp < 0xD800 || *cp >= 0xDC00 || n < 4)
        return 2;
    uint32_t low = utf16_unit(p + 2, big);
    if (low >= 0xDC00 && low < 0xE000)
        *cp = 0x10000 + ((*cp - 0xD800) << 10) + (low - 0xDC00);
    return 4;
}

size_t utf8_mark(const char *s, size_t n)
{
    return n >= 3 && !memcmp(s, "\xef\xbb\xbf", 3) ? 3 : 0;
}

size_t utf8_whole(const char *s, size_t n)
{
    size_t first = n;
    while (first && n - first < 3 && ((unsigned char)s[first - 1] & 0xC0) == 0x80)
        first--;
    if (!first)
        return n;
    unsigned char c = (unsigned char)s[first - 1];
    size_t due = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
    return n - (first - 1) < due ? first - 1 : n;
}

size_t utf8_encode(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    size_t len = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, cp >>= 6)
        out[i] = (char)(0x80 | (cp & 0x3F));
    out[0] = (char)((0xF00 >> len & 0xFF) | cp);
    return len;
}

bool utf8_valid(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t len = utf8_decode(s + i, n - i, &cp);
        if (cp == 0xFFFD && len == 1)
            return false;
        i += len;
    }
    return true;
}

/* Could this code point change how the rest of a line is shown? */
static bool is_unsafe(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || cp == 0xAD ||
           (cp >= 0x200B && cp <= 0x200F && cp != 0x200D) || (cp >= 0x2028 && cp <= 0x202E) ||
           (cp >= 0x2060 && cp <= 0x206F) || cp == 0xFEFF || (cp >= 0xFFF0 && cp <= 0xFFFB) ||
           (cp >= 0xE0000 && cp <= 0xE0FFF);
}

static void put_escaped(struct buf *b, const char *s, bool quoted)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t len = utf8_decode(s + i, n - i, &cp);
        unsigned char c = (unsigned char)s[i];
        if (cp == 0xFFFD && len == 1)
            buf_printf(b, "\\x%02x", c);
        else if (cp == '\n')
            buf_puts(b, "\\n");
        else if (cp == '\t')
            buf_puts(b, "\\t");
        else if (cp == '\r')
            buf_puts(b, "\\r");
        else if (cp < 0x80 && is_unsafe(cp))
            buf_printf(b, "\\x%02x", c);
        else if (is_unsafe(cp))
            buf_printf(b, "\\u{%x}", (unsigned)cp);
        else if (quoted && (c == '"' || c == '\\'))
            buf_printf(b, "\\%c", c);
        else
            buf_append(b, s + i, len);
        i += len;
    }
}

void buf_text_safe(struct buf *b, const char *s)
{
    put_escaped(b, s, false);
}

void buf_path_quoted(struct buf *b, const char *p)
{
    buf_putc(b, '"');
    put_escaped(b, p, true);
    buf_putc(b, '"');
}
