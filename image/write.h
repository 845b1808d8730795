/* What the writers share. Encoders append the whole file to `file`; exif: an APP1 block's bytes
 * ("Exif", then TIFF), NULL or empty = none; name: for errors, already safe to print. */
#ifndef EIDETIC_IMAGE_WRITE_H
#define EIDETIC_IMAGE_WRITE_H

#include "core/buf.h"
#include "image/image.h"

/* The largest file that is ever written: far above any picture that we make. */
#define WRITE_MAX ((size_t)2 << 30)
#define EXIF_WRITE_MAX 65533 /* what one APP1 segment holds */

enum status jpeg_encode(struct buf *file, const struct image *img, int quality,
                        const struct buf *exif, const char *name, struct error *err);
enum status webp_encode(struct buf *file, const struct image *img, int quality,
                        const struct buf *exif, const char *name, struct error *err);
/* EXIF with nothing but a UserComment, in UTF-16 as AUTOMATIC1111 writes it. ST_LIMIT where an APP1
 * segment does not hold it. */
enum status exif_write_parameters(struct buf *exif, const char *text, const char *name,
                                  struct error *err);

#endif
