/* JPEG 2000 through OpenJPEG: files and bare codestreams. Surprising: components may differ in size
 * and depth; those that are subsampled are repeated, and all are brought to 8 bits by cutting (as
 * Pillow does) or, below 8 bits, by scaling. */
#include "core/library.h"
#include "image/boxes.h"
#include "image/codec.h"
#include "image/color.h"
#include <openjpeg.h>
#include <string.h>

#define CALLS(X)                                                                                   \
    X(opj_create_decompress)                                                                       \
    X(opj_destroy_codec)                                                                           \
    X(opj_set_default_decoder_parameters)                                                          \
    X(opj_setup_decoder)                                                                           \
    X(opj_stream_create)                                                                           \
    X(opj_stream_destroy)                                                                          \
    X(opj_stream_set_read_function)                                                                \
    X(opj_stream_set_skip_function)                                                                \
    X(opj_stream_set_seek_function)                                                                \
    X(opj_stream_set_user_data)                                                                    \
    X(opj_stream_set_user_data_length)                                                             \
    X(opj_read_header)                                                                             \
    X(opj_decode)                                                                                  \
    X(opj_end_decompress)                                                                          \
    X(opj_image_destroy)
static const char *const names[] = {CALLS(LIBRARY_NAME)};

struct jp2 {
    struct {
        CALLS(LIBRARY_FIELD)
    } lib;
    opj_codec_t *codec;
    opj_stream_t *stream;
    opj_image_t *image;
    const struct codec_in *in;
    size_t at;
};

static bool open_library(struct jp2 *s)
{
    return library_open(&s->lib, OPENJPEG_SONAME, names, sizeof names / sizeof *names);
}

static bool jp2_ready(void)
{
    struct jp2 s;
    return open_library(&s);
}

static OPJ_SIZE_T read_bytes(void *to, OPJ_SIZE_T n, void *ctx)
{
    struct jp2 *s = ctx;
    size_t left = s->in->size - s->at, take = n < left ? n : left;
    if (!take)
        return (OPJ_SIZE_T)-1;
    memcpy(to, s->in->data + s->at, take);
    s->at += take;
    return take;
}

static OPJ_OFF_T skip_bytes(OPJ_OFF_T n, void *ctx)
{
    struct jp2 *s = ctx;
    if (n < 0 || (uint64_t)n > s->in->size - s->at)
        return -1;
    s->at += (size_t)n;
    return n;
}

static OPJ_BOOL seek_to(OPJ_OFF_T to, void *ctx)
{
    struct jp2 *s = ctx;
    if (to < 0 || (uint64_t)to > s->in->size)
        return OPJ_FALSE;
    s->at = (size_t)to;
    return OPJ_TRUE;
}

static void jp2_close(struct jp2 *s)
{
    if (s->image)
        s->lib.opj_image_destroy(s->image);
    if (s->stream)
        s->lib.opj_stream_destroy(s->stream);
    if (s->codec)
        s->lib.opj_destroy_codec(s->codec);
}

static bool is_codestream(const uint8_t *p)
{
    return !memcmp(p, "\xff\x4f\xff\x51", 4);
}

static enum status check_image(const struct jp2 *s, struct error *err)
{
    const opj_image_t *m = s->image;
    if (m->x1 <= m->x0 || m->y1 <= m->y0 || !m->numcomps)
        return error_set(err, ST_FORMAT, "%s: JPEG 2000: is damaged", s->in->name);
    if (m->numcomps > 16)
        return error_set(err, ST_UNSUPPORTED, "%s: JPEG 2000: %u components", s->in->name,
                         m->numcomps);
    return codec_check_size(m->x1 - m->x0, m->y1 - m->y0, s->in, err);
}

static enum status jp2_open(struct jp2 *s, const struct codec_in *in, struct error *err)
{
    opj_dparameters_t p;
    *s = (struct jp2){.in = in};
    if (!open_library(s))
        return error_set(err, ST_UNSUPPORTED,
                         "%s: JPEG 2000 needs OpenJPEG, which is not installed", in->name);
    s->codec =
        s->lib.opj_create_decompress(is_codestream(in->data) ? OPJ_CODEC_J2K : OPJ_CODEC_JP2);
    s->stream = s->lib.opj_stream_create(1 << 16, OPJ_TRUE);
    if (!s->codec || !s->stream) {
        jp2_close(s);
        return error_set(err, ST_NOMEM, "%s: out of memory", in->name);
    }
    s->lib.opj_set_default_decoder_parameters(&p);
    s->lib.opj_stream_set_read_function(s->stream, read_bytes);
    s->lib.opj_stream_set_skip_function(s->stream, skip_bytes);
    s->lib.opj_stream_set_seek_function(s->stream, seek_to);
    s->lib.opj_stream_set_user_data(s->stream, s, NULL);
    s->lib.opj_stream_set_user_data_length(s->stream, in->size);
    enum status st = ST_OK;
    if (!s->lib.opj_setup_decoder(s->codec, &p) ||
        !s->lib.opj_read_header(s->stream, s->codec, &s->image) || !s->image)
        st = error_set(err, ST_FORMAT, "%s: JPEG 2000: its header is damaged", in->name);
    if (!st)
        st = check_image(s, err);
    if (st)
        jp2_close(s);
    return st;
}

static enum status jp2_header(int *w, int *h, const struct codec_in *in, struct error *err)
{
    struct jp2 s;
    enum status st = jp2_open(&s, in, err);
    if (st)
        return st;
    *w = (int)(s.image->x1 - s.image->x0);
    *h = (int)(s.image->y1 - s.image->y0);
    jp2_close(&s);
    return ST_OK;
}

static uint8_t to_byte(const opj_image_comp_t *c, size_t i)
{
    int64_t max = (INT64_C(1) << c->prec) - 1;
    int64_t v = (int64_t)c->data[i] + (c->sgnd ? INT64_C(1) << (c->prec - 1) : 0);
    v = v < 0 ? 0 : v > max ? max : v;
    return (uint8_t)(c->prec > 8 ? v >> (c->prec - 8) : c->prec == 8 ? v : v * 255 / max);
}

/* Row y of a component, at the picture's width. */
static void component_row(uint8_t *to, int w, uint64_t y, const opj_image_comp_t *c)
{
    size_t row = (size_t)(y / c->dy < c->h ? y / c->dy : c->h - 1) * c->w;
    for (uint32_t x = 0; x < (uint32_t)w; x++)
        to[x] = to_byte(c, row + (x / c->dx < c->w ? x / c->dx : c->w - 1));
}

static uint8_t clip(double v)
{
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5);
}

/* ITU-R BT.601, full range, as JPEG has it. */
static void ycc_to_rgb(uint8_t *rgb, double y, double cb, double cr)
{
    rgb[0] = clip(y + 1.402 * (cr - 128));
    rgb[1] = clip(y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128));
    rgb[2] = clip(y + 1.772 * (cb - 128));
}

static enum status convert(struct image *out, const struct jp2 *s, struct error *err)
{
    const opj_image_t *m = s->image;
    unsigned n = m->numcomps < 3 ? 1 : m->color_space == OPJ_CLRSPC_CMYK && m->numcomps > 3 ? 4 : 3;
    bool ycc = n == 3 && (m->color_space == OPJ_CLRSPC_SYCC || m->color_space == OPJ_CLRSPC_EYCC);
    struct color_cmyk inks = {0};
    uint8_t *row = mem_array((size_t)out->width, 8), *mixed;
    if (!row)
        return error_set(err, ST_NOMEM, "%s: out of memory", s->in->name);
    mixed = row + 4 * (size_t)out->width;
    if (n == 4)
        color_cmyk_init(&inks, m->icc_profile_buf, m->icc_profile_len, false);
    for (int y = 0; y < out->height; y++) {
        size_t w = (size_t)out->width;
        uint8_t *to = out->data + (size_t)y * w * 3;
        for (unsigned c = 0; c < n; c++)
            component_row(row + c * w, out->width, (uint64_t)y, &m->comps[c]);
        for (size_t x = 0; x < w; x++)
            if (n == 4)
                for (unsigned c = 0; c < 4; c++)
                    mixed[4 * x + c] = row[c * w + x];
            else if (ycc)
                ycc_to_rgb(to + 3 * x, row[x], row[w + x], row[2 * w + x]);
            else
                for (unsigned c = 0; c < 3; c++)
                    to[3 * x + c] = row[(n == 1 ? 0 : c) * w + x];
        if (n == 4)
            color_cmyk_row(to, mixed, w, &inks);
    }
    if (n < 4)
        color_to_srgb(out, m->icc_profile_buf, m->icc_profile_len);
    color_cmyk_release(&inks);
    mem_free(row);
    return ST_OK;
}

static enum status check_components(const struct jp2 *s, struct error *err)
{
    for (unsigned i = 0; i < s->image->numcomps; i++) {
        const opj_image_comp_t *c = &s->image->comps[i];
        if (!c->data || !c->w || !c->h || !c->dx || !c->dy || c->prec < 1 || c->prec > 31)
            return error_set(err, ST_FORMAT, "%s: JPEG 2000: is damaged", s->in->name);
    }
    return ST_OK;
}

static enum status jp2_decode(struct image *out, const struct codec_in *in, struct error *err)
{
    struct jp2 s;
    enum status st = jp2_open(&s, in, err);
    if (st)
        return st;
    uint64_t w = s.image->x1 - s.image->x0, h = s.image->y1 - s.image->y0;
    if (!s.lib.opj_decode(s.codec, s.stream, s.image) ||
        !s.lib.opj_end_decompress(s.codec, s.stream))
        st = error_set(err, ST_FORMAT, "%s: JPEG 2000: is truncated or damaged", in->name);
    if (!st)
        st = check_components(&s, err);
    if (!st)
        st = codec_alloc(out, w, h, in, err);
    if (!st)
        st = convert(out, &s, err);
    jp2_close(&s);
    if (st)
        image_release(out);
    return st;
}

static bool jp2_sniff(const uint8_t *p, size_t n)
{
    static const char box[12] = {0, 0, 0, 12, 'j', 'P', ' ', ' ', '\r', '\n', '\x87', '\n'};
    return n >= 12 && (is_codestream(p) || !memcmp(p, box, sizeof box));
}

/* In a box of its own, by its identifier, which is text. */
static bool jp2_exif(struct codec_block *b, const struct codec_in *in)
{
    struct box box = {0};
    if (is_codestream(in->data))
        return false;
    while (box_next(&box, in->data, in->size))
        if (!memcmp(box.type, "uuid", 4) && box.size > 16 &&
            !memcmp(box.data, "JpgTiffExif->JP2", 16)) {
            *b = (struct codec_block){box.data + 16, box.size - 16, NULL};
            return true;
        }
    return false;
}

static void jp2_words(struct image_words *w, const struct codec_in *in)
{
    static const uint8_t xmp[16] = {0xBE, 0x7A, 0xCF, 0xCB, 0x97, 0xA9, 0x42, 0xE8,
                                    0x9C, 0x71, 0x99, 0x94, 0x91, 0xE3, 0xAF, 0xAC};
    struct box box = {0};
    while (!is_codestream(in->data) && box_next(&box, in->data, in->size))
        if (!memcmp(box.type, "uuid", 4) && box.size > 16 && !memcmp(box.data, xmp, 16)) {
            (void)xmp_read(w, box.data + 16, box.size - 16);
            return;
        }
}

const struct codec codec_jp2 = {
    .name = "jp2",
    .sniff = jp2_sniff,
    .header = jp2_header,
    .decode = jp2_decode,
    .exif = jp2_exif,
    .words = jp2_words,
    .ready = jp2_ready,
};
