/* Whether the best hit stands out, and where the list ends. */
#include "search/rank.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void the_best_fits_when_it_stands_far_out(void **state)
{
    (void)state;
    float scores[] = {0.30f, 0.25f, 0.20f}, margin;
    struct fits_params p = {.mean = 0.1, .sd = 0.05, .n = 1000};
    assert_true(rank_fits(scores, 3, &p, &margin));
    assert_true(fabsf(margin - 1) < 1e-5f); /* z = 4, default z >= 3 */
    p.sd = 0.1;
    assert_false(rank_fits(scores, 3, &p, &margin));
    assert_true(fabsf(margin + 1) < 1e-5f);
    assert_false(rank_fits(scores, 0, &p, &margin));
    assert_true(margin == -1);
}

static void weights_add_up(void **state)
{
    (void)state;
    float scores[] = {0.5f, 0.4f, 0.2f}, margin;
    struct fits_params p = {.bias = -1,
                            .w_score = 2,
                            .w_z = 0.1f,
                            .w_gap = 3,
                            .w_logn = 0.5f,
                            .gap_rank = 1,
                            .mean = 0.1,
                            .sd = 0.1,
                            .n = 100};
    rank_fits(scores, 3, &p, &margin);
    assert_true(fabs(margin - (-1 + 2 * 0.5 + 0.1 * 4 + 3 * 0.1 + 0.5 * log(100))) < 1e-5);
    p.gap_rank = 99; /* the last, where there are fewer */
    rank_fits(scores, 3, &p, &margin);
    assert_true(fabs(margin - (-1 + 1 + 0.4 + 3 * 0.3 + 0.5 * log(100))) < 1e-5);
    p.min_score = 0.6f;
    assert_false(rank_fits(scores, 3, &p, &margin));
    assert_true(fabsf(margin + 0.1f) < 1e-6f);
}

static void a_handful_of_pictures_is_judged_by_score(void **state)
{
    (void)state;
    float score = 0.3f, margin;
    struct fits_params p = {.small_score = 0.2f, .mean = 0.3, .sd = 0, .n = 1};
    assert_true(rank_fits(&score, 1, &p, &margin));
    assert_true(fabsf(margin - 0.1f) < 1e-6f);
}

static void odd_numbers_never_fit(void **state)
{
    (void)state;
    float score = NAN, margin;
    struct fits_params p = {.mean = 0.1, .sd = 0.1, .n = 100};
    assert_false(rank_fits(&score, 1, &p, &margin));
    assert_true(margin == -1);
}

static void a_list_is_cut_by_score_and_by_distance_to_the_best(void **state)
{
    (void)state;
    float s[] = {0.5f, 0.45f, 0.3f, 0.1f};
    assert_int_equal(rank_cut(s, 4, &(struct rank_cut){0}), 4);
    assert_int_equal(rank_cut(s, 4, &(struct rank_cut){.has_min = true, .min_score = 0.3f}), 3);
    assert_int_equal(rank_cut(s, 4, &(struct rank_cut){.relative = 1}), 1);
    assert_int_equal(rank_cut(s, 4, &(struct rank_cut){.relative = 0.5f, .mean = 0.1}), 3);
    assert_int_equal(rank_cut(s, 0, &(struct rank_cut){.relative = 1}), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_fits_when_it_stands_far_out),
        cmocka_unit_test(weights_add_up),
        cmocka_unit_test(a_handful_of_pictures_is_judged_by_score),
        cmocka_unit_test(odd_numbers_never_fit),
        cmocka_unit_test(a_list_is_cut_by_score_and_by_distance_to_the_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
