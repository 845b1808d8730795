/* Axes of X/Y plots: names, lists of values as AUTOMATIC1111 writes them, and words in pictures. */
#include "app/generate_axis.h"
#include "image/label.h"
#include "test.h"
#include <string.h>

static void expect_values(const char *text, const char *want)
{
    struct app a = {.quiet = true};
    struct generate_axis x;
    struct buf b;
    if (generate_axis_read(&a, &x, "x", text))
        fail_msg("%s: %s", text, a.err.text);
    buf_init(&b, 1 << 16);
    for (int i = 0; i < x.n; i++)
        buf_printf(&b, "%s%s", i ? "|" : "", x.value[i]);
    if (strcmp(b.data, want) != 0)
        fail_msg("%s gives %s, wanted is %s", text, b.data, want);
    buf_release(&b);
    generate_axis_release(&x);
}

static void lists_of_numbers_are_automatic1111s(void **state)
{
    (void)state;
    expect_values("steps=1,2,3", "1|2|3");
    expect_values("steps=1-5", "1|2|3|4|5");
    expect_values("Steps=1-5 (+2)", "1|3|5");
    expect_values("steps=10-5 (-3)", "10|7");
    expect_values("steps=1-10 [5]", "1|3|5|7|10");
    expect_values("steps=1-3, 20", "1|2|3|20");
    expect_values("steps=5-3", "5|4|3");
    expect_values("CFG Scale=1-3 (+0.5)", "1|1.5|2|2.5|3");
    expect_values("cfg=0.0-1.0 [6]", "0|0.2|0.4|0.6|0.8|1");
    expect_values("denoising=0.1-0.3 (+0.1)", "0.1|0.2|0.3");
    expect_values("seed=7-9", "7|8|9");
    expect_values("variation_strength=0.5", "0.5");
}

static void words_are_taken_as_they_are(void **state)
{
    (void)state;
    expect_values("sampler=Euler a, DPM++ 2M Karras", "Euler a|DPM++ 2M Karras");
    expect_values("prompt s/r=red,\"blue, green\",\"say \"\"so\"\"\"",
                  "red|blue, green|say \"so\"");
    expect_values("Prompt S/R=1-5,2", "1-5|2");
    expect_values("checkpoint=a.ckpt,b c.safetensors", "a.ckpt|b c.safetensors");
}

static void what_is_no_axis_is_wrong_usage(void **state)
{
    (void)state;
    static const char *const bad[] = {"steps",        "steps=",           "=1",         "nothing=1",
                                      "output=a.png", "steps=1-100000",   "seed=x",     "x=1",
                                      "grid=a.png",   "cfg=1-100 [5000]", "no-file=yes"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct app a = {.quiet = true};
        struct generate_axis x;
        if (!generate_axis_read(&a, &x, "x", bad[i]))
            fail_msg("%s is taken", bad[i]);
        assert_int_equal(a.exit, EXIT_WRONG_USAGE);
        generate_axis_release(&x);
    }
}

static void both_prompts_are_searched(void **state)
{
    (void)state;
    struct app a = {.quiet = true};
    struct generate_args g = generate_defaults;
    struct generate_axis_text t = {.prompt = "a red cat, red hat"};
    struct generate_axis x;
    g.negative = "infrared";
    assert_int_equal(generate_axis_read(&a, &x, "x", "prompt s/r=red,blue"), 0);
    assert_int_equal(generate_axis_apply(&a, &x, 1, &g, &t), 0);
    assert_string_equal(t.prompt, "a blue cat, blue hat");
    assert_string_equal(g.negative, "infrablue");
    generate_axis_text_release(&t);
    t.prompt = "a cat";
    g.negative = NULL;
    assert_int_equal(generate_axis_apply(&a, &x, 1, &g, &t), 1);
    char *label = generate_axis_label(&x, 1);
    assert_string_equal(label, "blue");
    mem_free(label);
    generate_axis_release(&x);
}

static void labels_break_at_blanks(void **state)
{
    (void)state;
    struct image img = {0};
    int black = 0;
    assert_int_equal(image_label_lines("", 5), 0);
    assert_int_equal(image_label_lines("one two", 5), 2);
    assert_int_equal(image_label_lines("one two", 7), 1);
    assert_int_equal(image_label_lines("onetwothree", 5), 3);
    assert_int_equal(image_label_lines("日本語 猫", 3), 2);
    assert_int_equal(image_alloc(&img, 20, 12, NULL), ST_OK);
    memset(img.data, 255, 20 * 12 * 3);
    image_label_put(&img, "l\xffWWWWWW long", 30, 2, 3, 1); /* beyond every edge */
    image_label_put(&img, "x", 1, -4, -3, 5);
    for (int i = 0; i < 20 * 12; i++)
        black += img.data[3 * i] == 0;
    assert_true(black > 20 && black < 200);
    image_release(&img);
}

static void a_plot_has_its_labels_above_and_beside(void **state)
{
    (void)state;
    char a[] = "a", b[] = "b", c[] = "c";
    char *above[] = {a, b, NULL}, *beside[] = {c, NULL};
    struct generate_grid g = {
        .path = "x.png", .count = 2, .columns = 2, .above = above, .beside = beside};
    struct image img = {0}, canvas = {0};
    assert_int_equal(image_alloc(&img, 100, 80, NULL), ST_OK);
    memset(img.data, 7, 100 * 80 * 3);
    for (int i = 0; i < 2; i++)
        assert_int_equal(generate_grid_put(&g, i, &img, NULL), ST_OK);
    assert_int_equal(generate_grid_compose(&g, &canvas, NULL), ST_OK);
    assert_int_equal(canvas.width, 75 + 100 + 2 + 100);
    assert_int_equal(canvas.height, 9 + 4 + 80);
    assert_int_equal(canvas.data[3 * (canvas.width * canvas.height - 1)], 7);
    assert_int_equal(canvas.data[0], 255);
    image_release(&img);
    image_release(&canvas);
    generate_grid_release(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_of_numbers_are_automatic1111s),
        cmocka_unit_test(words_are_taken_as_they_are),
        cmocka_unit_test(what_is_no_axis_is_wrong_usage),
        cmocka_unit_test(both_prompts_are_searched),
        cmocka_unit_test(labels_break_at_blanks),
        cmocka_unit_test(a_plot_has_its_labels_above_and_beside),
    };
    return cmocka_run_group_tests_name("generate_axis", tests, NULL, NULL);
}
