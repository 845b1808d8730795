/* app: options on the command line and in the config file, by one table. */
#include "app/options.h"
#include "core/mem.h"
#include "test.h"
#include <string.h>
#include <unistd.h>

struct args {
    bool quiet, loud;
    int top;
    double share;
    const char *folder, *generate;
    struct option_list exclude;
};

static const struct option_def common[] = {
    {"quiet", 'q', OPT_FLAG, offsetof(struct args, quiet), NULL, "say less"},
    {"loud", 0, OPT_FLAG, offsetof(struct args, loud), NULL, "say more"},
    {0}};
static const struct option_def own[] = {
    {"top", 't', OPT_INT, offsetof(struct args, top), "N", "how many"},
    {"share", 0, OPT_NUMBER, offsetof(struct args, share), "X", "how much"},
    {"folder", 0, OPT_TEXT, offsetof(struct args, folder), "DIR", "where"},
    {"or-generate", 0, OPT_OPTIONAL, offsetof(struct args, generate), "N", "else make some"},
    {"exclude", 0, OPT_LIST, offsetof(struct args, exclude), "NAME", "without"},
    {"add", 'a', OPT_PAIR, 0, "Q", "and"},
    {"subtract", 's', OPT_PAIR, 0, "Q", "but not"},
    {0}};

struct parsed {
    struct args a;
    struct option_list rest;
    bool help;
    struct error err;
    char *text;
};

static enum status parse(struct parsed *p, const char *const *words)
{
    const char *argv[16] = {"command"};
    int argc = 1;
    struct option_tables t = {common, own, &p->a, &p->a};
    for (; words[argc - 1]; argc++)
        argv[argc] = words[argc - 1];
    *p = (struct parsed){.a.top = 10};
    return options_parse(&t, argc, (char **)(uintptr_t)argv, &p->rest, &p->help, &p->err);
}
#define PARSE(p, ...) parse((p), (const char *const[]){__VA_ARGS__, NULL})

static void release(struct parsed *p)
{
    option_list_release(&p->rest);
    option_list_release(&p->a.exclude);
    mem_free(p->text);
}

static void values_land_where_the_table_says(void **state)
{
    struct parsed p;
    (void)state;
    assert_int_equal(PARSE(&p, "-qt3", "--share=-0.5", "--folder", "a b", "--exclude", "x",
                           "--exclude=y", "--or-generate"),
                     ST_OK);
    assert_true(p.a.quiet);
    assert_false(p.a.loud);
    assert_int_equal(p.a.top, 3);
    assert_true(p.a.share == -0.5);
    assert_string_equal(p.a.folder, "a b");
    assert_string_equal(p.a.generate, "");
    assert_int_equal(p.a.exclude.n, 2);
    assert_string_equal(p.a.exclude.item[1].value, "y");
    assert_int_equal(p.rest.n, 0);
    release(&p);
    assert_int_equal(PARSE(&p, "--or-generate=4"), ST_OK);
    assert_string_equal(p.a.generate, "4");
    assert_int_equal(p.a.top, 10);
    release(&p);
}

static void plain_words_and_pairs_keep_their_order(void **state)
{
    static const char *const want[][2] = {{"", "dog"},        {"add", "cat"}, {"", "-"},
                                          {"subtract", "-x"}, {"", "--add"},  {"", "-q"}};
    struct parsed p;
    (void)state;
    assert_int_equal(PARSE(&p, "dog", "-a", "cat", "-", "--subtract", "-x", "--", "--add", "-q"),
                     ST_OK);
    assert_int_equal(p.rest.n, sizeof want / sizeof *want);
    for (size_t i = 0; i < p.rest.n; i++) {
        assert_string_equal(p.rest.item[i].name, want[i][0]);
        assert_string_equal(p.rest.item[i].value, want[i][1]);
    }
    assert_false(p.a.quiet);
    release(&p);
}

static void help_is_found_anywhere(void **state)
{
    struct parsed p;
    (void)state;
    assert_int_equal(PARSE(&p, "dog", "--top", "2", "-h"), ST_OK);
    assert_true(p.help);
    release(&p);
    assert_int_equal(PARSE(&p, "--", "--help"), ST_OK);
    assert_false(p.help);
    release(&p);
}

static void wrong_options_are_named(void **state)
{
    static const struct {
        const char *words[3], *said;
    } cases[] = {
        {{"--fly"}, "--fly"},        {{"-qz", "dog"}, "-z"}, {{"-zq", "dog"}, "-z"},
        {{"--top"}, "--top"},        {{"-t"}, "--top"},      {{"--quiet=1"}, "--quiet"},
        {{"--top", "x"}, "\"x\""},   {{"-t", "-1"}, "-1"},   {{"--top", "99999999999"}, "9999"},
        {{"--share", "nan"}, "nan"}, {{"--top="}, "\"\""},   {{"--help=1"}, "--help"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct parsed p;
        assert_int_equal(parse(&p, cases[i].words), ST_USAGE);
        assert_non_null(strstr(p.err.text, cases[i].said));
        release(&p);
    }
}

static enum status read_text(struct parsed *p, const char *text)
{
    char path[] = "/tmp/eidetic-config-XXXXXX";
    struct option_tables t = {common, own, &p->a, &p->a};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    *p = (struct parsed){.a.top = 10};
    size_t size = 0;
    enum status st = options_read_file(&t, path, &p->text, &size, &p->err);
    unlink(path);
    return st;
}

static void a_file_sets_defaults(void **state)
{
    struct parsed p;
    (void)state;
    assert_int_equal(read_text(&p, "# words\n\n  top = 3 \r\nfolder=/a b/c\nquiet=yes\nloud = no\n"
                                   "known-elsewhere = 7\nexclude = x\nexclude = y=z"),
                     ST_OK);
    assert_int_equal(p.a.top, 3);
    assert_string_equal(p.a.folder, "/a b/c");
    assert_true(p.a.quiet);
    assert_false(p.a.loud);
    assert_int_equal(p.a.exclude.n, 2);
    assert_string_equal(p.a.exclude.item[1].value, "y=z");
    release(&p);
    assert_int_equal(read_text(&p, "or-generate = 2"), ST_OK);
    assert_string_equal(p.a.generate, "2");
    release(&p);
    assert_int_equal(read_text(&p, ""), ST_OK);
    release(&p);
}

/* Also an option with an optional value: "preview = 1" is --preview, not a kind of that name. */
static void yes_and_no_have_three_words_each(void **state)
{
    static const char *const words[2][3] = {{"0", "false", "no"}, {"1", "true", "yes"}};
    (void)state;
    for (int on = 0; on < 2; on++)
        for (int i = 0; i < 3; i++) {
            struct parsed p;
            char text[64];
            snprintf(text, sizeof text, "or-generate = 2\nor-generate = %s\nquiet=%s", words[on][i],
                     words[on][i]);
            assert_int_equal(read_text(&p, text), ST_OK);
            assert_int_equal(p.a.quiet, on);
            assert_int_equal(p.a.generate != NULL, on);
            if (on)
                assert_string_equal(p.a.generate, "");
            release(&p);
        }
}

static void a_wrong_line_is_named(void **state)
{
    static const char *const texts[] = {"\ntop = many", "\nquiet = perhaps", "\nwords", "\n= 3",
                                        "\nadd = dog"};
    struct parsed p;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(read_text(&p, texts[i]), ST_USAGE);
        assert_non_null(strstr(p.err.text, ":2: "));
        release(&p);
    }
}

static void no_file_is_no_error(void **state)
{
    struct parsed p = {0};
    struct option_tables t = {common, own, &p.a, &p.a};
    size_t size;
    (void)state;
    assert_int_equal(options_read_file(&t, "/nowhere/config", &p.text, &size, &p.err), ST_OK);
    assert_null(p.text);
}

static void failing_memory_is_said(void **state)
{
    struct parsed p;
    (void)state;
    for (uint64_t n = 1; n <= 3; n++) {
        mem_fail_at(n, false);
        enum status st = PARSE(&p, "a", "--exclude", "b", "-a", "c");
        mem_fail_at(0, false);
        assert_int_equal(st, ST_NOMEM);
        release(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_land_where_the_table_says),
        cmocka_unit_test(plain_words_and_pairs_keep_their_order),
        cmocka_unit_test(help_is_found_anywhere),
        cmocka_unit_test(wrong_options_are_named),
        cmocka_unit_test(a_file_sets_defaults),
        cmocka_unit_test(yes_and_no_have_three_words_each),
        cmocka_unit_test(a_wrong_line_is_named),
        cmocka_unit_test(no_file_is_no_error),
        cmocka_unit_test(failing_memory_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
