/* The pictures that image processors are compared on: smooth in one channel, busy in another, noise
 * in the third, the same as scripts/make_golden_clip.py makes them.
 *
 *     struct image img = toy_picture("wide", 101, 64);
 */
#ifndef EIDETIC_TESTS_TOY_PICTURE_H
#define EIDETIC_TESTS_TOY_PICTURE_H

#include "golden/clip_toy.h"
#include "image/image.h"

static inline struct image toy_picture(const char *name, int w, int h)
{
    struct image img = {0};
    assert_int_equal(image_alloc(&img, w, h, NULL), ST_OK);
    uint64_t state = toy_seed("preprocess", name);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            uint8_t *p = img.data + 3 * (y * w + x);
            p[0] = (uint8_t)(x * 5 + y * 2);
            p[1] = (uint8_t)(x * y);
            for (int c = 0; c < 3; c++) {
                uint8_t noise = (uint8_t)(toy_next(&state) >> 56);
                if (c == 2)
                    p[2] = noise;
            }
        }
    return img;
}

#endif
