/* WebP through libwebp. Surprising: an animation gives its first frame on a canvas that starts
 * black, and an incomplete file is refused even where libwebp could show its upper part. */
#include "core/bytes.h"
#include "image/codec.h"
#include "image/color.h"
#include <string.h>
#include <webp/decode.h>
#include <webp/demux.h>

static bool webp_sniff(const uint8_t *p, size_t n)
{
    return n >= 12 && !memcmp(p, "RIFF", 4) && !memcmp(p + 8, "WEBP", 4);
}

static enum status webp_open(WebPDemuxer **d, const struct codec_in *in, struct error *err)
{
    WebPDemuxState state;
    WebPData data = {.bytes = in->data, .size = in->size};
    *d = WebPDemuxPartial(&data, &state);
    if (*d && state == WEBP_DEMUX_DONE)
        return ST_OK;
    bool short_file = state == WEBP_DEMUX_PARSING_HEADER || state == WEBP_DEMUX_PARSED_HEADER;
    WebPDemuxDelete(*d);
    *d = NULL;
    return error_set(err, ST_FORMAT, "%s: WebP: %s", in->name,
                     short_file ? "is truncated" : "is damaged");
}

static enum status webp_header(int *w, int *h, const struct codec_in *in, struct error *err)
{
    WebPDemuxer *d;
    enum status st = webp_open(&d, in, err);
    if (st)
        return st;
    uint32_t wide = WebPDemuxGetI(d, WEBP_FF_CANVAS_WIDTH);
    uint32_t high = WebPDemuxGetI(d, WEBP_FF_CANVAS_HEIGHT);
    st = codec_check_size(wide, high, in, err);
    if (!st) {
        *w = (int)wide;
        *h = (int)high;
    }
    WebPDemuxDelete(d);
    return st;
}

static enum status decode_frame(struct image *out, const WebPIterator *frame,
                                const struct codec_in *in, struct error *err)
{
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config))
        return error_set(err, ST_INTERNAL, "%s: WebP: library version mismatch", in->name);
    /* The demuxer's word on the frame is not enough: the bitstream is what gets decoded. */
    if (WebPGetFeatures(frame->fragment.bytes, frame->fragment.size, &config.input) !=
            VP8_STATUS_OK ||
        config.input.width != frame->width || config.input.height != frame->height ||
        frame->x_offset < 0 || frame->y_offset < 0 || frame->width > out->width - frame->x_offset ||
        frame->height > out->height - frame->y_offset)
        return error_set(err, ST_FORMAT, "%s: WebP: is damaged", in->name);
    size_t stride = (size_t)out->width * 3;
    if (stride > INT32_MAX)
        return error_set(err, ST_LIMIT, "%s: WebP: is too wide", in->name);
    size_t skip = (size_t)frame->y_offset * stride + (size_t)frame->x_offset * 3;
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = out->data + skip;
    config.output.u.RGBA.stride = (int)stride;
    config.output.u.RGBA.size = stride * (size_t)out->height - skip;
    VP8StatusCode code = WebPDecode(frame->fragment.bytes, frame->fragment.size, &config);
    WebPFreeDecBuffer(&config.output);
    if (code == VP8_STATUS_OUT_OF_MEMORY)
        return error_set(err, ST_NOMEM, "%s: out of memory", in->name);
    if (code == VP8_STATUS_NOT_ENOUGH_DATA || code == VP8_STATUS_SUSPENDED)
        return error_set(err, ST_FORMAT, "%s: WebP: is truncated", in->name);
    return code ? error_set(err, ST_FORMAT, "%s: WebP: is damaged (code %d)", in->name, (int)code)
                : ST_OK;
}

/* By hand: a demuxer's chunk pointers must not outlive it. */
static bool find_chunk(struct codec_block *b, const struct codec_in *in, const char *name)
{
    const uint8_t *d = in->data;
    for (size_t i = 12; i + 8 <= in->size;) {
        size_t len = bytes_le32(d + i + 4);
        if (len > in->size - i - 8)
            return false;
        if (!memcmp(d + i, name, 4)) {
            *b = (struct codec_block){d + i + 8, len, NULL};
            return true;
        }
        i += 8 + len + (len & 1);
    }
    return false;
}

static enum status webp_decode(struct image *out, const struct codec_in *in, struct error *err)
{
    WebPDemuxer *d;
    WebPIterator frame = {0};
    struct codec_block icc;
    enum status st = webp_open(&d, in, err);
    if (st)
        return st;
    if (!WebPDemuxGetFrame(d, 1, &frame))
        st = error_set(err, ST_FORMAT, "%s: WebP: has no picture", in->name);
    if (!st)
        st = codec_alloc(out, WebPDemuxGetI(d, WEBP_FF_CANVAS_WIDTH),
                         WebPDemuxGetI(d, WEBP_FF_CANVAS_HEIGHT), in, err);
    if (!st && (frame.width != out->width || frame.height != out->height))
        memset(out->data, 0, (size_t)out->width * (size_t)out->height * 3);
    if (!st)
        st = decode_frame(out, &frame, in, err);
    if (!st && find_chunk(&icc, in, "ICCP"))
        color_to_srgb(out, icc.data, icc.size);
    WebPDemuxReleaseIterator(&frame);
    WebPDemuxDelete(d);
    if (st)
        image_release(out);
    return st;
}

static bool webp_exif(struct codec_block *b, const struct codec_in *in)
{
    return find_chunk(b, in, "EXIF");
}

static void webp_words(struct image_words *w, const struct codec_in *in)
{
    struct codec_block b;
    if (find_chunk(&b, in, "XMP "))
        (void)xmp_read(w, b.data, b.size);
}

static bool webp_animated(const struct codec_in *in)
{
    struct codec_block b;
    return find_chunk(&b, in, "ANIM");
}

const struct codec codec_webp = {
    .name = "webp",
    .sniff = webp_sniff,
    .header = webp_header,
    .decode = webp_decode,
    .exif = webp_exif,
    .words = webp_words,
    .animated = webp_animated,
};
