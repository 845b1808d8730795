/* Lines of a descriptor: as they arrive, whole, with their numbers, and no longer than allowed. */
#include "core/lines.h"
#include "core/mem.h"
#include "core/rng.h"
#include "test.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void put(int fd, const char *s)
{
    assert_int_equal(write(fd, s, strlen(s)), strlen(s));
}

static void expect(struct lines *l, bool wait, const char *want)
{
    char *s;
    assert_int_equal(lines_next(l, wait, &s, NULL), ST_OK);
    if (!want)
        assert_null(s);
    else
        assert_string_equal(s, want);
}

static void lines_come_as_they_arrive(void **state)
{
    (void)state;
    int p[2];
    struct lines l;
    assert_int_equal(pipe(p), 0);
    lines_init(&l, p[0], 100);
    expect(&l, false, NULL);
    assert_false(l.ended);
    put(p[1], "a dog\n\nno e");
    expect(&l, true, "a dog");
    expect(&l, false, "");
    expect(&l, false, NULL);
    put(p[1], "nd\r\nlast\r");
    expect(&l, true, "no end");
    assert_int_equal(l.number, 3);
    expect(&l, false, NULL);
    close(p[1]);
    expect(&l, false, "last");
    assert_int_equal(l.number, 4);
    expect(&l, true, NULL);
    assert_true(l.ended);
    lines_release(&l);
    close(p[0]);
}

static void a_long_line_is_cut_and_the_next_one_is_whole(void **state)
{
    (void)state;
    char path[] = "/tmp/eidetic-lines-XXXXXX", big[10001];
    int fd = mkstemp(path);
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    put(fd, "0123456789\r\n01234567890\n");
    put(fd, big);
    put(fd, "\nafter\n");
    put(fd, big);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    struct lines l;
    lines_init(&l, fd, 10);
    expect(&l, true, "0123456789");
    assert_false(l.cut);
    expect(&l, true, "0123456789");
    assert_true(l.cut);
    expect(&l, true, "xxxxxxxxxx");
    assert_true(l.cut);
    expect(&l, true, "after");
    assert_int_equal(l.number, 4);
    expect(&l, true, "xxxxxxxxxx");
    expect(&l, true, NULL);
    lines_release(&l);
    close(fd);
    unlink(path);
}

/* Whatever the pieces it comes in, the lines are those of the whole. */
static void pieces_do_not_matter(void **state)
{
    (void)state;
    struct rng r = {11};
    for (int round = 0; round < 200; round++) {
        char text[400], *s;
        size_t n = rng_below(&r, sizeof text), fed = 0, at = 0;
        int p[2];
        struct lines l;
        for (size_t i = 0; i < n; i++)
            text[i] = "ab\n\0c"[rng_below(&r, 5)];
        assert_int_equal(pipe(p), 0);
        lines_init(&l, p[0], 1000);
        while (true) {
            assert_int_equal(lines_next(&l, fed == n, &s, NULL), ST_OK);
            if (s) {
                assert_true(at + l.len <= n);
                assert_memory_equal(s, text + at, l.len);
                at += l.len;
                assert_true(at == n || text[at] == '\n');
                at++;
            } else if (fed < n) {
                size_t k = 1 + rng_below(&r, (uint32_t)(n - fed));
                assert_int_equal(write(p[1], text + fed, k), k);
                fed += k;
            } else if (l.ended) {
                break;
            }
            if (fed == n && p[1] >= 0) {
                close(p[1]);
                p[1] = -1;
            }
        }
        assert_true(at >= n);
        lines_release(&l);
        close(p[0]);
    }
}

static void memory_and_reads_may_fail(void **state)
{
    (void)state;
    struct lines l;
    struct error e;
    char *s;
    int fd = open("/", O_RDONLY);
    lines_init(&l, fd, 10);
    mem_fail_at(1, false);
    assert_int_equal(lines_next(&l, true, &s, &e), ST_NOMEM);
    mem_fail_at(0, false);
    assert_int_equal(lines_next(&l, true, &s, &e), ST_IO); /* a folder */
    assert_null(s);
    lines_release(&l);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_as_they_arrive),
        cmocka_unit_test(a_long_line_is_cut_and_the_next_one_is_whole),
        cmocka_unit_test(pieces_do_not_matter),
        cmocka_unit_test(memory_and_reads_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
