/* Makes a reply safe to use. It comes from a process that a hostile file may own, so every field
 * may hold any bytes; only the pixels need no check, since any byte is a pixel. */
#include "core/buf.h"
#include "core/path.h"
#include "image/decoder_int.h"
#include <math.h>
#include <string.h>

/* One line of valid UTF-8 whatever the worker wrote. */
static void clean(char *text, size_t cap)
{
    struct buf b;
    text[cap - 1] = 0;
    buf_init(&b, 1 << 16);
    buf_text_safe(&b, text);
    if (b.failed || b.len >= cap)
        text[0] = 0;
    else if (b.len)
        memcpy(text, b.data, b.len + 1);
    buf_release(&b);
}

static void clean_flag(bool *b)
{
    unsigned char *byte = (unsigned char *)b; /* any may be in it */
    *byte = *byte == 1;
}

static void clean_meta(struct image_meta *m)
{
    clean_flag(&m->has_gps);
    clean_flag(&m->animated);
    clean(m->format, sizeof m->format);
    clean(m->taken, sizeof m->taken);
    clean(m->make, sizeof m->make);
    clean(m->camera, sizeof m->camera);
    clean(m->lens, sizeof m->lens);
    m->parameters[sizeof m->parameters - 1] = 0; /* several lines: only made valid UTF-8 */
    if (!utf8_valid(m->parameters, strlen(m->parameters)))
        m->parameters[0] = 0;
    if (m->orientation < 1 || m->orientation > 8)
        m->orientation = 1;
    m->width = m->width < 0 ? 0 : m->width;
    m->height = m->height < 0 ? 0 : m->height;
    if (!(fabs(m->lat) <= 90) || !(fabs(m->lon) <= 180) || !isfinite(m->alt))
        m->has_gps = false;
    if (!m->has_gps)
        m->lat = m->lon = m->alt = 0;
    (void)image_words_check(&m->words);
}

bool decoder_reply_check(struct decoder_reply *r, const struct decoder_request *q)
{
    uint64_t most = q->max_pixels ? q->max_pixels : IMAGE_MAX_PIXELS;
    if (r->serial != q->serial || r->status < ST_OK || r->status > ST_INTERNAL)
        return false;
    r->has_hash = r->has_hash == 1 && q->hash;
    clean(r->text, sizeof r->text);
    clean_meta(&r->meta);
    if (r->status || q->words_only)
        return r->status || (!r->width && !r->height);
    if (r->width < 1 || r->height < 1)
        return false;
    if (q->prep.size)
        return r->width == q->prep.size && r->height == q->prep.size;
    return (uint64_t)r->width <= most / (uint64_t)r->height;
}
