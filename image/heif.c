/* HEIC and AVIF through libheif. Surprising: the container says how to turn and crop, libheif does
 * so, and EXIF's orientation must then be ignored. The primary picture is taken whatever else is
 * there (bursts, live photos, depth maps); high dynamic range is cut to 8 bits without tone
 * mapping. */
#include "core/bytes.h"
#include "core/library.h"
#include "image/boxes.h"
#include "image/codec.h"
#include "image/color.h"
#include <libheif/heif.h>
#include <string.h>

#define CALLS(X)                                                                                   \
    X(heif_context_alloc)                                                                          \
    X(heif_context_free)                                                                           \
    X(heif_context_set_max_decoding_threads)                                                       \
    X(heif_context_read_from_memory_without_copy)                                                  \
    X(heif_context_get_primary_image_handle)                                                       \
    X(heif_image_handle_release)                                                                   \
    X(heif_image_handle_get_width)                                                                 \
    X(heif_image_handle_get_height)                                                                \
    X(heif_image_handle_get_list_of_metadata_block_IDs)                                            \
    X(heif_image_handle_get_metadata_size)                                                         \
    X(heif_image_handle_get_metadata)                                                              \
    X(heif_image_handle_get_raw_color_profile_size)                                                \
    X(heif_image_handle_get_raw_color_profile)                                                     \
    X(heif_decoding_options_alloc)                                                                 \
    X(heif_decoding_options_free)                                                                  \
    X(heif_decode_image)                                                                           \
    X(heif_image_get_width)                                                                        \
    X(heif_image_get_height)                                                                       \
    X(heif_image_get_plane_readonly)                                                               \
    X(heif_image_release)
static const char *const names[] = {CALLS(LIBRARY_NAME)};

struct heif {
    struct {
        CALLS(LIBRARY_FIELD)
    } lib;
    struct heif_context *ctx;
    struct heif_image_handle *picture;
    const struct codec_in *in;
};

static bool open_library(struct heif *s)
{
    return library_open(&s->lib, LIBHEIF_SONAME, names, sizeof names / sizeof *names);
}

static bool heif_ready(void)
{
    struct heif s;
    return open_library(&s);
}

static enum status failed(const struct heif *s, struct heif_error e, struct error *err)
{
    enum status st = ST_FORMAT;
    if (e.subcode == heif_suberror_Security_limit_exceeded) /* comes under the code for memory */
        st = ST_LIMIT;
    else if (e.code == heif_error_Memory_allocation_error)
        st = ST_NOMEM;
    else if (e.code == heif_error_Unsupported_feature || e.code == heif_error_Unsupported_filetype)
        st = ST_UNSUPPORTED;
    return error_set(err, st, "%s: HEIF: %s", s->in->name, e.message ? e.message : "is damaged");
}

static void heif_close(struct heif *s)
{
    if (s->picture)
        s->lib.heif_image_handle_release(s->picture);
    if (s->ctx)
        s->lib.heif_context_free(s->ctx);
}

static enum status heif_open(struct heif *s, const struct codec_in *in, struct error *err)
{
    *s = (struct heif){.in = in};
    if (!open_library(s))
        return error_set(err, ST_UNSUPPORTED, "%s: HEIF needs libheif, which is not installed",
                         in->name);
    s->ctx = s->lib.heif_context_alloc();
    if (!s->ctx)
        return error_set(err, ST_NOMEM, "%s: out of memory", in->name);
    s->lib.heif_context_set_max_decoding_threads(s->ctx, 0);
    struct heif_error e =
        s->lib.heif_context_read_from_memory_without_copy(s->ctx, in->data, in->size, NULL);
    if (!e.code)
        e = s->lib.heif_context_get_primary_image_handle(s->ctx, &s->picture);
    enum status st =
        e.code
            ? failed(s, e, err)
            : codec_check_size((uint64_t)s->lib.heif_image_handle_get_width(s->picture),
                               (uint64_t)s->lib.heif_image_handle_get_height(s->picture), in, err);
    if (st)
        heif_close(s);
    return st;
}

static enum status heif_header(int *w, int *h, const struct codec_in *in, struct error *err)
{
    struct heif s;
    enum status st = heif_open(&s, in, err);
    if (st)
        return st;
    *w = s.lib.heif_image_handle_get_width(s.picture);
    *h = s.lib.heif_image_handle_get_height(s.picture);
    heif_close(&s);
    return ST_OK;
}

static void apply_profile(struct image *img, struct heif *s)
{
    size_t n = s->lib.heif_image_handle_get_raw_color_profile_size(s->picture);
    uint8_t *icc = n && n <= s->in->size ? mem_alloc(n) : NULL;
    if (icc && !s->lib.heif_image_handle_get_raw_color_profile(s->picture, icc).code)
        color_to_srgb(img, icc, n);
    mem_free(icc);
}

static enum status copy_rows(struct image *out, struct heif *s, const struct heif_image *image,
                             struct error *err)
{
    int w = s->lib.heif_image_get_width(image, heif_channel_interleaved), stride;
    int h = s->lib.heif_image_get_height(image, heif_channel_interleaved);
    const uint8_t *p =
        s->lib.heif_image_get_plane_readonly(image, heif_channel_interleaved, &stride);
    if (!p || w < 1 || h < 1 || stride < w * 3)
        return error_set(err, ST_FORMAT, "%s: HEIF: is damaged", s->in->name);
    enum status st = codec_alloc(out, (uint64_t)w, (uint64_t)h, s->in, err);
    for (int y = 0; !st && y < h; y++)
        memcpy(out->data + (size_t)y * (size_t)w * 3, p + (size_t)y * (size_t)stride,
               (size_t)w * 3);
    return st;
}

static enum status heif_decode(struct image *out, const struct codec_in *in, struct error *err)
{
    struct heif s;
    struct heif_image *image = NULL;
    enum status st = heif_open(&s, in, err);
    if (st)
        return st;
    struct heif_decoding_options *o = s.lib.heif_decoding_options_alloc();
    if (!o) {
        st = error_set(err, ST_NOMEM, "%s: out of memory", in->name);
    } else {
        o->convert_hdr_to_8bit = 1;
        o->strict_decoding = 1;
        struct heif_error e = s.lib.heif_decode_image(s.picture, &image, heif_colorspace_RGB,
                                                      heif_chroma_interleaved_RGB, o);
        st = e.code || !image ? failed(&s, e, err) : copy_rows(out, &s, image, err);
        s.lib.heif_decoding_options_free(o);
    }
    if (!st)
        apply_profile(out, &s);
    if (image)
        s.lib.heif_image_release(image);
    heif_close(&s);
    if (st)
        image_release(out);
    return st;
}

/* The block starts with the distance to the TIFF header behind those four bytes. */
static bool heif_exif(struct codec_block *b, const struct codec_in *in)
{
    struct heif s;
    heif_item_id id;
    if (heif_open(&s, in, NULL))
        return false;
    *b = (struct codec_block){0};
    if (s.lib.heif_image_handle_get_list_of_metadata_block_IDs(s.picture, "Exif", &id, 1) == 1) {
        size_t n = s.lib.heif_image_handle_get_metadata_size(s.picture, id);
        uint8_t *own = n > 4 && n <= in->size ? mem_alloc(n) : NULL;
        size_t skip = 0;
        if (own && !s.lib.heif_image_handle_get_metadata(s.picture, id, own).code)
            skip = 4 + (size_t)bytes_be32(own);
        if (skip && skip < n)
            *b = (struct codec_block){own + skip, n - skip, own};
        else
            mem_free(own);
    }
    heif_close(&s);
    return b->own != NULL;
}

/* The MIME items have their type beside them, which is not among what we load: XMP is the one that
 * holds its name. */
static void heif_words(struct image_words *w, const struct codec_in *in)
{
    struct heif s;
    heif_item_id id[8];
    if (heif_open(&s, in, NULL))
        return;
    int n = s.lib.heif_image_handle_get_list_of_metadata_block_IDs(s.picture, "mime", id, 8);
    for (int i = 0; i < n; i++) {
        size_t size = s.lib.heif_image_handle_get_metadata_size(s.picture, id[i]);
        uint8_t *own = size && size <= in->size ? mem_alloc(size) : NULL;
        if (own && !s.lib.heif_image_handle_get_metadata(s.picture, id[i], own).code &&
            memmem(own, size, "22-rdf-syntax-ns#", 17))
            (void)xmp_read(w, own, size);
        mem_free(own);
    }
    heif_close(&s);
}

static bool heic_sniff(const uint8_t *p, size_t n)
{
    static const char *const brands[] = {"heic", "heix", "heim", "heis", "hevc",
                                         "hevx", "mif1", "msf1", NULL};
    return !box_has_brand(p, n, (const char *const[]){"avif", "avis", NULL}) &&
           box_has_brand(p, n, brands);
}

static bool avif_sniff(const uint8_t *p, size_t n)
{
    return box_has_brand(p, n, (const char *const[]){"avif", "avis", NULL});
}

static bool heif_animated(const struct codec_in *in)
{
    static const char *const brands[] = {"avis", "msf1", "hevc", "hevx", NULL};
    return box_has_brand(in->data, in->size, brands);
}

const struct codec codec_heic = {
    .name = "heic",
    .sniff = heic_sniff,
    .header = heif_header,
    .decode = heif_decode,
    .exif = heif_exif,
    .words = heif_words,
    .animated = heif_animated,
    .ready = heif_ready,
    .upright = true,
};

const struct codec codec_avif = {
    .name = "avif",
    .sniff = avif_sniff,
    .header = heif_header,
    .decode = heif_decode,
    .exif = heif_exif,
    .words = heif_words,
    .animated = heif_animated,
    .ready = heif_ready,
    .upright = true,
};
