/* Any bytes as the reply of a decode worker, which a hostile picture may own: what is accepted has
 * numbers within bounds and texts that end and are UTF-8. */
#include "core/path.h"
#include "image/decoder_int.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void text(const char *s, size_t cap)
{
    size_t n = strnlen(s, cap);
    if (n == cap || !utf8_valid(s, n))
        abort();
}

static void flag(const bool *b)
{
    unsigned char byte;
    memcpy(&byte, b, 1);
    if (byte > 1)
        abort();
}

static void meta(const struct image_meta *m)
{
    const struct image_words *w = &m->words;
    size_t used = 0;
    text(m->format, sizeof m->format);
    text(m->taken, sizeof m->taken);
    text(m->make, sizeof m->make);
    text(m->camera, sizeof m->camera);
    text(m->lens, sizeof m->lens);
    text(m->parameters, sizeof m->parameters);
    text(w->title, sizeof w->title);
    text(w->description, sizeof w->description);
    text(w->taken, sizeof w->taken);
    text(w->burst, sizeof w->burst);
    for (const char *k = NULL; (k = image_words_next(w, k));) {
        if (k < w->keywords || k >= w->keywords + sizeof w->keywords)
            abort();
        text(k, sizeof w->keywords - (size_t)(k - w->keywords));
        used += strlen(k) + 1;
    }
    flag(&m->animated);
    flag(&m->has_gps);
    flag(&w->is_taken);
    flag(&w->is_rated);
    flag(&w->has_gps);
    if (used != w->keywords_size || m->orientation < 1 || m->orientation > 8 || m->width < 0 ||
        m->height < 0 || !(fabs(m->lat) <= 90) || !(fabs(m->lon) <= 180) || !isfinite(m->alt) ||
        !isfinite(w->alt))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct decoder_reply r;
    struct decoder_request q = {.serial = 7, .max_pixels = 1 << 20};
    if (!size)
        return 0;
    q.hash = data[0] & 1;
    q.words_only = data[0] & 2;
    q.prep.size = data[0] & 4 ? 32 : 0;
    memset(&r, 0, sizeof r);
    r.meta.orientation = 1;
    memcpy((uint8_t *)&r, data + 1, size - 1 < sizeof r ? size - 1 : sizeof r);
    if (data[0] & 8)
        r.serial = q.serial;
    if (!decoder_reply_check(&r, &q))
        return 0;
    text(r.text, sizeof r.text);
    meta(&r.meta);
    if (r.status < ST_OK || r.status > ST_INTERNAL || r.has_hash > 1)
        abort();
    if (!r.status && !q.words_only &&
        (r.width < 1 || r.height < 1 || (uint64_t)r.width * (uint64_t)r.height > q.max_pixels))
        abort();
    return 0;
}
