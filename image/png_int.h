/* Between png.c (pixels) and png_text.c (what is said of them). */
#ifndef EIDETIC_IMAGE_PNG_INT_H
#define EIDETIC_IMAGE_PNG_INT_H

#include "image/codec.h"
#include <png.h>
#include <setjmp.h>

struct png {
    png_structp png;
    png_infop info;
    const struct codec_in *in;
    size_t pos;
    struct error *err;
    enum status st;
};

/* libpng over a file in memory. Its errors come to setjmp(png_jmpbuf(s->png)), with s->st set. */
enum status png_file_open(struct png *s, const struct codec_in *in, struct error *err);
void png_file_close(struct png *s);
/* All before the pixels but the n chunks called `skip` (each name with its NUL): compressed or
 * large ones that nothing depends on are never unpacked. */
void png_file_info(struct png *s, const png_byte *skip, int n);

/* As struct codec has them. Of parameters, only what stands before the pixels is read; a file that
 * breaks off there has none. */
void png_parameters(char out[PARAMETERS_MAX], const struct codec_in *in);
bool png_exif(struct codec_block *b, const struct codec_in *in);
void png_words(struct image_words *w, const struct codec_in *in);
bool png_animated(const struct codec_in *in);

#endif
