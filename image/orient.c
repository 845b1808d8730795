/* EXIF orientation. The eight values are the symmetries of a rectangle: a transpose (5..8), then
 * flips. */
#include "image/codec.h"
#include <string.h>

static void flip_rows(struct image *img)
{
    size_t stride = (size_t)img->width * 3;
    for (int a = 0, b = img->height - 1; a < b; a++, b--) {
        uint8_t *p = img->data + (size_t)a * stride, *q = img->data + (size_t)b * stride;
        for (size_t i = 0; i < stride; i++) {
            uint8_t t = p[i];
            p[i] = q[i];
            q[i] = t;
        }
    }
}

static void mirror_rows(struct image *img)
{
    for (int y = 0; y < img->height; y++) {
        uint8_t *p = img->data + (size_t)y * (size_t)img->width * 3;
        uint8_t *q = p + ((size_t)img->width - 1) * 3;
        for (; p < q; p += 3, q -= 3)
            for (int c = 0; c < 3; c++) {
                uint8_t t = p[c];
                p[c] = q[c];
                q[c] = t;
            }
    }
}

/* In tiles, so that neither picture is walked by whole columns. */
static enum status transpose(struct image *img, struct error *err)
{
    enum { TILE = 32 };
    struct image to;
    int w = img->width, h = img->height;
    enum status st = image_alloc(&to, h, w, err);
    if (st)
        return st;
    for (int ty = 0; ty < h; ty += TILE)
        for (int tx = 0; tx < w; tx += TILE)
            for (int x = tx; x < w && x < tx + TILE; x++)
                for (int y = ty; y < h && y < ty + TILE; y++) {
                    const uint8_t *p = img->data + ((size_t)y * (size_t)w + (size_t)x) * 3;
                    uint8_t *q = to.data + ((size_t)x * (size_t)h + (size_t)y) * 3;
                    q[0] = p[0];
                    q[1] = p[1];
                    q[2] = p[2];
                }
    image_release(img);
    *img = to;
    return ST_OK;
}

enum status image_orient(struct image *img, int orientation, struct error *err)
{
    if (orientation >= 5 && orientation <= 8) {
        enum status st = transpose(img, err);
        if (st)
            return st;
    }
    if (orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7)
        mirror_rows(img);
    if (orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8)
        flip_rows(img);
    return ST_OK;
}
