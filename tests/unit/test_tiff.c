/* TIFF of the sizes of samples that few writers make, in both byte orders, built here byte by byte:
 * what is read, to what, and what is refused. */
#include "image/image.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WHITE_IS_0 = 0, BLACK_IS_0 = 1, RGB = 2, ICCLAB = 9 };
enum { WHOLE = 1, SIGNED = 2, REAL = 3 };

struct file {
    uint8_t d[1024];
    size_t n;
    bool big;
};

static void put(struct file *f, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        f->d[f->n++] = (uint8_t)(v >> 8 * (f->big ? bytes - 1 - i : i));
}

static void put_entry(struct file *f, unsigned tag, unsigned type, unsigned count, unsigned value)
{
    put(f, tag, 2);
    put(f, type, 2);
    put(f, count, 4);
    put(f, value, type == 3 && count == 1 ? 2 : 4);
    if (type == 3 && count == 1)
        put(f, 0, 2);
}

struct layout {
    unsigned w, h, bits, samples, kind, format;
};

/* All but the pixels, which are to follow. */
static void begin(struct file *f, const struct layout *l, bool big)
{
    unsigned stride = (l->w * l->samples * l->bits + 7) / 8;
    enum { ENTRIES = 11, LISTS = 8 + 2 + 12 * ENTRIES + 4, PIXELS = LISTS + 12 };
    *f = (struct file){.big = big};
    memcpy(f->d, big ? "MM" : "II", 2);
    f->n = 2;
    put(f, 42, 2);
    put(f, 8, 4);
    put(f, ENTRIES, 2);
    put_entry(f, 256, 4, 1, l->w);
    put_entry(f, 257, 4, 1, l->h);
    put_entry(f, 258, 3, l->samples, l->samples > 1 ? LISTS : l->bits);
    put_entry(f, 259, 3, 1, 1); /* not packed */
    put_entry(f, 262, 3, 1, l->kind);
    put_entry(f, 273, 4, 1, PIXELS);
    put_entry(f, 277, 3, 1, l->samples);
    put_entry(f, 278, 4, 1, l->h);
    put_entry(f, 279, 4, 1, stride * l->h);
    put_entry(f, 284, 3, 1, 1);
    put_entry(f, 339, 3, l->samples, l->samples > 1 ? LISTS + 6 : l->format);
    put(f, 0, 4);
    for (int i = 0; i < 3; i++)
        put(f, l->bits, 2);
    for (int i = 0; i < 3; i++)
        put(f, l->format, 2);
    assert_int_equal(f->n, PIXELS);
}

/* Numbers of so many bits one behind the other, the highest bit first; rows begin at bytes. */
static void put_bits(struct file *f, const struct layout *l, const unsigned *values)
{
    for (unsigned y = 0; y < l->h; y++) {
        size_t at = 8 * f->n;
        for (unsigned i = 0; i < l->w * l->samples; i++)
            for (unsigned b = l->bits; b-- > 0; at++)
                f->d[at / 8] |= (uint8_t)((*values >> b & 1) << (7 - at % 8)), values += !b;
        f->n = (at + 7) / 8;
    }
}

/* An exact copy, so that a sanitizer sees the end. */
static enum status load(struct image *img, const struct file *f, struct error *err)
{
    uint8_t *copy = malloc(f->n);
    memcpy(copy, f->d, f->n);
    enum status st = image_load_memory(img, copy, f->n, "made.tif", NULL, NULL, err);
    free(copy);
    return st;
}

static void expect(const struct file *f, const struct layout *l, const int *want)
{
    struct image img;
    struct error err;
    if (load(&img, f, &err))
        fail_msg("%s", err.text);
    assert_int_equal(img.width, l->w);
    assert_int_equal(img.height, l->h);
    for (unsigned i = 0; i < l->w * l->h; i++)
        for (unsigned c = 0; c < 3; c++)
            if (img.data[3 * i + c] != want[l->samples == 3 ? 3 * i + c : i])
                fail_msg("%u bits, sample %u: %d, not %d", l->bits, 3 * i + c, img.data[3 * i + c],
                         want[l->samples == 3 ? 3 * i + c : i]);
    image_release(&img);
}

static void samples_of_10_12_and_14_bits_keep_their_high_8(void **state)
{
    static const unsigned high[] = {0, 255, 128, 1, 77, 200, 254, 3, 90, 17, 18, 19, 240, 5, 6};
    (void)state;
    for (unsigned bits = 10; bits <= 14; bits += 2)
        for (unsigned samples = 1; samples <= 3; samples += 2)
            for (int big = 0; big < 2; big++) {
                struct layout l = {
                    5, samples == 1 ? 3 : 1, bits, samples, samples == 1 ? BLACK_IS_0 : RGB, WHOLE};
                unsigned value[15];
                int want[15], other[15];
                struct file f;
                for (int i = 0; i < 15; i++) { /* the low bits have no say */
                    value[i] = high[i] << (bits - 8) | ((1u << (bits - 8)) - 1) * (i % 2);
                    want[i] = (int)high[i];
                    other[i] = 255 - want[i];
                }
                begin(&f, &l, big);
                put_bits(&f, &l, value);
                expect(&f, &l, want);
                if (samples == 3)
                    continue;
                l.kind = WHITE_IS_0;
                begin(&f, &l, big);
                put_bits(&f, &l, value);
                expect(&f, &l, other);
            }
}

static void samples_of_32_bits_keep_their_high_8(void **state)
{
    static const uint32_t values[] = {0,          UINT32_MAX, 0x80000000,
                                      0x01FFFFFF, 0x00FFFFFF, 0x7F000000};
    static const int want[] = {0, 255, 128, 1, 0, 127};
    (void)state;
    for (unsigned samples = 1; samples <= 3; samples += 2)
        for (int big = 0; big < 2; big++) {
            const struct layout l = {6 / samples, 1, 32, samples, samples == 1 ? BLACK_IS_0 : RGB,
                                     WHOLE};
            struct file f;
            begin(&f, &l, big);
            for (int i = 0; i < 6; i++)
                put(&f, values[i], 4);
            expect(&f, &l, want);
        }
}

static void floating_point_is_clipped_to_0_and_1(void **state)
{
    const float values[] = {0,   1,        0.5F,      0.2F,   -3,    7,
                            NAN, INFINITY, -INFINITY, 1e-40F, 1e38F, 0.999F};
    static const int want[] = {0, 255, 128, 51, 0, 255, 0, 255, 0, 0, 255, 255};
    (void)state;
    for (unsigned samples = 1; samples <= 3; samples += 2)
        for (int big = 0; big < 2; big++) {
            const struct layout l = {12 / samples, 1, 32, samples, samples == 1 ? BLACK_IS_0 : RGB,
                                     REAL};
            struct file f;
            begin(&f, &l, big);
            for (int i = 0; i < 12; i++) {
                uint32_t bits;
                memcpy(&bits, &values[i], 4);
                put(&f, bits, 4);
            }
            expect(&f, &l, want);
        }
}

/* By sRGB's definition (IEC 61966-2-1), adapted to D50 by Bradford's matrix. */
static void lab_of_profiles_becomes_srgb(void **state)
{
    static const struct {
        double lab[3];
        int rgb[3];
    } cases[] = {{{100, 0, 0}, {255, 255, 255}},          {{0, 0, 0}, {0, 0, 0}},
                 {{53.59, 0, 0}, {128, 128, 128}},        {{54.22, 38.2, 46.25}, {200, 100, 50}},
                 {{49.46, 0.75, -48.25}, {60, 120, 200}}, {{66.65, -39.17, 37.59}, {100, 180, 90}}};
    enum { N = sizeof cases / sizeof *cases };
    (void)state;
    for (unsigned bits = 8; bits <= 16; bits += 8) {
        const struct layout l = {N, 1, bits, 3, ICCLAB, WHOLE};
        struct image img;
        struct error err;
        struct file f;
        begin(&f, &l, true);
        for (int i = 0; i < N; i++)
            for (int c = 0; c < 3; c++) { /* 16 bits: L to 0xFF00 = 100, a and b from 0x8000 on */
                double v = c ? cases[i].lab[c] + 128 : cases[i].lab[0] * 2.55;
                put(&f, (uint64_t)lround(bits == 8 ? v : v * 256), (int)bits / 8);
            }
        if (load(&img, &f, &err))
            fail_msg("%s", err.text);
        for (int i = 0; i < N; i++)
            for (int c = 0; c < 3; c++)
                if (abs(img.data[3 * i + c] - cases[i].rgb[c]) >
                    (bits == 8 ? 3 : 8)) /* of 16 bits 8 are kept */
                    fail_msg("%u bits, colour %d, channel %d: %d", bits, i, c, img.data[3 * i + c]);
        image_release(&img);
    }
}

static void other_samples_are_refused_with_a_sentence(void **state)
{
    static const struct layout cases[] = {
        {4, 1, 16, 1, BLACK_IS_0, REAL},  {4, 1, 64, 1, BLACK_IS_0, REAL},
        {4, 1, 24, 1, BLACK_IS_0, WHOLE}, {4, 1, 11, 1, BLACK_IS_0, WHOLE},
        {4, 1, 12, 3, ICCLAB, WHOLE},     {4, 1, 32, 3, ICCLAB, REAL},
        {4, 1, 32, 1, BLACK_IS_0, SIGNED}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct image img;
        struct error err;
        struct file f;
        begin(&f, &cases[i], false);
        f.n += 4 * 3 * 8;
        if (load(&img, &f, &err) != ST_FORMAT)
            fail_msg("%u bits of kind %u", cases[i].bits, cases[i].kind);
        assert_null(img.data);
        assert_non_null(strstr(err.text, "made.tif: TIFF: "));
    }
}

static void rows_that_break_off_are_refused(void **state)
{
    static const struct layout cases[] = {
        {5, 3, 12, 1, BLACK_IS_0, WHOLE}, {5, 3, 14, 3, RGB, WHOLE}, {5, 3, 32, 3, RGB, REAL}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct layout *l = &cases[i];
        struct image img;
        struct file f;
        begin(&f, l, false);
        size_t whole = f.n + (l->w * l->samples * l->bits + 7) / 8 * l->h;
        for (f.n = whole; f.n > whole - 3; f.n--) {
            assert_int_equal(load(&img, &f, NULL), f.n == whole ? ST_OK : ST_FORMAT);
            image_release(&img);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_of_10_12_and_14_bits_keep_their_high_8),
        cmocka_unit_test(samples_of_32_bits_keep_their_high_8),
        cmocka_unit_test(floating_point_is_clipped_to_0_and_1),
        cmocka_unit_test(lab_of_profiles_becomes_srgb),
        cmocka_unit_test(other_samples_are_refused_with_a_sentence),
        cmocka_unit_test(rows_that_break_off_are_refused),
    };
    if (!image_name_supported("x.tif")) {
        print_message("built without libtiff\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
