/* Conditions in a query: what is read, what is left to rank by, what is refused. */
#include "core/buf.h"
#include "core/mem.h"
#include "search/expr.h"
#include "search/query.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct error e;

static void show(struct buf *b, const struct db_expr *x)
{
    static const char *const kinds[] = {"and",     "or",   "not",    "phrase", "tag",
                                        "caption", "path", "camera", "date"};
    buf_printf(b, "%s", kinds[x->kind]);
    if (x->kind == DB_DATE)
        buf_printf(b, " %lld", (long long)(x->to - x->from));
    else if (x->text)
        buf_printf(b, " %s", x->text);
    if (x->a) {
        buf_putc(b, '(');
        show(b, x->a);
        if (x->b) {
            buf_putc(b, ',');
            show(b, x->b);
        }
        buf_putc(b, ')');
    }
}

static void means(const char *text, const char *sentence, const char *where, bool bare)
{
    char *said;
    struct db_expr *x;
    bool got;
    struct buf b;
    buf_init(&b, 1 << 16);
    if (expr_parse(text, &said, &x, &got, &e))
        fail_msg("%s: %s", text, e.text);
    if (x)
        show(&b, x);
    assert_string_equal(said, sentence);
    assert_string_equal(b.data ? b.data : "", where);
    assert_int_equal(got, bare);
    buf_release(&b);
    expr_free(x);
    mem_free(said);
}

static void a_sentence_stays_a_sentence(void **state)
{
    (void)state;
    means("a dog (brown) and a cat, not small", "a dog (brown) and a cat, not small", "", true);
    means("tag: nothing", "tag: nothing", "", true);
    means("photo:x ANDROID", "photo:x ANDROID", "", true);
}

static void conditions_are_taken_out(void **state)
{
    (void)state;
    means("a beach tag:dog NOT path:2018", "a beach", "and(tag dog,not(path 2018))", true);
    means("tag:\"golden retriever\"", "golden retriever", "tag golden retriever", false);
    means("\"birthday cake\" party", "birthday cake party", "phrase birthday cake", true);
    means("path:x/y camera:nikon", "a photo", "and(path x/y,camera nikon)", false);
    means("NOT snow hill", "hill", "not(phrase snow)", true);
    means("NOT (snow OR tag:ice) hill", "hill", "not(or(phrase snow,tag ice))", true);
    means("a (tag:dog OR tag:cat) caption:run", "a", "and(or(tag dog,tag cat),caption run)", true);
    means("tag:a OR tag:b tag:c", "a b c", "or(tag a,and(tag b,tag c))", false);
    means("dog OR cat", "dog cat", "or(phrase dog,phrase cat)", true);
    means("red AND blue AND tag:x", "red blue", "tag x", true);
    means("date:2019", "a photo", "date 31535999", false);
    means("date:2019-05..2019-06", "a photo", "date 5270399", false);
    means("NOT NOT tag:x", "x", "not(not(tag x))", false);
}

static void refused(const char *text, const char *says)
{
    char *said;
    struct db_expr *x;
    bool bare;
    assert_int_equal(expr_parse(text, &said, &x, &bare, &e), ST_USAGE);
    if (!strstr(e.text, says))
        fail_msg("%s: \"%s\" does not say \"%s\"", text, e.text, says);
    assert_null(said);
    assert_null(x);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    refused("tag:a AND", "missing");
    refused("OR b", "missing");
    refused("NOT", "missing");
    refused("(tag:a", "not closed");
    refused("tag:a)", "without");
    refused("\"a", "not closed");
    refused("\" \" b", "nothing between");
    refused("tag:(a)", "without a value");
    refused("date:someday", "date");
    refused("date:2019-06..2019-05", "ends before it begins");
    struct buf b;
    buf_init(&b, 1 << 16);
    for (int i = 0; i < 50; i++)
        buf_puts(&b, "(");
    buf_puts(&b, "tag:a");
    refused(b.data, "deeply");
    buf_clear(&b);
    for (int i = 0; i < 200; i++)
        buf_puts(&b, "tag:a ");
    refused(b.data, "more than");
    buf_release(&b);
}

static void no_allocation_that_fails_leaks(void **state)
{
    (void)state;
    char *said;
    struct db_expr *x;
    bool bare;
    enum status st = ST_NOMEM;
    for (uint64_t n = 1; st; n++) {
        mem_fail_at(n, true);
        st = expr_parse("a (tag:b OR \"c d\") NOT path:e date:2019", &said, &x, &bare, &e);
        mem_fail_at(0, false);
        if (st)
            assert_int_equal(st, ST_NOMEM);
    }
    expr_free(x);
    mem_free(said);
}

static void a_query_gathers_its_conditions(void **state)
{
    (void)state;
    struct query q = {0};
    const char *const args[] = {"tag:dog", "beach", "a sunny day", "./x.jpg"};
    assert_int_equal(query_add_words(&q, args, 4, &e), ST_OK);
    assert_int_equal(query_conditions(&q, &e), ST_OK);
    assert_int_equal(q.n, 3);
    assert_string_equal(q.terms[0].text, "beach");
    assert_string_equal(q.terms[2].text, "./x.jpg");
    assert_int_equal(q.where->kind, DB_TAG);
    assert_false(q.only_conditions);
    query_release(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sentence_stays_a_sentence),
        cmocka_unit_test(conditions_are_taken_out),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(no_allocation_that_fails_leaks),
        cmocka_unit_test(a_query_gathers_its_conditions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
