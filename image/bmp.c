/* Windows and OS/2 bitmaps by hand: 1, 2, 4, 8, 16, 24 and 32 bits, bit fields, RLE4 and RLE8,
 * either row order. Surprising: pixels that a run-length coded picture leaves out have the
 * palette's first colour, and a run may not leave its row. */
#include "core/bytes.h"
#include "image/codec.h"
#include <string.h>

enum { RGB, RLE8, RLE4, FIELDS, ALPHA_FIELDS = 6 };

struct bmp {
    const struct codec_in *in;
    int64_t width, height; /* height < 0: top row first */
    unsigned bits, packing;
    uint32_t mask[3];
    const uint8_t *palette;
    unsigned colours, entry; /* entries, and bytes of one: 3 or 4 */
    size_t pixels;           /* offset */
};

static enum status truncated(const struct bmp *b, struct error *err)
{
    return error_set(err, ST_FORMAT, "%s: BMP: is truncated", b->in->name);
}

static bool is_known(const struct bmp *b)
{
    static const unsigned bits[] = {1, 2, 4, 8, 16, 24, 32};
    bool ok = false;
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
        ok |= b->bits == bits[i];
    switch (b->packing) {
    case RGB:
        return ok;
    case RLE8:
        return b->bits == 8 && b->height > 0;
    case RLE4:
        return b->bits == 4 && b->height > 0;
    case FIELDS:
    case ALPHA_FIELDS:
        return b->bits == 16 || b->bits == 32;
    default:
        return false;
    }
}

static void choose_masks(struct bmp *b, const uint8_t *masks)
{
    static const uint32_t m555[] = {0x7C00, 0x3E0, 0x1F}, m888[] = {0xFF0000, 0xFF00, 0xFF};
    for (int i = 0; i < 3; i++)
        b->mask[i] = masks ? bytes_le32(masks + 4 * i) : b->bits == 16 ? m555[i] : m888[i];
}

static enum status bmp_open(struct bmp *b, const struct codec_in *in, struct error *err)
{
    const uint8_t *d = in->data;
    *b = (struct bmp){.in = in, .entry = 4};
    if (in->size < 26)
        return truncated(b, err);
    uint32_t head = bytes_le32(d + 14), used = 0;
    if ((head != 12 && head < 40) || head > 256)
        return error_set(err, ST_UNSUPPORTED, "%s: BMP: a header of %u bytes", in->name, head);
    if (in->size - 14 < head)
        return truncated(b, err);
    if (head == 12) {
        b->width = bytes_le16(d + 18);
        b->height = bytes_le16(d + 20);
        b->bits = bytes_le16(d + 24);
        b->entry = 3;
    } else {
        b->width = (int32_t)bytes_le32(d + 18);
        b->height = (int32_t)bytes_le32(d + 22);
        b->bits = bytes_le16(d + 28);
        b->packing = bytes_le32(d + 30);
        used = bytes_le32(d + 46);
    }
    if (!is_known(b))
        return error_set(err, ST_UNSUPPORTED, "%s: BMP: %u bits a pixel, packing %u", in->name,
                         b->bits, b->packing);
    size_t at = 14 + (size_t)head;
    bool fields = b->packing == FIELDS || b->packing == ALPHA_FIELDS;
    size_t masks = fields && head == 40 ? (b->packing == FIELDS ? 12 : 16) : 0;
    if (masks > in->size - at || (fields && in->size < 54 + 12))
        return truncated(b, err);
    choose_masks(b, fields ? d + 54 : NULL); /* behind the 40 bytes, or part of a longer header */
    at += masks;
    if (b->bits <= 8) {
        b->colours = used && used < 1u << b->bits ? used : 1u << b->bits;
        b->palette = d + at;
        if ((size_t)b->colours * b->entry > in->size - at)
            b->colours = (unsigned)((in->size - at) / b->entry);
    }
    b->pixels = bytes_le32(d + 10);
    if (b->pixels >= in->size)
        return truncated(b, err);
    uint64_t high = (uint64_t)(b->height < 0 ? -b->height : b->height);
    return codec_check_size(b->width < 0 ? 0 : (uint64_t)b->width, high, in, err);
}

static enum status bmp_header(int *w, int *h, const struct codec_in *in, struct error *err)
{
    struct bmp b;
    enum status st = bmp_open(&b, in, err);
    if (st)
        return st;
    *w = (int)b.width;
    *h = (int)(b.height < 0 ? -b.height : b.height);
    return ST_OK;
}

static void colour(uint8_t *rgb, const struct bmp *b, unsigned i)
{
    const uint8_t *p = b->palette + (size_t)i * b->entry;
    for (int c = 0; c < 3; c++)
        rgb[c] = i < b->colours ? p[2 - c] : 0;
}

static uint8_t field(uint32_t v, uint32_t mask)
{
    if (!mask)
        return 0;
    uint32_t top = mask >> __builtin_ctz(mask);
    return (uint8_t)((uint64_t)((v & mask) >> __builtin_ctz(mask)) * 255 / top);
}

static void unpack_row(uint8_t *to, const struct bmp *b, const uint8_t *row)
{
    for (size_t x = 0; x < (size_t)b->width; x++, to += 3)
        if (b->bits <= 8) {
            unsigned per = 8 / b->bits, shift = 8 - b->bits * (1 + (unsigned)(x % per));
            colour(to, b, row[x / per] >> shift & ((1u << b->bits) - 1));
        } else if (b->bits == 24) {
            for (int c = 0; c < 3; c++)
                to[c] = row[3 * x + 2 - (size_t)c];
        } else {
            uint32_t v = b->bits == 16 ? bytes_le16(row + 2 * x) : bytes_le32(row + 4 * x);
            for (int c = 0; c < 3; c++)
                to[c] = field(v, b->mask[c]);
        }
}

static enum status read_rows(struct image *out, const struct bmp *b, struct error *err)
{
    size_t stride = ((size_t)b->width * b->bits + 31) / 32 * 4, need;
    if (mul_overflow_size(stride, (size_t)out->height, &need))
        return truncated(b, err);
    size_t last = ((size_t)b->width * b->bits + 7) / 8; /* its padding may be missing */
    if (need - stride + last > b->in->size - b->pixels)
        return truncated(b, err);
    for (int y = 0; y < out->height; y++) {
        int to = b->height > 0 ? out->height - 1 - y : y;
        unpack_row(out->data + (size_t)to * (size_t)out->width * 3, b,
                   b->in->data + b->pixels + (size_t)y * stride);
    }
    return ST_OK;
}

/* One pixel of a run, dropped where it leaves the row. */
static void put(struct image *out, const struct bmp *b, int64_t x, int64_t y, unsigned i)
{
    if (x < out->width && y < out->height)
        colour(out->data + ((size_t)(out->height - 1 - y) * (size_t)out->width + (size_t)x) * 3, b,
               i);
}

static unsigned nibble(const uint8_t *p, unsigned k, bool half)
{
    return half ? p[k / 2] >> (k % 2 ? 0 : 4) & 15 : p[k];
}

static enum status read_runs(struct image *out, const struct bmp *b, struct error *err)
{
    const uint8_t *p = b->in->data + b->pixels, *end = b->in->data + b->in->size;
    bool half = b->packing == RLE4;
    int64_t x = 0, y = 0;
    for (size_t i = 0; i < (size_t)out->width * (size_t)out->height; i++)
        colour(out->data + 3 * i, b, 0);
    while (y < out->height) {
        if (end - p < 2) /* some leave out the end after the last pixel */
            return y == out->height - 1 && x >= out->width ? ST_OK : truncated(b, err);
        unsigned n = p[0], v = p[1];
        p += 2;
        if (n) { /* a run: for RLE4 the two halves of v take turns */
            uint8_t two_halves[1] = {(uint8_t)v};
            for (unsigned k = 0; k < n; k++)
                put(out, b, x++, y, half ? nibble(two_halves, k % 2, true) : v);
        } else if (v == 0) {
            x = 0;
            y++;
        } else if (v == 1) {
            return ST_OK;
        } else if (v == 2) {
            if (end - p < 2)
                return truncated(b, err);
            x += p[0];
            y += p[1];
            p += 2;
        } else {
            size_t bytes = half ? (v + 1) / 2 : v;
            if ((size_t)(end - p) < bytes)
                return truncated(b, err);
            for (unsigned k = 0; k < v; k++)
                put(out, b, x++, y, nibble(p, k, half));
            bytes += bytes & 1;
            p += (size_t)(end - p) < bytes ? (size_t)(end - p) : bytes;
        }
    }
    return ST_OK;
}

static enum status bmp_decode(struct image *out, const struct codec_in *in, struct error *err)
{
    struct bmp b;
    enum status st = bmp_open(&b, in, err);
    if (st)
        return st;
    st = codec_alloc(out, (uint64_t)b.width, (uint64_t)(b.height < 0 ? -b.height : b.height), in,
                     err);
    if (st)
        return st;
    st = b.packing == RLE8 || b.packing == RLE4 ? read_runs(out, &b, err) : read_rows(out, &b, err);
    if (st)
        image_release(out);
    return st;
}

static bool bmp_sniff(const uint8_t *p, size_t n)
{
    return n >= 18 && p[0] == 'B' && p[1] == 'M' && p[15] < 2 && !p[16] && !p[17];
}

const struct codec codec_bmp = {
    .name = "bmp",
    .sniff = bmp_sniff,
    .header = bmp_header,
    .decode = bmp_decode,
};
