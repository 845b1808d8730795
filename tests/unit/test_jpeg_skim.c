/* Skimming a JPEG: the picture that a full decode gives when its pixels are averaged, for every
 * sampling and size; and a refusal, never a wrong picture, where the file is of another kind. */
#include "core/rng.h"
#include "image/codec.h"
#include "image/jpeg_skim.h"
#include "test.h"
#include <stdlib.h>

struct kind {
    int w, h, gray, h_samp, v_samp, restart;
    bool progressive;
};

static unsigned long write_jpeg(uint8_t **out, const struct image *img, const struct kind *k)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    unsigned long n = 0;
    *out = NULL;
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, out, &n);
    c.image_width = (JDIMENSION)img->width;
    c.image_height = (JDIMENSION)img->height;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    if (k->gray)
        jpeg_set_colorspace(&c, JCS_GRAYSCALE);
    jpeg_set_quality(&c, 93, TRUE);
    c.comp_info[0].h_samp_factor = k->h_samp;
    c.comp_info[0].v_samp_factor = k->v_samp;
    c.restart_interval = (unsigned)k->restart;
    if (k->progressive)
        jpeg_simple_progression(&c);
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < c.image_height) {
        JSAMPROW row = img->data + (size_t)c.next_scanline * (size_t)img->width * 3;
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    return n;
}

static bool skim(struct image *out, const uint8_t *data, unsigned long size, int n)
{
    struct jpeg_decompress_struct d;
    struct jpeg_error_mgr errors;
    d.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&d);
    jpeg_mem_src(&d, data, size);
    jpeg_read_header(&d, TRUE);
    bool ok = jpeg_skim(out, &d, n);
    jpeg_destroy_decompress(&d);
    return ok;
}

/* Smooth shapes, some grain, and a coloured slope. */
static struct image make_picture(int w, int h, uint64_t seed)
{
    struct image img;
    struct rng r = {seed};
    assert_int_equal(image_alloc(&img, w, h, NULL), ST_OK);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int shape = (x / 40 + y / 24) % 2 * 70, grain = (int)rng_below(&r, 24);
            uint8_t *p = img.data + ((size_t)y * (size_t)w + (size_t)x) * 3;
            p[0] = (uint8_t)(shape + grain + x * 120 / w);
            p[1] = (uint8_t)(shape + grain + y * 120 / h);
            p[2] = (uint8_t)(shape + grain + 60);
        }
    return img;
}

/* Mean squared difference to the boxes of the full decode; blocks that the picture's edge cuts are
 * left out, since their means count what the encoder put behind it. */
static double difference(const struct image *full, const struct image *small, int n)
{
    int f = 8 / n, count = 0;
    double sum = 0;
    for (int y = 0; y < full->height / 16 * 16 / f; y++)
        for (int x = 0; x < full->width / 16 * 16 / f; x++)
            for (int c = 0; c < 3; c++) {
                double box = 0;
                for (int i = 0; i < f * f; i++)
                    box += full->data[((size_t)(y * f + i / f) * (size_t)full->width +
                                       (size_t)(x * f + i % f)) *
                                          3 +
                                      (size_t)c];
                double d =
                    box / (f * f) -
                    small->data[((size_t)y * (size_t)small->width + (size_t)x) * 3 + (size_t)c];
                sum += d * d;
                count++;
            }
    return sum / count;
}

static void the_means_are_those_of_the_full_decode(void **state)
{
    (void)state;
    static const struct kind kinds[] = {
        {640, 480, 0, 2, 2, 0, false}, {641, 487, 0, 2, 2, 0, false},
        {635, 473, 0, 1, 1, 0, false}, {640, 480, 0, 2, 1, 0, false},
        {633, 481, 0, 1, 2, 0, false}, {320, 200, 0, 4, 1, 0, false},
        {639, 479, 1, 1, 1, 0, false}, {639, 479, 1, 2, 2, 5, false},
        {640, 480, 0, 2, 2, 1, false}, {650, 490, 0, 2, 2, 7, false},
        {64, 64, 0, 1, 1, 3, false},   {2000, 160, 0, 2, 2, 125, false},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const struct kind *k = &kinds[i];
        uint8_t *data;
        struct image img = make_picture(k->w, k->h, i + 1), full, small;
        unsigned long size = write_jpeg(&data, &img, k);
        assert_int_equal(image_load_memory(&full, data, size, "x", NULL, NULL, NULL), ST_OK);
        for (int n = 1; n <= 2; n++) {
            if (!skim(&small, data, size, n))
                fail_msg("kind %zu at %d/8 is refused", i, n);
            assert_int_equal(small.width, (k->w * n + 7) / 8);
            assert_int_equal(small.height, (k->h * n + 7) / 8);
            double d = difference(&full, &small, n);
            if (d >= 4) /* 42 dB */
                fail_msg("kind %zu at %d/8: %.2f", i, n, d);
            image_release(&small);
        }
        image_release(&full);
        image_release(&img);
        free(data);
    }
}

static void other_kinds_are_refused(void **state)
{
    (void)state;
    struct kind k = {160, 120, 0, 2, 2, 0, true};
    uint8_t *data;
    struct image img = make_picture(k.w, k.h, 3), small;
    unsigned long size = write_jpeg(&data, &img, &k);
    assert_false(skim(&small, data, size, 1));
    assert_null(small.data);
    free(data);
    image_release(&img);
}

static void damage_is_refused_or_survived(void **state)
{
    (void)state;
    struct rng r = {11};
    for (int restart = 0; restart <= 4; restart += 4) {
        struct kind k = {320, 240, 0, 2, 2, restart, false};
        uint8_t *data;
        struct image img = make_picture(k.w, k.h, 9), small;
        unsigned long size = write_jpeg(&data, &img, &k), scan = 2;
        while (data[scan] != 0xFF || data[scan + 1] != 0xDA)
            scan += 2 + (unsigned long)(data[scan + 2] << 8 | data[scan + 3]);
        for (unsigned long cut = scan + 14; cut < size; cut += 1 + cut / 50) {
            assert_false(skim(&small, data, cut, 1));
            assert_false(skim(&small, data, cut, 2));
        }
        for (int i = 0; i < 2000; i++) {
            unsigned long at = scan + 14 + rng_below(&r, (uint32_t)(size - scan - 14));
            uint8_t was = data[at];
            data[at] = (uint8_t)rng_below(&r, 256);
            skim(&small, data, size, 1 + i % 2);
            image_release(&small);
            data[at] = was;
        }
        free(data);
        image_release(&img);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_means_are_those_of_the_full_decode),
        cmocka_unit_test(other_kinds_are_refused),
        cmocka_unit_test(damage_is_refused_or_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
