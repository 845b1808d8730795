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
    assert_true(fabsf(margin - (4 - 3.116f - 0.5f)) < 2e-3f); /* z = 4 */
    p.sd = 0.06;
    assert_false(rank_fits(scores, 3, &p, &margin));
    p.n = 20; /* the best of few needs to stand out less */
    assert_true(rank_fits(scores, 3, &p, &margin));
    assert_false(rank_fits(scores, 0, &p, &margin));
    assert_true(margin == -1);
}

static void a_calibrated_rule_weighs_best_spread_and_number(void **state)
{
    (void)state;
    float best = 0.3f, margin;
    struct fits_params p = {.calibrated = true,
                            .spread_weight = 4,
                            .threshold = 0.4f,
                            .threshold_per_log10_n = 0.1f,
                            .n_min = 20,
                            .n_max = 1000,
                            .sd = 0.1,
                            .n = 100};
    assert_true(rank_fits(&best, 1, &p, &margin));
    assert_true(fabs(margin - (0.3 + 0.4 - 0.4 - 0.2)) < 1e-6);
    p.n = 1000000; /* as 1,000 */
    rank_fits(&best, 1, &p, &margin);
    assert_true(fabs(margin - (0.3 + 0.4 - 0.4 - 0.3)) < 1e-6);
    p.n = 10; /* as 20 */
    rank_fits(&best, 1, &p, &margin);
    assert_true(fabs(margin - (0.3 + 0.4 - 0.4 - 0.1 * log10(20))) < 1e-6);
    p.n = 2; /* its spread says nothing */
    p.sd = 0;
    rank_fits(&best, 1, &p, &margin);
    assert_true(fabs(margin - (0.3 + 4 * RANK_FEW_SPREAD - 0.4 - 0.1 * log10(20))) < 1e-6);
}

static void among_few_pictures_the_best_fits_without_calibration(void **state)
{
    (void)state;
    float score = 0.3f, margin;
    assert_true(rank_fits(&score, 1, &(struct fits_params){.mean = 0.3, .n = 1}, &margin));
    assert_true(margin == 0);
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
        cmocka_unit_test(a_calibrated_rule_weighs_best_spread_and_number),
        cmocka_unit_test(among_few_pictures_the_best_fits_without_calibration),
        cmocka_unit_test(odd_numbers_never_fit),
        cmocka_unit_test(a_list_is_cut_by_score_and_by_distance_to_the_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
