/* Masks, regions, fillings and pasting. */
#include "sampler/repaint.h"
#include <assert.h>
#include <math.h>
#include <string.h>

enum { HALF_WHITE = 128, MAX_FILL_LEVELS = 16 };

/* ITU-R 601 in 16 bits, as Pillow rounds it. */
static void to_grey(struct image *img)
{
    int64_t n = (int64_t)img->width * img->height;
    for (int64_t i = 0; i < n; i++) {
        uint8_t *p = img->data + 3 * i;
        memset(p, (p[0] * 19595 + p[1] * 38470 + p[2] * 7471 + 0x8000) >> 16, 3);
    }
}

enum status repaint_mask(struct image *mask, const struct image *src, int width, int height,
                         struct error *err)
{
    bool white = false;
    enum status st = image_crop(mask, src, 0, 0, src->width, src->height, err);
    if (st)
        return st;
    to_grey(mask);
    if (src->width != width || src->height != height) {
        struct image whole = *mask;
        *mask = (struct image){0};
        st = image_resize(mask, width, height, &whole, NULL, IMAGE_LANCZOS, err);
        image_release(&whole);
    }
    for (int64_t i = 0; i < (int64_t)width * height && !st; i++)
        white = white || mask->data[3 * i] >= HALF_WHITE;
    if (!st && !white)
        st = error_set(err, ST_USAGE, "the mask has nothing white, which says where to repaint");
    if (st)
        image_release(mask);
    return st;
}

static int clamp(int i, int n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

/* One line of n values at a distance of `step` floats, through tmp. */
static void blur_line(float *x, int n, int64_t step, const float *w, int reach, float *tmp)
{
    for (int i = 0; i < n; i++)
        tmp[i] = x[i * step];
    for (int i = 0; i < n; i++) {
        float sum = w[0] * tmp[i];
        for (int k = 1; k <= reach; k++)
            sum += w[k] * (tmp[clamp(i - k, n)] + tmp[clamp(i + k, n)]);
        x[i * step] = sum;
    }
}

static void gaussian(float *w, int reach, double radius)
{
    double sum = 0;
    for (int k = 0; k <= reach; k++)
        sum += (k ? 2 : 1) * exp(-k * (double)k / (2 * radius * radius));
    for (int k = 0; k <= reach; k++)
        w[k] = (float)(exp(-k * (double)k / (2 * radius * radius)) / sum);
}

enum status repaint_blur(struct image *mask, double radius, struct error *err)
{
    int reach = (int)(2.5 * radius + 0.5), w = mask->width, h = mask->height;
    size_t n = (size_t)w * (size_t)h, line = (size_t)(w > h ? w : h);
    if (reach < 1)
        return ST_OK;
    float *x = mem_array(n + line + (size_t)reach + 1, sizeof *x);
    if (!x)
        return error_set(err, ST_NOMEM, "out of memory for a mask");
    float *tmp = x + n, *weights = tmp + line;
    gaussian(weights, reach, radius);
    for (size_t i = 0; i < n; i++)
        x[i] = mask->data[3 * i];
    for (int y = 0; y < h; y++)
        blur_line(x + (size_t)y * (size_t)w, w, 1, weights, reach, tmp);
    for (int i = 0; i < w; i++)
        blur_line(x + i, h, w, weights, reach, tmp);
    for (size_t i = 0; i < n; i++)
        memset(mask->data + 3 * i, (int)lrintf(fminf(fmaxf(x[i], 0), 255)), 3);
    mem_free(x);
    return ST_OK;
}

/* Widens [*from, *to) by `more`, half on either side, moved so that it stays in [0, most). */
static void widen(int *from, int *to, int more, int most)
{
    *from -= more / 2;
    *to += more - more / 2;
    if (*to > most) {
        *from -= *to - most;
        *to = most;
    }
    if (*from < 0) {
        *to = *to - *from > most ? most : *to - *from;
        *from = 0;
    }
}

void repaint_region(struct repaint_box *box, const struct image *mask, int width, int height,
                    int padding)
{
    int w = mask->width, h = mask->height, x0 = w, y0 = h, x1 = 0, y1 = 0;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            if (mask->data[3 * ((int64_t)y * w + x)]) {
                x0 = x < x0 ? x : x0;
                x1 = x + 1 > x1 ? x + 1 : x1;
                y0 = y < y0 ? y : y0;
                y1 = y + 1;
            }
    assert(x1 > x0 && y1 > y0);
    x0 = x0 > padding ? x0 - padding : 0;
    y0 = y0 > padding ? y0 - padding : 0;
    x1 = w - x1 > padding ? x1 + padding : w;
    y1 = h - y1 > padding ? y1 + padding : h;
    double want = (double)width / height;
    if ((double)(x1 - x0) / (y1 - y0) > want)
        widen(&y0, &y1, (int)((x1 - x0) / want - (y1 - y0)), h);
    else
        widen(&x0, &x1, (int)((y1 - y0) * want - (x1 - x0)), w);
    *box = (struct repaint_box){x0, y0, x1 - x0, y1 - y0};
}

struct fill_level {
    int w, h;
    float *x; /* [h, w, 4]: colours times weight, weight */
};

static void push(struct fill_level *down, const struct fill_level *up)
{
    for (int y = 0; y < up->h; y++)
        for (int x = 0; x < up->w; x++)
            for (int c = 0; c < 4; c++)
                down->x[4 * ((int64_t)(y / 2) * down->w + x / 2) + c] +=
                    up->x[4 * ((int64_t)y * up->w + x) + c];
    for (int64_t i = 0; i < (int64_t)down->w * down->h; i++) {
        float *p = down->x + 4 * i;
        for (int c = 0; c < 4 && p[3] > 1; c++) /* weight c == 3 last */
            p[c] /= c < 3 ? p[3] : 1;
        p[3] = fminf(p[3], 1);
    }
}

/* What the weight leaves open comes from the coarser level, between its four nearest pixels. */
static void pull(struct fill_level *up, const struct fill_level *down)
{
    for (int y = 0; y < up->h; y++)
        for (int x = 0; x < up->w; x++) {
            float *p = up->x + 4 * ((int64_t)y * up->w + x);
            int x0 = x / 2, y0 = y / 2, x1 = clamp(x0 + (x % 2 ? 1 : -1), down->w);
            int y1 = clamp(y0 + (y % 2 ? 1 : -1), down->h);
            const float *a = down->x + 4 * ((int64_t)y0 * down->w + x0);
            const float *b = down->x + 4 * ((int64_t)y0 * down->w + x1);
            const float *c = down->x + 4 * ((int64_t)y1 * down->w + x0);
            const float *d = down->x + 4 * ((int64_t)y1 * down->w + x1);
            for (int k = 0; k < 3; k++)
                p[k] += (1 - p[3]) * (0.5625f * a[k] + 0.1875f * (b[k] + c[k]) + 0.0625f * d[k]);
            p[3] = 1;
        }
}

static int halve(struct fill_level *level, int w, int h)
{
    int n = 0;
    for (;; w = (w + 1) / 2, h = (h + 1) / 2) {
        level[n++] = (struct fill_level){.w = w, .h = h};
        if ((w == 1 && h == 1) || n == MAX_FILL_LEVELS)
            return n;
    }
}

enum status repaint_fill(struct image *img, const struct image *mask, struct error *err)
{
    struct fill_level level[MAX_FILL_LEVELS];
    int n = halve(level, img->width, img->height);
    int64_t total = 0, pixels = (int64_t)img->width * img->height;
    assert(mask->width == img->width && mask->height == img->height);
    for (int i = 0; i < n; i++)
        total += (int64_t)level[i].w * level[i].h;
    float *all = mem_zarray((size_t)total, 4 * sizeof *all), *next = all;
    if (!all)
        return error_set(err, ST_NOMEM, "out of memory for a filling");
    for (int i = 0; i < n; i++) {
        level[i].x = next;
        next += 4 * (int64_t)level[i].w * level[i].h;
    }
    for (int64_t i = 0; i < pixels; i++) {
        bool keep = mask->data[3 * i] < HALF_WHITE;
        for (int c = 0; c < 3 && keep; c++)
            all[4 * i + c] = img->data[3 * i + c];
        all[4 * i + 3] = keep;
    }
    for (int i = 0; i + 1 < n; i++)
        push(&level[i + 1], &level[i]);
    bool any = level[n - 1].x[3] > 0; /* else there are no surroundings */
    for (int i = n - 1; i-- > 0;)
        pull(&level[i], &level[i + 1]);
    for (int64_t i = 0; i < pixels && any; i++)
        for (int c = 0; c < 3 && mask->data[3 * i] >= HALF_WHITE; c++)
            img->data[3 * i + c] = (uint8_t)lrintf(fminf(fmaxf(all[4 * i + c], 0), 255));
    mem_free(all);
    return ST_OK;
}

enum status repaint_paste(struct image *img, const struct image *made, const struct image *mask,
                          const struct repaint_box *box, struct error *err)
{
    struct image fit = {0};
    assert(mask->width == img->width && mask->height == img->height);
    enum status st = image_resize(&fit, box->width, box->height, made, NULL, IMAGE_LANCZOS, err);
    for (int y = 0; y < box->height && !st; y++)
        for (int x = 0; x < box->width * 3; x++) {
            int64_t at = 3 * ((int64_t)(box->y + y) * img->width + box->x) + x;
            int m = mask->data[at], new = fit.data[3 * (int64_t)y * box->width + x];
            img->data[at] = (uint8_t)((img->data[at] * (255 - m) + new *m + 127) / 255);
        }
    image_release(&fit);
    return st;
}

/* img on a plane of value `around`. */
static enum status put_on(struct image *img, const struct repaint_sides *by, int around,
                          struct error *err)
{
    struct image whole = {0};
    enum status st = image_alloc(&whole, img->width + by->left + by->right,
                                 img->height + by->top + by->bottom, err);
    if (st)
        return st;
    memset(whole.data, around, (size_t)whole.width * (size_t)whole.height * 3);
    for (int y = 0; y < img->height; y++)
        memcpy(whole.data + 3 * ((int64_t)(y + by->top) * whole.width + by->left),
               img->data + 3 * (int64_t)y * img->width, 3 * (size_t)img->width);
    image_release(img);
    *img = whole;
    return ST_OK;
}

enum status repaint_widen(struct image *img, struct image *mask, const struct repaint_sides *by,
                          struct error *err)
{
    enum status st = put_on(img, by, 0, err);
    return st ? st : put_on(mask, by, 255, err);
}
