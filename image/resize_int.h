/* Inner loops of the resampler; private to image/. Every version gives the same integers: sums are
 * taken modulo 2^32 and only then shifted, so the order of additions cannot matter. */
#ifndef EIDETIC_IMAGE_RESIZE_INT_H
#define EIDETIC_IMAGE_RESIZE_INT_H

#include "core/cpu.h"
#include "image/image.h"

/* Coefficients are fixed point with this many bits behind the point (Pillow's PRECISION_BITS). */
#define RESIZE_BITS (32 - 8 - 2)

/* One axis: output i is the sum over count[i] source samples from first[i], weighted by k[i * taps
 * ...]. */
struct resize_axis {
    int n;    /* outputs */
    int taps; /* stride of k; a multiple of 4, zeros behind count[i] */
    int *first, *count;
    int32_t *k;
    int16_t *split; /* k in groups of four: high parts k>>12, then low parts k&4095 (AVX2 form) */
};

struct resize_kernels {
    /* dst: a->n RGB pixels; src: one row of RGB pixels, readable for 16 bytes behind the last. */
    void (*horizontal)(uint8_t *dst, const uint8_t *src, const struct resize_axis *a);
    /* dst[i] = sum over t < count of src[t * stride + i] * k[t], for i < n bytes. */
    void (*vertical)(uint8_t *dst, const uint8_t *src, size_t stride, size_t n, const int32_t *k,
                     int count);
};

extern const struct resize_kernels resize_ref, resize_avx2;
const struct resize_kernels *resize_kernels_for(enum cpu_level level);

/* image_resize of which only the outputs [x, x + w) x [y, y + h) are computed: bit for bit the crop
 * of the whole result. The whole may be too large for memory, or even for an int. */
struct resize_window {
    int64_t full_w, full_h;
    int64_t x, y;
    int w, h;
};
enum status image_resize_window(struct image *dst, const struct image *src, const double box[4],
                                enum image_filter filter, const struct resize_window *win,
                                const struct resize_kernels *kernels, struct error *err);

static inline uint8_t resize_clip(uint32_t sum)
{
    int32_t v = (int32_t)sum >> RESIZE_BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

#endif
