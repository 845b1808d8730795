/* Makes the pictures that indexing is timed on: JPEG, quality 90, 4:2:0, like those of a camera. No
 * camera's files may be passed on here, so each is a random crop of a sample photograph, enlarged,
 * with the fine detail that enlarging lacks put back as 1/f noise (equal energy in each octave, as
 * in natural scenes, stronger where the crop has contrast) and a sensor's shot and read noise on
 * top. The same arguments give the same bytes.
 *
 *     make_pictures DIR                    200 of 4000 x 3000 in DIR/12mp, 500 of 1155 x 866 in
 *                                          DIR/1mp
 *     make_pictures DIR NAME N W H         N of W x H in DIR/NAME
 *     -s FOLDER (samples/photos), -t THREADS (all processors) */
#include "core/cpu.h"
#include "core/file.h"
#include "core/path.h"
#include "core/rng.h"
#include "core/threads.h"
#include "image/image.h"
#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIELD = 2048, NORMALS = 1 << 16, MAX_PHOTOS = 256, QUALITY = 90 };

struct maker {
    struct image photos[MAX_PHOTOS];
    int n_photos;
    int8_t *field;   /* FIELD x FIELD, 1/f, deviation 32 */
    int8_t *normals; /* white, deviation 32 */
};

struct set {
    const struct maker *m;
    const char *dir;
    int width, height;
    uint64_t bytes[4096]; /* of each file; 0 = it failed */
    struct error errors[4096];
};

static void clip_to_int8(int8_t *out, float v)
{
    v = roundf(v);
    *out = (int8_t)(v > 127 ? 127 : v < -127 ? -127 : v);
}

static float smooth(float t)
{
    return t * t * (3 - 2 * t);
}

/* One octave of value noise: a lattice of normals every `step` pixels, wrapped at the edges. */
static void add_octave(float *sum, int step, struct rng *r)
{
    int n = FIELD / step;
    float *grid = mem_array((size_t)n * (size_t)n, sizeof *grid);
    for (int i = 0; grid && i < n * n; i++)
        grid[i] = rng_normal(r);
    for (int y = 0; grid && y < FIELD; y++) {
        int gy = y / step, hy = (gy + 1) % n;
        float fy = smooth((float)(y % step) / (float)step);
        for (int x = 0; x < FIELD; x++) {
            int gx = x / step, hx = (gx + 1) % n;
            float fx = smooth((float)(x % step) / (float)step);
            float top = grid[gy * n + gx] * (1 - fx) + grid[gy * n + hx] * fx;
            float low = grid[hy * n + gx] * (1 - fx) + grid[hy * n + hx] * fx;
            sum[y * FIELD + x] += top * (1 - fy) + low * fy;
        }
    }
    mem_free(grid);
}

static bool make_noise(struct maker *m)
{
    size_t n = (size_t)FIELD * FIELD;
    struct rng r = {.state = 11};
    float *sum = mem_zarray(n, sizeof *sum);
    double square = 0;
    m->field = mem_alloc(n);
    m->normals = mem_alloc(NORMALS);
    if (!sum || !m->field || !m->normals)
        return false;
    for (int step = 2; step <= 16; step *= 2)
        add_octave(sum, step, &r);
    for (size_t i = 0; i < n; i++)
        square += (double)sum[i] * sum[i];
    float scale = 32.0f / (float)sqrt(square / (double)n);
    for (size_t i = 0; i < n; i++)
        clip_to_int8(&m->field[i], scale * sum[i]);
    for (size_t i = 0; i < NORMALS; i++)
        clip_to_int8(&m->normals[i], 32 * rng_normal(&r));
    mem_free(sum);
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum status load_photos(struct maker *m, const char *folder, struct error *err)
{
    char *names[MAX_PHOTOS] = {0};
    int n = 0;
    DIR *d = opendir(folder);
    enum status st = d ? ST_OK : error_set(err, ST_NOT_FOUND, "%s: no such folder", folder);
    for (struct dirent *e; d && n < MAX_PHOTOS && (e = readdir(d));)
        if (image_name_supported(e->d_name) && (names[n] = path_join(folder, e->d_name)))
            n++;
    qsort(names, (size_t)n, sizeof *names, by_name); /* the folder's own order is any */
    for (int i = 0; i < n && !st; i++)
        st = image_load(&m->photos[m->n_photos++], names[i], NULL, NULL, err);
    if (!st && n == 0)
        st = error_set(err, ST_NOT_FOUND, "%s: no pictures", folder);
    for (int i = 0; i < n; i++)
        mem_free(names[i]);
    if (d)
        closedir(d);
    return st;
}

/* How much detail the picture has around each cell of 32 x 32 pixels: the deviation of its
 * brightness there. */
static void contrast_of(const struct image *p, float *cell, int cells_x, int cells_y)
{
    for (int cy = 0; cy < cells_y; cy++)
        for (int cx = 0; cx < cells_x; cx++) {
            float s = 0, q = 0;
            int n = 0;
            for (int y = 32 * cy; y < 32 * cy + 32 && y < p->height; y += 2)
                for (int x = 32 * cx; x < 32 * cx + 32 && x < p->width; x += 2, n++) {
                    float g = p->data[((size_t)y * (size_t)p->width + (size_t)x) * 3 + 1];
                    s += g;
                    q += g * g;
                }
            float var = q / (float)n - (s / (float)n) * (s / (float)n);
            cell[cy * cells_x + cx] = sqrtf(var > 0 ? var : 0);
        }
}

static uint8_t to_byte(float v)
{
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : (int)(v + 0.5f));
}

/* Detail is the same in the three channels; a sensor's noise mostly is, too, once the camera has
 * smoothed its colours. */
static void add_noise(struct image *p, const float *cell, int cells_x, const struct maker *m,
                      struct rng *r)
{
    uint32_t dx = rng_below(r, FIELD), dy = rng_below(r, FIELD);
    float shot[256];
    for (int i = 0; i < 256; i++) /* of a deviation of 32 */
        shot[i] = sqrtf(6.0f + 15.0f * (float)i / 255) / 32;
    for (int y = 0; y < p->height; y++) {
        const int8_t *field = m->field + (((uint32_t)y + dy) % FIELD) * FIELD;
        uint8_t *px = p->data + (size_t)y * (size_t)p->width * 3;
        uint64_t bits = 0;
        for (int x = 0; x < p->width; x++, px += 3) {
            if (x % 2 == 0)
                bits = rng_u64(r);
            float c = cell[(y / 32) * cells_x + x / 32];
            float detail = (5.0f + 1.1f * c) / 32 * (float)field[((uint32_t)x + dx) % FIELD];
            float k = shot[px[1]];
            float grey = (float)m->normals[bits & (NORMALS - 1)] * k;
            float colour = (float)m->normals[(bits >> 16) & (NORMALS - 1)] * k * 0.4f;
            px[0] = to_byte((float)px[0] + detail + grey + colour);
            px[1] = to_byte((float)px[1] + detail + grey);
            px[2] = to_byte((float)px[2] + detail + grey - colour);
            bits >>= 32;
        }
    }
}

static enum status make_one(const struct set *s, int i, uint64_t *bytes, struct error *err)
{
    struct rng r = {.state = UINT64_C(1000003) * (uint64_t)s->width + (uint64_t)i};
    const struct image *src = &s->m->photos[(size_t)i % (size_t)s->m->n_photos];
    struct image big = {0};
    int cells_x = (s->width + 31) / 32, cells_y = (s->height + 31) / 32;
    float *cell = mem_array((size_t)cells_x * (size_t)cells_y, sizeof *cell);
    double aspect = (double)s->width / s->height;
    double most = fmin(src->width, src->height * aspect);
    double w = most * (0.6 + 0.4 * rng_uniform(&r)), h = w / aspect;
    double x = (src->width - w) * rng_uniform(&r), y = (src->height - h) * rng_uniform(&r);
    char name[32];
    snprintf(name, sizeof name, "%04d.jpg", i);
    char *path = path_join(s->dir, name);
    enum status st = cell && path ? ST_OK : error_set(err, ST_NOMEM, "out of memory");
    if (!st)
        st = image_resize(&big, s->width, s->height, src, (double[]){x, y, x + w, y + h},
                          IMAGE_BICUBIC, err);
    if (!st) {
        contrast_of(&big, cell, cells_x, cells_y);
        add_noise(&big, cell, cells_x, s->m, &r);
        st = image_write_jpeg(path, &big, QUALITY, err);
    }
    struct stat sb;
    if (!st && stat(path, &sb) == 0)
        *bytes = (uint64_t)sb.st_size;
    image_release(&big);
    mem_free(path);
    mem_free(cell);
    return st;
}

static void make_body(void *ctx, int i, int thread)
{
    struct set *s = ctx;
    (void)thread;
    make_one(s, i, &s->bytes[i], &s->errors[i]);
}

static enum status make_set(const struct maker *m, const char *dir, const char *name, int n,
                            int width, int height, struct pool *pool, struct error *err)
{
    char *sub = path_join(dir, name);
    struct set *s = mem_zalloc(sizeof *s);
    enum status st = s && sub ? file_make_dirs(sub, err) : error_set(err, ST_NOMEM, "no memory");
    uint64_t sum = 0, least = UINT64_MAX, most = 0;
    if (!st) {
        *s = (struct set){.m = m, .dir = sub, .width = width, .height = height};
        pool_for(pool, n, make_body, s);
    }
    for (int i = 0; i < n && !st; i++) {
        uint64_t b = s->bytes[i];
        if (b == 0) {
            *err = s->errors[i];
            st = err->code;
        }
        sum += b;
        least = b < least ? b : least;
        most = b > most ? b : most;
    }
    if (!st)
        printf("%s: %d of %d x %d, quality %d, 4:2:0; mean %.0f KB (%.0f to %.0f), %.0f MB\n", sub,
               n, width, height, QUALITY, (double)sum / n / 1e3, (double)least / 1e3,
               (double)most / 1e3, (double)sum / 1e6);
    mem_free(s);
    mem_free(sub);
    return st;
}

static void release(struct maker *m)
{
    for (int i = 0; m && i < m->n_photos; i++)
        image_release(&m->photos[i]);
    if (m) {
        mem_free(m->field);
        mem_free(m->normals);
    }
    mem_free(m);
}

int main(int argc, char **argv)
{
    const char *folder = "samples/photos";
    int threads = cpu_count(), opt;
    while ((opt = getopt(argc, argv, "s:t:")) != -1) {
        if (opt == 's')
            folder = optarg;
        else if (opt == 't')
            threads = (int)strtol(optarg, NULL, 10);
        else
            return 2;
    }
    char **a = argv + optind;
    int args = argc - optind, n = 0, w = 0, h = 0;
    if (args == 5) {
        n = (int)strtol(a[2], NULL, 10);
        w = (int)strtol(a[3], NULL, 10);
        h = (int)strtol(a[4], NULL, 10);
    }
    if ((args != 1 && args != 5) || threads < 1 ||
        (args == 5 && (n < 1 || n > 4096 || w < 8 || w > 16384 || h < 8 || h > 16384))) {
        fprintf(stderr, "make_pictures DIR [NAME N WIDTH HEIGHT]; at most 4096 of 16384 x 16384\n");
        return 2;
    }
    struct error err = {0};
    struct maker *m = mem_zalloc(sizeof *m);
    struct pool *pool = pool_new(threads);
    enum status st = m && make_noise(m) ? load_photos(m, folder, &err)
                                        : error_set(&err, ST_NOMEM, "out of memory");
    if (!st && args == 5)
        st = make_set(m, a[0], a[1], n, w, h, pool, &err);
    if (!st && args == 1)
        st = make_set(m, a[0], "12mp", 200, 4000, 3000, pool, &err);
    if (!st && args == 1)
        st = make_set(m, a[0], "1mp", 500, 1155, 866, pool, &err);
    if (st)
        fprintf(stderr, "make_pictures: %s\n", err.text);
    pool_free(pool);
    release(m);
    return st ? 1 : 0;
}
