/* Writing PNG, and what a generator made in the format of its name. The file is made in memory and
 * then put in place in one step (core/file.h), so that no reader ever sees half a picture. */
#include "image/write.h"
#include "core/buf.h"
#include "core/file.h"
#include "core/path.h"
#include "image/codec.h"
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

struct png_out {
    png_structp png;
    png_infop info;
    png_text *text; /* entries of the caller's pairs */
    int texts;
    struct buf file;
    const char *name;
    struct error *err;
    enum status st;
};

static void png_fail(png_structp p, png_const_charp text)
{
    struct png_out *o = png_get_error_ptr(p);
    if (!o->st)
        o->st = error_set(o->err, o->file.failed ? ST_NOMEM : ST_INTERNAL, "%s: PNG: %s", o->name,
                          text);
    png_longjmp(p, 1);
}

static void png_quiet(png_structp p, png_const_charp text)
{
    (void)p;
    (void)text;
}

static void png_put(png_structp p, png_bytep data, size_t n)
{
    struct png_out *o = png_get_io_ptr(p);
    if (!buf_append(&o->file, data, n))
        png_error(p, "out of memory");
}

static void png_flush_nothing(png_structp p)
{
    (void)p;
}

static png_voidp png_take(png_structp p, png_alloc_size_t n)
{
    (void)p;
    return mem_alloc(n);
}

static void png_give(png_structp p, png_voidp mem)
{
    (void)p;
    mem_free(mem);
}

/* tEXt is Latin-1: pure ASCII goes there, where every reader looks, anything else into iTXt. */
static void set_texts(struct png_out *o, const char *const *pairs)
{
    for (int i = 0; i < o->texts && pairs[2 * i]; i++) {
        const char *value = pairs[2 * i + 1];
        bool ascii = true;
        for (const char *s = value; *s; s++)
            ascii = ascii && (unsigned char)*s < 0x80;
        o->text[i] =
            (png_text){.compression = ascii ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE,
                       .key = (png_charp)(uintptr_t)pairs[2 * i],
                       .text = (png_charp)(uintptr_t)value,
                       .text_length = ascii ? strlen(value) : 0,
                       .itxt_length = ascii ? 0 : strlen(value)};
    }
    png_set_text(o->png, o->info, o->text, o->texts);
}

static void png_encode(struct png_out *o, const struct image *img, const char *const *pairs)
{
    if (setjmp(png_jmpbuf(o->png)))
        return;
    png_set_write_fn(o->png, o, png_put, png_flush_nothing);
    png_set_IHDR(o->png, o->info, (png_uint_32)img->width, (png_uint_32)img->height, 8,
                 PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    set_texts(o, pairs);
    png_write_info(o->png, o->info);
    for (int y = 0; y < img->height; y++)
        png_write_row(o->png, img->data + (size_t)y * (size_t)img->width * 3);
    png_write_end(o->png, NULL);
}

static bool texts_valid(const char *const *pairs, int *n)
{
    for (*n = 0; pairs && pairs[2 * *n]; ++*n) {
        const char *key = pairs[2 * *n], *value = pairs[2 * *n + 1];
        size_t len = strlen(key);
        if (!value || len < 1 || len > 79 || !utf8_valid(value, strlen(value)))
            return false;
        for (const char *s = key; *s; s++)
            if (*s < 0x20 || *s > 0x7E)
                return false;
    }
    return true;
}

enum status image_write_png(const char *path, const struct image *img, const char *const *text,
                            struct error *err)
{
    char name[IMAGE_NAME_CAP];
    struct png_out o = {.name = name, .err = err};
    image_safe_name(name, sizeof name, path);
    if (!texts_valid(text, &o.texts))
        return error_set(err, ST_USAGE, "%s: a text pair is not fit for a PNG file", name);
    buf_init(&o.file, WRITE_MAX);
    o.text = mem_zarray((size_t)o.texts + 1, sizeof *o.text);
    o.png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &o, png_fail, png_quiet, NULL,
                                      png_take, png_give);
    o.info = o.png ? png_create_info_struct(o.png) : NULL;
    if (o.info && o.text)
        png_encode(&o, img, text);
    else
        o.st = error_set(err, ST_NOMEM, "%s: out of memory", name);
    if (!o.st)
        o.st = file_write_new(path, o.file.data, o.file.len, err);
    png_destroy_write_struct(&o.png, &o.info);
    mem_free(o.text);
    buf_release(&o.file);
    return o.st;
}

bool image_name_written(const char *path)
{
    return path_has_ext(path, "png") || path_has_ext(path, "webp") || image_name_is_jpeg(path);
}

enum status image_write_generated(const char *path, const struct image *img, const char *text,
                                  int quality, struct error *err)
{
    char name[IMAGE_NAME_CAP];
    struct buf exif, file;
    const char *const pairs[] = {"parameters", text, NULL};
    if (path_has_ext(path, "png"))
        return image_write_png(path, img, pairs, err);
    image_safe_name(name, sizeof name, path);
    buf_init(&exif, EXIF_WRITE_MAX);
    buf_init(&file, WRITE_MAX);
    enum status st = exif_write_parameters(&exif, text, name, err);
    if (!st)
        st = path_has_ext(path, "webp") ? webp_encode(&file, img, quality, &exif, name, err)
                                        : jpeg_encode(&file, img, quality, &exif, name, err);
    if (!st)
        st = file_write_new(path, file.data, file.len, err);
    buf_release(&exif);
    buf_release(&file);
    return st;
}
