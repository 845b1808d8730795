/* Pillow's resampler: separable, antialiased, 8-bit samples with 22-bit fixed-point weights,
 * rounded to 8 bits between the passes. Surprising: the order of the passes shows in the result,
 * and Pillow (13 and later) runs the vertical one first where that removes more than twice as many
 * rows as columns; earlier versions never did. The box is rounded to single precision first,
 * because Pillow's C code takes it as float. */
#include "image/resize_int.h"
#include <limits.h>
#include <math.h>
#include <string.h>

/* Weight tables beyond this mean a picture millions of times longer than wide. */
#define RESIZE_MAX_TABLE ((size_t)256 << 20)

static double filter_box(double x)
{
    return x > -0.5 && x <= 0.5 ? 1 : 0;
}

static double filter_bilinear(double x)
{
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

/* Keys' cubic with a = -1/2. */
static double filter_bicubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static double sinc(double x)
{
    if (x == 0)
        return 1;
    x *= M_PI;
    return sin(x) / x;
}

static double filter_lanczos(double x)
{
    return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

static const struct {
    double (*weight)(double x);
    double support;
} filters[] = {
    [IMAGE_BICUBIC] = {filter_bicubic, 2},
    [IMAGE_BILINEAR] = {filter_bilinear, 1},
    [IMAGE_LANCZOS] = {filter_lanczos, 3},
    [IMAGE_BOX] = {filter_box, 0.5},
};

static void axis_release(struct resize_axis *a)
{
    mem_free(a->first);
    mem_free(a->count);
    mem_free(a->k);
    mem_free(a->split);
    *a = (struct resize_axis){0};
}

/* What one axis is asked for: outputs [lo, lo + n) of `out` over source samples b0..b1 of `in`. */
struct axis_request {
    int in;
    float b0, b1;
    int64_t out, lo;
    int n;
};

static bool axis_alloc(struct resize_axis *a, int n, int taps)
{
    size_t cells;
    if (mul_overflow_size((size_t)n, (size_t)taps, &cells) ||
        cells > RESIZE_MAX_TABLE / sizeof *a->k)
        return false;
    a->n = n;
    a->taps = taps;
    a->first = mem_array((size_t)n, sizeof *a->first);
    a->count = mem_array((size_t)n, sizeof *a->count);
    a->k = mem_zarray(cells, sizeof *a->k);
    a->split = mem_zarray(cells, 2 * sizeof *a->split);
    return a->first && a->count && a->k && a->split;
}

/* Pillow's precompute_coeffs and normalize_coeffs_8bpc for output i; w is room for a->taps doubles.
 */
static void axis_weigh(struct resize_axis *a, int i, const struct axis_request *q, double scale,
                       enum image_filter filter, double *w)
{
    double filter_scale = scale < 1 ? 1 : scale;
    double support = filters[filter].support * filter_scale, inverse = 1 / filter_scale, sum = 0;
    double center = (double)q->b0 + ((double)(q->lo + i) + 0.5) * scale;
    double low = center - support + 0.5, high = center + support + 0.5;
    int first = low < 0 ? 0 : low > q->in ? q->in : (int)low;
    int last = high > q->in ? q->in : (int)high;
    int count = last > first ? last - first : 0;
    count = count > a->taps ? a->taps : count;
    for (int t = 0; t < count; t++) {
        w[t] = filters[filter].weight((t + first - center + 0.5) * inverse);
        sum += w[t];
    }
    int32_t *k = a->k + (size_t)i * (size_t)a->taps;
    int16_t *s = a->split + (size_t)i * (size_t)a->taps * 2;
    for (int t = 0; t < count; t++) {
        double v = (sum != 0 ? w[t] / sum : w[t]) * (1 << RESIZE_BITS);
        k[t] = (int)(v < 0 ? v - 0.5 : v + 0.5);
        s[t / 4 * 8 + t % 4] = (int16_t)(k[t] >> 12);
        s[t / 4 * 8 + 4 + t % 4] = (int16_t)(k[t] & 4095);
    }
    a->first[i] = first;
    a->count[i] = count;
}

static enum status axis_init(struct resize_axis *a, const struct axis_request *q,
                             enum image_filter filter, struct error *err)
{
    double scale = (double)(q->b1 - q->b0) / (double)q->out;
    double taps = ceil(filters[filter].support * (scale < 1 ? 1 : scale)) * 2 + 1;
    *a = (struct resize_axis){0};
    if (taps > INT_MAX / 16)
        return error_set(err, ST_LIMIT, "a side of %d pixels is too long to shrink to %lld", q->in,
                         (long long)q->out);
    int padded = ((int)taps + 3) & ~3;
    double *w = mem_array((size_t)padded, sizeof *w);
    if (!w || !axis_alloc(a, q->n, padded)) {
        mem_free(w);
        axis_release(a);
        return error_set(err, ST_NOMEM, "out of memory (weights to resize %d to %lld)", q->in,
                         (long long)q->out);
    }
    for (int i = 0; i < q->n; i++)
        axis_weigh(a, i, q, scale, filter, w);
    mem_free(w);
    return ST_OK;
}

static void horizontal_ref(uint8_t *dst, const uint8_t *src, const struct resize_axis *a)
{
    for (int i = 0; i < a->n; i++, dst += 3) {
        const uint8_t *p = src + (size_t)a->first[i] * 3;
        const int32_t *k = a->k + (size_t)i * (size_t)a->taps;
        uint32_t r = 1u << (RESIZE_BITS - 1), g = r, b = r;
        for (int t = 0; t < a->count[i]; t++, p += 3) {
            r += p[0] * (uint32_t)k[t];
            g += p[1] * (uint32_t)k[t];
            b += p[2] * (uint32_t)k[t];
        }
        dst[0] = resize_clip(r);
        dst[1] = resize_clip(g);
        dst[2] = resize_clip(b);
    }
}

static void vertical_ref(uint8_t *dst, const uint8_t *src, size_t stride, size_t n,
                         const int32_t *k, int count)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t sum = 1u << (RESIZE_BITS - 1);
        for (int t = 0; t < count; t++)
            sum += src[(size_t)t * stride + i] * (uint32_t)k[t];
        dst[i] = resize_clip(sum);
    }
}

const struct resize_kernels resize_ref = {horizontal_ref, vertical_ref};

const struct resize_kernels *resize_kernels_for(enum cpu_level level)
{
    return level >= CPU_AVX2 ? &resize_avx2 : &resize_ref;
}

/* The source samples that an axis touches: [*first, *end). */
static void axis_span(const struct resize_axis *a, int *first, int *end)
{
    *first = a->first[0];
    *end = a->first[a->n - 1] + a->count[a->n - 1];
    if (*end <= *first) /* a box filter between two samples may touch none */
        *end = *first < 1 ? 1 : *first, *first = *end - 1;
}

/* Outputs of `a` for rows [first, end) of src; src starts at column `column` of what `a` speaks of.
 */
static enum status run_horizontal(struct image *dst, const struct image *src,
                                  const struct resize_axis *a, int column, int first, int end,
                                  const struct resize_kernels *kernels, struct error *err)
{
    size_t stride = (size_t)src->width * 3;
    uint8_t *last = mem_zalloc(stride + 16); /* kernels read 16 bytes beyond a row */
    enum status st = last ? image_alloc(dst, a->n, end - first, err)
                          : error_set(err, ST_NOMEM, "out of memory (a row to resize)");
    for (int i = 0; !st && i < a->n; i++)
        a->first[i] -= column;
    for (int y = first; !st && y < end; y++) {
        const uint8_t *row = src->data + (size_t)y * stride;
        if ((size_t)(src->height - 1 - y) * stride < 16)
            row = memcpy(last, row, stride);
        kernels->horizontal(dst->data + (size_t)(y - first) * (size_t)a->n * 3, row, a);
    }
    mem_free(last);
    return st;
}

/* Outputs of `a` for columns [first, end) of src; src starts at row `row` of what `a` speaks of. */
static enum status run_vertical(struct image *dst, const struct image *src,
                                const struct resize_axis *a, int row, int first, int end,
                                const struct resize_kernels *kernels, struct error *err)
{
    size_t from = (size_t)src->width * 3, to = (size_t)(end - first) * 3;
    enum status st = image_alloc(dst, end - first, a->n, err);
    for (int y = 0; !st && y < a->n; y++)
        kernels->vertical(dst->data + (size_t)y * to,
                          src->data + (size_t)(a->first[y] - row) * from + (size_t)first * 3, from,
                          to, a->k + (size_t)y * (size_t)a->taps, a->count[y]);
    return st;
}

/* Pillow's nearest is an affine transform that adds up the step, rounding errors included. */
static void nearest_axis(int *at, const struct axis_request *q)
{
    double step = (double)(q->b1 - q->b0) / (double)q->out;
    double v = (double)q->b0 + step * 0.5;
    bool huge = q->lo > 1 << 24;
    if (huge)
        v += step * (double)q->lo;
    for (int64_t i = huge ? q->lo : 0; i < q->lo + q->n; i++, v += step)
        if (i >= q->lo)
            at[i - q->lo] = v >= q->in ? q->in - 1 : v < 0 ? 0 : (int)v;
}

static enum status resize_nearest(struct image *dst, const struct image *src,
                                  const struct axis_request *qx, const struct axis_request *qy,
                                  struct error *err)
{
    int *xs = mem_array((size_t)qx->n, sizeof *xs), *ys = mem_array((size_t)qy->n, sizeof *ys);
    enum status st = xs && ys ? image_alloc(dst, qx->n, qy->n, err)
                              : error_set(err, ST_NOMEM, "out of memory (positions to resize)");
    if (!st) {
        nearest_axis(xs, qx);
        nearest_axis(ys, qy);
        uint8_t *to = dst->data;
        for (int y = 0; y < qy->n; y++)
            for (int x = 0; x < qx->n; x++, to += 3)
                memcpy(to, src->data + ((size_t)ys[y] * (size_t)src->width + (size_t)xs[x]) * 3, 3);
    }
    mem_free(xs);
    mem_free(ys);
    return st;
}

/* One pass or two, as the axes need it. */
static enum status run_passes(struct image *dst, const struct image *src,
                              const struct axis_request *qx, const struct axis_request *qy,
                              struct resize_axis *ax, struct resize_axis *ay,
                              const struct resize_kernels *kernels, struct error *err)
{
    struct image tmp = {0};
    int x0, x1, y0, y1, left = (int)qx->lo, top = (int)qy->lo;
    bool wide = qx->out != src->width || qx->b0 != 0 || qx->b1 != (float)qx->out;
    bool high = qy->out != src->height || qy->b0 != 0 || qy->b1 != (float)qy->out;
    enum status st;
    axis_span(ax, &x0, &x1);
    axis_span(ay, &y0, &y1);
    if (!wide && !high)
        return image_crop(dst, src, left, top, qx->n, qy->n, err);
    if (!high)
        return run_horizontal(dst, src, ax, 0, top, top + qy->n, kernels, err);
    if (!wide)
        return run_vertical(dst, src, ay, 0, left, left + qx->n, kernels, err);
    if (qy->out < src->height && src->height - qy->out > 2 * (src->width - qx->out)) {
        st = run_vertical(&tmp, src, ay, 0, x0, x1, kernels, err);
        if (!st)
            st = run_horizontal(dst, &tmp, ax, x0, 0, qy->n, kernels, err);
    } else {
        st = run_horizontal(&tmp, src, ax, 0, y0, y1, kernels, err);
        if (!st)
            st = run_vertical(dst, &tmp, ay, y0, 0, qx->n, kernels, err);
    }
    image_release(&tmp);
    return st;
}

static enum status resize_filtered(struct image *dst, const struct image *src,
                                   const struct axis_request *qx, const struct axis_request *qy,
                                   enum image_filter filter, const struct resize_kernels *kernels,
                                   struct error *err)
{
    struct resize_axis ax = {0}, ay = {0};
    enum status st = axis_init(&ax, qx, filter, err);
    if (!st)
        st = axis_init(&ay, qy, filter, err);
    if (!st)
        st = run_passes(dst, src, qx, qy, &ax, &ay, kernels, err);
    axis_release(&ax);
    axis_release(&ay);
    return st;
}

enum status image_resize_window(struct image *dst, const struct image *src, const double box[4],
                                enum image_filter filter, const struct resize_window *win,
                                const struct resize_kernels *kernels, struct error *err)
{
    double whole[4] = {0, 0, src->width, src->height};
    const double *b = box ? box : whole;
    *dst = (struct image){0};
    if (src->width < 1 || src->height < 1 || win->w < 1 || win->h < 1 || win->x < 0 || win->y < 0 ||
        win->w > win->full_w - win->x || win->h > win->full_h - win->y)
        return error_set(err, ST_USAGE, "resize of %d x %d to %lld x %lld", src->width, src->height,
                         (long long)win->full_w, (long long)win->full_h);
    struct axis_request qx = {src->width, (float)b[0], (float)b[2], win->full_w, win->x, win->w};
    struct axis_request qy = {src->height, (float)b[1], (float)b[3], win->full_h, win->y, win->h};
    if (!(qx.b0 >= 0 && qx.b0 < qx.b1 && qx.b1 <= (float)src->width && qy.b0 >= 0 &&
          qy.b0 < qy.b1 && qy.b1 <= (float)src->height))
        return error_set(err, ST_USAGE, "resize box %g,%g,%g,%g is outside a picture of %d x %d",
                         b[0], b[1], b[2], b[3], src->width, src->height);
    if (filter == IMAGE_NEAREST)
        return resize_nearest(dst, src, &qx, &qy, err);
    return resize_filtered(dst, src, &qx, &qy, filter, kernels, err);
}

enum status image_resize(struct image *dst, int width, int height, const struct image *src,
                         const double box[4], enum image_filter filter, struct error *err)
{
    struct resize_window win = {.full_w = width, .full_h = height, .w = width, .h = height};
    return image_resize_window(dst, src, box, filter, &win, resize_kernels_for(cpu_level_max()),
                               err);
}
