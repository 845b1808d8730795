/* Masks and pasting: what is to be kept is kept to the last bit, and blurs end where they are said
 * to end. */
#include "sampler/repaint.h"
#include "test.h"
#include <math.h>
#include <string.h>

static void grey(struct image *img, int w, int h, int value)
{
    assert_int_equal(image_alloc(img, w, h, NULL), ST_OK);
    memset(img->data, value, (size_t)(w * h * 3));
}

static void noisy(struct image *img, int w, int h)
{
    grey(img, w, h, 0);
    for (int i = 0; i < w * h * 3; i++)
        img->data[i] = (uint8_t)(i * 7919 % 251);
}

static void white(struct image *mask, int x0, int y0, int x1, int y1)
{
    for (int y = y0; y < y1; y++)
        memset(mask->data + 3 * (y * mask->width + x0), 255, (size_t)(3 * (x1 - x0)));
}

static int at(const struct image *img, int x, int y)
{
    return img->data[3 * (y * img->width + x)];
}

static void a_mask_of_another_size_is_resized_and_a_black_one_refused(void **state)
{
    (void)state;
    struct image src = {0}, mask = {0};
    struct error err = {0};
    grey(&src, 20, 10, 0);
    white(&src, 10, 0, 20, 10);
    assert_int_equal(repaint_mask(&mask, &src, 40, 30, &err), ST_OK);
    assert_int_equal(mask.width, 40);
    assert_int_equal(at(&mask, 5, 15), 0);
    assert_int_equal(at(&mask, 35, 15), 255);
    image_release(&mask);
    memset(src.data, 127, 20 * 10 * 3);
    assert_int_equal(repaint_mask(&mask, &src, 20, 10, &err), ST_USAGE);
    assert_non_null(strstr(err.text, "nothing white"));
    assert_null(mask.data);
    image_release(&src);
}

static void a_blur_reaches_two_and_a_half_deviations_and_no_farther(void **state)
{
    (void)state;
    struct image mask = {0};
    for (int r = 1; r <= 5; r++) {
        int reach = (int)(2.5 * r + 0.5);
        grey(&mask, 61, 41, 0);
        white(&mask, 30, 0, 61, 41);
        assert_int_equal(repaint_blur(&mask, r, NULL), ST_OK);
        for (int x = 0; x < 61; x++) {
            assert_int_equal(at(&mask, x, 0), at(&mask, x, 20)); /* edges are repeated */
            assert_true(x == 0 || at(&mask, x, 20) >= at(&mask, x - 1, 20));
            if (x < 30 - reach)
                assert_int_equal(at(&mask, x, 20), 0);
            if (x >= 30 + reach)
                assert_int_equal(at(&mask, x, 20), 255);
        }
        assert_in_range(at(&mask, 29, 20) + at(&mask, 30, 20), 254, 256);
        image_release(&mask);
    }
}

static void a_gaussian_is_one(void **state)
{
    (void)state;
    struct image mask = {0};
    grey(&mask, 41, 41, 0);
    white(&mask, 20, 0, 41, 41); /* a step becomes the normal distribution */
    assert_int_equal(repaint_blur(&mask, 3, NULL), ST_OK);
    for (int x = 14; x < 26; x++) {
        double want = 255 * 0.5 * (1 + erf((x - 19.5) / (3 * sqrt(2))));
        assert_true(fabs(at(&mask, x, 20) - want) <= 2.5);
    }
    image_release(&mask);
}

static void where_a_mask_is_black_pasting_changes_nothing(void **state)
{
    (void)state;
    struct image img = {0}, same = {0}, made = {0}, mask = {0};
    noisy(&img, 30, 20);
    noisy(&same, 30, 20);
    grey(&made, 16, 16, 9);
    grey(&mask, 30, 20, 0);
    white(&mask, 10, 5, 15, 12);
    const struct repaint_box box = {6, 2, 12, 13};
    assert_int_equal(repaint_paste(&img, &made, &mask, &box, NULL), ST_OK);
    for (int y = 0; y < 20; y++)
        for (int x = 0; x < 30; x++)
            for (int c = 0; c < 3; c++) {
                int64_t i = 3 * (y * 30 + x) + c;
                assert_int_equal(img.data[i], mask.data[i] ? 9 : same.data[i]);
            }
    image_release(&img);
    image_release(&same);
    image_release(&made);
    image_release(&mask);
}

static void a_filling_takes_its_surroundings_colours(void **state)
{
    (void)state;
    struct image img = {0}, mask = {0};
    grey(&img, 50, 33, 200);
    white(&img, 0, 0, 50, 3);
    grey(&mask, 50, 33, 0);
    white(&mask, 5, 10, 45, 30);
    for (int y = 10; y < 30; y++)
        memset(img.data + 3 * (y * 50 + 5), 0, 3 * 40);
    assert_int_equal(repaint_fill(&img, &mask, NULL), ST_OK);
    for (int y = 10; y < 30; y++)
        for (int x = 5; x < 45; x++)
            assert_in_range(at(&img, x, y), 199, 240);
    assert_in_range(at(&img, 5, 29), 199, 202); /* its neighbours are all of this grey */
    assert_int_equal(at(&img, 0, 0), 255);
    memset(mask.data, 255, 50 * 33 * 3); /* no surroundings: as it is */
    assert_int_equal(repaint_fill(&img, &mask, NULL), ST_OK);
    assert_int_equal(at(&img, 0, 0), 255);
    image_release(&img);
    image_release(&mask);
}

static void a_region_stays_inside_and_holds_all_that_is_white(void **state)
{
    (void)state;
    uint64_t rng = 1;
    for (int i = 0; i < 500; i++) {
        rng = rng * UINT64_C(6364136223846793005) + 1442695040888963407;
        int r[8];
        for (int k = 0; k < 8; k++)
            r[k] = (int)(rng >> (8 * k) & 255);
        struct image mask = {0};
        struct repaint_box b;
        int w = 1 + r[0] % 60, h = 1 + r[1] % 60, x = r[2] % w, y = r[3] % h;
        grey(&mask, w, h, 0);
        white(&mask, x, y, x + 1, y + 1);
        repaint_region(&b, &mask, 8 + r[4], 8 + r[5], r[6] % 20);
        assert_true(b.x >= 0 && b.y >= 0 && b.width > 0 && b.height > 0);
        assert_true(b.x + b.width <= w && b.y + b.height <= h);
        assert_true(b.x <= x && x < b.x + b.width && b.y <= y && y < b.y + b.height);
        image_release(&mask);
    }
}

static void a_wider_picture_keeps_its_middle(void **state)
{
    (void)state;
    struct image img = {0}, same = {0}, mask = {0};
    noisy(&img, 8, 6);
    noisy(&same, 8, 6);
    grey(&mask, 8, 6, 0);
    const struct repaint_sides by = {3, 1, 0, 2};
    assert_int_equal(repaint_widen(&img, &mask, &by, NULL), ST_OK);
    assert_int_equal(img.width, 12);
    assert_int_equal(mask.height, 8);
    for (int y = 0; y < 8; y++)
        for (int x = 0; x < 12; x++) {
            bool inside = x >= 3 && x < 11 && y < 6;
            assert_int_equal(at(&mask, x, y), inside ? 0 : 255);
            assert_int_equal(at(&img, x, y), inside ? at(&same, x - 3, y) : 0);
        }
    image_release(&img);
    image_release(&same);
    image_release(&mask);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mask_of_another_size_is_resized_and_a_black_one_refused),
        cmocka_unit_test(a_blur_reaches_two_and_a_half_deviations_and_no_farther),
        cmocka_unit_test(a_gaussian_is_one),
        cmocka_unit_test(where_a_mask_is_black_pasting_changes_nothing),
        cmocka_unit_test(a_filling_takes_its_surroundings_colours),
        cmocka_unit_test(a_region_stays_inside_and_holds_all_that_is_white),
        cmocka_unit_test(a_wider_picture_keeps_its_middle),
    };
    return cmocka_run_group_tests_name("repaint", tests, NULL, NULL);
}
