/* The list of formats. Surprising: a format whose library was missing when this was built keeps its
 * line, without a codec, so that `eidetic doctor` can name what is missing; and a library that was
 * there at build time may be missing now, since they are loaded when they are needed (library.h).
 */
#include "core/path.h"
#include "image/codec.h"
#include <string.h>
#include <strings.h>

extern const struct codec codec_raw, codec_webp, codec_gif, codec_bmp, codec_pnm;
#ifdef HAVE_LIBTIFF
extern const struct codec codec_tiff;
#define TIFF_CODEC &codec_tiff
#else
#define TIFF_CODEC NULL
#endif
#ifdef HAVE_LIBHEIF
extern const struct codec codec_heic, codec_avif;
#define HEIC_CODEC &codec_heic
#define AVIF_CODEC &codec_avif
#else
#define HEIC_CODEC NULL
#define AVIF_CODEC NULL
#endif
#ifdef HAVE_LIBJXL
extern const struct codec codec_jxl;
#define JXL_CODEC &codec_jxl
#else
#define JXL_CODEC NULL
#endif
#ifdef HAVE_OPENJPEG
extern const struct codec codec_jp2;
#define JP2_CODEC &codec_jp2
#else
#define JP2_CODEC NULL
#endif

#define JPEG_EXTENSIONS "jpg jpeg jpe jfif"
#define RAW_EXTENSIONS                                                                             \
    "dng cr2 cr3 crw nef nrw arw sr2 srf orf rw2 raf pef srw x3f mrw rwl iiq 3fr erf kdc dcr mos " \
    "mef"

static const struct listed {
    const struct codec *codec;
    const char *extensions, *library;
} formats[] = {
    {&codec_jpeg, JPEG_EXTENSIONS, NULL},
    {&codec_png, "png apng", NULL},
    {&codec_webp, "webp", NULL},
    {&codec_gif, "gif", NULL},
    {&codec_bmp, "bmp dib", NULL},
    {&codec_pnm, "pnm pbm pgm ppm pam", NULL},
    {&codec_raw, RAW_EXTENSIONS, NULL}, /* before what they look like */
    {TIFF_CODEC, "tif tiff", "libtiff"},
    {HEIC_CODEC, "heic heif hif", "libheif"},
    {AVIF_CODEC, "avif", "libheif"},
    {JXL_CODEC, "jxl", "libjxl"},
    {JP2_CODEC, "jp2 j2k jpf jpx j2c jpc", "OpenJPEG"},
};
#define FORMATS (sizeof formats / sizeof *formats)

const struct codec *codec_at(size_t i)
{
    for (size_t k = 0; k < FORMATS; k++)
        if (formats[k].codec && i-- == 0)
            return formats[k].codec;
    return NULL;
}

const struct codec *codec_find(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < FORMATS; i++)
        if (formats[i].codec && formats[i].codec->sniff(data, size))
            return formats[i].codec;
    return NULL;
}

static bool is_ready(const struct codec *c)
{
    return c && (!c->ready || c->ready());
}

void codec_load_libraries(void)
{
    for (size_t i = 0; i < FORMATS; i++)
        (void)is_ready(formats[i].codec);
}

bool image_format_get(struct image_format *f, size_t i)
{
    if (i >= FORMATS)
        return false;
    const struct listed *l = &formats[i];
    *f = (struct image_format){l->extensions, l->library, l->codec != NULL, is_ready(l->codec)};
    return true;
}

/* Does a space-separated list have the name's extension? */
static bool has_extension(const char *list, const char *path)
{
    const char *ext = path_ext(path);
    size_t n = strlen(ext);
    for (; n && *list; list += strspn(list, " ")) {
        size_t len = strcspn(list, " ");
        if (len == n && !strncasecmp(list, ext, n))
            return true;
        list += len;
    }
    return false;
}

bool image_name_supported(const char *path)
{
    for (size_t i = 0; i < FORMATS; i++)
        if (formats[i].codec && has_extension(formats[i].extensions, path))
            return true;
    return false;
}

bool image_name_is_raw(const char *path)
{
    return has_extension(RAW_EXTENSIONS, path);
}

bool image_name_is_jpeg(const char *path)
{
    return has_extension(JPEG_EXTENSIONS, path);
}
