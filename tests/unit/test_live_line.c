/* The line of search --interactive: what keys and pastes make of it, however a terminal's bytes are
 * cut into reads. */
#include "app/live_line.h"
#include "test.h"
#include <string.h>

/* The last key that was something. */
static enum live_key type(struct live_line *l, const char *bytes)
{
    enum live_key last = LIVE_NOTHING;
    for (const char *s = bytes; *s; s++) {
        enum live_key key = live_line_byte(l, (unsigned char)*s);
        last = key ? key : last;
    }
    return last;
}

static void becomes(const char *bytes, const char *text, size_t at)
{
    struct live_line l = {0};
    type(&l, bytes);
    assert_string_equal(l.text, text);
    assert_int_equal(l.len, strlen(text));
    assert_int_equal(l.at, at);
}

static void text_is_edited_where_the_cursor_is(void **state)
{
    (void)state;
    becomes("otter", "otter", 5);
    becomes("otter\033[D\033[D\033[Dx", "otxter", 3);
    becomes("otter\033[HX\033[FY", "XotterY", 7);
    becomes("otter\033OHX\033OFY", "XotterY", 7);
    becomes("otter\033[1~X\033[4~Y", "XotterY", 7);
    becomes("otter\001X\005Y", "XotterY", 7);
    becomes("abc\002\002\006x", "abxc", 3);
    becomes("abc\177", "ab", 2);
    becomes("abc\001\177\010", "abc", 0);
    becomes("abc\001\033[3~", "bc", 0);
    becomes("abc\033[3~", "abc", 3);
    becomes("one two  \027", "one ", 4);
    becomes("one two\033[D\033[D\027", "one wo", 4);
    becomes("one two\033[D\033[D\013", "one t", 5);
    becomes("one two\033[D\033[D\025", "wo", 0);
}

static void characters_are_whole(void **state)
{
    (void)state;
    becomes("a\xc3\xa4\xe6\xb0\xb4\177", "a\xc3\xa4", 3);
    becomes("a\xc3\xa4\xe6\xb0\xb4\033[D\033[D\177", "\xc3\xa4\xe6\xb0\xb4", 0);
    becomes("\xe6\xb0\xb4\001\033[3~x", "x", 1);
    becomes("\xe6\xb0\xb4\001\033[Cx", "\xe6\xb0\xb4x", 4);
    becomes("\x80\x80\177", "", 0); /* half ones, which nobody typed, go together */
}

static void keys_are_told(void **state)
{
    struct live_line l = {0};
    (void)state;
    assert_int_equal(type(&l, "a"), LIVE_EDITED);
    assert_int_equal(type(&l, "\033[D"), LIVE_MOVED);
    assert_int_equal(type(&l, "\033[D"), LIVE_NOTHING);
    assert_int_equal(type(&l, "\013"), LIVE_EDITED);
    assert_int_equal(type(&l, "\013"), LIVE_NOTHING);
    assert_int_equal(type(&l, "\033[A"), LIVE_UP);
    assert_int_equal(type(&l, "\033OB"), LIVE_DOWN);
    assert_int_equal(type(&l, "\033[1;5B"), LIVE_DOWN);
    assert_int_equal(type(&l, "\033[5~"), LIVE_PAGE_UP);
    assert_int_equal(type(&l, "\033[6~"), LIVE_PAGE_DOWN);
    assert_int_equal(type(&l, "\r"), LIVE_ENTER);
    assert_int_equal(type(&l, "\n"), LIVE_ENTER);
    assert_int_equal(type(&l, "\003"), LIVE_LEAVE);
    assert_int_equal(type(&l, "\004"), LIVE_LEAVE);
    assert_int_equal(type(&l, "\032"), LIVE_SUSPEND);
    assert_int_equal(type(&l, "\033[19~\033[Z\033x\t\034"), LIVE_NOTHING);
    assert_string_equal(l.text, "");
}

/* Escape alone leaves; the same byte before an arrow key's others does not. */
static void an_escape_waits_for_what_follows(void **state)
{
    struct live_line l = {0};
    (void)state;
    assert_int_equal(type(&l, "ab\033"), LIVE_EDITED);
    assert_true(live_line_waits(&l));
    assert_int_equal(type(&l, "["), LIVE_NOTHING);
    assert_false(live_line_waits(&l)); /* nobody types that: its end will come */
    assert_int_equal(live_line_idle(&l), LIVE_NOTHING);
    assert_int_equal(type(&l, "D"), LIVE_MOVED);
    assert_int_equal(type(&l, "\033"), LIVE_NOTHING);
    assert_int_equal(live_line_idle(&l), LIVE_LEAVE);
    assert_int_equal(type(&l, "\033\033"), LIVE_LEAVE);
    l = (struct live_line){0};
    assert_int_equal(type(&l, "\033[\r"), LIVE_ENTER); /* a torn sequence swallows no key */
    assert_int_equal(type(&l, "\033[\033"), LIVE_NOTHING);
    assert_int_equal(live_line_idle(&l), LIVE_LEAVE);
}

static void what_is_pasted_is_text(void **state)
{
    struct live_line l = {0};
    (void)state;
    assert_int_equal(type(&l, "a \033[200~dog\r\non\ta\003\033 beach\n\033[201~"), LIVE_EDITED);
    assert_string_equal(l.text, "a dog  on abeach "); /* "\033 " is a key, and none of ours */
    assert_int_equal(type(&l, "\r"), LIVE_ENTER);
}

static void a_full_line_takes_no_more(void **state)
{
    struct live_line l = {0};
    (void)state;
    for (int i = 0; i < 3 * LIVE_LINE_CAP; i++)
        live_line_byte(&l, 'x');
    assert_int_equal(l.len, LIVE_LINE_CAP - 1);
    assert_int_equal(strlen(l.text), l.len);
    type(&l, "\001\033[3~y");
    assert_int_equal(l.text[0], 'y');
    assert_int_equal(l.len, LIVE_LINE_CAP - 1);
    for (int i = 0; i < 4; i++)
        type(&l, "\033[99999999999999999999999999;1~");
    assert_int_equal(l.len, LIVE_LINE_CAP - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_edited_where_the_cursor_is),
        cmocka_unit_test(characters_are_whole),
        cmocka_unit_test(keys_are_told),
        cmocka_unit_test(an_escape_waits_for_what_follows),
        cmocka_unit_test(what_is_pasted_is_text),
        cmocka_unit_test(a_full_line_takes_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
