/* PNG through libpng. Surprising: 16-bit samples keep their high byte in every mode; Pillow does so
 * for colour, but clips 16-bit grey ("I;16") to white when it converts to RGB, which is a known
 * defect that we do not follow. Gamma is ignored and alpha is dropped, as Pillow's convert("RGB")
 * does. An APNG gives its still picture, which usually is its first frame. */
#include "core/bytes.h"
#include "core/path.h"
#include "image/codec.h"
#include "image/color.h"
#include <png.h>
#include <setjmp.h>
#include <string.h>

enum { TEXT_MAX = 1 << 20 }; /* a chunk of text; ComfyUI's graphs take some 10 kB */

struct png {
    png_structp png;
    png_infop info;
    const struct codec_in *in;
    size_t pos;
    struct error *err;
    enum status st;
};

static void fail_library(png_structp p, png_const_charp text)
{
    struct png *s = png_get_error_ptr(p);
    if (!s->st)
        s->st = error_set(s->err, strncmp(text, "Out of memory", 13) ? ST_FORMAT : ST_NOMEM,
                          "%s: PNG: %s", s->in->name, text);
    png_longjmp(p, 1);
}

static void ignore_warning(png_structp p, png_const_charp text)
{
    (void)p;
    (void)text;
}

static void read_bytes(png_structp p, png_bytep to, size_t n)
{
    struct png *s = png_get_io_ptr(p);
    if (n > s->in->size - s->pos) {
        s->st = error_set(s->err, ST_FORMAT, "%s: PNG: is truncated", s->in->name);
        png_error(p, "truncated");
    }
    memcpy(to, s->in->data + s->pos, n);
    s->pos += n;
}

static png_voidp take_memory(png_structp p, png_alloc_size_t n)
{
    (void)p;
    return mem_alloc(n);
}

static void give_memory(png_structp p, png_voidp mem)
{
    (void)p;
    mem_free(mem);
}

static enum status png_open(struct png *s, const struct codec_in *in, struct error *err)
{
    *s = (struct png){.in = in, .err = err};
    s->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, s, fail_library, ignore_warning, NULL,
                                      take_memory, give_memory);
    s->info = s->png ? png_create_info_struct(s->png) : NULL;
    if (!s->info) {
        png_destroy_read_struct(&s->png, NULL, NULL);
        return s->st = error_set(err, ST_NOMEM, "%s: out of memory", in->name);
    }
    return ST_OK;
}

/* All before the pixels but the n chunks called `skip` (each name with its NUL): compressed or
 * large ones that nothing depends on are never unpacked. */
static void read_info(struct png *s, const png_byte *skip, int n)
{
    png_set_read_fn(s->png, s, read_bytes);
    png_set_keep_unknown_chunks(s->png, PNG_HANDLE_CHUNK_NEVER, skip, n);
    png_set_user_limits(s->png, 0x7FFFFFFF, 0x7FFFFFFF); /* codec_check_size says it better */
    png_read_info(s->png, s->info);
}

/* The IHDR by hand: libpng would read on to the first IDAT. */
static enum status png_header(int *w, int *h, const struct codec_in *in, struct error *err)
{
    const uint8_t *p = in->data + 16;
    if (in->size < 33)
        return error_set(err, ST_FORMAT, "%s: PNG: is truncated", in->name);
    if (memcmp(in->data + 8, "\0\0\0\rIHDR", 8))
        return error_set(err, ST_FORMAT, "%s: PNG: does not start with its header", in->name);
    uint32_t wide = bytes_be32(p);
    uint32_t high = bytes_be32(p + 4);
    enum status st = codec_check_size(wide, high, in, err);
    if (st)
        return st;
    *w = (int)wide;
    *h = (int)high;
    return ST_OK;
}

/* Indices lie in the last third of the row, so that the colours never overtake them. An index
 * beyond the palette is black, as in Pillow. */
static void expand_palette(uint8_t *row, int w, const png_color *palette, int n)
{
    const uint8_t *index = row + 2 * (size_t)w;
    for (int x = 0; x < w; x++) {
        uint8_t i = index[x];
        png_color c = i < n ? palette[i] : (png_color){0, 0, 0};
        row[3 * (size_t)x] = c.red;
        row[3 * (size_t)x + 1] = c.green;
        row[3 * (size_t)x + 2] = c.blue;
    }
}

static void read_picture(struct png *s, struct image *out)
{
    static const png_byte skip[] = "tEXt\0zTXt\0iTXt\0sPLT\0hIST\0eXIf\0tIME\0pCAL\0sCAL";
    png_colorp palette = NULL;
    png_charp name;
    png_bytep icc;
    png_uint_32 icc_size;
    int n = 0, method;
    read_info(s, skip, sizeof skip / 5);
    png_byte type = png_get_color_type(s->png, s->info);
    if (type == PNG_COLOR_TYPE_PALETTE) {
        png_get_PLTE(s->png, s->info, &palette, &n);
        png_set_packing(s->png);
    } else {
        png_set_expand_gray_1_2_4_to_8(s->png);
        png_set_strip_16(s->png);
        png_set_strip_alpha(s->png);
        png_set_gray_to_rgb(s->png);
    }
    int passes = png_set_interlace_handling(s->png);
    png_read_update_info(s->png, s->info);
    s->st = codec_alloc(out, png_get_image_width(s->png, s->info),
                        png_get_image_height(s->png, s->info), s->in, s->err);
    if (s->st)
        png_error(s->png, "size");
    size_t stride = (size_t)out->width * 3, shift = palette ? (size_t)out->width * 2 : 0;
    if (png_get_rowbytes(s->png, s->info) != stride - shift)
        png_error(s->png, "unexpected row size");
    if (passes > 1) /* rows of a later pass merge into what is there */
        memset(out->data, 0, stride * (size_t)out->height);
    for (int pass = 0; pass < passes; pass++)
        for (int y = 0; y < out->height; y++)
            png_read_row(s->png, out->data + (size_t)y * stride + shift, NULL);
    for (int y = 0; palette && y < out->height; y++)
        expand_palette(out->data + (size_t)y * stride, out->width, palette, n);
    if (png_get_iCCP(s->png, s->info, &name, &method, &icc, &icc_size))
        color_to_srgb(out, icc, icc_size);
}

/* A function of its own, so that no variable of the caller is in doubt after the jump. */
static void read_guarded(struct png *s, struct image *out)
{
    if (!setjmp(png_jmpbuf(s->png)))
        read_picture(s, out);
}

static enum status png_decode(struct image *out, const struct codec_in *in, struct error *err)
{
    struct png s;
    if (png_open(&s, in, err))
        return s.st;
    read_guarded(&s, out);
    png_destroy_read_struct(&s.png, &s.info, NULL);
    if (s.st)
        image_release(out);
    return s.st;
}

static size_t text_length(const png_text *t)
{
    return t->compression >= PNG_ITXT_COMPRESSION_NONE ? t->itxt_length : t->text_length;
}

/* tEXt and zTXt are Latin-1 by the standard; many write UTF-8 there all the same. */
static void copy_text(char out[PARAMETERS_MAX], const png_text *t)
{
    bool international = t->compression >= PNG_ITXT_COMPRESSION_NONE;
    size_t n = text_length(t), len = 0;
    bool utf8 = utf8_valid(t->text, n);
    if (memchr(t->text, 0, n) || (international && !utf8))
        return;
    for (size_t i = 0; i < n; i++) {
        char one[4] = {t->text[i]};
        size_t k = utf8 ? 1 : utf8_encode((unsigned char)t->text[i], one);
        if (len + k >= PARAMETERS_MAX) {
            len = 0;
            break;
        }
        memcpy(out + len, one, k);
        len += k;
    }
    out[len] = 0;
}

/* libpng unpacks compressed text too, within our limit of memory. */
static void read_texts(struct png *s, char out[PARAMETERS_MAX])
{
    static const png_byte skip[] = "iCCP\0sPLT\0hIST\0eXIf\0tIME\0pCAL\0sCAL";
    png_textp text = NULL;
    int n = 0;
    if (setjmp(png_jmpbuf(s->png)))
        return;
    png_set_chunk_cache_max(s->png, 64);
    png_set_chunk_malloc_max(s->png, TEXT_MAX);
    read_info(s, skip, sizeof skip / 5);
    png_get_text(s->png, s->info, &text, &n);
    for (int i = 0; i < n; i++)
        if (!strcmp(text[i].key, "parameters") && text[i].text)
            copy_text(out, &text[i]);
    for (int i = 0; i < n && !out[0]; i++)
        if (text[i].text)
            parameters_record(out, text[i].key, text[i].text, text_length(&text[i]));
}

/* Only what stands before the pixels is read; a file that breaks off there has no text. */
static void png_parameters(char out[PARAMETERS_MAX], const struct codec_in *in)
{
    struct png s;
    out[0] = 0;
    if (png_open(&s, in, NULL))
        return;
    read_texts(&s, out);
    png_destroy_read_struct(&s.png, &s.info, NULL);
}

static bool png_sniff(const uint8_t *p, size_t n)
{
    return n >= 8 && !memcmp(p, "\x89PNG\r\n\x1a\n", 8);
}

/* A chunk by its name, behind the one that *b is (NULL: the first); stop at one called `end`. */
static bool find_chunk(struct codec_block *b, const struct codec_in *in, const char *name,
                       const char *end)
{
    const uint8_t *d = in->data;
    for (size_t i = b->data ? (size_t)(b->data - d) + b->size + 4 : 8; i + 12 <= in->size;) {
        size_t len = bytes_be32(d + i);
        if (len > in->size - i - 12)
            return false;
        if (!memcmp(d + i + 4, end, 4))
            return false;
        if (!memcmp(d + i + 4, name, 4)) {
            *b = (struct codec_block){d + i + 8, len, NULL};
            return true;
        }
        i += 12 + len;
    }
    return false;
}

static bool png_exif(struct codec_block *b, const struct codec_in *in)
{
    *b = (struct codec_block){0};
    return find_chunk(b, in, "eXIf", "IEND");
}

static bool png_animated(const struct codec_in *in)
{
    struct codec_block b = {0};
    return find_chunk(&b, in, "acTL", "IDAT");
}

/* Uncompressed, as the standard has it; before or behind the pixels. */
static void png_words(struct image_words *w, const struct codec_in *in)
{
    static const char head[] = "XML:com.adobe.xmp\0"; /* and the flag that says so */
    struct codec_block b = {0};
    while (find_chunk(&b, in, "iTXt", "IEND")) {
        if (b.size <= sizeof head + 3 || memcmp(b.data, head, sizeof head) != 0)
            continue;
        size_t at = sizeof head + 1; /* behind the method: language and translated name */
        for (int i = 0; i < 2 && at < b.size; i++)
            at += strnlen((const char *)b.data + at, b.size - at) + 1;
        if (at < b.size)
            (void)xmp_read(w, b.data + at, b.size - at);
        return;
    }
}

const struct codec codec_png = {
    .name = "png",
    .sniff = png_sniff,
    .header = png_header,
    .decode = png_decode,
    .exif = png_exif,
    .words = png_words,
    .parameters = png_parameters,
    .animated = png_animated,
};
