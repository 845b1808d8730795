/* Times of decoding, resizing and preparing one picture, by size and kernel.
 *
 *     bench_image [FILE.jpg]        // without a file: a made picture of 12 megapixels
 */
#include "core/cpu.h"
#include "core/progress.h"
#include "core/rng.h"
#include "image/decoder.h"
#include "image/resize_int.h"
#include <stdio.h>
#include <unistd.h>

/* Something with edges and texture, 4000 x 3000. */
static enum status make_jpeg(const char *path, struct error *err)
{
    struct image img;
    struct rng r = {1};
    enum status st = image_alloc(&img, 4000, 3000, err);
    if (st)
        return st;
    for (int y = 0; y < img.height; y++)
        for (int x = 0; x < img.width; x++)
            for (int c = 0; c < 3; c++)
                img.data[((size_t)y * 4000 + (size_t)x) * 3 + (size_t)c] =
                    (uint8_t)(((x / 97 + y / 61) % 5) * 30 + (x * (c + 1) + y) / 60 % 90 +
                              (int)rng_below(&r, 16));
    st = image_write_jpeg(path, &img, 88, err);
    image_release(&img);
    return st;
}

static double best_of(int n, double times[])
{
    double best = times[0];
    for (int i = 1; i < n; i++)
        best = times[i] < best ? times[i] : best;
    return best * 1000;
}

static enum status time_decode(const char *path, int min_side, struct image *out, struct error *err)
{
    enum { RUNS = 5 };
    double t[RUNS];
    for (int i = 0; i < RUNS; i++) {
        struct image_opts o = {.min_side = min_side};
        image_release(out);
        double start = time_now();
        enum status st = image_load(out, path, &o, NULL, err);
        if (st)
            return st;
        t[i] = time_now() - start;
    }
    printf("decode   min_side %4d -> %4d x %4d   %8.2f ms\n", min_side, out->width, out->height,
           best_of(RUNS, t));
    return ST_OK;
}

static enum status time_resize(const struct image *src, int size, enum cpu_level level,
                               struct error *err)
{
    enum { RUNS = 7 };
    double t[RUNS];
    struct resize_window win = {.full_w = (int64_t)size * src->width / src->height,
                                .full_h = size,
                                .w = (int)((int64_t)size * src->width / src->height),
                                .h = size};
    for (int i = 0; i < RUNS; i++) {
        struct image dst;
        double start = time_now();
        enum status st = image_resize_window(&dst, src, NULL, IMAGE_BICUBIC, &win,
                                             resize_kernels_for(level), err);
        if (st)
            return st;
        t[i] = time_now() - start;
        image_release(&dst);
    }
    printf("bicubic  %4d x %4d -> %d rows  %-6s     %8.2f ms\n", src->width, src->height, size,
           cpu_level_name(level), best_of(RUNS, t));
    return ST_OK;
}

static enum status run(const char *path, struct error *err)
{
    static const int sides[] = {0, 1024, 520, 260};
    struct image img = {0};
    enum status st = ST_OK;
    for (int i = 0; !st && i < 4; i++) {
        st = time_decode(path, sides[i], &img, err);
        for (int level = CPU_REF; !st && level <= CPU_AVX2 && level <= (int)cpu_level_max();
             level++)
            st = time_resize(&img, 260, (enum cpu_level)level, err);
    }
    image_release(&img);
    return st;
}

int main(int argc, char **argv)
{
    char path[] = "/tmp/eidetic-bench-XXXXXX";
    struct error err;
    int fd = argc > 1 ? -1 : mkstemp(path);
    enum status st = argc > 1 ? ST_OK : make_jpeg(path, &err);
    if (!st)
        st = run(argc > 1 ? argv[1] : path, &err);
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
    if (st)
        fprintf(stderr, "%s\n", err.text);
    return st ? 1 : 0;
}
