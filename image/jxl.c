/* JPEG XL through libjxl, on one thread. Surprising: the decoder turns by the codestream's own
 * word, so EXIF's orientation is ignored; and pictures in JPEG XL's own colour space come out as
 * sRGB, others in their profile's colours, which are converted here. Debian's libjxl
 * tells stderr about damaged files; that of the workers is /dev/null. */
#include "core/bytes.h"
#include "core/library.h"
#include "image/boxes.h"
#include "image/codec.h"
#include "image/color.h"
#include <jxl/decode.h>
#include <string.h>

#define CALLS(X)                                                                                   \
    X(JxlDecoderCreate)                                                                            \
    X(JxlDecoderDestroy)                                                                           \
    X(JxlDecoderSubscribeEvents)                                                                   \
    X(JxlDecoderSetInput)                                                                          \
    X(JxlDecoderCloseInput)                                                                        \
    X(JxlDecoderProcessInput)                                                                      \
    X(JxlDecoderGetBasicInfo)                                                                      \
    X(JxlDecoderSetPreferredColorProfile)                                                          \
    X(JxlDecoderGetICCProfileSize)                                                                 \
    X(JxlDecoderGetColorAsICCProfile)                                                              \
    X(JxlDecoderImageOutBufferSize)                                                                \
    X(JxlDecoderSetImageOutBuffer)
static const char *const names[] = {CALLS(LIBRARY_NAME)};
static const JxlPixelFormat pixels = {3, JXL_TYPE_UINT8, JXL_LITTLE_ENDIAN, 0};

struct jxl {
    struct {
        CALLS(LIBRARY_FIELD)
    } lib;
    JxlDecoder *d;
    JxlBasicInfo info;
    const struct codec_in *in;
};

static bool open_library(struct jxl *s)
{
    return library_open(&s->lib, LIBJXL_SONAME, names, sizeof names / sizeof *names);
}

static bool jxl_ready(void)
{
    struct jxl s;
    return open_library(&s);
}

static enum status damaged(const struct jxl *s, JxlDecoderStatus code, struct error *err)
{
    return error_set(err, ST_FORMAT, "%s: JPEG XL: is %s", s->in->name,
                     code == JXL_DEC_NEED_MORE_INPUT ? "truncated" : "damaged");
}

/* Reads up to the size, which is that after turning. */
static enum status jxl_open(struct jxl *s, int events, const struct codec_in *in, struct error *err)
{
    *s = (struct jxl){.in = in};
    if (!open_library(s))
        return error_set(err, ST_UNSUPPORTED, "%s: JPEG XL needs libjxl, which is not installed",
                         in->name);
    s->d = s->lib.JxlDecoderCreate(NULL);
    if (!s->d)
        return error_set(err, ST_NOMEM, "%s: out of memory", in->name);
    JxlDecoderStatus code = JXL_DEC_ERROR;
    if (!s->lib.JxlDecoderSubscribeEvents(s->d, events) &&
        !s->lib.JxlDecoderSetInput(s->d, in->data, in->size)) {
        s->lib.JxlDecoderCloseInput(s->d);
        code = s->lib.JxlDecoderProcessInput(s->d);
    }
    enum status st = ST_OK;
    if (code != JXL_DEC_BASIC_INFO || s->lib.JxlDecoderGetBasicInfo(s->d, &s->info))
        st = damaged(s, code, err);
    if (!st)
        st = codec_check_size(s->info.xsize, s->info.ysize, in, err);
    if (st)
        s->lib.JxlDecoderDestroy(s->d);
    return st;
}

static enum status jxl_header(int *w, int *h, const struct codec_in *in, struct error *err)
{
    struct jxl s;
    enum status st = jxl_open(&s, JXL_DEC_BASIC_INFO, in, err);
    if (st)
        return st;
    *w = (int)s.info.xsize;
    *h = (int)s.info.ysize;
    s.lib.JxlDecoderDestroy(s.d);
    return ST_OK;
}

/* Asks for sRGB; where the file's samples are bound to a profile, returns that one. */
static void take_profile(struct codec_block *icc, struct jxl *s)
{
    JxlColorEncoding srgb = {.color_space = s->info.num_color_channels == 1 ? JXL_COLOR_SPACE_GRAY
                                                                            : JXL_COLOR_SPACE_RGB,
                             .white_point = JXL_WHITE_POINT_D65,
                             .primaries = JXL_PRIMARIES_SRGB,
                             .transfer_function = JXL_TRANSFER_FUNCTION_SRGB,
                             .rendering_intent = JXL_RENDERING_INTENT_PERCEPTUAL};
    size_t n = 0;
    s->lib.JxlDecoderSetPreferredColorProfile(s->d, &srgb);
    if (s->lib.JxlDecoderGetICCProfileSize(s->d, &pixels, JXL_COLOR_PROFILE_TARGET_DATA, &n) ||
        !n || n > (16 << 20))
        return;
    icc->own = mem_alloc(n);
    if (icc->own && !s->lib.JxlDecoderGetColorAsICCProfile(
                        s->d, &pixels, JXL_COLOR_PROFILE_TARGET_DATA, icc->own, n))
        icc->size = n;
}

static enum status read_frame(struct image *out, struct jxl *s, struct codec_block *icc,
                              struct error *err)
{
    enum status st = ST_OK;
    size_t need = 0;
    for (;;) {
        JxlDecoderStatus code = s->lib.JxlDecoderProcessInput(s->d);
        if (code == JXL_DEC_COLOR_ENCODING) {
            take_profile(icc, s);
        } else if (code == JXL_DEC_NEED_IMAGE_OUT_BUFFER && !out->data) {
            st = codec_alloc(out, s->info.xsize, s->info.ysize, s->in, err);
            size_t have = (size_t)s->info.xsize * s->info.ysize * 3;
            if (!st && (s->lib.JxlDecoderImageOutBufferSize(s->d, &pixels, &need) || need != have ||
                        s->lib.JxlDecoderSetImageOutBuffer(s->d, &pixels, out->data, have)))
                st = damaged(s, JXL_DEC_ERROR, err);
            if (st)
                return st;
        } else if (code == JXL_DEC_FULL_IMAGE && out->data) {
            return ST_OK; /* the first frame is enough */
        } else {
            return damaged(s, code, err);
        }
    }
}

static enum status jxl_decode(struct image *out, const struct codec_in *in, struct error *err)
{
    struct jxl s;
    struct codec_block icc = {0};
    enum status st =
        jxl_open(&s, JXL_DEC_BASIC_INFO | JXL_DEC_COLOR_ENCODING | JXL_DEC_FULL_IMAGE, in, err);
    if (st)
        return st;
    st = read_frame(out, &s, &icc, err);
    if (!st)
        color_to_srgb(out, icc.own, icc.size);
    mem_free(icc.own);
    s.lib.JxlDecoderDestroy(s.d);
    if (st)
        image_release(out);
    return st;
}

static bool jxl_sniff(const uint8_t *p, size_t n)
{
    static const char box[12] = {0, 0, 0, 12, 'J', 'X', 'L', ' ', '\r', '\n', '\x87', '\n'};
    return n >= 12 && (!memcmp(p, "\xff\x0a", 2) || !memcmp(p, box, sizeof box));
}

/* Only in a container, and only where it was not packed by Brotli. */
static bool jxl_exif(struct codec_block *b, const struct codec_in *in)
{
    struct box box = {0};
    if (in->data[0] == 0xFF)
        return false;
    while (box_next(&box, in->data, in->size)) {
        const uint8_t *p = box.data;
        if (memcmp(box.type, "Exif", 4) || box.size < 4)
            continue;
        size_t skip = 4 + (size_t)bytes_be32(p);
        *b = (struct codec_block){p + skip, box.size - skip, NULL};
        return skip < box.size;
    }
    return false;
}

static void jxl_words(struct image_words *w, const struct codec_in *in)
{
    struct box box = {0};
    while (in->data[0] != 0xFF && box_next(&box, in->data, in->size))
        if (!memcmp(box.type, "xml ", 4)) {
            (void)xmp_read(w, box.data, box.size);
            return;
        }
}

static bool jxl_animated(const struct codec_in *in)
{
    struct jxl s;
    if (jxl_open(&s, JXL_DEC_BASIC_INFO, in, NULL))
        return false;
    s.lib.JxlDecoderDestroy(s.d);
    return s.info.have_animation;
}

const struct codec codec_jxl = {
    .name = "jxl",
    .sniff = jxl_sniff,
    .header = jxl_header,
    .decode = jxl_decode,
    .exif = jxl_exif,
    .words = jxl_words,
    .animated = jxl_animated,
    .ready = jxl_ready,
    .upright = true,
};
