/* Pictures from hostile files: whatever the bytes, an answer comes, no memory is asked for that a
 * limit forbids, and the error names the file. Plus the parts that need no reference: crop,
 * orientation, writers, windows. */
#include "core/rng.h"
#include "image/codec.h"
#include "image/decoder.h"
#include "image/resize_int.h"
#include <math.h>
#include <png.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define GOLDEN SOURCE_DIR "/tests/golden/image"
static const char *const samples[] = {"sub2.jpg",       "progressive.jpg", "cmyk.jpg",
                                      "exif.jpg",       "rgb16.png",       "palette4.png",
                                      "interlaced.png", "exif.png",        "lossless.webp",
                                      "alpha.webp",     "animated.webp",   "exif.webp"};
#define SAMPLES (sizeof samples / sizeof *samples)

static uint8_t *read_sample(const char *name, size_t *n)
{
    char path[512];
    uint8_t *data = malloc(1 << 16);
    snprintf(path, sizeof path, GOLDEN "/%s", name);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    *n = fread(data, 1, 1 << 16, f);
    fclose(f);
    return data;
}

/* Loads an exact-size copy, so that a sanitizer sees the end. */
static enum status load_copy(const uint8_t *data, size_t n, struct error *err)
{
    struct image img;
    uint8_t *copy = malloc(n ? n : 1);
    memcpy(copy, data, n);
    enum status st = image_load_memory(&img, copy, n, "some \x1b file", NULL, NULL, err);
    if (st) {
        assert_null(img.data);
        assert_non_null(strstr(err->text, "some \\x1b file"));
    }
    image_release(&img);
    free(copy);
    return st;
}

static void poke(uint8_t *to, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)bytes[i];
}

static void truncated_files_are_refused(void **state)
{
    (void)state;
    for (size_t s = 0; s < SAMPLES; s++) {
        size_t n;
        uint8_t *data = read_sample(samples[s], &n);
        struct error err;
        assert_int_equal(load_copy(data, n, &err), ST_OK);
        for (size_t cut = 0; cut + 16 < n; cut += n > 2000 ? 64 : 7)
            if (load_copy(data, cut, &err) == ST_OK)
                fail_msg("%s is accepted at %zu of %zu bytes", samples[s], cut, n);
        free(data);
    }
}

static void damaged_files_give_an_answer(void **state)
{
    (void)state;
    struct rng r = {42};
    for (size_t s = 0; s < SAMPLES; s++) {
        size_t n;
        uint8_t *data = read_sample(samples[s], &n);
        for (int i = 0; i < 150; i++) {
            struct error err;
            uint8_t *copy = malloc(n);
            memcpy(copy, data, n);
            for (uint32_t k = 1 + rng_below(&r, 8); k; k--)
                copy[rng_below(&r, (uint32_t)n)] = (uint8_t)rng_u64(&r);
            load_copy(copy, n, &err);
            free(copy);
        }
        free(data);
    }
}

static void noise_behind_the_right_magic_is_refused(void **state)
{
    (void)state;
    static const char *const magics[] = {"\xff\xd8\xff\xe0", "\x89PNG\r\n\x1a\n",
                                         "RIFF\x20\x03\0\0WEBPVP8 "};
    static const size_t lengths[] = {4, 8, 16};
    struct rng r = {7};
    for (int i = 0; i < 300; i++) {
        uint8_t data[800];
        struct error err;
        for (size_t k = 0; k < sizeof data; k++)
            data[k] = (uint8_t)rng_u64(&r);
        poke(data, magics[i % 3], lengths[i % 3]);
        assert_int_not_equal(load_copy(data, sizeof data, &err), ST_OK);
    }
}

static void huge_sizes_are_refused_before_memory_is_asked_for(void **state)
{
    (void)state;
    struct error err;
    size_t n;
    uint8_t *png = read_sample("rgb.png", &n);
    poke(png + 16, "\0\0\xff\xff\0\0\xff\xff", 8); /* 65535 x 65535 */
    mem_fail_at(0, false);
    assert_int_equal(load_copy(png, n, &err), ST_LIMIT);
    poke(png + 16, "\0\0\0\0\0\0\0\1", 8);
    assert_int_equal(load_copy(png, n, &err), ST_FORMAT);
    poke(png + 16, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    assert_int_equal(load_copy(png, n, &err), ST_LIMIT);
    free(png);
    uint8_t *jpg = read_sample("sub0.jpg", &n);
    for (size_t i = 2; i + 9 < n; i++)
        if (jpg[i] == 0xFF && jpg[i + 1] == 0xC0) {
            poke(jpg + i + 5, "\xff\xdc\xff\xdc", 4); /* 65500 x 65500 */
            assert_int_equal(load_copy(jpg, n, &err), ST_LIMIT);
            poke(jpg + i + 5, "\xff\xff\xff\xff", 4);
            assert_int_equal(load_copy(jpg, n, &err), ST_LIMIT);
            poke(jpg + i + 5, "\0\0\0\0", 4);
            assert_int_not_equal(load_copy(jpg, n, &err), ST_OK);
        }
    free(jpg);
    struct image img;
    struct image_opts o = {.max_pixels = 37 * 29 - 1};
    for (size_t s = 0; s < SAMPLES; s++) {
        uint8_t *data = read_sample(samples[s], &n);
        assert_int_equal(image_load_memory(&img, data, n, "x", &o, NULL, &err), ST_LIMIT);
        free(data);
    }
}

static void a_thousand_scans_are_too_many(void **state)
{
    (void)state;
    size_t n, scan = 0, end = 0;
    struct error err;
    uint8_t *data = read_sample("progressive.jpg", &n);
    uint8_t *bomb = malloc(n + 1000 * 2000);
    for (size_t i = 2; i + 1 < n; i++) /* the last scan, header and all */
        if (data[i] == 0xFF && data[i + 1] == 0xDA)
            scan = i;
    end = n - 2;
    assert_true(scan > 0 && end - scan < 2000);
    memcpy(bomb, data, end);
    size_t at = end;
    for (int i = 0; i < 1000; i++) {
        memcpy(bomb + at, data + scan, end - scan);
        at += end - scan;
    }
    memcpy(bomb + at, data + end, 2);
    enum status st = load_copy(bomb, at + 2, &err);
    assert_int_equal(st, ST_LIMIT);
    free(bomb);
    free(data);
}

struct written {
    uint8_t *data;
    size_t n, room;
};

static void keep_bytes(png_structp p, png_bytep data, size_t n)
{
    struct written *w = png_get_io_ptr(p);
    if (w->n + n > w->room) { /* not at each of 400,000 calls */
        w->room = 2 * (w->n + n);
        w->data = realloc(w->data, w->room);
    }
    assert_non_null(w->data);
    memcpy(w->data + w->n, data, n);
    w->n += n;
}

/* A picture of one pixel with `count` texts of n bytes each. */
static struct written png_of_texts(int count, size_t n, int compression)
{
    struct written w = {0};
    png_byte row[3] = {1, 2, 3};
    char *long_text = malloc(n + 1);
    memset(long_text, 'x', n);
    long_text[n] = 0;
    png_structp p = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(p);
    png_text *all = calloc((size_t)count, sizeof *all),
             one = {.compression = compression,
                    .key = (char *)(uintptr_t) "parameters",
                    .text = long_text};
    png_set_write_fn(p, &w, keep_bytes, NULL);
    png_set_IHDR(p, info, 1, 1, 8, PNG_COLOR_TYPE_RGB, 0, 0, 0);
    one.text_length = compression < 1 ? n : 0;
    one.itxt_length = compression < 1 ? 0 : n;
    for (int i = 0; i < count; i++)
        all[i] = one;
    png_set_text(p, info, all, count); /* one by one it takes the square of the time */
    png_write_info(p, info);
    png_write_row(p, row);
    png_write_end(p, info);
    png_destroy_write_struct(&p, &info);
    free(all);
    free(long_text);
    w.data = realloc(w.data, w.n); /* so that a sanitizer sees the end */
    return w;
}

static long peak_kilobytes(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

/* 256 MB of text in a quarter of a megabyte, and a hundred thousand small texts: the picture is
 * read, its text is none, and the memory stays what it was. */
static void texts_that_swell_are_not_unpacked(void **state)
{
    (void)state;
    static const struct {
        int count;
        size_t n;
        int compression;
    } kinds[] = {{1, (size_t)64 << 20, PNG_TEXT_COMPRESSION_zTXt},
                 {1, (size_t)64 << 20, PNG_ITXT_COMPRESSION_zTXt},
                 {100, (size_t)1 << 20, PNG_TEXT_COMPRESSION_zTXt},
                 {100000, 40, PNG_TEXT_COMPRESSION_NONE}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct written w = png_of_texts(kinds[i].count, kinds[i].n, kinds[i].compression);
        struct image img;
        struct image_meta m;
        long before = peak_kilobytes();
        assert_int_equal(image_load_memory(&img, w.data, w.n, "bomb.png", NULL, &m, NULL), ST_OK);
        assert_int_equal(img.width * img.height, 1);
        if (i < 3)
            assert_string_equal(m.parameters, "");
        long grown = peak_kilobytes() - before;
        if (grown > 80 << 10)
            fail_msg("kind %zu takes %ld kB", i, grown);
        image_release(&img);
        free(w.data);
    }
}

static void every_failed_allocation_is_survived(void **state)
{
    (void)state;
    for (size_t s = 0; s < SAMPLES; s++) {
        size_t n;
        struct image_meta meta;
        uint8_t *data = read_sample(samples[s], &n);
        for (uint64_t k = 1; k < 500; k++) {
            struct image img, out;
            struct image_opts o = {.min_side = 8};
            mem_fail_at(k, k % 2);
            enum status st = image_load_memory(&img, data, n, "x", &o, &meta, NULL);
            if (!st) {
                st = image_resize(&out, 11, 12, &img, NULL, IMAGE_BICUBIC, NULL);
                image_release(&out);
            }
            bool through = mem_fail_at(0, false) < k;
            image_release(&img);
            if (through) {
                assert_int_equal(st, ST_OK);
                break;
            }
        }
        free(data);
    }
}

static void what_is_no_picture_file_is_named(void **state)
{
    (void)state;
    struct image img;
    struct image_meta meta;
    struct error err;
    char path[] = "/tmp/eidetic-test-XXXXXX";
    assert_int_equal(image_load(&img, "/nonexistent/a\nb.jpg", NULL, NULL, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.text, "a\\nb.jpg"));
    assert_int_equal(image_load(&img, "/tmp", NULL, NULL, &err), ST_FORMAT);
    assert_int_equal(image_load(&img, "/dev/zero", NULL, NULL, &err), ST_FORMAT);
    close(mkstemp(path));
    assert_int_equal(image_load(&img, path, NULL, NULL, &err), ST_FORMAT);
    assert_non_null(strstr(err.text, "is empty"));
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(image_probe(&meta, path, &err), ST_FORMAT);
    unlink(path);
    struct image_opts small = {.max_bytes = 100};
    assert_int_equal(image_load(&img, GOLDEN "/rgb.png", &small, NULL, &err), ST_LIMIT);
}

static void content_decides_and_not_the_name(void **state)
{
    (void)state;
    size_t n;
    struct image img;
    struct image_meta meta;
    uint8_t *data = read_sample("rgb.png", &n);
    assert_int_equal(image_load_memory(&img, data, n, "lies.jpg", NULL, &meta, NULL), ST_OK);
    assert_string_equal(meta.format, "png");
    image_release(&img);
    free(data);
    assert_true(image_name_supported("/a/b.JPG"));
    assert_true(image_name_supported("x.webp"));
    assert_false(image_name_supported("x.jpg.txt"));
    assert_false(image_name_supported("jpg"));
    struct image_format f;
    size_t built = 0, i;
    for (i = 0; image_format_get(&f, i); i++) {
        char name[64];
        snprintf(name, sizeof name, "x.%.*s", (int)strcspn(f.extensions, " "), f.extensions);
        assert_int_equal(image_name_supported(name), f.built);
        assert_true(f.built || f.library);
        built += f.built;
    }
    assert_true(i >= built);
    for (i = 0; codec_at(i); i++)
        assert_true(strlen(codec_at(i)->name) < sizeof meta.format);
    assert_int_equal(i, built);
}

static void reduced_decoding_keeps_its_promise(void **state)
{
    (void)state;
    char path[] = "/tmp/eidetic-test-XXXXXX";
    struct image img, got;
    struct image_meta meta;
    close(mkstemp(path));
    assert_int_equal(image_alloc(&img, 401, 1003, NULL), ST_OK);
    for (int i = 0; i < 401 * 1003 * 3; i++)
        img.data[i] = (uint8_t)(i / 1203 / 4);
    assert_int_equal(image_write_jpeg(path, &img, 80, NULL), ST_OK);
    static const int sides[][2] = {{0, 401},   {500, 401}, {402, 401}, {201, 201}, {202, 401},
                                   {101, 101}, {102, 201}, {51, 51},   {1, 51}};
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        struct image_opts o = {.min_side = sides[i][0]};
        assert_int_equal(image_load(&got, path, &o, &meta, NULL), ST_OK);
        assert_int_equal(got.width, sides[i][1]);
        assert_int_equal(meta.width, 401);
        assert_int_equal(meta.height, 1003);
        image_release(&got);
    }
    image_release(&img);
    unlink(path);
}

/* What the network sees of a reduced picture is what it sees of the whole one. */
static void reduced_decoding_hardly_shows(void **state)
{
    (void)state;
    char path[] = "/tmp/eidetic-test-XXXXXX";
    struct image small, big;
    struct rng r = {5};
    close(mkstemp(path));
    assert_int_equal(image_alloc(&small, 167, 121, NULL), ST_OK);
    for (int i = 0; i < 167 * 121; i++) {
        int grain = (int)rng_below(&r, 60); /* detail in brightness, as photographs have it */
        for (int c = 0; c < 3; c++)
            small.data[3 * i + c] = (uint8_t)(i % 167 * (3 - c) / 4 + i / 167 + grain);
    }
    assert_int_equal(image_resize(&big, 2001, 1453, &small, NULL, IMAGE_BICUBIC, NULL), ST_OK);
    assert_int_equal(image_write_jpeg(path, &big, 90, NULL), ST_OK);
    for (int size = 96; size <= 300; size += 68) {
        struct image whole, reduced, a, b;
        struct image_meta meta;
        struct decoder_prep prep = {.size = size};
        struct image_opts o = {.min_side = decoder_min_side(&prep)};
        double sum = 0;
        assert_int_equal(image_load(&whole, path, NULL, NULL, NULL), ST_OK);
        assert_int_equal(image_load(&reduced, path, &o, &meta, NULL), ST_OK);
        assert_true(reduced.width < whole.width);
        assert_int_equal(decoder_prepare(&a, &whole, &prep, NULL), ST_OK);
        assert_int_equal(decoder_prepare_reduced(&b, &reduced, &meta, &prep, NULL), ST_OK);
        for (int i = 0; i < size * size * 3; i++)
            sum += (a.data[i] - b.data[i]) * (a.data[i] - b.data[i]);
        assert_true(sum / (size * size * 3) < 4); /* 42 dB */
        image_release(&a);
        image_release(&b);
        image_release(&whole);
        image_release(&reduced);
    }
    image_release(&big);
    image_release(&small);
    unlink(path);
}

static void turning_follows_exif(void **state)
{
    (void)state;
    /* a b    what EXIF's 1..8 make of it, rows joined by '/' */
    /* c d */
    static const char *const want[] = {"abcd", "badc", "dcba", "cdab",
                                       "acbd", "cadb", "dbca", "bdac"};
    for (int turn = 0; turn <= 9; turn++) {
        struct image img;
        assert_int_equal(image_alloc(&img, 2, 2, NULL), ST_OK);
        for (int i = 0; i < 4; i++)
            memset(img.data + 3 * i, 'a' + i, 3);
        assert_int_equal(image_orient(&img, turn, NULL), ST_OK);
        for (int i = 0; i < 4; i++)
            assert_int_equal(img.data[3 * i + 1], want[turn < 1 || turn > 8 ? 0 : turn - 1][i]);
        image_release(&img);
    }
}

static void crops_outside_are_refused(void **state)
{
    (void)state;
    struct image img, out;
    assert_int_equal(image_alloc(&img, 5, 4, NULL), ST_OK);
    for (int i = 0; i < 60; i++)
        img.data[i] = (uint8_t)i;
    assert_int_equal(image_crop(&out, &img, 1, 2, 3, 2, NULL), ST_OK);
    assert_int_equal(out.data[0], 2 * 15 + 3);
    image_release(&out);
    assert_int_equal(image_crop(&out, &img, 3, 0, 3, 1, NULL), ST_USAGE);
    assert_int_equal(image_crop(&out, &img, -1, 0, 1, 1, NULL), ST_USAGE);
    assert_int_equal(image_crop(&out, &img, 0, 0, 1, 0, NULL), ST_USAGE);
    assert_int_equal(image_crop(&out, &img, 2147483647, 0, 2, 1, NULL), ST_USAGE);
    assert_int_equal(image_resize(&out, 0, 3, &img, NULL, IMAGE_BICUBIC, NULL), ST_USAGE);
    double box[4] = {0, 0, 6, 4};
    assert_int_equal(image_resize(&out, 3, 3, &img, box, IMAGE_BICUBIC, NULL), ST_USAGE);
    box[2] = NAN;
    assert_int_equal(image_resize(&out, 3, 3, &img, box, IMAGE_BICUBIC, NULL), ST_USAGE);
    image_release(&img);
}

static void a_window_is_the_crop_of_the_whole(void **state)
{
    (void)state;
    struct rng r = {3};
    for (int i = 0; i < 300; i++) {
        struct image src, whole, part, want;
        int w = 1 + (int)rng_below(&r, 60), h = 1 + (int)rng_below(&r, 60);
        int fw = 1 + (int)rng_below(&r, 60), fh = 1 + (int)rng_below(&r, 60);
        struct resize_window win = {.full_w = fw, .full_h = fh};
        enum image_filter filter = (enum image_filter)(i % 5);
        win.w = 1 + (int)rng_below(&r, (uint32_t)fw);
        win.h = 1 + (int)rng_below(&r, (uint32_t)fh);
        win.x = (int)rng_below(&r, (uint32_t)(fw - win.w + 1));
        win.y = (int)rng_below(&r, (uint32_t)(fh - win.h + 1));
        assert_int_equal(image_alloc(&src, w, h, NULL), ST_OK);
        for (int k = 0; k < w * h * 3; k++)
            src.data[k] = (uint8_t)rng_u64(&r);
        assert_int_equal(image_resize(&whole, fw, fh, &src, NULL, filter, NULL), ST_OK);
        assert_int_equal(image_crop(&want, &whole, (int)win.x, (int)win.y, win.w, win.h, NULL),
                         ST_OK);
        for (int level = 0; level <= (int)cpu_level_max(); level++) {
            assert_int_equal(image_resize_window(&part, &src, NULL, filter, &win,
                                                 resize_kernels_for((enum cpu_level)level), NULL),
                             ST_OK);
            assert_memory_equal(part.data, want.data, (size_t)win.w * (size_t)win.h * 3);
            image_release(&part);
        }
        image_release(&want);
        image_release(&whole);
        image_release(&src);
    }
}

static void kernels_write_no_byte_too_many(void **state)
{
    (void)state;
    uint8_t src[64 * 4], dst[64 + 2];
    int32_t k[4] = {1 << 20, 1 << 20, 1 << 20, 1 << 20};
    for (int level = 0; level <= (int)cpu_level_max(); level++)
        for (size_t n = 1; n <= 64; n++) {
            memset(src, 200, sizeof src);
            memset(dst, 99, sizeof dst);
            resize_kernels_for((enum cpu_level)level)->vertical(dst + 1, src, 64, n, k, 3);
            assert_int_equal(dst[0], 99);
            assert_int_equal(dst[1], 150);
            assert_int_equal(dst[n], 150);
            assert_int_equal(dst[n + 1], 99);
        }
}

static void written_files_read_back(void **state)
{
    (void)state;
    char path[] = "/tmp/eidetic-test-XXXXXX";
    struct image img, got;
    struct error err;
    static const char street[] = {'S', 't', 'r', 'a', '\xc3', '\x9f', 'e', 0};
    const char *text[] = {"parameters", "a cat\nSteps: 20", "Title", street, NULL, NULL};
    const char *bad[] = {"key", "\xff\xfe", NULL, NULL};
    static char file[1 << 16];
    close(mkstemp(path));
    assert_int_equal(image_load(&img, GOLDEN "/sub0.jpg", NULL, NULL, &err), ST_OK);
    assert_int_equal(image_write_png(path, &img, text, &err), ST_USAGE); /* it is there */
    unlink(path);
    assert_int_equal(image_write_png(path, &img, text, &err), ST_OK);
    assert_int_equal(image_load(&got, path, NULL, NULL, &err), ST_OK);
    assert_memory_equal(got.data, img.data, (size_t)img.width * (size_t)img.height * 3);
    image_release(&got);
    FILE *f = fopen(path, "re");
    size_t n = fread(file, 1, sizeof file, f);
    fclose(f);
    assert_non_null(memmem(file, n, "tEXtparameters\0a cat\nSteps: 20", 30));
    assert_non_null(memmem(file, n, "iTXtTitle\0", 10));
    assert_int_equal(image_write_png(path, &img, bad, &err), ST_USAGE);
    assert_int_equal(image_write_jpeg(path, &img, 95, &err), ST_OK);
    assert_int_equal(image_load(&got, path, NULL, NULL, &err), ST_OK);
    int worst = 0;
    for (int i = 0; i < img.width * img.height * 3; i++)
        worst = abs(got.data[i] - img.data[i]) > worst ? abs(got.data[i] - img.data[i]) : worst;
    assert_true(worst < 60);
    image_release(&got);
    for (uint64_t k = 1; k < 200; k++) {
        unlink(path);
        mem_fail_at(k, false);
        enum status png = image_write_png(path, &img, text, NULL);
        bool through = mem_fail_at(0, false) < k;
        mem_fail_at(k, true);
        image_write_jpeg(path, &img, 50, NULL);
        mem_fail_at(0, false);
        if (through && !png)
            break;
    }
    assert_int_not_equal(image_write_png("/nonexistent/dir/x.png", &img, NULL, &err), ST_OK);
    image_release(&img);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(truncated_files_are_refused),
        cmocka_unit_test(damaged_files_give_an_answer),
        cmocka_unit_test(noise_behind_the_right_magic_is_refused),
        cmocka_unit_test(huge_sizes_are_refused_before_memory_is_asked_for),
        cmocka_unit_test(a_thousand_scans_are_too_many),
        cmocka_unit_test(texts_that_swell_are_not_unpacked),
        cmocka_unit_test(every_failed_allocation_is_survived),
        cmocka_unit_test(what_is_no_picture_file_is_named),
        cmocka_unit_test(content_decides_and_not_the_name),
        cmocka_unit_test(reduced_decoding_keeps_its_promise),
        cmocka_unit_test(reduced_decoding_hardly_shows),
        cmocka_unit_test(turning_follows_exif),
        cmocka_unit_test(crops_outside_are_refused),
        cmocka_unit_test(a_window_is_the_crop_of_the_whole),
        cmocka_unit_test(kernels_write_no_byte_too_many),
        cmocka_unit_test(written_files_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
