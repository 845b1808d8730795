/* What inpainting does to pixels before and after the sampler: masks, regions, fillings, pasting.
 *
 *     repaint_mask(&mask, &read, img.width, img.height, 4, &err);       // grey, blurred
 *     repaint_region(&box, &mask, 512, 512, 32);                        // "only masked"
 *     ... crop img and mask to box, resize, repaint_fill, sampler_run(job.init, job.mask) ...
 *     repaint_paste(&img, &made, &mask, &box, &err);
 *
 * A mask is a picture whose three channels are equal: 255 (white) repaints, 0 keeps, what lies
 * between mixes. All functions are pure; thread rule: any thread. */
#ifndef EIDETIC_SAMPLER_REPAINT_H
#define EIDETIC_SAMPLER_REPAINT_H

#include "image/image.h"

struct repaint_box {
    int x, y, width, height;
};

/* Pillow's convert("L") of src, resized to width x height by its Lanczos filter where it has
 * another size. ST_USAGE where nothing is at least half white. */
enum status repaint_mask(struct image *mask, const struct image *src, int width, int height,
                         struct error *err);
/* A Gaussian of deviation `radius` pixels, cut off at int(2.5 * radius + 0.5), edges repeated: a
 * pixel farther than that from all white keeps its value. */
enum status repaint_blur(struct image *mask, double radius, struct error *err);
/* The box round everything that is not black, widened by padding and then to the proportions of
 * width x height as far as the picture goes; diffusers' get_crop_region. */
void repaint_region(struct repaint_box *box, const struct image *mask, int width, int height,
                    int padding);
/* Where the mask is at least half white, img gets the colours of its surroundings, the smoother the
 * farther they are (push and pull over halved pictures, Gortler et al. 1996). Same sides. */
enum status repaint_fill(struct image *img, const struct image *mask, struct error *err);
/* img's box = a mix of img and made by the mask; made is resized to the box by Lanczos. */
enum status repaint_paste(struct image *img, const struct image *made, const struct image *mask,
                          const struct repaint_box *box, struct error *err);

/* img and mask get so many pixels more, black and to be repainted. */
struct repaint_sides {
    int left, right, top, bottom;
};
enum status repaint_widen(struct image *img, struct image *mask, const struct repaint_sides *by,
                          struct error *err);

#endif
