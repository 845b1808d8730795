/* IPTC-IIM 4.2: records of five bytes and a value each, as Photoshop keeps them in its resource
 * 0x0404. Surprising: most files say nothing of their character set; what is no valid UTF-8 then is
 * taken as Windows-1252, which holds Latin-1. */
#include "core/bytes.h"
#include "core/path.h"
#include "image/words.h"
#include <stdio.h>
#include <string.h>

enum { TITLE = 5, KEYWORD = 25, DATE = 55, CLOCK = 60, HEADLINE = 105, CAPTION = 120 };
enum { MOST = 4096 }; /* bytes of a value that are looked at */

struct record {
    unsigned kind, number;
    const uint8_t *data;
    size_t size;
};

/* The next record at *at, which moves behind it. */
static bool next_record(struct record *r, const uint8_t *p, size_t n, size_t *at)
{
    while (*at < n && p[*at] == 0) /* padding between blocks that were joined */
        ++*at;
    if (n - *at < 5 || p[*at] != 0x1C)
        return false;
    size_t size = (size_t)p[*at + 3] << 8 | p[*at + 4], head = 5;
    if (size & 0x8000) { /* the length of a length follows */
        size_t bytes = size & 0x7FFF;
        if (bytes > 4 || bytes > n - *at - 5)
            return false;
        size = 0;
        for (size_t i = 0; i < bytes; i++)
            size = size << 8 | p[*at + 5 + i];
        head += bytes;
    }
    if (size > n - *at - head)
        return false;
    *r = (struct record){p[*at + 1], p[*at + 2], p + *at + head, size};
    *at += head + size;
    return true;
}

static size_t to_utf8(char out[3 * MOST], const struct record *r)
{
    size_t n = r->size < MOST ? r->size : utf8_whole((const char *)r->data, MOST);
    return image_words_utf8(out, 3 * MOST, r->data, n);
}

/* "20190504" and "130211+0200" to ISO 8601. Zeros stand for what is not known. */
static void put_date(struct image_words *w, const char day[9], const char clock[12])
{
    char text[40];
    bool has_clock = strspn(clock, "0123456789") == 6;
    snprintf(text, sizeof text, "%.4s-%.2s-%.2s", day, day + 4, day + 6);
    if (!memcmp(day + 4, "00", 2))
        text[4] = 0;
    else if (!memcmp(day + 6, "00", 2))
        text[7] = 0;
    else if (has_clock)
        snprintf(text + 10, sizeof text - 10, "T%.2s:%.2s:%.2s%s", clock, clock + 2, clock + 4,
                 clock + 6);
    w->is_taken = image_words_date(w->taken, text, strlen(text));
}

static void take(struct image_words *w, const struct record *r, char headline[512])
{
    char text[3 * MOST];
    size_t n = to_utf8(text, r);
    if (r->number == TITLE && !w->title[0])
        image_words_text(w->title, sizeof w->title, text, n, false);
    else if (r->number == HEADLINE && !headline[0])
        image_words_text(headline, sizeof w->title, text, n, false);
    else if (r->number == CAPTION && !w->description[0])
        image_words_text(w->description, sizeof w->description, text, n, true);
    else if (r->number == KEYWORD)
        image_words_add(w, text, n);
}

void iptc_read(struct image_words *w, const uint8_t *p, size_t n)
{
    struct image_words own = {0};
    char headline[sizeof own.title] = "", day[9] = "", clock[12] = "";
    struct record r;
    for (size_t at = 0; next_record(&r, p, n, &at);) {
        if (r.kind != 2)
            continue;
        if (r.number == DATE && r.size == 8)
            memcpy(day, r.data, 8);
        else if (r.number == CLOCK && (r.size == 6 || r.size == 11))
            memcpy(clock, r.data, r.size);
        else
            take(&own, &r, headline);
    }
    if (strspn(day, "0123456789") == 8)
        put_date(&own, day, clock);
    if (!own.title[0])
        memcpy(own.title, headline, sizeof own.title);
    image_words_merge(w, &own);
}

bool iptc_find(const uint8_t **records, size_t *size, const uint8_t *p, size_t n)
{
    for (size_t at = 0; n - at >= 12 && !memcmp(p + at, "8BIM", 4);) {
        unsigned id = (unsigned)p[at + 4] << 8 | p[at + 5];
        size_t name = ((size_t)p[at + 6] + 2) & ~(size_t)1; /* with its length, even */
        if (name + 10 > n - at)
            return false;
        const uint8_t *q = p + at + 6 + name;
        size_t len = bytes_be32(q);
        size_t left = n - at - 6 - name - 4;
        if (len > left)
            return false;
        if (id == 0x0404) {
            *records = q + 4;
            *size = len;
            return true;
        }
        at += 6 + name + 4 + len;
        at += (len & 1) && at < n;
    }
    return false;
}
