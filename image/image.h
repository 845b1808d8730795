/* Pixels: 8-bit RGB, top row first, no padding between rows.
 *
 *     struct image img = {0};
 *     struct image_opts o = {.min_side = 448};   // reduced decode while both sides stay >= this
 *     struct image_meta meta;
 *     if (image_load(&img, path, &o, &meta, &err)) ...
 *     image_release(&img);
 *
 * image_load finds the format by content, decodes, converts to RGB and turns by EXIF orientation.
 * Pixels are those of Pillow's Image.open(path).convert("RGB"): alpha is dropped (not composed),
 * gamma is ignored, 4-component JPEGs are taken as inverted, an animation or a file of several
 * pages gives its first, and a truncated file is an error. Two exceptions: colour profiles are
 * converted to sRGB (color.h), and 16-bit grey keeps its high byte, where Pillow clips nearly
 * everything to white. (open_clip converts after the resize;
 * for palette pictures, which it then resizes by nearest neighbour, and for half-transparent ones,
 * its pixels differ from these.) Files are hostile: only regular files are opened, sizes are
 * checked before memory is asked for, and error texts name the file in a form that is safe to
 * print. Thread rule: any thread, one struct a thread. */
#ifndef EIDETIC_IMAGE_IMAGE_H
#define EIDETIC_IMAGE_IMAGE_H

#include "core/error.h"
#include "core/mem.h"
#include "image/parameters.h"
#include "image/words.h"
#include <stdint.h>

struct image {
    int width, height; /* pixels as stored in data */
    uint8_t *data;     /* height * width * 3, mem_free */
};
void image_release(struct image *img); /* takes a zeroed struct */
enum status image_alloc(struct image *img, int width, int height, struct error *err);

struct image_opts {
    int min_side; /* 0 = full decode; else JPEG may be decoded at 1/2, 1/4, 1/8 while the short side
                     stays >= this (for 1/8: three quarters of this) */
    uint64_t max_pixels; /* 0 = IMAGE_MAX_PIXELS; refuses bombs before decoding */
    uint64_t max_bytes;  /* of the file; 0 = 1 GiB */
    bool ignore_orientation;
};
#define IMAGE_MAX_PIXELS UINT64_C(500000000)

/* What the file says of itself; strings are "" when unknown, raw bytes from the file made valid
 * UTF-8. */
struct image_meta {
    int width, height; /* full size, after orientation */
    int orientation;   /* 1..8, EXIF's; 1 when absent */
    char format[8];    /* "jpeg", "png", "heif", ...: the codec's name */
    bool animated;     /* pixels are those of the first frame */
    char taken[32];    /* ISO 8601 "2019-05-04T13:02:11" (+ offset where the file has one), or "" */
    char make[64], camera[96], lens[96];
    bool has_gps;
    double lat, lon, alt;            /* degrees, metres */
    char parameters[PARAMETERS_MAX]; /* of a generated picture: image/parameters.h; else "" */
    struct image_words words;        /* its date and place are in the fields above too */
};

/* By content, not by name. meta may be NULL. */
enum status image_load(struct image *img, const char *path, const struct image_opts *o,
                       struct image_meta *meta, struct error *err);
enum status image_load_memory(struct image *img, const uint8_t *data, size_t size, const char *name,
                              const struct image_opts *o, struct image_meta *meta,
                              struct error *err);
/* Header only: format, size, EXIF, words. */
enum status image_probe(struct image_meta *meta, const char *path, struct error *err);
enum status image_probe_memory(struct image_meta *meta, const uint8_t *data, size_t size,
                               const char *name, struct error *err);
/* Reads the sidecars beside path, in this process; they go before what meta holds. */
void image_sidecars_read(struct image_meta *meta, const char *path);
bool image_name_supported(const char *path); /* by extension: worth opening at all? */
/* Also by extension: a camera's raw file, or a JPEG such as stands beside one. */
bool image_name_is_raw(const char *path);
bool image_name_is_jpeg(const char *path);

/* The formats one after the other, for doctor and tests; false at the end. */
struct image_format {
    const char *extensions; /* space-separated, lower case */
    const char *library;    /* that an optional format needs; NULL = none */
    bool built, ready;      /* was the library there at build time; is it here now */
};
bool image_format_get(struct image_format *f, size_t i);

enum image_filter { IMAGE_BICUBIC, IMAGE_BILINEAR, IMAGE_LANCZOS, IMAGE_BOX, IMAGE_NEAREST };
/* Pillow's Image.resize, bit for bit (13 or later: those run the vertical pass first where it
 * removes more than twice as many rows as columns; before, the horizontal one always came first):
 * antialiased separable convolution in 8-bit fixed point. box = source rectangle (x0, y0, x1, y1)
 * in source pixels, NULL = all. */
enum status image_resize(struct image *dst, int width, int height, const struct image *src,
                         const double box[4], enum image_filter filter, struct error *err);
enum status image_crop(struct image *dst, const struct image *src, int x, int y, int w, int h,
                       struct error *err);

/* Writers, for thumbnails, previews and generated pictures. Atomic; a PNG never replaces a file
 * (ST_USAGE). */
enum status image_write_png(const char *path, const struct image *img, const char *const *text,
                            struct error *err); /* text: key, value, ..., NULL; or NULL */
enum status image_write_jpeg(const char *path, const struct image *img, int quality,
                             struct error *err);
/* A generated picture with its text (image/parameters.h): .png has it in a chunk, .jpg and .webp in
 * EXIF's UserComment. quality 1 to 100, not of PNG. Never replaces a file (ST_USAGE). */
enum status image_write_generated(const char *path, const struct image *img, const char *text,
                                  int quality, struct error *err);
bool image_name_written(const char *path); /* by its extension: one of these? */

#endif
