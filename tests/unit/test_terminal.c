/* Pictures in a terminal: each kind speaks its protocol, inside tmux too, and takes as many rows as
 * it says. */
#include "image/terminal.h"
#include "test.h"
#include <string.h>

static void make_picture(struct image *img, int w, int h)
{
    assert_int_equal(image_alloc(img, w, h, NULL), ST_OK);
    for (int i = 0; i < w * h; i++) {
        img->data[3 * i] = (uint8_t)(i % w * 255 / w);
        img->data[3 * i + 1] = (uint8_t)(i / w * 255 / h);
        img->data[3 * i + 2] = 90;
    }
}

static struct terminal *open_kind(const char *kind, const char *tmux)
{
    struct terminal *t = NULL;
    struct error err = {0};
    unsetenv("TMUX");
    if (tmux)
        setenv("TMUX", tmux, 1);
    if (terminal_open(&t, kind, -1, &err))
        fail_msg("%s", err.text);
    unsetenv("TMUX");
    return t;
}

static void expect(const char *kind, const char *tmux, const char *has, const char *lacks)
{
    struct image img = {0};
    struct buf b;
    struct terminal *t = open_kind(kind, tmux);
    make_picture(&img, 60, 40);
    buf_init(&b, TERMINAL_MOST);
    int rows = terminal_draw(t, &b, &img, 30, 12);
    assert_int_equal(rows, 10); /* 30 columns of cells that are twice as high as wide */
    if (!strstr(b.data, has))
        fail_msg("%s: no \"%s\"", kind, has + (*has == '\033'));
    if (lacks && strstr(b.data, lacks))
        fail_msg("%s: there is \"%s\"", kind, lacks + (*lacks == '\033'));
    const char *end = b.data + b.len - strlen("\0338\033[10B\r");
    assert_string_equal(end, "\0338\033[10B\r"); /* the cursor comes back, and goes below */
    buf_release(&b);
    image_release(&img);
    terminal_close(t);
}

static void each_kind_speaks_its_protocol(void **state)
{
    (void)state;
    expect("kitty", NULL, "\033_Ga=T,", NULL);
    expect("iterm2", NULL, "\033]1337;File=", NULL);
    expect("sixel", NULL, "\033P0;1;0q", NULL);
    expect("blocks", NULL, "\xe2\x96\x84", "\033_G"); /* U+2584, or its other half */
}

static void inside_tmux_a_named_kind_is_passed_through(void **state)
{
    (void)state;
    const char *tmux = "/tmp/tmux-1000/default,1,0";
    expect("kitty", tmux, "\033Ptmux;\033\033_Ga=T,", "\033\\\033_G");
    expect("iterm2", tmux, "\033Ptmux;\033\033]1337;File=", NULL);
    expect("sixel", tmux, "\033Ptmux;\033\033P0;1;0q", NULL);
    expect("blocks", tmux, "\xe2\x96\x84", "\033Ptmux");
}

static void expect_kind(const char *variable, const char *value, const char *tmux, const char *want)
{
    static const char *const all[] = {"TERM",      "TERM_PROGRAM", "COLORTERM",
                                      "KITTY_PID", "LC_TERMINAL",  "VTE_VERSION",
                                      "TERM_NAME", "MLTERM",       "KITTY_WINDOW_ID"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        unsetenv(all[i]);
    setenv("TERM", "xterm-256color", 1);
    setenv(variable, value, 1);
    struct terminal *t = open_kind(NULL, tmux);
    assert_string_equal(terminal_kind(t), want);
    terminal_close(t);
}

static void the_environment_says_which(void **state)
{
    (void)state;
    expect_kind("TERM", "xterm-kitty", NULL, "kitty");
    expect_kind("TERM_PROGRAM", "iTerm.app", NULL, "iterm2");
    expect_kind("TERM", "mlterm", NULL, "sixel");
    expect_kind("TERM", "xterm-256color", NULL, "blocks");
    expect_kind("TERM", "dumb", NULL, "blocks");
    expect_kind("TERM", "xterm-kitty", "/tmp/tmux", "blocks");
}

static void other_kinds_are_refused(void **state)
{
    (void)state;
    struct terminal *t = NULL;
    struct error err = {0};
    assert_int_equal(terminal_open(&t, "paper", -1, &err), ST_USAGE);
    assert_null(t);
    assert_non_null(strstr(err.text, "\"paper\""));
}

static void pictures_of_any_shape_fit(void **state)
{
    (void)state;
    static const int sides[][2] = {{1, 1}, {1000, 1}, {1, 1000}, {3, 2}, {800, 600}};
    struct terminal *t = open_kind("blocks", NULL);
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        struct image img = {0};
        struct buf b;
        make_picture(&img, sides[i][0], sides[i][1]);
        buf_init(&b, TERMINAL_MOST);
        int rows = terminal_draw(t, &b, &img, 20, 6);
        assert_true(rows >= 1 && rows <= 6);
        int lines = 0;
        const char *from = strstr(b.data, "\0337");
        for (const char *s = from; (s = strchr(s, '\n')); s++)
            lines++;
        assert_int_equal(lines, rows - 1);
        buf_clear(&b);
        terminal_wipe(t, &b, rows);
        assert_non_null(strstr(b.data, "\033[J"));
        buf_release(&b);
        image_release(&img);
    }
    terminal_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_speaks_its_protocol),
        cmocka_unit_test(inside_tmux_a_named_kind_is_passed_through),
        cmocka_unit_test(the_environment_says_which),
        cmocka_unit_test(other_kinds_are_refused),
        cmocka_unit_test(pictures_of_any_shape_fit),
    };
    if (!terminal_ready()) {
        puts("skipped: libchafa is not installed");
        return 77;
    }
    return cmocka_run_group_tests_name("terminal", tests, NULL, NULL);
}
