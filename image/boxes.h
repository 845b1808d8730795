/* The boxes that HEIF, JPEG 2000 and JPEG XL files are made of (ISO/IEC 14496-12); private to
 * image/.
 *
 *     struct box box = {0};
 *     while (box_next(&box, data, size))
 *         if (!memcmp(box.type, "Exif", 4)) use(box.data, box.size);
 *
 * Hostile input: a box that claims more than is left ends the walk. */
#ifndef EIDETIC_IMAGE_BOXES_H
#define EIDETIC_IMAGE_BOXES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct box {
    char type[4];
    const uint8_t *data;
    size_t size, next; /* of the payload; where the next box starts */
};
bool box_next(struct box *b, const uint8_t *data, size_t size);

/* The file type box comes first and names one of the brands (NULL at the end). */
bool box_has_brand(const uint8_t *data, size_t size, const char *const *brands);

#endif
