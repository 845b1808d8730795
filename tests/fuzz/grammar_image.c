/* The structure of picture files and of what is said in them. */
#include "core/bytes.h"
#include "tests/fuzz/structure.h"
#include <string.h>

/* PNG: length, type, bytes, checksum (which the target puts right). */
static bool png_next(struct record *r, const uint8_t *d, size_t n, size_t at, size_t index)
{
    (void)index;
    if (n - at < 12)
        return false;
    *r = (struct record){8, bytes_be32(d + at), 4};
    return true;
}

static void png_resize(uint8_t *d, const struct record *r, size_t body)
{
    (void)r;
    structure_put_be(d, body, 4);
}

const struct grammar grammar_png = {.prefix = 8, .next = png_next, .resize = png_resize};

/* RIFF: type, length, bytes, and one more after an odd number. */
static bool riff_next(struct record *r, const uint8_t *d, size_t n, size_t at, size_t index)
{
    (void)index;
    if (n - at < 8)
        return false;
    uint32_t size = bytes_le32(d + at + 4);
    *r = (struct record){8, size, size & 1 && n - at - 8 > size};
    return true;
}

static void riff_resize(uint8_t *d, const struct record *r, size_t body)
{
    structure_put_le(d + 4, body + r->tail - ((body + r->tail) & 1),
                     4); /* the padding joins the body */
}

static const struct grammar *riff_inside(const uint8_t *d, const struct record *r, size_t index,
                                         size_t *skip);

static const struct grammar riff_chunks = {
    .next = riff_next, .resize = riff_resize, .inside = riff_inside};

static const struct grammar *riff_inside(const uint8_t *d, const struct record *r, size_t index,
                                         size_t *skip)
{
    (void)r;
    (void)index;
    *skip = memcmp(d, "RIFF", 4) == 0 ? 4 : 16;
    return memcmp(d, "RIFF", 4) == 0 || memcmp(d, "ANMF", 4) == 0 ? &riff_chunks : NULL;
}

const struct grammar grammar_riff = {
    .next = riff_next, .resize = riff_resize, .inside = riff_inside};

/* Boxes of ISO base media files: HEIF, AVIF, JPEG XL, JPEG 2000, QuickTime. Length and type; length
 * 1: eight bytes of length follow; 0: up to the end. */
static bool bmff_next(struct record *r, const uint8_t *d, size_t n, size_t at, size_t index)
{
    (void)index;
    if (n - at < 8)
        return false;
    uint32_t size = bytes_be32(d + at);
    size_t head = size == 1 ? 16 : 8, all = size;
    if (size == 1 && n - at < 16)
        return false;
    if (size == 1)
        all = (size_t)bytes_be32(d + at + 8) << 32 | bytes_be32(d + at + 12);
    if (size == 0)
        all = n - at;
    if (all < head)
        return false;
    *r = (struct record){head, all - head, 0};
    return true;
}

static void bmff_resize(uint8_t *d, const struct record *r, size_t body)
{
    if (r->head == 16)
        structure_put_be(d + 8, r->head + body, 8);
    else if (bytes_be32(d))
        structure_put_be(d, r->head + body, 4);
}

static const struct grammar *bmff_inside(const uint8_t *d, const struct record *r, size_t index,
                                         size_t *skip)
{
    static const struct {
        char type[5];
        uint8_t skip;
    } holds[] = {{"moov", 0}, {"trak", 0}, {"mdia", 0}, {"minf", 0}, {"stbl", 0}, {"dinf", 0},
                 {"udta", 0}, {"edts", 0}, {"iprp", 0}, {"ipco", 0}, {"grpl", 0}, {"jp2h", 0},
                 {"ilst", 0}, {"meta", 4}, {"iref", 4}, {"iinf", 6}, {"dref", 8}, {"stsd", 8}};
    (void)r;
    (void)index;
    for (size_t i = 0; i < sizeof holds / sizeof *holds; i++)
        if (!memcmp(d + 4, holds[i].type, 4)) {
            *skip = holds[i].skip;
            return &grammar_bmff;
        }
    *skip = 0;
    return memcmp(d + 4, "jp2c", 4) == 0 ? &grammar_markers : NULL;
}

const struct grammar grammar_bmff = {
    .next = bmff_next, .resize = bmff_resize, .inside = bmff_inside};

/* JPEG and the code stream of JPEG 2000: a marker and its segment, a marker alone, or coded bytes
 * up to the next marker. */
static bool marker_next(struct record *r, const uint8_t *d, size_t n, size_t at, size_t index)
{
    const uint8_t *p = d + at;
    size_t left = n - at, run = 0;
    (void)index;
    if (left >= 2 && p[0] == 0xFF &&
        ((p[1] >= 0xD0 && p[1] <= 0xD9) || p[1] == 0x4F || p[1] == 0x93)) {
        *r = (struct record){2, 0, 0};
    } else if (left >= 4 && p[0] == 0xFF && p[1] >= 0x4F && p[1] < 0xFF) {
        size_t size = (size_t)p[2] << 8 | p[3];
        *r = (struct record){4, size < 2 ? 0 : size - 2, 0};
    } else {
        while (run < left &&
               !(run + 1 < left && p[run] == 0xFF && p[run + 1] >= 0x90 && p[run + 1] < 0xFF))
            run++;
        *r = (struct record){0, run, 0};
    }
    return true;
}

static void marker_resize(uint8_t *d, const struct record *r, size_t body)
{
    if (r->head == 4)
        structure_put_be(d + 2, body + 2, 2);
}

const struct grammar grammar_markers = {.next = marker_next, .resize = marker_resize};

/* GIF: the screen with its colours, then extensions and pictures, each closed by blocks of up to
 * 255 bytes and an empty one. */
static size_t gif_blocks(const uint8_t *d, size_t n, size_t at)
{
    while (at < n && d[at])
        at += 1 + (size_t)d[at];
    return at < n ? at + 1 : n;
}

static size_t gif_colors(const uint8_t *flags)
{
    return *flags & 0x80 ? (size_t)6 << (*flags & 7) : 0;
}

static bool gif_next(struct record *r, const uint8_t *d, size_t n, size_t at, size_t index)
{
    size_t head = 2, left = n - at;
    if (index == 0) {
        if (left < 13)
            return false;
        *r = (struct record){13, gif_colors(d + 10), 0};
        return true;
    }
    if (d[at] == 0x2C && left >= 11)
        head = 10 + gif_colors(d + at + 9) + 1;
    else if (d[at] != 0x21)
        head = 1;
    if (head > left)
        return false;
    *r = (struct record){head, head == 1 ? 0 : gif_blocks(d, n, at + head) - at - head, 0};
    return true;
}

static bool gif_block_next(struct record *r, const uint8_t *d, size_t n, size_t at, size_t index)
{
    (void)n;
    (void)index;
    *r = (struct record){1, d[at], 0};
    return true;
}

static void gif_block_resize(uint8_t *d, const struct record *r, size_t body)
{
    (void)r;
    *d = (uint8_t)body;
}

static const struct grammar gif_block = {.next = gif_block_next, .resize = gif_block_resize};

static const struct grammar *gif_inside(const uint8_t *d, const struct record *r, size_t index,
                                        size_t *skip)
{
    (void)d;
    (void)r;
    *skip = 0;
    return index ? &gif_block : NULL;
}

const struct grammar grammar_gif = {.next = gif_next, .inside = gif_inside};

/* IPTC records, or Photoshop's resources with such among them. */
static bool iptc_next(struct record *r, const uint8_t *d, size_t n, size_t at, size_t index)
{
    const uint8_t *p = d + at;
    size_t left = n - at;
    (void)index;
    if (left >= 5 && p[0] == 0x1C) {
        *r = (struct record){5, (size_t)p[3] << 8 | p[4], 0};
        return true;
    }
    if (left < 12 || memcmp(p, "8BIM", 4))
        return false;
    size_t name = ((size_t)p[6] + 2) & ~(size_t)1;
    if (name > left - 10)
        return false;
    uint32_t size = bytes_be32(p + 6 + name);
    *r = (struct record){10 + name, size, size & 1 && left - 10 - name > size};
    return true;
}

static void iptc_resize(uint8_t *d, const struct record *r, size_t body)
{
    if (r->head == 5)
        structure_put_be(d + 3, body, 2);
    else
        structure_put_be(d + r->head - 4, body, 4);
}

static const struct grammar *iptc_inside(const uint8_t *d, const struct record *r, size_t index,
                                         size_t *skip)
{
    (void)r;
    (void)index;
    *skip = 0;
    return d[0] == '8' && d[4] == 4 && d[5] == 4 ? &grammar_iptc : NULL;
}

const struct grammar grammar_iptc = {
    .next = iptc_next, .resize = iptc_resize, .inside = iptc_inside};

/* TIFF: tables of entries of twelve bytes, in either byte order, found through each other. */
static uint32_t tiff_number(const uint8_t *p, bool big, int bytes)
{
    if (bytes == 2)
        return big ? (uint32_t)p[0] << 8 | p[1] : bytes_le16(p);
    return big ? bytes_be32(p) : bytes_le32(p);
}

static bool tiff_leads_on(uint32_t tag)
{
    return tag == 0x014A || tag == 0x8769 || tag == 0x8825 || tag == 0xA005;
}

static size_t tiff_entry(const uint8_t *d, size_t n, uint32_t choice)
{
    bool big = n && d[0] == 'M';
    size_t found = 0, ifd = n < 8 ? n : tiff_number(d + 4, big, 4);
    for (int hops = 0; hops < 4 && ifd < n && n - ifd > 2; hops++) {
        size_t count = tiff_number(d + ifd, big, 2), room = (n - ifd - 2) / 12;
        count = count < room ? count : room;
        if (!count)
            break;
        found = ifd + 2 + choice % count * 12;
        choice /= 3;
        ifd = tiff_leads_on(tiff_number(d + found, big, 2)) ? tiff_number(d + found + 8, big, 4)
                                                            : n; /* or the table that follows */
        if (ifd == n && choice & 1 && n - found > 12 + 4)
            ifd = tiff_number(d + found + 12, big, 4);
    }
    return found;
}

const struct grammar grammar_tiff = {.entry = tiff_entry};

/* The same behind six bytes "Exif". */
static size_t exif_entry(const uint8_t *d, size_t n, uint32_t choice)
{
    size_t skip = n > 6 && !memcmp(d, "Exif", 4) ? 6 : 0,
           at = tiff_entry(d + skip, n - skip, choice);
    return at ? at + skip : 0;
}

const struct grammar grammar_exif = {.entry = exif_entry};

/* ICC profiles: after 128 bytes and a count, entries of signature, offset and size. */
static size_t icc_entry(const uint8_t *d, size_t n, uint32_t choice)
{
    size_t count = n < 144 ? 0 : bytes_be32(d + 128), room = n < 144 ? 0 : (n - 132) / 12;
    count = count < room ? count : room;
    return count ? 132 + choice % count * 12 : 0;
}

const struct grammar grammar_icc = {.entry = icc_entry};
