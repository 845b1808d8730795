/* A JPEG at an eighth or a quarter of its size, in half to 0.6 of libjpeg's time; private to
 * image/.
 *
 *     jpeg_read_header(&d, TRUE);
 *     if (jpeg_skim(&out, &d, 1)) ...     // 4000 x 3000 -> 500 x 375
 *     else ...                            // not this kind of file: libjpeg decodes it
 *
 * Contract: d has read its header and nothing else; it is left as it was. n is 1 or 2: out gets
 * ceil(width * n / 8) x ceil(height * n / 8) RGB pixels. Of each 8 x 8 block only the mean (n = 1)
 * or the n x n lowest coefficients are used; all others are stepped over, several at a time,
 * without being decoded, which is what the time goes into otherwise. Colour is coarser than
 * libjpeg's: at n = 2 a 4:2:0 file gives one colour sample for 2 x 2 pixels. False, with out
 * zeroed: the file is not sequential Huffman with one scan, its sampling is unusual, it is damaged
 * or ends early, or memory ran out. Reads within d->src's buffer only, whatever the bytes say. */
#ifndef EIDETIC_IMAGE_JPEG_SKIM_H
#define EIDETIC_IMAGE_JPEG_SKIM_H

#include "image/image.h"
#include <stdio.h>

#include <jpeglib.h>

bool jpeg_skim(struct image *out, const struct jpeg_decompress_struct *d, int n);

#endif
