/* Resize, preparation and decoding against Pillow, open_clip and transformers
 * (scripts/make_golden_image.py). Resizes must be equal bit for bit, in every kernel; lossy files
 * within 1/255 of Pillow's bundled libraries. */
#include "core/rng.h"
#include "image/decoder.h"
#include "image/resize_int.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct image noise(int seed, int w, int h)
{
    struct image img;
    struct rng r = {(uint64_t)seed};
    assert_int_equal(image_alloc(&img, w, h, NULL), ST_OK);
    for (int i = 0; i < w * h * 3; i++) {
        uint8_t b = (uint8_t)(rng_u64(&r) >> 56);
        img.data[i] = seed % 3 ? b : b < 128 ? 0 : 255;
    }
    return img;
}

static uint64_t fnv(const struct image *img)
{
    uint64_t h = UINT64_C(0xCBF29CE484222325);
    size_t n = (size_t)img->width * (size_t)img->height * 3;
    for (size_t i = 0; i < n; i++)
        h = (h ^ img->data[i]) * UINT64_C(0x100000001B3);
    return h;
}

static void resize_matches_pillow(void **state)
{
    (void)state;
    FILE *f = fopen(TEST_DATA "/image/resize.tsv", "r");
    int seed, w, h, filter, cases = 0;
    unsigned long long want;
    double box[4];
    struct resize_window win = {0};
    assert_non_null(f);
    while (fscanf(f, "%d %d %d %d %d %d %lf %lf %lf %lf %llx", &seed, &w, &h, &win.w, &win.h,
                  &filter, box, box + 1, box + 2, box + 3, &want) == 11) {
        struct image src = noise(seed, w, h), dst;
        win.full_w = win.w;
        win.full_h = win.h;
        for (int level = CPU_REF; level <= (int)cpu_level_max(); level++) {
            assert_int_equal(image_resize_window(&dst, &src, box, (enum image_filter)filter, &win,
                                                 resize_kernels_for((enum cpu_level)level), NULL),
                             ST_OK);
            assert_int_equal(dst.width, win.w);
            if (fnv(&dst) != want)
                fail_msg("case %d at level %s differs from Pillow", seed,
                         cpu_level_name((enum cpu_level)level));
            image_release(&dst);
        }
        image_release(&src);
        cases++;
    }
    fclose(f);
    assert_int_equal(cases, 160);
}

static void preparation_matches_open_clip_and_transformers(void **state)
{
    (void)state;
    FILE *f = fopen(TEST_DATA "/image/prepare.tsv", "r");
    int seed, w, h, size, fit, crop, cases = 0;
    unsigned long long want;
    assert_non_null(f);
    while (fscanf(f, "%d %d %d %d %d %d %llx", &seed, &w, &h, &size, &fit, &crop, &want) == 7) {
        struct image src = noise(seed, w, h), dst;
        struct decoder_prep prep = {.size = size,
                                    .fit = (enum decoder_fit)fit,
                                    .crop = (enum decoder_crop)crop,
                                    .pad = {7, 7, 7}};
        assert_int_equal(decoder_prepare(&dst, &src, &prep, NULL), ST_OK);
        if (dst.width != size || dst.height != size || fnv(&dst) != want)
            fail_msg("case %d (%d x %d to %d, fit %d, crop %d) differs", seed, w, h, size, fit,
                     crop);
        image_release(&dst);
        image_release(&src);
        cases++;
    }
    fclose(f);
    assert_int_equal(cases, 240);
}

static int largest_difference(const struct image *a, const struct image *b)
{
    int max = 0;
    if (a->width != b->width || a->height != b->height)
        return 256;
    for (int i = 0; i < a->width * a->height * 3; i++) {
        int d = abs(a->data[i] - b->data[i]);
        max = d > max ? d : max;
    }
    return max;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

/* Lossless formats must be equal bit for bit. What a colour profile made may differ by 1, since
 * Pillow brings a later Little CMS; and so may JPEG and WebP, by the libraries' rounding. */
static int tolerance(const char *name)
{
    static const char *const exact[] = {".png",         ".gif",     ".bmp",         ".pbm",
                                        ".pgm",         ".ppm",     ".pam",         ".tif",
                                        "lossless.jxl", "exif.jxl", "lossless.jp2", ".j2k"};
    if (!strcmp(name, "sub.avif")) /* libheif repeats the samples of colour, libavif interpolates */
        return 15;
    if (!strncmp(name, "icc_", 4) || !strcmp(name, "jpeg.tif") || !strcmp(name, "ycc.tif"))
        return 1;
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++)
        if (ends_with(name, exact[i]))
            return 0;
    return 1;
}

static void files_decode_as_pillow_decodes_them(void **state)
{
    (void)state;
    DIR *d = opendir(TEST_DATA "/image");
    int cases = 0;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        char path[512], want_path[512];
        struct image got = {0}, want = {0};
        struct error err;
        if (e->d_name[0] == '.' || ends_with(e->d_name, ".rgb.png") || ends_with(e->d_name, ".tsv"))
            continue;
        if (!image_name_supported(e->d_name)) {
            print_message("%s: built without its library, left out\n", e->d_name);
            continue;
        }
        snprintf(path, sizeof path, TEST_DATA "/image/%s", e->d_name);
        snprintf(want_path, sizeof want_path, TEST_DATA "/image/%s.rgb.png", e->d_name);
        if (image_load(&got, path, NULL, NULL, &err) ||
            image_load(&want, want_path, NULL, NULL, &err))
            fail_msg("%s", err.text);
        int max = largest_difference(&got, &want);
        if (max > tolerance(e->d_name))
            fail_msg("%s differs from Pillow by %d", e->d_name, max);
        image_release(&got);
        image_release(&want);
        cases++;
    }
    closedir(d);
    assert_true(cases >= 40);
}

static void exif_is_read_from_each_container(void **state)
{
    (void)state;
    static const char *const names[] = {"exif.jpg",  "exif.png",  "exif.webp",
                                        "exif.tif",  "exif.dng",  "exif.jp2",
                                        "exif.heic", "exif.avif", "exif.jxl"};
    static const char *const formats[] = {"jpeg", "png",  "webp", "tiff", "raw",
                                          "jp2",  "heic", "avif", "jxl"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        struct image_meta m;
        struct error err;
        if (!image_name_supported(names[i]))
            continue;
        snprintf(path, sizeof path, TEST_DATA "/image/%s", names[i]);
        if (image_probe(&m, path, &err))
            fail_msg("%s", err.text);
        /* HEIC, AVIF and JPEG XL turn by themselves; in exif.jxl only EXIF says that it should be.
         */
        assert_int_equal(m.orientation, i < 6 ? 6 : 1);
        assert_int_equal(m.width, i < 8 ? 29 : 37);
        assert_int_equal(m.height, i < 8 ? 37 : 29);
        assert_string_equal(m.taken, "2019-05-04T13:02:11+02:00");
        assert_string_equal(m.make, "NIKON CORPORATION");
        assert_string_equal(m.camera, "NIKON D90");
        assert_string_equal(m.lens, "50.0 mm f/1.8");
        assert_true(m.has_gps);
        assert_float_equal(m.lat, -33.85997, 1e-4);
        assert_float_equal(m.lon, 151.21111, 1e-4);
        assert_float_equal(m.alt, -12.5, 1e-6);
        assert_string_equal(m.format, formats[i]);
        assert_false(m.animated);
    }
}

static void animations_are_flagged(void **state)
{
    (void)state;
    static const char *const names[] = {"animated.gif", "animated.png", "animated.webp",
                                        "animated.avif", "animated.jxl"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        struct image_meta m;
        if (!image_name_supported(names[i]))
            continue;
        snprintf(path, sizeof path, TEST_DATA "/image/%s", names[i]);
        assert_int_equal(image_probe(&m, path, NULL), ST_OK);
        assert_true(m.animated);
    }
    struct image_meta m;
    assert_int_equal(image_probe(&m, TEST_DATA "/image/plain.gif", NULL), ST_OK);
    assert_false(m.animated);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resize_matches_pillow),
        cmocka_unit_test(preparation_matches_open_clip_and_transformers),
        cmocka_unit_test(files_decode_as_pillow_decodes_them),
        cmocka_unit_test(exif_is_read_from_each_container),
        cmocka_unit_test(animations_are_flagged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
