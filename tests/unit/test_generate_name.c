/* Names of filed pictures, by patterns, and tags out of prompts. */
#include "app/generate_name.h"
#include "app/prompt_tags.h"
#include "core/buf.h"
#include "core/mem.h"
#include "test.h"
#include <string.h>

static struct sampler_job job_of(const char *prompt)
{
    const struct schedule *schedule;
    return (struct sampler_job){.prompt = prompt,
                                .negative = "dull",
                                .width = 64,
                                .height = 48,
                                .steps = 20,
                                .guidance = 7.5,
                                .seed = 42,
                                .clip_skip = 2,
                                .solver = solver_find("DPM++ 2M", &schedule),
                                .schedule = schedule_find("karras")};
}

static void expect(const char *pattern, const char *prompt, const char *words, const char *want)
{
    struct sampler_job job = job_of(prompt);
    const struct checkpoint c = {.name = (char *)(uintptr_t) "v1/5"};
    struct error err = {0};
    char *name = NULL;
    struct generate_name_facts f = {.job = &job,
                                    .checkpoint = &c,
                                    .model_hash = "6ce0161689b3853acaa03779ec93eafe",
                                    .words = words,
                                    .number = 3};
    if (generate_name(&name, pattern, &f, &err))
        fail_msg("%s: %s", pattern, err.text);
    if (strcmp(name, want) != 0)
        fail_msg("%s gives %s, wanted is %s", pattern, name, want);
    mem_free(name);
    assert_int_equal(generate_name(&name, pattern, NULL, &err), ST_OK);
    assert_null(name);
}

static void marks_are_automatic1111s(void **state)
{
    (void)state;
    const char *red = "Red, (a pear), <lora:x:1>";
    expect("[seed]", red, "", "42.png");
    expect("[steps]-[cfg]-[width]x[height]-[clip_skip]", red, "", "20-7.5-64x48-2.png");
    expect("[model_name]/[model_hash]/[seed].jpg", red, "", "v1_5/6ce0161689/42.jpg");
    expect("[sampler] [scheduler]", red, "", "DPM++ 2M karras.png");
    expect("[prompt]", red, "", "Red,_(a_pear),__lora_x_1.png");
    expect("[prompt_spaces]", red, "", "Red, (a pear), _lora_x_1.png");
    expect("[prompt_words]", red, "Red, a pear, ", "Red a pear.png");
    expect("[prompt_words]", "", "one two three four five six seven eight nine",
           "one two three four five six seven eight.png");
    expect("[seed]-[words]", "", "a red -- boat!", "42-a-red-boat.png");
    expect("[seed]-[words]", "", "", "42.png");
    expect("[batch_number]-[none]-[denoising]", red, "", "3.png");
    expect("[prompt_hash]", "abc", "", "ba7816bf.png"); /* FIPS 180-4's example */
    expect("[negative_prompt_hash]", "", "", "8f68ea02.png");
}

static void names_stay_where_they_are_put(void **state)
{
    (void)state;
    expect("[prompt]", "../../etc/passwd", "", "_.._etc_passwd.png");
    expect("[prompt]", "...", "", "_.png");
    expect("[prompt]", "a\x1b[2Jb\xff", "", "a_[2Jb.png");
    expect("a/[none]/[seed]", "", "", "a/_/42.png");
    expect("[prompt]", "日本語の猫", "", "日本語の猫.png");
    char longest[1001], want[300];
    memset(longest, 'x', sizeof longest);
    memcpy(longest + 990, "[seed]", 7);
    memset(want, 'x', 200);
    memcpy(want + 200, ".png", 5);
    expect(longest, "", "", want);
}

static void patterns_that_cannot_be_are_said(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",          "/a",    "a/",        "a//b",          "../a",  ".hidden",   "a/.b",
        "[nothing]", "[seed", "[seed<x>]", "[datetime<%Y]", "a\xff", "[datetime<"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error err = {0};
        char *name = NULL;
        if (generate_name(&name, bad[i], NULL, &err) != ST_USAGE)
            fail_msg("%s is taken", bad[i]);
        assert_non_null(strstr(err.text, "--name-pattern"));
    }
}

static void expect_tags(const char *words, const char *want)
{
    static const char *const labels[] = {"fox", "red fox", "otter", "night", "light", "sea"};
    struct lexicon v;
    struct prompt_tags t;
    struct buf b;
    assert_int_equal(lexicon_from_texts(&v, labels, sizeof labels / sizeof *labels, NULL), ST_OK);
    assert_int_equal(prompt_tags_find(&t, words, &v, NULL), ST_OK);
    buf_init(&b, 1 << 16);
    buf_puts(&b, "");
    for (size_t i = 0; i < t.n; i++)
        buf_printf(&b, "%s%s", i ? "|" : "", t.tag[i].tag);
    assert_string_equal(b.data, want);
    buf_release(&b);
    prompt_tags_release(&t);
    lexicon_release(&v);
}

static void prompts_become_tags(void **state)
{
    (void)state;
    expect_tags("", "");
    expect_tags("blue_eyes, best quality,, Blue eyes.", "blue eyes|best quality");
    expect_tags("a photograph of some otters in the sea at night", "otter|sea|night");
    expect_tags("a red fox, the sea", "red fox|sea");
    expect_tags("the lighthouse keeper and a foxhound on a long walk", "");
    expect_tags("one sentence that goes on and on\nfox", "fox");
    char many[1000] = "";
    for (int i = 0; i < 60; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "t%d,", i);
    struct prompt_tags t;
    struct lexicon none = {0};
    assert_int_equal(prompt_tags_find(&t, many, &none, NULL), ST_OK);
    assert_int_equal(t.n, PROMPT_TAGS_MOST);
    prompt_tags_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_are_automatic1111s),
        cmocka_unit_test(names_stay_where_they_are_put),
        cmocka_unit_test(patterns_that_cannot_be_are_said),
        cmocka_unit_test(prompts_become_tags),
    };
    return cmocka_run_group_tests_name("generate_name", tests, NULL, NULL);
}
