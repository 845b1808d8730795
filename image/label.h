/* Words in a picture: 5 by 7 dots a letter, as on character displays, enlarged by whole numbers.
 *
 *     int lines = image_label_lines("sampler: DPM++ 2M", 12);         // 2, of at most 12 letters
 *     image_label_put(&img, "sampler: DPM++ 2M", 12, 8, 8, 2);        // from (8, 8) on, twice as
 * large
 *
 * Black on what is there. ASCII; any other character is an empty box. What would stand beyond the
 * picture is left out. Thread rule: any thread. */
#ifndef EIDETIC_IMAGE_LABEL_H
#define EIDETIC_IMAGE_LABEL_H

#include "image/image.h"

enum { LABEL_WIDTH = 6, LABEL_HEIGHT = 9 }; /* of a letter with the space behind and below it */

/* Lines are broken at blanks, words that are longer than a line anywhere. columns >= 1. */
int image_label_lines(const char *text, int columns);
void image_label_put(struct image *img, const char *text, int columns, int x, int y, int scale);

#endif
