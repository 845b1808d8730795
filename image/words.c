/* Words of a picture as plain text, and how two sources are joined. */
#include "image/words.h"
#include "core/date.h"
#include "core/path.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

void image_words_text(char *dst, size_t cap, const char *src, size_t n, bool lines)
{
    size_t len = 0;
    n = strnlen(src, n);
    for (size_t i = 0; i < n;) {
        char utf8[4];
        uint32_t cp;
        i += utf8_decode(src + i, n - i, &cp);
        bool end = lines && cp == '\n';
        if (!end && (cp < 0x20 || (cp >= 0x7F && cp < 0xA0)))
            cp = ' ';
        size_t k = utf8_encode(cp, utf8);
        if ((cp == ' ' || end) && (!len || dst[len - 1] == (char)cp))
            continue;
        if (len + k >= cap)
            break;
        memcpy(dst + len, utf8, k);
        len += k;
    }
    while (len && (dst[len - 1] == ' ' || dst[len - 1] == '\n'))
        len--;
    dst[len] = 0;
}

const char *image_words_next(const struct image_words *w, const char *keyword)
{
    const char *next = keyword ? keyword + strlen(keyword) + 1 : w->keywords;
    return next < w->keywords + w->keywords_size ? next : NULL;
}

void image_words_add(struct image_words *w, const char *keyword, size_t n)
{
    char text[IMAGE_KEYWORD_MAX];
    image_words_text(text, sizeof text, keyword, n, false);
    size_t len = strlen(text);
    for (const char *k = NULL; (k = image_words_next(w, k));)
        if (!strcasecmp(k, text))
            return;
    if (!len || len + 1 > sizeof w->keywords - w->keywords_size)
        return;
    memcpy(w->keywords + w->keywords_size, text, len + 1);
    w->keywords_size += (uint32_t)len + 1;
}

/* Two digits at s, or a blank and one, as a number within bounds; s ends with a NUL. */
static bool two(const char *s, int low, int high, int *v)
{
    if (!((s[0] >= '0' && s[0] <= '9') || s[0] == ' ') || s[1] < '0' || s[1] > '9')
        return false;
    int n = (s[0] == ' ' ? 0 : s[0] - '0') * 10 + s[1] - '0';
    if (n < low || n > high)
        return false;
    *v = n;
    return true;
}

size_t image_words_utf8(char *out, size_t cap, const uint8_t *p, size_t n)
{
    static const uint16_t windows[32] = {
        0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
        0x2039, 0x0152, 0,      0x017D, 0,      0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
        0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178};
    size_t len = 0;
    if (utf8_valid((const char *)p, n)) {
        len = n <= cap ? n : utf8_whole((const char *)p, cap);
        memcpy(out, p, len);
        return len;
    }
    for (size_t i = 0; i < n && len + 4 <= cap; i++) {
        uint32_t c = p[i] >= 0x80 && p[i] < 0xA0 ? windows[p[i] - 0x80] : p[i];
        len += c ? utf8_encode(c, out + len) : 0;
    }
    return len;
}

/* "Z", "+02:00", "+0200" to "+02:00"; anything else to nothing. */
static void put_offset(char *out, size_t cap, const char *s)
{
    int h, m;
    out[0] = 0;
    if (*s == 'Z')
        snprintf(out, cap, "+00:00");
    else if ((*s == '+' || *s == '-') && two(s + 1, 0, 14, &h) &&
             two(s + 3 + (s[3] == ':'), 0, 59, &m))
        snprintf(out, cap, "%c%02d:%02d", *s, h, m);
}

bool image_words_date(char out[32], const char *text, size_t n)
{
    char s[48], day[24] = "", clock[16] = "", offset[8] = "";
    int century, year, month = 0, d = 0, h, m, sec = 0;
    image_words_text(s, sizeof s, text, n, false);
    if (!two(s, 0, 99, &century) || !two(s + 2, 0, 99, &year) || !(century + year))
        return false;
    const char *p = s + 4;
    if ((*p == '-' || *p == ':') && two(p + 1, 1, 12, &month))
        p += 3;
    if (month && (*p == '-' || *p == ':') &&
        two(p + 1, 1, date_month_length(100 * century + year, month), &d))
        p += 3;
    const char *hour =
        *p == ' ' && p[1] && p[2] == ':' ? p : p + 1; /* of " 4:05" one blank is left */
    if (d && (*p == 'T' || *p == ' ') && two(hour, 0, 23, &h) && hour[2] == ':' &&
        two(hour + 3, 0, 59, &m)) {
        p = hour + 5;
        if (*p == ':' && two(p + 1, 0, 60, &sec))
            p += 3;
        if (*p == '.')
            p += 1 + strspn(p + 1, "0123456789");
        put_offset(offset, sizeof offset, p);
        snprintf(clock, sizeof clock, "T%02d:%02d:%02d", h, m, sec);
        p = ""; /* whatever follows a clock is no reason to lose the date */
    }
    if (*p)
        return false;
    if (d)
        snprintf(day, sizeof day, "-%02d-%02d", month, d);
    else if (month)
        snprintf(day, sizeof day, "-%02d", month);
    snprintf(out, 32, "%02d%02d%s%s%s", century, year, day, clock, offset);
    return true;
}

void image_words_merge(struct image_words *w, const struct image_words *more)
{
    if (!w->title[0])
        memcpy(w->title, more->title, sizeof w->title);
    if (!w->description[0])
        memcpy(w->description, more->description, sizeof w->description);
    for (const char *k = NULL; (k = image_words_next(more, k));)
        image_words_add(w, k, strlen(k));
    if (!w->is_rated) {
        w->rating = more->rating;
        w->is_rated = more->is_rated;
    }
    if (!w->taken[0] || (more->is_taken && !w->is_taken)) {
        memcpy(w->taken, more->taken, sizeof w->taken);
        w->is_taken = more->is_taken;
    }
    if (!w->has_gps && more->has_gps) {
        w->has_gps = true;
        w->lat = more->lat;
        w->lon = more->lon;
        w->alt = more->alt;
    }
    if (!w->burst[0])
        memcpy(w->burst, more->burst, sizeof w->burst);
}

/* As image_words_text would have left it. */
static bool is_clean(const char *text, size_t cap, bool lines)
{
    size_t n = strnlen(text, cap);
    if (n == cap || !utf8_valid(text, n))
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < 0x20 && !(lines && text[i] == '\n'))
            return false;
    return true;
}

static bool is_boolean(const bool *flag)
{
    unsigned char byte; /* any byte may be in it */
    memcpy(&byte, flag, 1);
    return byte <= 1;
}

bool image_words_check(struct image_words *w)
{
    bool ok = is_clean(w->title, sizeof w->title, false) &&
              is_clean(w->description, sizeof w->description, true) &&
              is_clean(w->taken, sizeof w->taken, false) && is_boolean(&w->is_taken) &&
              is_boolean(&w->is_rated) && is_boolean(&w->has_gps) &&
              is_clean(w->burst, sizeof w->burst, false) && w->rating >= IMAGE_RATING_REJECTED &&
              w->rating <= 5 && w->keywords_size <= sizeof w->keywords &&
              (!w->keywords_size || !w->keywords[w->keywords_size - 1]) && fabs(w->lat) <= 90 &&
              fabs(w->lon) <= 180 && isfinite(w->alt);
    for (const char *k = NULL; ok && (k = image_words_next(w, k));)
        ok = *k && is_clean(k, IMAGE_KEYWORD_MAX, false);
    if (!ok)
        memset(w, 0, sizeof *w);
    return ok;
}
