/* Decoding in worker processes: path in, pixels in shared memory out; a hostile file costs one
 * file.
 *
 *     if (argc > 1 && !strcmp(argv[1], DECODER_WORKER_ARG))      // first thing in main
 *         return decoder_worker_main(argc, argv);
 *     decoder_open(&d, &(struct decoder_opts){.workers = 2, .prep = prep}, &err);
 *     decoder_submit(d, ticket, path, &err);                     // ST_LIMIT: all slots are taken
 *     while (!decoder_next(d, &job, timeout_ms, &err)) { use(job.pixels); decoder_done(d, &job); }
 *     decoder_close(d);
 *
 * The workers are this same binary, started by posix_spawn. They get files as open descriptors and
 * may do nothing but compute (seccomp where present), within limits of memory and time. A worker
 * that crashes or overstays fails its one file (ST_FORMAT, "decoder crashed/timed out on this
 * file") and is replaced; one that is killed from outside (SIGKILL) is replaced and its file tried
 * once more; so is, without blame, one whose libraries have not given back 48 MiB. Workers hold
 * back the terminal's signals and end with their parent. Results come in any order. Sidecars beside
 * a picture (words.h) are read with it. What is wrong with a file is in its job; an error of
 * decoder_next itself is ST_LIMIT, ST_NOT_FOUND or ST_INTERNAL (workers cannot be started). Thread
 * rule: one thread may submit while another takes (next, done); open and close are alone. */
#ifndef EIDETIC_IMAGE_DECODER_H
#define EIDETIC_IMAGE_DECODER_H

#include "image/image.h"

#define DECODER_WORKER_ARG "--eidetic-decode-worker"

/* How pixels are made ready in the worker (it is cheaper there): shrink and crop to the network's
 * input. SHORTEST_CROP: the short side becomes size, the long one int(size * long / short), then
 * the middle square; SQUASH: size x size whatever the shape; both may be made larger first, and
 * lose what is around the middle square; LONGEST_PAD: the long side becomes
 * size, the rest is filled (open_clip's ResizeKeepRatio and CenterCropOrPad). PATCHES: nearly the
 * picture's own shape, in as many whole patches as are allowed (transformers'
 * Siglip2ImageProcessor); the square then holds no picture but a list, see decoder_patches. */
enum decoder_fit {
    DECODER_FIT_SHORTEST_CROP,
    DECODER_FIT_SQUASH,
    DECODER_FIT_LONGEST_PAD,
    DECODER_FIT_PATCHES
};
/* Where the middle square starts when an odd number of pixels is left over: torchvision, and so
 * open_clip, rounds half to even (3 left over: 2); transformers rounds down (1). */
enum decoder_crop { DECODER_CROP_ROUND, DECODER_CROP_FLOOR };
struct decoder_prep {
    int size; /* target square; 0 = hand over the whole decoded picture */
    enum decoder_fit fit;
    enum decoder_crop crop; /* of the middle square */
    int resize;             /* SHORTEST_CROP, SQUASH: the side before the crop; 0 = size */
    enum image_filter filter;
    uint8_t pad[3];     /* fill of LONGEST_PAD */
    int patch, patches; /* PATCHES: a patch's side, and how many at most */
    bool exact;         /* full decode (no JPEG scaling) */
};
struct decoder_opts {
    int workers; /* 0 = cpu_count */
    int slots;   /* pictures in flight; 0 = 4 per worker */
    struct decoder_prep prep;
    uint64_t max_pixels; /* as image_opts */
    int timeout_ms;      /* a file; 0 = 30 s */
    bool hash;           /* also XXH3-128 of the file's bytes, read once for both */
    bool in_process;     /* debug switch: no isolation */
    const char *exe;     /* NULL = /proc/self/exe */
};
struct decoder_job {
    uint64_t ticket;
    enum status status; /* of this file; error text beside it */
    char text[256];
    struct image_meta meta;
    int width, height;      /* of pixels */
    const uint8_t *pixels;  /* RGB in the slot; valid until decoder_done; NULL on failure */
    uint8_t hash[16];       /* XXH3-128, big-endian canonical form; valid when has_hash */
    bool has_hash;          /* also set on a decode failure where the file could be read */
    int64_t size, mtime_ns; /* of the file as read */
    int slot;
};

struct decoder;
enum status decoder_open(struct decoder **d, const struct decoder_opts *o, struct error *err);
void decoder_close(struct decoder *d);
int decoder_slots(const struct decoder *d);
enum status decoder_submit(struct decoder *d, uint64_t ticket, const char *path, struct error *err);
/* The same, but only meta comes back: pixels is NULL. */
enum status decoder_submit_words(struct decoder *d, uint64_t ticket, const char *path,
                                 struct error *err);
/* Waits for one result; ST_LIMIT = timeout, ST_NOT_FOUND = nothing in flight. */
enum status decoder_next(struct decoder *d, struct decoder_job *job, int timeout_ms,
                         struct error *err);
void decoder_done(struct decoder *d, struct decoder_job *job);
/* The whole main of a worker; call it first thing where argv[1] is DECODER_WORKER_ARG. */
int decoder_worker_main(int argc, char **argv);
/* What holds a worker on this machine, in words for `doctor`; and whether this decoder's workers
 * took the filter. */
const char *decoder_sandbox_info(void);
bool decoder_sandboxed(const struct decoder *d);

/* The same preparation, in process: embed of one query picture. _reduced: `in` may be what
 * image_load gave for min_side = decoder_min_side(prep); meta tells its true size, from which the
 * target is computed, so that a reduced picture is cut exactly as the whole one would be. */
enum status decoder_prepare(struct image *out, const struct image *in,
                            const struct decoder_prep *prep, struct error *err);
enum status decoder_prepare_reduced(struct image *out, const struct image *in,
                                    const struct image_meta *meta, const struct decoder_prep *prep,
                                    struct error *err);
int decoder_min_side(const struct decoder_prep *prep); /* for image_opts; 0 when exact */

/* What a square of PATCHES holds: DECODER_PATCHES_AT pixels that say how many rows and columns of
 * patches there are, then each patch's rows of pixels, patch by patch; zeros fill it up. Its side
 * for so many patches: */
#define DECODER_PATCHES_AT 8
int decoder_patches_side(int patch, int patches);
/* Pixels as decoder_prepare made them. */
void decoder_patches(const uint8_t *pixels, int *rows, int *columns);

#endif
