/* Lists of labels: what is read, what is refused, and what lies above what. */
#include "caption/lexicon.h"
#include "core/mem.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct error e;

static struct lexicon parse(const char *text)
{
    struct lexicon v;
    if (lexicon_parse(&v, text, strlen(text), "list", &e))
        fail_msg("%s", e.text);
    return v;
}

static void refused(const char *text, size_t size, enum status code, const char *says)
{
    struct lexicon v;
    assert_int_equal(lexicon_parse(&v, text, size, "list", &e), code);
    if (!strstr(e.text, says))
        fail_msg("\"%s\" does not say \"%s\"", e.text, says);
    assert_null(v.term);
}

static void a_line_is_a_label(void **state)
{
    (void)state;
    struct lexicon v = parse("\xEF\xBB\xBF"
                             "dog\r\n\n  a cat \ndog\nfl\xC3\xB6te");
    assert_int_equal(v.n, 3);
    assert_string_equal(v.term[0].text, "dog");
    assert_string_equal(v.term[1].text, "a cat");
    assert_string_equal(v.term[2].text, "fl\xC3\xB6te");
    assert_int_equal(v.term[0].parent, -1);
    lexicon_release(&v);
}

static void facets_and_parents_follow_tabs(void **state)
{
    (void)state;
    struct lexicon v = parse("dachshund\tanimal\tdog\nbeach\tscene\ndog\tanimal\tanimal\nanimal\n");
    assert_int_equal(v.term[0].parent, 2);
    assert_int_equal(v.term[2].parent, 3);
    assert_int_equal(v.term[1].facet, LEXICON_SCENE);
    assert_int_equal(v.term[0].facet, LEXICON_THING);
    int at[4];
    for (int i = 0; i < 4; i++)
        at[v.up[i]] = i;
    assert_true(at[0] < at[2] && at[2] < at[3]);
    lexicon_release(&v);
}

static void equal_lists_have_equal_keys(void **state)
{
    (void)state;
    struct lexicon a = parse("a\nb\n"), b = parse("a\nb"), c = parse("a\tscene\nb"),
                   d = parse("a\nb\t\ta");
    assert_memory_equal(a.key, b.key, sizeof a.key);
    assert_memory_not_equal(a.key, c.key, sizeof a.key);
    assert_memory_not_equal(a.key, d.key, sizeof a.key);
    lexicon_release(&a);
    lexicon_release(&b);
    lexicon_release(&c);
    lexicon_release(&d);
}

static void what_is_no_list_is_refused(void **state)
{
    (void)state;
    refused("", 0, ST_FORMAT, "no label");
    refused("\n \n\t\n", 5, ST_FORMAT, "no label");
    refused("dog\nc\xFFt\n", 8, ST_FORMAT, "line 2 is not UTF-8");
    refused("dog\na\0b\n", 8, ST_FORMAT, "line 2 holds a NUL");
    refused("dog\t\tanimal\n", 12, ST_FORMAT, "no label \"animal\"");
    refused("a\t\tb\nb\t\ta\n", 10, ST_FORMAT, "parent");
    refused("a\t\ta\n", 5, ST_FORMAT, "parent");
    char longest[LEXICON_MAX_LABEL + 2];
    memset(longest, 'x', sizeof longest);
    refused(longest, sizeof longest, ST_LIMIT, "longer");
    size_t most = (size_t)2 * (LEXICON_MAX_TERMS + 1);
    char *many = mem_alloc(most * 4);
    size_t n = 0;
    for (int i = 0; i <= LEXICON_MAX_TERMS; i++)
        n += (size_t)snprintf(many + n, 8, "%x\n", i);
    refused(many, n, ST_LIMIT, "more than");
    mem_free(many);
    char *huge = mem_zarray(LEXICON_MAX_BYTES + 1, 1);
    refused(huge, LEXICON_MAX_BYTES + 1, ST_LIMIT, "larger");
    mem_free(huge);
    struct lexicon v;
    assert_int_equal(lexicon_read(&v, "/nonexistent/labels", &e), ST_NOT_FOUND);
}

static void no_allocation_that_fails_leaks(void **state)
{
    (void)state;
    const char text[] = "dog\tanimal\tanimal\nanimal\n";
    struct lexicon v;
    for (uint64_t n = 1;; n++) {
        mem_fail_at(n, true);
        enum status st = lexicon_parse(&v, text, sizeof text - 1, "list", &e);
        mem_fail_at(0, false);
        if (!st)
            break;
        assert_int_equal(st, ST_NOMEM);
        assert_null(v.term);
    }
    lexicon_release(&v);
}

static void the_built_in_list_is_large_and_covers_every_facet(void **state)
{
    (void)state;
    struct lexicon v;
    size_t facet[LEXICON_FACETS] = {0}, with_parent = 0;
    if (lexicon_builtin(&v, &e))
        fail_msg("%s", e.text);
    assert_true(v.n >= 4000);
    for (size_t i = 0; i < v.n; i++) {
        facet[v.term[i].facet]++;
        with_parent += v.term[i].parent >= 0;
        assert_null(strchr(v.term[i].text, '_'));
    }
    for (int i = 0; i < LEXICON_FACETS; i++)
        assert_true(facet[i] >= 50);
    assert_true(with_parent > 2000);
    lexicon_release(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_a_label),
        cmocka_unit_test(facets_and_parents_follow_tabs),
        cmocka_unit_test(equal_lists_have_equal_keys),
        cmocka_unit_test(what_is_no_list_is_refused),
        cmocka_unit_test(no_allocation_that_fails_leaks),
        cmocka_unit_test(the_built_in_list_is_large_and_covers_every_facet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
