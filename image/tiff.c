/* TIFF through libtiff: the first page. Surprising: strips and tiles of 1 to 16 bits are unpacked
 * and of 32 bits are unpacked here (the high byte of those above 8 bits, alpha dropped, as for PNG;
 * of floating point 0 to 1, as ImageMagick has it, without a curve, which is the profile's), since
 * libtiff's own conversion composes alpha and knows no ink profiles; it is used for the rest, such
 * as subsampled YCbCr and CIE L*a*b*. */
#include "core/library.h"
#include "image/color.h"
#include "image/tiff_tags.h"
#include <stdio.h>
#include <string.h>
#include <tiffio.h>

#define CALLS(X)                                                                                   \
    X(TIFFOpenOptionsAlloc)                                                                        \
    X(TIFFOpenOptionsFree)                                                                         \
    X(TIFFOpenOptionsSetMaxSingleMemAlloc)                                                         \
    X(TIFFOpenOptionsSetErrorHandlerExtR)                                                          \
    X(TIFFOpenOptionsSetWarningHandlerExtR)                                                        \
    X(TIFFClientOpenExt)                                                                           \
    X(TIFFClose)                                                                                   \
    X(TIFFGetField)                                                                                \
    X(TIFFGetFieldDefaulted)                                                                       \
    X(TIFFSetField)                                                                                \
    X(TIFFIsTiled)                                                                                 \
    X(TIFFTileSize64)                                                                              \
    X(TIFFStripSize64)                                                                             \
    X(TIFFComputeTile)                                                                             \
    X(TIFFComputeStrip)                                                                            \
    X(TIFFReadEncodedTile)                                                                         \
    X(TIFFReadEncodedStrip)                                                                        \
    X(TIFFReadRGBAImageOriented)
static const char *const names[] = {CALLS(LIBRARY_NAME)};

struct tiff {
    struct {
        CALLS(LIBRARY_FIELD)
    } lib;
    TIFF *t;
    const struct codec_in *in;
    uint64_t at; /* of the reader */
    char said[128];
    uint32_t w, h;
    uint16_t bits, samples, planar, kind, packing;
    bool real; /* samples of floating point */
    uint16_t *map[3];
};

static bool open_library(struct tiff *s)
{
    return library_open(&s->lib, LIBTIFF_SONAME, names, sizeof names / sizeof *names);
}

static bool tiff_ready(void)
{
    struct tiff s;
    return open_library(&s);
}

/* ---- what libtiff calls ---- */

static int keep_error(TIFF *t, void *ctx, const char *module, const char *fmt, va_list ap)
{
    struct tiff *s = ctx;
    (void)t;
    (void)module;
    if (!s->said[0])
        vsnprintf(s->said, sizeof s->said, fmt, ap);
    return 1;
}

static int ignore_warning(TIFF *t, void *ctx, const char *module, const char *fmt, va_list ap)
{
    (void)t;
    (void)ctx;
    (void)module;
    (void)fmt;
    (void)ap;
    return 1;
}

static tmsize_t read_bytes(thandle_t ctx, void *to, tmsize_t n)
{
    struct tiff *s = ctx;
    uint64_t left = s->at < s->in->size ? s->in->size - s->at : 0;
    size_t take = n < 0 ? 0 : (uint64_t)n < left ? (size_t)n : (size_t)left;
    memcpy(to, s->in->data + (take ? s->at : 0), take);
    s->at += take;
    return (tmsize_t)take;
}

static tmsize_t write_nothing(thandle_t ctx, void *from, tmsize_t n)
{
    (void)ctx;
    (void)from;
    (void)n;
    return -1;
}

static toff_t seek(thandle_t ctx, toff_t to, int whence)
{
    struct tiff *s = ctx;
    s->at = whence == SEEK_CUR ? s->at + to : whence == SEEK_END ? s->in->size + to : to;
    return s->at;
}

static int close_nothing(thandle_t ctx)
{
    (void)ctx;
    return 0;
}

static toff_t size_of(thandle_t ctx)
{
    return ((struct tiff *)ctx)->in->size;
}

/* ---- opening ---- */

static enum status failed(struct tiff *s, struct error *err)
{
    return error_set(err, ST_FORMAT, "%s: TIFF: %s", s->in->name,
                     s->said[0] ? s->said : "is damaged");
}

static enum status tiff_open(struct tiff *s, const struct codec_in *in, struct error *err)
{
    memset(s, 0, sizeof *s);
    s->in = in;
    if (!open_library(s))
        return error_set(err, ST_UNSUPPORTED, "%s: TIFF needs libtiff, which is not installed",
                         in->name);
    TIFFOpenOptions *o = s->lib.TIFFOpenOptionsAlloc();
    if (!o)
        return error_set(err, ST_NOMEM, "%s: out of memory", in->name);
    uint64_t most = ((uint64_t)64 << 20) + (in->max_pixels < 1 << 30 ? in->max_pixels * 8 : 0);
    s->lib.TIFFOpenOptionsSetMaxSingleMemAlloc(o, (tmsize_t)most);
    s->lib.TIFFOpenOptionsSetErrorHandlerExtR(o, keep_error, s);
    s->lib.TIFFOpenOptionsSetWarningHandlerExtR(o, ignore_warning, s);
    s->t = s->lib.TIFFClientOpenExt(in->name, "rm", s, read_bytes, write_nothing, seek,
                                    close_nothing, size_of, NULL, NULL, o);
    s->lib.TIFFOpenOptionsFree(o);
    if (!s->t)
        return failed(s, err);
    s->lib.TIFFGetField(s->t, TIFFTAG_IMAGEWIDTH, &s->w);
    s->lib.TIFFGetField(s->t, TIFFTAG_IMAGELENGTH, &s->h);
    enum status st = codec_check_size(s->w, s->h, in, err);
    if (st) {
        s->lib.TIFFClose(s->t);
        s->t = NULL;
    }
    return st;
}

static enum status tiff_header(int *w, int *h, const struct codec_in *in, struct error *err)
{
    struct tiff s;
    enum status st = tiff_open(&s, in, err);
    if (st)
        return st;
    *w = (int)s.w;
    *h = (int)s.h;
    s.lib.TIFFClose(s.t);
    return ST_OK;
}

/* ---- blocks: strips or tiles ---- */

struct blocks {
    uint32_t w, h; /* of a block */
    bool tiled;
    unsigned planes, per_block; /* planes, and samples of a pixel in one block */
    unsigned keep;              /* samples that are wanted: 1, 3 or 4 */
    uint8_t *raw, *band;        /* one block; the rows of one row of blocks, `keep` bytes a pixel */
    size_t raw_bytes;
};

static unsigned real_sample(const uint8_t *row, size_t i)
{
    float v;
    memcpy(&v, row + 4 * i, 4);
    if (!(v > 0)) /* nor is what is no number */
        return 0;
    return v < 1 ? (unsigned)(v * 255 + 0.5F) : 255;
}

/* Of those that do not fill bytes the highest bit comes first, whatever the file's byte order; of
 * the others libtiff has put the bytes into this machine's. */
static unsigned sample(const uint8_t *row, size_t i, unsigned bits)
{
    if (bits == 8)
        return row[i];
    if (bits == 16) {
        uint16_t v;
        memcpy(&v, row + 2 * i, 2);
        return v >> 8;
    }
    if (bits == 32) {
        uint32_t v;
        memcpy(&v, row + 4 * i, 4);
        return v >> 24;
    }
    size_t at = i * bits, last = (at + bits - 1) / 8;
    unsigned v = 0;
    for (size_t k = at / 8; k <= last; k++)
        v = v << 8 | row[k];
    v = v >> (8 * (last + 1) - at - bits) & ((1u << bits) - 1);
    return bits > 8 ? v >> (bits - 8) : v;
}

/* Block at x of the band's rows, first plane p: its samples to their places. */
static void unpack(const struct tiff *s, const struct blocks *b, uint32_t x, uint32_t rows,
                   unsigned p)
{
    size_t stride = ((size_t)b->w * b->per_block * s->bits + 7) / 8;
    uint32_t cols = s->w - x < b->w ? s->w - x : b->w;
    unsigned n = b->planes > 1 ? 1 : b->keep;
    for (uint32_t y = 0; y < rows; y++) {
        const uint8_t *row = b->raw + (size_t)y * stride;
        uint8_t *to = b->band + ((size_t)y * s->w + x) * b->keep + p;
        for (uint32_t i = 0; i < cols; i++, to += b->keep)
            for (unsigned c = 0; c < n; c++)
                to[c] = (uint8_t)(s->real ? real_sample(row, (size_t)i * b->per_block + c)
                                          : sample(row, (size_t)i * b->per_block + c, s->bits));
    }
}

static bool read_block(struct tiff *s, const struct blocks *b, uint32_t x, uint32_t y,
                       uint32_t rows, unsigned p)
{
    size_t want = ((size_t)b->w * b->per_block * s->bits + 7) / 8 * (b->tiled ? b->h : rows);
    tmsize_t got =
        b->tiled
            ? s->lib.TIFFReadEncodedTile(s->t, s->lib.TIFFComputeTile(s->t, x, y, 0, (uint16_t)p),
                                         b->raw, (tmsize_t)b->raw_bytes)
            : s->lib.TIFFReadEncodedStrip(s->t, s->lib.TIFFComputeStrip(s->t, y, (uint16_t)p),
                                          b->raw, (tmsize_t)b->raw_bytes);
    return got >= 0 && (size_t)got >= want;
}

/* A band's row to RGB. */
static void convert_row(uint8_t *to, const struct tiff *s, const uint8_t *row, uint32_t n,
                        const struct color_cmyk *inks)
{
    bool low = s->map[0] != NULL;
    if (s->kind == PHOTOMETRIC_SEPARATED) {
        color_cmyk_row(to, row, n, inks);
        return;
    }
    if (s->kind == PHOTOMETRIC_RGB || s->kind == PHOTOMETRIC_ICCLAB) {
        memcpy(to, row, (size_t)n * 3);
        return;
    }
    unsigned max = s->bits < 8 ? (1u << s->bits) - 1 : 255;
    for (uint32_t x = 0; x < n; x++, to += 3)
        for (int c = 0; c < 3; c++)
            if (low)
                to[c] = (uint8_t)s->map[c][row[x]];
            else
                to[c] = (uint8_t)(s->kind == PHOTOMETRIC_MINISWHITE ? 255 - row[x] * 255 / max
                                                                    : row[x] * 255 / max);
}

static enum status read_bands(struct image *out, struct tiff *s, struct blocks *b,
                              const struct color_cmyk *inks, struct error *err)
{
    for (uint32_t y = 0; y < s->h; y += b->h) {
        uint32_t rows = s->h - y < b->h ? s->h - y : b->h;
        for (unsigned p = 0; p < (b->planes > 1 ? b->keep : 1); p++)
            for (uint32_t x = 0; x < s->w; x += b->w) {
                if (!read_block(s, b, x, y, rows, p))
                    return failed(s, err);
                unpack(s, b, x, rows, p);
            }
        for (uint32_t i = 0; i < rows; i++)
            convert_row(out->data + (size_t)(y + i) * s->w * 3, s,
                        b->band + (size_t)i * s->w * b->keep, s->w, inks);
    }
    return ST_OK;
}

static enum status plan_blocks(struct blocks *b, struct tiff *s, struct error *err)
{
    uint64_t bytes;
    b->tiled = s->lib.TIFFIsTiled(s->t);
    b->planes = s->planar == PLANARCONFIG_SEPARATE ? s->samples : 1;
    b->per_block = b->planes > 1 ? 1 : s->samples;
    if (b->tiled) {
        s->lib.TIFFGetField(s->t, TIFFTAG_TILEWIDTH, &b->w);
        s->lib.TIFFGetField(s->t, TIFFTAG_TILELENGTH, &b->h);
        bytes = s->lib.TIFFTileSize64(s->t);
    } else {
        b->w = s->w;
        s->lib.TIFFGetFieldDefaulted(s->t, TIFFTAG_ROWSPERSTRIP, &b->h);
        b->h = b->h < s->h ? b->h : s->h;
        bytes = s->lib.TIFFStripSize64(s->t);
    }
    /* A tile's padding may make it larger than the picture, but not without limit. */
    size_t need = ((size_t)b->w * b->per_block * s->bits + 7) / 8;
    if (!b->w || !b->h || codec_check_size(b->w, b->h, s->in, NULL) ||
        mul_overflow_size(need, b->h, &need) || bytes < need || bytes > SIZE_MAX / 2 ||
        bytes / 16 > need + 4096)
        return error_set(err, ST_LIMIT, "%s: TIFF: blocks of %u x %u pixels", s->in->name, b->w,
                         b->h);
    b->raw_bytes = (size_t)bytes;
    uint32_t band = b->h < s->h ? b->h : s->h;
    b->raw = mem_alloc(b->raw_bytes);
    b->band = mem_array((size_t)band * s->w, b->keep);
    return b->raw && b->band ? ST_OK : error_set(err, ST_NOMEM, "%s: out of memory", s->in->name);
}

static bool tiff_profile(struct tiff_entry *e, const struct codec_in *in)
{
    struct tiff_tags t;
    return tiff_tags_open(&t, in->data, in->size) &&
           tiff_tags_find(e, &t, t.first, TIFFTAG_ICCPROFILE);
}

static enum status read_blocks(struct image *out, struct tiff *s, unsigned keep, struct error *err)
{
    struct blocks b = {.keep = keep};
    struct color_cmyk inks = {0};
    struct tiff_entry profile;
    if (s->kind == PHOTOMETRIC_SEPARATED && tiff_profile(&profile, s->in))
        color_cmyk_init(&inks, profile.data, profile.size, false);
    enum status st = plan_blocks(&b, s, err);
    if (!st)
        st = read_bands(out, s, &b, &inks, err);
    color_cmyk_release(&inks);
    mem_free(b.raw);
    mem_free(b.band);
    return st;
}

/* ---- the rest, by libtiff's conversion ---- */

static enum status read_converted(struct image *out, struct tiff *s, struct error *err)
{
    size_t n = (size_t)s->w * s->h;
    uint32_t *raster = mem_array(n, sizeof *raster);
    if (!raster)
        return error_set(err, ST_NOMEM, "%s: out of memory", s->in->name);
    enum status st = ST_OK;
    s->lib.TIFFSetField(s->t, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT); /* ours is the turning */
    if (!s->lib.TIFFReadRGBAImageOriented(s->t, s->w, s->h, raster, ORIENTATION_TOPLEFT, 1))
        st = failed(s, err);
    for (size_t i = 0; !st && i < n; i++) {
        out->data[3 * i] = (uint8_t)TIFFGetR(raster[i]);
        out->data[3 * i + 1] = (uint8_t)TIFFGetG(raster[i]);
        out->data[3 * i + 2] = (uint8_t)TIFFGetB(raster[i]);
    }
    mem_free(raster);
    return st;
}

/* Palettes of 16-bit values keep their high bytes; some writers put 8-bit values there. */
static void shrink_palette(struct tiff *s)
{
    size_t n = (size_t)1 << s->bits;
    bool wide = false;
    for (int c = 0; c < 3; c++)
        for (size_t i = 0; i < n; i++)
            wide |= s->map[c][i] > 255;
    for (int c = 0; wide && c < 3; c++)
        for (size_t i = 0; i < n; i++)
            s->map[c][i] >>= 8;
}

/* How many samples of a pixel are wanted; 0: not for us to unpack. */
static unsigned wanted_samples(struct tiff *s)
{
    uint16_t format = SAMPLEFORMAT_UINT, ink = INKSET_CMYK;
    s->lib.TIFFGetFieldDefaulted(s->t, TIFFTAG_BITSPERSAMPLE, &s->bits);
    s->lib.TIFFGetFieldDefaulted(s->t, TIFFTAG_SAMPLESPERPIXEL, &s->samples);
    s->lib.TIFFGetFieldDefaulted(s->t, TIFFTAG_PLANARCONFIG, &s->planar);
    s->lib.TIFFGetFieldDefaulted(s->t, TIFFTAG_SAMPLEFORMAT, &format);
    s->lib.TIFFGetFieldDefaulted(s->t, TIFFTAG_COMPRESSION, &s->packing);
    s->lib.TIFFGetFieldDefaulted(s->t, TIFFTAG_INKSET, &ink);
    if (!s->lib.TIFFGetField(s->t, TIFFTAG_PHOTOMETRIC, &s->kind))
        s->kind = s->samples >= 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK;
    s->real = format == SAMPLEFORMAT_IEEEFP;
    bool small = s->bits == 1 || s->bits == 2 || s->bits == 4, byte = s->bits == 8;
    bool large = s->bits == 10 || s->bits == 12 || s->bits == 14 || s->bits == 16 || s->bits == 32;
    bool whole = format == SAMPLEFORMAT_UINT || format == SAMPLEFORMAT_VOID;
    if ((!small && !byte && !large) || !(s->real ? s->bits == 32 : whole) || s->samples > 32)
        return 0;
    if (s->kind == PHOTOMETRIC_YCBCR && s->packing == COMPRESSION_JPEG && byte &&
        s->planar == PLANARCONFIG_CONTIG) {
        s->lib.TIFFSetField(s->t, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
        s->kind = PHOTOMETRIC_RGB;
    }
    switch (s->kind) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK:
        return 1;
    case PHOTOMETRIC_RGB:
        return s->samples >= 3 && !small ? 3 : 0;
    case PHOTOMETRIC_ICCLAB:
        return s->samples >= 3 && (byte || s->bits == 16) && !s->real ? 3 : 0;
    case PHOTOMETRIC_SEPARATED:
        return s->samples >= 4 && ink == INKSET_CMYK && !small ? 4 : 0;
    case PHOTOMETRIC_PALETTE:
        if (s->bits > 8 ||
            !s->lib.TIFFGetField(s->t, TIFFTAG_COLORMAP, &s->map[0], &s->map[1], &s->map[2]))
            return 0;
        shrink_palette(s);
        return 1;
    default:
        return 0;
    }
}

static enum status tiff_decode(struct image *out, const struct codec_in *in, struct error *err)
{
    struct tiff s;
    struct tiff_entry profile;
    enum status st = tiff_open(&s, in, err);
    if (st)
        return st;
    unsigned keep = wanted_samples(&s);
    if (s.packing == COMPRESSION_JBIG) /* faxes; libjbig is under the GPL */
        st = error_set(err, ST_UNSUPPORTED, "%s: TIFF: JBIG is not read", in->name);
    if (!st)
        st = codec_alloc(out, s.w, s.h, in, err);
    if (!st)
        st = keep ? read_blocks(out, &s, keep, err) : read_converted(out, &s, err);
    if (!st && s.kind == PHOTOMETRIC_ICCLAB)
        st = color_lab_to_srgb(out) ? ST_OK
                                    : error_set(err, ST_NOMEM, "%s: out of memory", in->name);
    else if (!st && s.kind != PHOTOMETRIC_SEPARATED && tiff_profile(&profile, in))
        color_to_srgb(out, profile.data, profile.size);
    s.lib.TIFFClose(s.t);
    if (st)
        image_release(out);
    return st;
}

static bool tiff_sniff(const uint8_t *p, size_t n)
{
    return n >= 8 && (!memcmp(p, "II*\0", 4) || !memcmp(p, "MM\0*", 4) || !memcmp(p, "II+\0", 4) ||
                      !memcmp(p, "MM\0+", 4));
}

static bool tiff_exif(struct codec_block *b, const struct codec_in *in)
{
    struct tiff_tags t;
    return tiff_tags_open(&t, in->data, in->size) && tiff_tags_exif(b, &t);
}

static void tiff_words(struct image_words *w, const struct codec_in *in)
{
    struct tiff_tags t;
    if (tiff_tags_open(&t, in->data, in->size))
        tiff_tags_words(w, &t);
}

const struct codec codec_tiff = {
    .name = "tiff",
    .sniff = tiff_sniff,
    .header = tiff_header,
    .decode = tiff_decode,
    .exif = tiff_exif,
    .words = tiff_words,
    .ready = tiff_ready,
};
