/* What is typed becomes terms, and terms one vector, as rclip has it. */
#include "core/mem.h"
#include "search/query.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void one(const char *arg, int sign, enum query_kind kind, double weight, const char *text)
{
    struct query q = {0};
    struct error err;
    assert_int_equal(query_add(&q, arg, sign, &err), ST_OK);
    assert_int_equal(q.n, 1);
    assert_int_equal(q.terms[0].kind, kind);
    assert_true(fabs(q.terms[0].weight - weight) < 1e-6);
    assert_string_equal(q.terms[0].text, text);
    query_release(&q);
}

static void a_term_has_weight_kind_and_text(void **state)
{
    (void)state;
    one("dog", 1, QUERY_TEXT, 1, "dog");
    one("2:golden retriever", 1, QUERY_TEXT, 2, "golden retriever");
    one("0.5:./cat.jpg", -1, QUERY_IMAGE, -0.5, "./cat.jpg");
    one(".5:x", 1, QUERY_TEXT, 0.5, "x");
    one("2.:x", 1, QUERY_TEXT, 2, "x");
    one("/a/b.jpg", -1, QUERY_IMAGE, -1, "/a/b.jpg");
    one("../b.jpg", 1, QUERY_IMAGE, 1, "../b.jpg");
    one("cat.jpg", 1, QUERY_TEXT, 1, "cat.jpg");
    one("a:b", 1, QUERY_TEXT, 1, "a:b");
    one("1.2.3:b", 1, QUERY_TEXT, 1, "1.2.3:b");
    one(".:b", 1, QUERY_TEXT, 1, ".:b");
    one("2:", 1, QUERY_TEXT, 1, "2:");
    one("-2:x", 1, QUERY_TEXT, 1, "-2:x");
}

static void bad_terms_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "  \t", "0:dog", "0.000:dog", "1:  ", "99999999999999999999999999999999999999999999:x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct query q = {0};
        struct error err;
        assert_int_equal(query_add(&q, bad[i], 1, &err), ST_USAGE);
        assert_int_equal(q.n, 0);
        query_release(&q);
    }
}

static void single_words_make_one_sentence(void **state)
{
    (void)state;
    struct query q = {0};
    struct error err;
    const char *words[] = {"a", "red", "car"};
    assert_int_equal(query_add_words(&q, words, 3, &err), ST_OK);
    assert_int_equal(q.n, 1);
    assert_string_equal(q.terms[0].text, "a red car");
    query_release(&q);
    const char *mixed[] = {"a red car", "a dog", "2:golden", "retriever", "./x.jpg", "cat"};
    assert_int_equal(query_add_words(&q, mixed, 6, &err), ST_OK);
    assert_int_equal(q.n, 5);
    assert_string_equal(q.terms[2].text, "golden retriever");
    assert_true(q.terms[2].weight == 2);
    assert_int_equal(q.terms[3].kind, QUERY_IMAGE);
    assert_string_equal(q.terms[4].text, "cat");
    query_release(&q);
}

static void vectors_add_up_by_weight_whatever_their_length(void **state)
{
    (void)state;
    struct query q = {0};
    struct error err;
    query_add(&q, "2:a", 1, &err);
    query_add(&q, "b", -1, &err);
    float v[] = {10, 0, 0, 0, 0.1f, 0}, out[3];
    assert_int_equal(query_combine(&q, v, 3, out, &err), ST_OK);
    assert_true(fabs(out[0] - 2 / sqrt(5)) < 1e-6 && fabs(out[1] + 1 / sqrt(5)) < 1e-6);
    v[4] = NAN;
    assert_int_equal(query_combine(&q, v, 3, out, &err), ST_FORMAT);
    query_release(&q);
    query_add(&q, "a", 1, &err);
    query_add(&q, "a", -1, &err);
    float same[] = {1, 2, 3, 1, 2, 3};
    assert_int_equal(query_combine(&q, same, 3, out, &err), ST_USAGE);
    assert_non_null(strstr(err.text, "cancel"));
    query_release(&q);
}

static void memory_failures_leave_nothing_behind(void **state)
{
    (void)state;
    const char *words[] = {"a", "red", "car", "./x.jpg"};
    enum status rc = ST_NOMEM;
    for (uint64_t n = 1; rc; n++) {
        struct query q = {0};
        mem_fail_at(n, false);
        rc = query_add_words(&q, words, 4, NULL);
        mem_fail_at(0, false);
        query_release(&q);
        assert_true(n < 50);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_term_has_weight_kind_and_text),
        cmocka_unit_test(bad_terms_are_refused),
        cmocka_unit_test(single_words_make_one_sentence),
        cmocka_unit_test(vectors_add_up_by_weight_whatever_their_length),
        cmocka_unit_test(memory_failures_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
