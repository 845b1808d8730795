/* Cameras' raw files, by the largest JPEG that the camera put in; nothing is developed. Surprising:
 * the JPEG is found by looking for its start wherever it lies, which works for every maker's
 * layout, and needs no library: LibRaw 0.20 writes beyond its memory when it unpacks the preview of
 * a damaged file. Size and pixels are the preview's, the turn is the raw file's, since the preview
 * lies as the sensor does. */
#include "image/boxes.h"
#include "image/codec.h"
#include "image/tiff_tags.h"
#include <string.h>

/* In compressed sensor data the three bytes turn up by chance every 16 MiB; more is no camera's. */
enum { MAX_CANDIDATES = 500 };

/* A marker with a length must follow: APPn, tables, frames or a comment. */
static bool looks_like_jpeg(const uint8_t *p)
{
    return (p[3] >= 0xE0 && p[3] <= 0xEF) || p[3] == 0xDB || p[3] == 0xC4 || p[3] == 0xFE ||
           p[3] == 0xC0 || p[3] == 0xC1 || p[3] == 0xC2 || p[3] == 0xDD;
}

/* Fills inner with the preview as a file of its own, and its size. */
static enum status find_preview(struct codec_in *inner, int *w, int *h, const struct codec_in *in,
                                struct error *err)
{
    const uint8_t *p = in->data, *end = in->data + in->size;
    int candidates = 0;
    *w = *h = 0;
    *inner = *in;
    while ((p = memmem(p, (size_t)(end - p), "\xff\xd8\xff", 3)) && end - p > 4) {
        struct codec_in one = *in;
        int cw, ch;
        one.data = p++;
        one.size = (size_t)(end - one.data);
        if (!looks_like_jpeg(one.data))
            continue;
        if (++candidates > MAX_CANDIDATES)
            break;
        if (!codec_jpeg.header(&cw, &ch, &one, NULL) &&
            (uint64_t)cw * (uint64_t)ch > (uint64_t)*w * (uint64_t)*h) {
            *w = cw;
            *h = ch;
            *inner = one;
        }
    }
    if (!*w)
        return error_set(err, ST_UNSUPPORTED, "%s: raw: has no JPEG preview", in->name);
    return codec_check_size((uint64_t)*w, (uint64_t)*h, in, err);
}

static enum status raw_header(int *w, int *h, const struct codec_in *in, struct error *err)
{
    struct codec_in inner;
    return find_preview(&inner, w, h, in, err);
}

static enum status raw_decode(struct image *out, const struct codec_in *in, struct error *err)
{
    struct codec_in inner;
    int w, h;
    enum status st = find_preview(&inner, &w, &h, in, err);
    return st ? st : codec_jpeg.decode(out, &inner, err);
}

/* Canon's CR3 keeps the main directory as a small TIFF file in a box within a box within a box. */
static bool canon_exif(struct codec_block *b, const struct codec_in *in)
{
    struct box movie = {0}, uuid = {0}, part = {0};
    struct tiff_tags t;
    while (box_next(&movie, in->data, in->size))
        if (!memcmp(movie.type, "moov", 4))
            break;
    while (movie.data && box_next(&uuid, movie.data, movie.size))
        if (!memcmp(uuid.type, "uuid", 4) && uuid.size > 16)
            break;
    while (uuid.data && uuid.size > 16 && box_next(&part, uuid.data + 16, uuid.size - 16))
        if (!memcmp(part.type, "CMT1", 4))
            return tiff_tags_open(&t, part.data, part.size) && tiff_tags_exif(b, &t);
    return false;
}

static bool raw_exif(struct codec_block *b, const struct codec_in *in)
{
    struct tiff_tags t;
    struct codec_in inner;
    int w, h;
    if (tiff_tags_open(&t, in->data, in->size))
        return tiff_tags_exif(b, &t);
    if (canon_exif(b, in))
        return true;
    return !find_preview(&inner, &w, &h, in, NULL) && codec_jpeg.exif(b, &inner);
}

/* Makers without a TIFF directory keep words in the preview, if anywhere. */
static void raw_words(struct image_words *w, const struct codec_in *in)
{
    struct tiff_tags t;
    struct codec_in inner;
    int width, height;
    if (tiff_tags_open(&t, in->data, in->size))
        tiff_tags_words(w, &t);
    else if (!find_preview(&inner, &width, &height, in, NULL))
        codec_jpeg.words(w, &inner);
}

static bool raw_sniff(const uint8_t *p, size_t n)
{
    static const char *const canon[] = {"crx ", NULL};
    struct tiff_tags t;
    if (n < 32)
        return false;
    if (tiff_tags_open(&t, p, n)) /* Olympus and Panasonic have magic numbers of their own */
        return p[2] == 'R' || p[3] == 'R' || p[2] == 'U' || !memcmp(p + 8, "CR\2", 3) ||
               tiff_tags_is_raw(&t);
    return !memcmp(p, "FUJIFILMCCD-RAW", 15) || !memcmp(p, "FOVb", 4) || !memcmp(p, "\0MRM", 4) ||
           !memcmp(p + 6, "HEAPCCDR", 8) || box_has_brand(p, n, canon);
}

const struct codec codec_raw = {
    .name = "raw",
    .sniff = raw_sniff,
    .header = raw_header,
    .decode = raw_decode,
    .exif = raw_exif,
    .words = raw_words,
};
