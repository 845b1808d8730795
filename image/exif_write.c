/* EXIF as it is written: a TIFF of two directories, the high byte first, as piexif has it. */
#include "core/path.h"
#include "image/codec.h"
#include "image/write.h"
#include <string.h>

enum { EXIF_IFD = 0x8769, USER_COMMENT = 0x9286, LONG = 4, UNDEFINED = 7 };

static void put(struct buf *b, uint32_t v, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        buf_putc(b, (char)(v >> 8 * i));
}

/* A directory of one entry. */
static void put_ifd(struct buf *b, uint32_t tag, uint32_t type, uint32_t count, uint32_t value)
{
    put(b, 1, 2);
    put(b, tag, 2);
    put(b, type, 2);
    put(b, count, 4);
    put(b, value, 4);
    put(b, 0, 4); /* no directory follows */
}

static void put_utf16(struct buf *b, const char *text)
{
    for (size_t left = strlen(text), n; left; text += n, left -= n) {
        uint32_t c;
        n = utf8_decode(text, left, &c);
        if (c >= 0x10000) {
            put(b, 0xD800 + ((c - 0x10000) >> 10), 2);
            c = 0xDC00 + ((c - 0x10000) & 0x3FF);
        }
        put(b, c, 2);
    }
}

enum status exif_write_parameters(struct buf *exif, const char *text, const char *name,
                                  struct error *err)
{
    struct buf wide;
    buf_init(&wide, 2 * EXIF_WRITE_MAX);
    buf_append(&wide, "UNICODE\0", 8);
    put_utf16(&wide, text);
    buf_append(exif, "Exif\0\0MM\0*", 10);
    put(exif, 8, 4);                          /* the first directory, counted from "MM" */
    put_ifd(exif, EXIF_IFD, LONG, 1, 8 + 18); /* 18 bytes long, and the second behind it */
    put_ifd(exif, USER_COMMENT, UNDEFINED, (uint32_t)wide.len, 8 + 18 + 18);
    buf_append(exif, wide.data, wide.len);
    bool failed = wide.failed || exif->failed;
    buf_release(&wide);
    if (failed)
        return error_set(err, ST_LIMIT, "%s: the text is too long for EXIF; write a .png", name);
    return ST_OK;
}
