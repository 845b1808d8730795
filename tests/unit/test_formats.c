/* The rarer formats from hostile files, as test_image.c has it for the three common ones: an answer
 * whatever the bytes, limits before memory, and the same pixels in a confined worker as in this
 * process. Formats that were built without their library are named and left out. */
#include "core/path.h"
#include "core/rng.h"
#include "image/codec.h"
#include "image/decoder.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GOLDEN SOURCE_DIR "/tests/golden/image"
static const char *const samples[] = {
    "plain.gif",    "interlaced.gif", "inside.gif",     "rgb.bmp",
    "rle8.bmp",     "rle4.bmp",       "rgb565.bmp",     "os2.bmp",
    "rgb.ppm",      "plain.ppm",      "plain.pbm",      "bits.pbm",
    "alpha.pam",    "deep.pgm",       "lzw.tif",        "tiled.tif",
    "jpeg.tif",     "palette.tif",    "fax.tif",        "planes.tif",
    "cmyk16.tif",   "exif.tif",       "icc_inks.tif",   "icc_p3.tif",
    "icc_grey.jpg", "icc_inks.jpg",   "icc_p3.png",     "icc_p3.webp",
    "full.heic",    "exif.heic",      "icc_p3.heic",    "full.avif",
    "exif.avif",    "lossless.jxl",   "lossy.jxl",      "exif.jxl",
    "lossless.jp2", "tiles.jp2",      "stream.j2k",     "exif.dng",
    "grid.heic",    "ycc.tif",        "arithmetic.jpg", "arithmetic_progressive.jpg",
    "canon.cr3",    "fuji.raf",
};
#define SAMPLES (sizeof samples / sizeof *samples)

static uint8_t *read_sample(const char *name, size_t *n)
{
    char path[512];
    uint8_t *data = malloc(1 << 17);
    snprintf(path, sizeof path, GOLDEN "/%s", name);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    *n = fread(data, 1, 1 << 17, f);
    fclose(f);
    assert_true(*n < 1 << 17);
    return data;
}

static bool is_there(const char *name)
{
    if (!image_name_supported(name))
        print_message("%s: built without its library, left out\n", name);
    return image_name_supported(name);
}

/* Loads an exact-size copy, so that a sanitizer sees the end. */
static enum status load_copy(const uint8_t *data, size_t n, uint64_t max_pixels, struct error *err)
{
    struct image img;
    struct image_meta meta;
    struct image_opts o = {.max_pixels = max_pixels};
    uint8_t *copy = malloc(n ? n : 1);
    memcpy(copy, data, n);
    enum status st = image_load_memory(&img, copy, n, "some \x1b file", &o, &meta, err);
    if (st) {
        assert_null(img.data);
        assert_non_null(strstr(err->text, "some \\x1b file"));
    } else {
        assert_true((uint64_t)img.width * (uint64_t)img.height <= max_pixels);
    }
    image_release(&img);
    free(copy);
    return st;
}

static void tiff_with_jbig_is_refused(void **state)
{
    (void)state;
    static const uint8_t compression[8] = {0x03, 0x01, 3, 0, 1, 0, 0, 0};
    size_t n, at = 0;
    struct error err;
    if (!is_there("fax.tif"))
        skip();
    uint8_t *data = read_sample("fax.tif", &n);
    while (at + 12 < n && memcmp(data + at, compression, sizeof compression) != 0)
        at++;
    assert_true(at + 12 < n);
    data[at + 8] = 34661 & 255;
    data[at + 9] = 34661 >> 8;
    assert_int_equal(load_copy(data, n, 1 << 20, &err), ST_UNSUPPORTED);
    assert_non_null(strstr(err.text, "JBIG"));
    free(data);
}

static void truncated_files_are_refused(void **state)
{
    (void)state;
    for (size_t s = 0; s < SAMPLES; s++) {
        size_t n;
        struct error err;
        if (!is_there(samples[s]) || image_name_is_raw(samples[s])) /* a whole preview is enough */
            continue;
        uint8_t *data = read_sample(samples[s], &n);
        if (load_copy(data, n, 1 << 20, &err))
            fail_msg("%s", err.text);
        for (size_t cut = 0; cut + 16 < n; cut += n > 2000 ? 61 : 7)
            if (load_copy(data, cut, 1 << 20, &err) == ST_OK)
                fail_msg("%s is accepted at %zu of %zu bytes", samples[s], cut, n);
        free(data);
    }
}

static void damaged_files_give_an_answer(void **state)
{
    (void)state;
    struct rng r = {43};
    for (size_t s = 0; s < SAMPLES; s++) {
        size_t n;
        uint8_t *data = read_sample(samples[s], &n);
        for (int i = 0; i < 150; i++) {
            struct error err;
            uint8_t *copy = malloc(n);
            memcpy(copy, data, n);
            for (uint32_t k = 1 + rng_below(&r, 8); k; k--) /* half of them near the header */
                copy[rng_below(&r, (uint32_t)(k % 2 && n > 200 ? 200 : n))] = (uint8_t)rng_u64(&r);
            load_copy(copy, n, 1 << 20, &err);
            free(copy);
        }
        free(data);
    }
}

static void pictures_above_the_limit_are_refused_before_memory_is_asked_for(void **state)
{
    (void)state;
    for (size_t s = 0; s < SAMPLES; s++) {
        size_t n;
        struct error err;
        if (!is_there(samples[s]))
            continue;
        uint8_t *data = read_sample(samples[s], &n);
        mem_fail_at(0, false);
        assert_int_equal(load_copy(data, n, 10, &err), ST_LIMIT);
        assert_true(mem_fail_at(0, false) <= 1); /* the name in the message */
        free(data);
    }
}

/* Some programs leave out what closes a run-length coded picture; a pixel less is one too few. */
static void a_bitmap_may_lack_its_end_but_no_pixel(void **state)
{
    size_t n;
    struct error err;
    uint8_t *d = read_sample("rle8.bmp", &n);
    (void)state;
    assert_memory_equal(d + n - 2, "\0\1", 2);
    while (n > 2 && d[n - 2] == 0 && d[n - 1] < 2) /* the end of the file and of its last row */
        n -= 2;
    assert_int_equal(load_copy(d, n, 1 << 20, &err), ST_OK);
    assert_int_equal(load_copy(d, n - 2, 1 << 20, &err), ST_FORMAT);
    free(d);
}

/* Headers that claim 4,000,000,000 pixels and more, in files of a few hundred bytes. */
static void bombs_are_refused(void **state)
{
    (void)state;
    struct error err;
    size_t n;
    uint8_t *d = read_sample("plain.gif", &n);
    memcpy(d + 6, "\xff\xff\xff\xff", 4);
    assert_int_equal(load_copy(d, n, IMAGE_MAX_PIXELS, &err), ST_LIMIT);
    free(d);
    d = read_sample("rle8.bmp", &n);
    memcpy(d + 18, "\xff\xff\xff\x7f\xff\xff\xff\x7f", 8);
    assert_int_equal(load_copy(d, n, IMAGE_MAX_PIXELS, &err), ST_LIMIT);
    memcpy(d + 18, "\0\0\0\x80\0\0\0\x80", 8);
    assert_int_not_equal(load_copy(d, n, IMAGE_MAX_PIXELS, &err), ST_OK);
    free(d);
    static const char pnm[] = "P5 999999999 999999999 255\n...", plain[] = "P2 20000 20000 255\n1";
    assert_int_equal(load_copy((const uint8_t *)pnm, sizeof pnm, IMAGE_MAX_PIXELS, &err), ST_LIMIT);
    assert_int_equal(load_copy((const uint8_t *)plain, sizeof plain, IMAGE_MAX_PIXELS, &err),
                     ST_FORMAT); /* too short to hold them: known before memory is asked for */
    if (is_there("x.tif")) {
        d = read_sample("bits2.tif", &n);
        for (size_t i = 88; i + 12 < n; i += 2) /* width and height become 65535 */
            if ((d[i] == 0 || d[i] == 1) && d[i + 1] == 1 && d[i + 2] == 3 && d[i + 4] == 1)
                memcpy(d + i + 8, "\xff\xff", 2);
        assert_int_equal(load_copy(d, n, IMAGE_MAX_PIXELS, &err), ST_LIMIT);
        free(d);
    }
}

/* The size that a container claims is refused before the bitstream is looked at. */
static void bombs_in_containers_are_refused(void **state)
{
    (void)state;
    struct error err;
    size_t n;
    if (is_there("x.heic")) {
        uint8_t *d = read_sample("full.heic", &n), *at = memmem(d, n, "ispe", 4);
        assert_non_null(at);
        memcpy(at + 8, "\0\1\0\0\0\1\0\0", 8);
        assert_int_equal(load_copy(d, n, IMAGE_MAX_PIXELS, &err), ST_LIMIT);
        memcpy(at + 8, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
        assert_int_not_equal(load_copy(d, n, IMAGE_MAX_PIXELS, &err), ST_OK);
        free(d);
    }
    if (is_there("x.j2k")) {
        uint8_t *d = read_sample("stream.j2k", &n);
        memcpy(d + 8, "\0\1\0\0\0\1\0\0", 8); /* one tile as large */
        memcpy(d + 24, "\0\1\0\0\0\1\0\0", 8);
        assert_int_equal(load_copy(d, n, IMAGE_MAX_PIXELS, &err), ST_LIMIT);
        free(d);
    }
    if (is_there("x.jxl")) {
        /* A bare codestream: size header of 2^30 x 2^30, then nothing that could be decoded. */
        static const uint8_t bomb[16] = {0xFF, 0x0A, 0x06, 0, 0, 0, 0x80, 1};
        assert_int_not_equal(load_copy(bomb, sizeof bomb, IMAGE_MAX_PIXELS, &err), ST_OK);
    }
}

static void every_failed_allocation_is_survived(void **state)
{
    (void)state;
    for (size_t s = 0; s < SAMPLES; s++) {
        size_t n;
        if (!is_there(samples[s]))
            continue;
        uint8_t *data = read_sample(samples[s], &n);
        for (uint64_t k = 1; k < 200; k++) {
            struct image img;
            struct image_meta meta;
            mem_fail_at(k, k % 2);
            enum status st = image_load_memory(&img, data, n, "x", NULL, &meta, NULL);
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

/* Libraries that wanted a thread, a file or a setting would fail there. */
static void workers_decode_every_format(void **state)
{
    (void)state;
    struct decoder *d;
    struct error err;
    struct decoder_opts o = {.workers = 1, .timeout_ms = 60000};
    DIR *dir = opendir(GOLDEN);
    int cases = 0;
    assert_non_null(dir);
    assert_int_equal(decoder_open(&d, &o, &err), ST_OK);
    for (struct dirent *e; (e = readdir(dir));) {
        struct decoder_job job;
        struct image want;
        char path[512];
        if (e->d_name[0] == '.' || strstr(e->d_name, ".rgb.png") ||
            !image_name_supported(e->d_name))
            continue;
        snprintf(path, sizeof path, GOLDEN "/%s", e->d_name);
        assert_int_equal(decoder_submit(d, 1, path, &err), ST_OK);
        assert_int_equal(decoder_next(d, &job, 60000, &err), ST_OK);
        if (job.status || image_load(&want, path, NULL, NULL, &err))
            fail_msg("%s", job.status ? job.text : err.text);
        assert_int_equal(job.width, want.width);
        assert_int_equal(job.height, want.height);
        assert_memory_equal(job.pixels, want.data, (size_t)want.width * (size_t)want.height * 3);
        decoder_done(d, &job);
        image_release(&want);
        cases++;
    }
#if defined HAVE_SECCOMP && !defined EIDETIC_SANITIZED
    assert_true(decoder_sandboxed(d));
#endif
    decoder_close(d);
    closedir(dir);
    assert_true(cases >= 70);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], DECODER_WORKER_ARG))
        return decoder_worker_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiff_with_jbig_is_refused),
        cmocka_unit_test(truncated_files_are_refused),
        cmocka_unit_test(damaged_files_give_an_answer),
        cmocka_unit_test(pictures_above_the_limit_are_refused_before_memory_is_asked_for),
        cmocka_unit_test(a_bitmap_may_lack_its_end_but_no_pixel),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(bombs_in_containers_are_refused),
        cmocka_unit_test(every_failed_allocation_is_survived),
        cmocka_unit_test(workers_decode_every_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
