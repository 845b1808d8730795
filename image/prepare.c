/* From a decoded picture to the network's square. Surprising: the crop comes before the resize, in
 * effect: only the wanted outputs of the resampler are computed, which gives the same bits and
 * keeps a 1 x 100000 picture cheap. */
#include "image/decoder.h"
#include "image/resize_int.h"
#include <math.h>
#include <string.h>

/* A JPEG reduced to no less than twice the target still has what the bicubic filter keeps, and with
 * 1.5 times (an eighth) all but a little of the finest detail: golden/test_reduced_decode.c. */
int decoder_min_side(const struct decoder_prep *prep)
{
    int side = prep->resize ? prep->resize : prep->size;
    return prep->exact || side > INT32_MAX / 2 ? 0 : 2 * side;
}

/* The part of `in` that the true picture covers: a reduced JPEG's last column may stand for less
 * than a pixel. */
static void true_box(double box[4], const struct image *in, int full_w, int full_h)
{
    box[0] = box[1] = 0;
    box[2] = in->width;
    box[3] = in->height;
    for (int f = 1; f <= 8; f *= 2)
        if ((full_w - 1) / f + 1 == in->width && (full_h - 1) / f + 1 == in->height) {
            box[2] = (double)full_w / f;
            box[3] = (double)full_h / f;
            return;
        }
}

static int64_t crop_start(int64_t side, int size, enum decoder_crop how)
{
    int64_t rest = side - size;
    return how == DECODER_CROP_FLOOR || !(rest & 1) ? rest / 2 : (rest + 1) / 4 * 2;
}

static enum status middle_square(struct image *out, const struct image *in, const double box[4],
                                 int full_w, int full_h, const struct decoder_prep *prep,
                                 struct error *err)
{
    int64_t side = prep->resize ? prep->resize : prep->size;
    struct resize_window win = {.full_w = side, .full_h = side, .w = prep->size, .h = prep->size};
    if (prep->fit == DECODER_FIT_SHORTEST_CROP && full_w <= full_h)
        win.full_h = side * full_h / full_w;
    else if (prep->fit == DECODER_FIT_SHORTEST_CROP)
        win.full_w = side * full_w / full_h;
    win.x = crop_start(win.full_w, prep->size, prep->crop);
    win.y = crop_start(win.full_h, prep->size, prep->crop);
    return image_resize_window(out, in, box, prep->filter, &win,
                               resize_kernels_for(cpu_level_max()), err);
}

static enum status longest_pad(struct image *out, const struct image *in, const double box[4],
                               int full_w, int full_h, const struct decoder_prep *prep,
                               struct error *err)
{
    struct image part = {0};
    int size = prep->size, side = full_w > full_h ? full_w : full_h;
    double ratio = (double)side / size;
    int w = (int)rint(full_w / ratio), h = (int)rint(full_h / ratio);
    w = w < 1 ? 1 : w > size ? size : w;
    h = h < 1 ? 1 : h > size ? size : h;
    enum status st = image_resize(&part, w, h, in, box, prep->filter, err);
    if (!st)
        st = image_alloc(out, size, size, err);
    if (!st) {
        for (size_t i = 0; i < (size_t)size * (size_t)size; i++)
            memcpy(out->data + i * 3, prep->pad, 3);
        int x = (size - w) / 2, y = (size - h) / 2;
        for (int row = 0; row < h; row++)
            memcpy(out->data + ((size_t)(y + row) * (size_t)size + (size_t)x) * 3,
                   part.data + (size_t)row * (size_t)w * 3, (size_t)w * 3);
    }
    image_release(&part);
    return st;
}

int decoder_patches_side(int patch, int patches)
{
    return (int)ceil(sqrt((double)patch * patch * patches + DECODER_PATCHES_AT));
}

void decoder_patches(const uint8_t *pixels, int *rows, int *columns)
{
    *rows = pixels[0] | pixels[1] << 8;
    *columns = pixels[2] | pixels[3] << 8;
}

static double patches_along(double scale, int side, int patch)
{
    double n = ceil(side * scale / patch);
    return n < 1.0 ? 1.0 : n;
}

/* get_image_size_for_max_num_patches: the largest scale within 1e-5, the same steps. */
static void patch_grid(int w, int h, const struct decoder_prep *prep, int *columns, int *rows)
{
    double low = 1e-5 / 10, high = 100.0;
    while (high - low >= 1e-5) {
        double scale = (low + high) / 2;
        if (patches_along(scale, h, prep->patch) * patches_along(scale, w, prep->patch) <=
            prep->patches)
            low = scale;
        else
            high = scale;
    }
    *rows = (int)patches_along(low, h, prep->patch);
    *columns = (int)patches_along(low, w, prep->patch);
}

static enum status patch_list(struct image *out, const struct image *in, const double box[4],
                              int full_w, int full_h, const struct decoder_prep *prep,
                              struct error *err)
{
    struct image part = {0};
    int columns, rows, p = prep->patch, size = prep->size;
    if (p < 1 || prep->patches < 1 || prep->patches > UINT16_MAX ||
        size != decoder_patches_side(p, prep->patches))
        return error_set(err, ST_USAGE, "cannot prepare %d patches of %d pixels in a square of %d",
                         prep->patches, p, size);
    patch_grid(full_w, full_h, prep, &columns, &rows);
    if ((int64_t)columns * rows > prep->patches) /* a picture that no scale makes small enough */
        return error_set(err, ST_LIMIT, "%d x %d pixels do not fit into %d patches", full_w, full_h,
                         prep->patches);
    enum status st = image_resize(&part, columns * p, rows * p, in, box, prep->filter, err);
    if (!st)
        st = image_alloc(out, size, size, err);
    if (!st) {
        size_t row = (size_t)p * 3;
        memset(out->data, 0, (size_t)size * (size_t)size * 3);
        uint8_t *to = out->data + (size_t)DECODER_PATCHES_AT * 3;
        for (int i = 0; i < columns * rows; i++)
            for (int y = 0; y < p; y++, to += row)
                memcpy(to,
                       part.data + ((size_t)(i / columns * p + y) * (size_t)columns +
                                    (size_t)(i % columns)) *
                                       row,
                       row);
        uint8_t head[4] = {(uint8_t)rows, (uint8_t)(rows >> 8), (uint8_t)columns,
                           (uint8_t)(columns >> 8)};
        memcpy(out->data, head, sizeof head);
    }
    image_release(&part);
    return st;
}

static enum status prepare(struct image *out, const struct image *in, int full_w, int full_h,
                           const struct decoder_prep *prep, struct error *err)
{
    double box[4];
    *out = (struct image){0};
    if (prep->size < 0 || full_w < 1 || full_h < 1 || (prep->resize && prep->resize < prep->size))
        return error_set(err, ST_USAGE, "cannot prepare %d x %d pixels for a square of %d", full_w,
                         full_h, prep->size);
    if (prep->size == 0)
        return image_crop(out, in, 0, 0, in->width, in->height, err);
    true_box(box, in, full_w, full_h);
    switch (prep->fit) {
    case DECODER_FIT_LONGEST_PAD:
        return longest_pad(out, in, box, full_w, full_h, prep, err);
    case DECODER_FIT_PATCHES:
        return patch_list(out, in, box, full_w, full_h, prep, err);
    case DECODER_FIT_SHORTEST_CROP:
    case DECODER_FIT_SQUASH:
        break;
    }
    return middle_square(out, in, box, full_w, full_h, prep, err);
}

enum status decoder_prepare(struct image *out, const struct image *in,
                            const struct decoder_prep *prep, struct error *err)
{
    return prepare(out, in, in->width, in->height, prep, err);
}

enum status decoder_prepare_reduced(struct image *out, const struct image *in,
                                    const struct image_meta *meta, const struct decoder_prep *prep,
                                    struct error *err)
{
    return prepare(out, in, meta->width, meta->height, prep, err);
}
