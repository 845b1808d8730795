/* Writing WebP, in memory; EXIF goes into a container of its own chunk. */
#include "core/mem.h"
#include "core/path.h"
#include "image/codec.h"
#include "image/write.h"
#include <webp/encode.h>
#include <webp/mux.h>

enum { TIFF_AT = 6 }; /* a WebP chunk begins behind "Exif\0\0" */

static int put(const uint8_t *data, size_t n, const WebPPicture *p)
{
    return buf_append(p->custom_ptr, data, n);
}

static enum status encode(struct buf *out, const struct image *img, int quality, const char *name,
                          struct error *err)
{
    WebPConfig config;
    WebPPicture p;
    if (!WebPConfigPreset(&config, WEBP_PRESET_PHOTO, (float)quality) || !WebPPictureInit(&p))
        return error_set(err, ST_INTERNAL, "%s: WebP: library version mismatch", name);
    if (img->width > WEBP_MAX_DIMENSION || img->height > WEBP_MAX_DIMENSION)
        return error_set(err, ST_LIMIT, "%s: WebP holds at most %d pixels a side", name,
                         WEBP_MAX_DIMENSION);
    p.width = img->width;
    p.height = img->height;
    p.writer = put;
    p.custom_ptr = out;
    bool done = WebPPictureImportRGB(&p, img->data, 3 * img->width) && WebPEncode(&config, &p);
    int code = p.error_code;
    WebPPictureFree(&p);
    if (done)
        return ST_OK;
    return code == VP8_ENC_ERROR_OUT_OF_MEMORY || code == VP8_ENC_ERROR_BITSTREAM_OUT_OF_MEMORY ||
                   out->failed
               ? error_set(err, ST_NOMEM, "%s: out of memory", name)
               : error_set(err, ST_INTERNAL, "%s: WebP: code %d", name, code);
}

enum status webp_encode(struct buf *file, const struct image *img, int quality,
                        const struct buf *exif, const char *name, struct error *err)
{
    struct buf bare;
    WebPData whole = {0};
    buf_init(&bare, WRITE_MAX);
    enum status st = encode(&bare, img, quality, name, err);
    WebPMux *mux = st ? NULL : WebPMuxNew();
    if (mux) {
        WebPData picture = {(const uint8_t *)bare.data, bare.len};
        WebPData block = {0};
        if (exif && exif->len > TIFF_AT)
            block = (WebPData){(const uint8_t *)exif->data + TIFF_AT, exif->len - TIFF_AT};
        bool ok = WebPMuxSetImage(mux, &picture, 0) == WEBP_MUX_OK &&
                  (!block.size || WebPMuxSetChunk(mux, "EXIF", &block, 0) == WEBP_MUX_OK) &&
                  WebPMuxAssemble(mux, &whole) == WEBP_MUX_OK;
        if (!ok || !buf_append(file, whole.bytes, whole.size))
            st = error_set(err, ST_NOMEM, "%s: out of memory", name);
    } else if (!st) {
        st = error_set(err, ST_NOMEM, "%s: out of memory", name);
    }
    WebPDataClear(&whole);
    WebPMuxDelete(mux);
    buf_release(&bare);
    return st;
}
