/* Colour profiles to sRGB, through Little CMS; private to image/.
 *
 *     color_to_srgb(img, icc, n);                        // RGB or grey profile, in place
 *     struct color_cmyk inks;
 *     color_cmyk_init(&inks, icc, n, true);              // 255 = no ink, as in JPEG
 *     color_cmyk_row(rgb, cmyk, width, &inks);
 *     color_cmyk_release(&inks);
 *
 * Perceptual intent, 8 bits a channel, as Pillow's ImageCms.profileToProfile with its own sRGB. A
 * profile that is damaged, of the wrong kind or sRGB itself (to within 0.2 %) changes nothing, and
 * never is an error: the picture matters more than its last shade. Thread rule: no shared state. */
#ifndef EIDETIC_IMAGE_COLOR_H
#define EIDETIC_IMAGE_COLOR_H

#include "image/image.h"

void color_to_srgb(struct image *img, const uint8_t *icc, size_t n);
/* CIE L*a*b* of D50 as ICC profiles have it in 8 bits (L 0 to 255, a and b from 128 on), in place.
 * False: no memory. */
bool color_lab_to_srgb(struct image *img);

/* Four inks to RGB: by the profile, or without one by Pillow's formula. */
struct color_cmyk {
    void *context, *transform; /* NULL: by formula */
    bool inverted;
};
void color_cmyk_init(struct color_cmyk *c, const uint8_t *icc, size_t n, bool inverted);
void color_cmyk_row(uint8_t *rgb, const uint8_t *cmyk, size_t n, const struct color_cmyk *c);
void color_cmyk_release(struct color_cmyk *c);

#endif
