/* The prompt grammar: outcomes were recorded by running AUTOMATIC1111's own parser. */
#include "core/mem.h"
#include "sampler/prompt.h"
#include "tests/test.h"
#include <math.h>
#include <string.h>

struct want {
    const char *prompt;
    struct {
        const char *text;
        double number; /* the step at which it ends, of 5; or its weight */
    } item[8];
};

static const struct want schedules[] = {
    {"", {{"", 5}}},
    {"a cat", {{"a cat", 5}}},
    {"a [cat:dog:2] b", {{"a cat b", 2}, {"a dog b", 5}}},
    {"[cat:.5]", {{"", 2}, {"cat", 5}}},
    {"[cat::3]", {{"cat", 3}, {"", 5}}},
    {"a [cat: 1 ] b", {{"a  b", 1}, {"a cat b", 5}}},
    {"[cat:dog:1e0]", {{"cat", 1}, {"dog", 5}}},
    {"[a:b:9]", {{"a", 5}}},
    {"[a:b:0]", {{"b", 5}}},
    {"[a:b:-1]", {{"b", 5}}},
    {"[a:b:+2]", {{"a", 2}, {"b", 5}}},
    {"[a:1:2]", {{"a", 2}, {"1", 5}}},
    {"[a|b] c", {{"a c", 1}, {"b c", 2}, {"a c", 3}, {"b c", 4}, {"a c", 5}}},
    {"[a|] c", {{"a c", 1}, {" c", 2}, {"a c", 3}, {" c", 4}, {"a c", 5}}},
    {"[|a|b]", {{"", 1}, {"a", 2}, {"b", 3}, {"", 4}, {"a", 5}}},
    {"[[a|b]:c:2]", {{"a", 1}, {"b", 2}, {"c", 3}, {"c", 4}, {"c", 5}}},
    {"x[a:[b|c]:.4]y", {{"xay", 1}, {"xay", 2}, {"xby", 3}, {"xcy", 4}, {"xby", 5}}},
    {"[(a:1.2):[b]:3]", {{"(a:1.2)", 3}, {"[b]", 5}}},
    {"(x [a|b] y:1.2)",
     {{"(x a y:1.2)", 1},
      {"(x b y:1.2)", 2},
      {"(x a y:1.2)", 3},
      {"(x b y:1.2)", 4},
      {"(x a y:1.2)", 5}}},
    {"[a:b]", {{"[a:b]", 5}}},
    {"[a:b:c]", {{"[a:b:c]", 5}}},
    {"(a:b:c)", {{"(a:b:c)", 5}}},
    {"[]", {{"[]", 5}}},
    {"[:3]", {{"", 3}, {"", 5}}},
    {"[::3]", {{"", 3}, {"", 5}}},
    {"a \\[b:2\\]", {{"a \\[b:2\\]", 5}}},
    {"\\(a[\\]:2]", {{"\\(a", 2}, {"\\(a\\]", 5}}},
    {"a | b", {{"a | b", 5}}},
    {"a [b:c:2] | d", {{"a [b:c:2] | d", 5}}},
    {"a [b", {{"a [b", 5}}},
    {"b] [a:2]", {{"b] ", 2}, {"b] a", 5}}},
    {"((a][:b:c [d:3]", {{"((a][:b:c ", 3}, {"((a][:b:c d", 5}}},
    {"a\\", {{"a\\", 5}}},
    {"é [ü:ö:2]", {{"é ü", 2}, {"é ö", 5}}},
    {"line\n[a:b:2]", {{"line\na", 2}, {"line\nb", 5}}},
};
static const struct want weights[] = {
    {"", {{"", 1.0}}},
    {"a", {{"a", 1.0}}},
    {"an (important) word", {{"an ", 1.0}, {"important", 1.1}, {" word", 1.0}}},
    {"(a:1.3)", {{"a", 1.3}}},
    {"(a: 0.5 )", {{"a", 0.5}}},
    {"(a:-1)", {{"a", -1.0}}},
    {"(a:.5)", {{"a", 0.5}}},
    {"(a:1.)", {{"a", 1.0}}},
    {"[a]", {{"a", 0.9090909090909091}}},
    {"[[a]]", {{"a", 0.8264462809917354}}},
    {"((a))", {{"a", 1.2100000000000002}}},
    {"(a [b] c)", {{"a ", 1.1}, {"b", 1.0}, {" c", 1.1}}},
    {"((a:1.3) b:0.5)", {{"a", 0.65}, {" b", 0.5}}},
    {"(unbalanced", {{"unbalanced", 1.1}}},
    {"[unbalanced", {{"unbalanced", 0.9090909090909091}}},
    {"un)bal]", {{"un)bal]", 1.0}}},
    {"\\(a\\) \\[b\\]", {{"(a) [b]", 1.0}}},
    {"a\\\\b", {{"a\\b", 1.0}}},
    {"a\\c", {{"ac", 1.0}}},
    {"(a)(b)", {{"ab", 1.1}}},
    {"(a:1.2", {{"a:1.2", 1.1}}},
    {"a:1.2)", {{"a:1.2)", 1.0}}},
    {"(a:b)", {{"a:b", 1.1}}},
    {"a BREAK b", {{"a", 1.0}, {"BREAK", -1.0}, {"b", 1.0}}},
    {"a  BREAK  b BREAK", {{"a", 1.0}, {"BREAK", -1.0}, {"b", 1.0}, {"BREAK", -1.0}, {"", 1.0}}},
    {"(a BREAK b)", {{"a", 1.1}, {"BREAK", -1.1}, {"b", 1.1}}},
    {"BREAKING a", {{"BREAKING a", 1.0}}},
    {"aBREAK", {{"aBREAK", 1.0}}},
    {"(a:1.2:1.3)", {{"a:1.2", 1.3}}},
    {"[(a)]", {{"a", 1.0}}},
    {"((a)", {{"a", 1.2100000000000002}}},
    {"a (b)) c", {{"a ", 1.0}, {"b", 1.1}, {") c", 1.0}}},
    {"é (ü:1.5)", {{"é ", 1.0}, {"ü", 1.5}}},
};
static const struct want parts[] = {
    {"", {{"", 1.0}}},
    {"a", {{"a", 1.0}}},
    {"a AND b", {{"a", 1.0}, {" b", 1.0}}},
    {"a AND b :1.2", {{"a", 1.0}, {" b", 1.2}}},
    {"a:0.5 AND b: -2", {{"a", 0.5}, {" b", -2.0}}},
    {"a AND", {{"a", 1.0}, {"", 1.0}}},
    {"AND", {{"", 1.0}, {"", 1.0}}},
    {"aAND b", {{"aAND b", 1.0}}},
    {"a ANDY b", {{"a ANDY b", 1.0}}},
    {"a AND b AND c:.5", {{"a", 1.0}, {" b", 1.0}, {" c", 0.5}}},
    {"a:1.", {{"a", 1.0}}},
    {"a:+3  ", {{"a", 3.0}}},
    {"(a:1.2)", {{"(a:1.2)", 1.0}}},
    {"a:1:2", {{"a:1", 2.0}}},
    {"a : b", {{"a : b", 1.0}}},
    {"a:1.2.3", {{"a:1.2.3", 1.0}}},
    {"a:", {{"a:", 1.0}}},
    {"  a  AND  b  ", {{"  a", 1.0}, {"  b", 1.0}}},
    {"a:b AND é:2", {{"a:b", 1.0}, {" é", 2.0}}},
};

static void compare(const struct want *w, const struct prompt_list *got, bool steps)
{
    size_t n = 0;
    while (n < 8 && w->item[n].text)
        n++;
    if (got->n != n)
        fail_msg("\"%s\": %zu items, want %zu", w->prompt, got->n, n);
    for (size_t i = 0; i < n; i++) {
        double number = steps ? got->item[i].end_step : got->item[i].weight;
        if (strcmp(got->item[i].text, w->item[i].text) != 0 ||
            fabs(number - w->item[i].number) > 1e-12)
            fail_msg("\"%s\", item %zu: \"%s\" %.17g, want \"%s\" %.17g", w->prompt, i,
                     got->item[i].text, number, w->item[i].text, w->item[i].number);
    }
}

#define FOR_EACH(table, call, steps)                                                               \
    for (size_t k = 0; k < sizeof(table) / sizeof *(table); k++) {                                 \
        const struct want *w = &(table)[k];                                                        \
        struct prompt_list got = {0};                                                              \
        assert_int_equal(call, ST_OK);                                                             \
        compare(w, &got, steps);                                                                   \
        prompt_list_release(&got);                                                                 \
    }

static void editing_and_alternation(void **state)
{
    (void)state;
    FOR_EACH(schedules, prompt_schedule(&got, w->prompt, 5, NULL), true)
}

static void attention(void **state)
{
    (void)state;
    FOR_EACH(weights, prompt_attention(&got, w->prompt, NULL), false)
}

static void and_makes_prompts_of_their_own(void **state)
{
    (void)state;
    FOR_EACH(parts, prompt_split_and(&got, w->prompt, NULL), false)
}

static void a_break_is_told_from_the_word(void **state)
{
    (void)state;
    struct prompt_list l = {0};
    assert_int_equal(prompt_attention(&l, "a BREAK b (BREAK c)", NULL), ST_OK);
    int breaks = 0;
    for (size_t i = 0; i < l.n; i++)
        breaks += l.item[i].is_break;
    assert_int_equal(breaks, 1); /* in brackets its weight is no longer -1, as there */
    prompt_list_release(&l);
}

static void networks_are_taken_out(void **state)
{
    (void)state;
    struct prompt_list l = {0};
    char *rest;
    const char *text = "a <lora:x y:0.8> b<lora:z:te=1:unet=0.5>, <3 <a> <:b> <lora:> <open:c";
    assert_int_equal(prompt_networks(&l, &rest, text, NULL), ST_OK);
    assert_int_equal(l.n, 2);
    assert_string_equal(l.item[0].text, "lora:x y:0.8");
    assert_string_equal(l.item[1].text, "lora:z:te=1:unet=0.5");
    assert_string_equal(rest, "a  b, <3 <a> <:b> <lora:> <open:c");
    mem_free(rest);
    prompt_list_release(&l);
}

static void hostile_brackets_cost_little(void **state)
{
    (void)state;
    enum { LEN = 100000 };
    static const char *const patterns[] = {"(",     "[",  "[a:", "(a:", "[a|",
                                           "[a:b:", "([", "\\",  "<a:"};
    char *text = mem_alloc(LEN + 8);
    for (size_t k = 0; k < sizeof patterns / sizeof *patterns; k++) {
        struct prompt_list l = {0};
        char *rest;
        size_t len = 0, step = strlen(patterns[k]);
        for (; len < LEN; len += step)
            memcpy(text + len, patterns[k], step);
        text[len] = '\0';
        assert_int_equal(prompt_schedule(&l, text, 3, NULL), ST_OK);
        assert_string_equal(l.item[l.n - 1].text, text);
        prompt_list_release(&l);
        assert_int_equal(prompt_networks(&l, &rest, text, NULL), ST_OK);
        mem_free(rest);
        prompt_list_release(&l);
    }
    mem_free(text);
}

static void no_memory_is_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    for (int which = 0; which < 4; which++) {
        enum status st = ST_NOMEM;
        for (uint64_t n = 1; st != ST_OK; n++) {
            struct prompt_list l = {0};
            char *rest = NULL;
            const char *text = "a (b:1.2) [c|d] BREAK <lora:e:1> AND f";
            mem_fail_at(n, false);
            st = which == 0   ? prompt_split_and(&l, text, NULL)
                 : which == 1 ? prompt_schedule(&l, text, 3, NULL)
                 : which == 2 ? prompt_attention(&l, text, NULL)
                              : prompt_networks(&l, &rest, text, NULL);
            mem_fail_at(0, false);
            assert_true(st == ST_OK || (st == ST_NOMEM && l.n == 0 && !rest));
            prompt_list_release(&l);
            mem_free(rest);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(editing_and_alternation),
        cmocka_unit_test(attention),
        cmocka_unit_test(and_makes_prompts_of_their_own),
        cmocka_unit_test(a_break_is_told_from_the_word),
        cmocka_unit_test(networks_are_taken_out),
        cmocka_unit_test(hostile_brackets_cost_little),
        cmocka_unit_test(no_memory_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
