/* Writing JPEG, in memory. */
#include "core/file.h"
#include "core/path.h"
#include "image/codec.h"
#include "image/write.h"
#include <jpeglib.h>
#include <setjmp.h>
#include <stdio.h>

struct jpeg_out {
    struct jpeg_compress_struct c; /* first: the callbacks cast back from it */
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr to;
    JOCTET block[16384];
    struct buf *file;
    jmp_buf out;
    const char *name;
    struct error *err;
    enum status st;
};

static void jpeg_fail(j_common_ptr c)
{
    struct jpeg_out *o = (struct jpeg_out *)c;
    char text[JMSG_LENGTH_MAX];
    c->err->format_message(c, text);
    if (!o->st)
        o->st = error_set(o->err, ST_INTERNAL, "%s: JPEG: %s", o->name, text);
    longjmp(o->out, 1);
}

static void jpeg_quiet(j_common_ptr c, int level)
{
    (void)c;
    (void)level;
}

static void jpeg_start_block(j_compress_ptr c)
{
    struct jpeg_out *o = (struct jpeg_out *)c;
    o->to.next_output_byte = o->block;
    o->to.free_in_buffer = sizeof o->block;
}

static void jpeg_put(struct jpeg_out *o, size_t n)
{
    if (buf_append(o->file, o->block, n))
        return;
    o->st = error_set(o->err, ST_NOMEM, "%s: out of memory", o->name);
    longjmp(o->out, 1);
}

static boolean jpeg_block_full(j_compress_ptr c)
{
    struct jpeg_out *o = (struct jpeg_out *)c;
    jpeg_put(o, sizeof o->block);
    jpeg_start_block(c);
    return TRUE;
}

static void jpeg_last_block(j_compress_ptr c)
{
    struct jpeg_out *o = (struct jpeg_out *)c;
    jpeg_put(o, sizeof o->block - o->to.free_in_buffer);
}

static void run(struct jpeg_out *o, const struct image *img, int quality, const struct buf *exif)
{
    if (setjmp(o->out))
        return;
    jpeg_create_compress(&o->c);
    o->to = (struct jpeg_destination_mgr){.init_destination = jpeg_start_block,
                                          .empty_output_buffer = jpeg_block_full,
                                          .term_destination = jpeg_last_block};
    o->c.dest = &o->to;
    o->c.image_width = (JDIMENSION)img->width;
    o->c.image_height = (JDIMENSION)img->height;
    o->c.input_components = 3;
    o->c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&o->c);
    jpeg_set_quality(&o->c, quality, TRUE);
    jpeg_start_compress(&o->c, TRUE);
    if (exif && exif->len)
        jpeg_write_marker(&o->c, JPEG_APP0 + 1, (const JOCTET *)exif->data, (unsigned)exif->len);
    while (o->c.next_scanline < o->c.image_height) {
        JSAMPROW row = img->data + (size_t)o->c.next_scanline * (size_t)img->width * 3;
        jpeg_write_scanlines(&o->c, &row, 1);
    }
    jpeg_finish_compress(&o->c);
}

enum status jpeg_encode(struct buf *file, const struct image *img, int quality,
                        const struct buf *exif, const char *name, struct error *err)
{
    struct jpeg_out *o = mem_zalloc(sizeof *o);
    if (!o)
        return error_set(err, ST_NOMEM, "%s: out of memory", name);
    o->file = file;
    o->name = name;
    o->err = err;
    o->c.err = jpeg_std_error(&o->errors);
    o->errors.error_exit = jpeg_fail;
    o->errors.emit_message = jpeg_quiet;
    run(o, img, quality, exif);
    enum status st = o->st;
    jpeg_destroy_compress(&o->c);
    mem_free(o);
    return st;
}

enum status image_write_jpeg(const char *path, const struct image *img, int quality,
                             struct error *err)
{
    char name[IMAGE_NAME_CAP];
    struct buf file;
    image_safe_name(name, sizeof name, path);
    buf_init(&file, WRITE_MAX);
    enum status st = jpeg_encode(&file, img, quality, NULL, name, err);
    if (!st)
        st = file_write_atomic(path, file.data, file.len, err);
    buf_release(&file);
    return st;
}
