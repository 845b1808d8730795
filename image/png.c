/* PNG through libpng. Surprising: 16-bit samples keep their high byte in every mode; Pillow does so
 * for colour, but clips 16-bit grey ("I;16") to white when it converts to RGB, which is a known
 * defect that we do not follow. Gamma is ignored and alpha is dropped, as Pillow's convert("RGB")
 * does. An APNG gives its still picture, which usually is its first frame. */
#include "core/bytes.h"
#include "image/color.h"
#include "image/png_int.h"
#include <string.h>

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

enum status png_file_open(struct png *s, const struct codec_in *in, struct error *err)
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

void png_file_close(struct png *s)
{
    png_destroy_read_struct(&s->png, &s->info, NULL);
}

void png_file_info(struct png *s, const png_byte *skip, int n)
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
    png_file_info(s, skip, sizeof skip / 5);
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
    if (png_file_open(&s, in, err))
        return s.st;
    read_guarded(&s, out);
    png_file_close(&s);
    if (s.st)
        image_release(out);
    return s.st;
}

static bool png_sniff(const uint8_t *p, size_t n)
{
    return n >= 8 && !memcmp(p, "\x89PNG\r\n\x1a\n", 8);
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
