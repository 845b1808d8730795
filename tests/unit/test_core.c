/* core: what the rest leans on. */
#include "core/arena.h"
#include "core/buf.h"
#include "core/cpu.h"
#include "core/error.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/rng.h"
#include "core/threads.h"
#include "test.h"
#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

static void error_text_is_cut_but_keeps_the_reason(void **state)
{
    (void)state;
    char longname[400];
    memset(longname, 'a', sizeof longname - 1);
    longname[sizeof longname - 1] = 0;
    struct error err;
    assert_int_equal(error_errno(&err, ENOENT, "%s", longname), ST_NOT_FOUND);
    assert_non_null(strstr(err.text, ": no such file or directory"));
    assert_int_equal(error_errno(&err, ENOSPC, "x"), ST_NOSPACE);
    error_prefix(&err, ST_INTERNAL, "while %s", "writing");
    assert_string_equal(err.text, "while writing: x: no space left on device");
    assert_int_equal(error_set(NULL, ST_FORMAT, "nobody listens"), ST_FORMAT);
}

static void sizes_that_overflow_are_refused(void **state)
{
    (void)state;
    assert_null(mem_array(SIZE_MAX / 2, 3));
    assert_null(mem_realloc_array(NULL, SIZE_MAX, 2));
    struct arena a = {0};
    assert_null(arena_array(&a, SIZE_MAX / 4, 8));
    arena_release(&a);
}

static void an_allocation_fails_when_told(void **state)
{
    (void)state;
    mem_fail_at(2, false);
    void *a = mem_alloc(1), *b = mem_alloc(1), *c = mem_alloc(1);
    assert_int_equal(mem_fail_at(0, false), 3);
    assert_non_null(a);
    assert_null(b);
    assert_non_null(c);
    mem_free(a);
    mem_free(c);
}

struct counting_memory {
    struct arena_memory base;
    int made, freed;
};

static void *counted_alloc(struct arena_memory *m, size_t size)
{
    ((struct counting_memory *)m)->made++;
    return malloc(size);
}

static void counted_free(struct arena_memory *m, void *p)
{
    ((struct counting_memory *)m)->freed++;
    free(p);
}

static void arena_keeps_its_largest_freed_block(void **state)
{
    (void)state;
    struct counting_memory m = {.base = {counted_alloc, counted_free}};
    struct arena a = {.memory = &m.base};
    assert_non_null(arena_alloc(&a, 1 << 20));
    size_t mark = arena_mark(&a);
    for (int i = 0; i < 5; i++) {
        assert_non_null(arena_alloc(&a, (8 - (size_t)i) << 20));
        arena_rewind(&a, mark);
    }
    assert_int_equal(m.made, 2); /* smaller ones fit the first */
    assert_non_null(arena_alloc(&a, 9 << 20));
    assert_int_equal(m.made, 3);
    assert_int_equal(m.freed, 1); /* before the larger one was asked for */
    arena_release(&a);
    assert_int_equal(m.freed, 3);
}

static void arena_keeps_pointers_and_reuses_one_block(void **state)
{
    (void)state;
    struct arena a = {0};
    for (int round = 0; round < 3; round++) {
        unsigned char *first = arena_alloc(&a, 1000);
        memset(first, 7, 1000);
        size_t mark = arena_mark(&a);
        for (int i = 1; i < 40; i++) {
            unsigned char *p = arena_alloc(&a, (size_t)i * 10007);
            assert_int_equal((uintptr_t)p % 64, 0);
            memset(p, i, (size_t)i * 10007);
        }
        assert_int_equal(first[999], 7);
        arena_rewind(&a, mark);
        assert_int_equal(arena_mark(&a), mark);
        arena_rewind(&a, 0);
        assert_int_equal(a.used, 0);
    }
    assert_non_null(arena_alloc(&a, a.peak)); /* fits the one block left */
    arena_release(&a);
    struct arena small = {.limit = 1000};
    assert_null(arena_alloc(&small, 1001));
    arena_release(&small);
}

static void buf_over_its_limit_fails_for_good(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 8);
    assert_true(buf_printf(&b, "%d", 12345678));
    assert_false(buf_putc(&b, '9'));
    assert_false(buf_puts(&b, ""));
    assert_true(b.failed);
    assert_null(buf_take(&b));
    buf_init(&b, 8);
    char *empty = buf_take(&b);
    assert_string_equal(empty, "");
    mem_free(empty);
}

static void paths_fold_lexically(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"/a/./b//c/", "/a/b/c"}, {"/a/b/../c", "/a/c"},
                                           {"/../..", "/"},          {"/", "/"},
                                           {"/a/..", "/"},           {"//x", "/x"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *p = path_absolute(cases[i][0]);
        assert_string_equal(p, cases[i][1]);
        mem_free(p);
    }
    assert_true(path_inside("/a/b", "/a"));
    assert_true(path_inside("/a", "/a/"));
    assert_false(path_inside("/ab", "/a"));
    assert_true(path_inside("/x", "/"));
    assert_string_equal(path_ext("/a.b/c"), "");
    assert_string_equal(path_ext("/a/.hidden"), "");
    assert_true(path_has_ext("x.JPG", "jpg"));
}

static void hostile_names_print_safely(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    buf_path_quoted(&b, "a\n\x1b[31m\"\\\xff\xe2\x80\xae \xc3\xa9");
    assert_string_equal(b.data, "\"a\\n\\x1b[31m\\\"\\\\\\xff\\u{202e} \xc3\xa9\"");
    buf_release(&b);
    assert_false(utf8_valid("\xc0\x80", 2));
    assert_false(utf8_valid("\xed\xa0\x80", 3));
    assert_true(utf8_valid("\xf0\x9f\x90\x95", 4));
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp += cp < 0x3000 ? 1 : 37) {
        char out[4];
        uint32_t back;
        if (cp >= 0xD800 && cp <= 0xDFFF)
            continue;
        size_t n = utf8_encode(cp, out);
        assert_int_equal(utf8_decode(out, n, &back), n);
        assert_int_equal(back, cp);
    }
}

static void a_failed_write_leaves_the_old_file(void **state)
{
    (void)state;
    char dir[] = "/tmp/eidetic-core-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *path = path_join(dir, "f");
    struct error err;
    assert_int_equal(file_write_atomic(path, "old", 3, &err), ST_OK);
    unsigned ops[] = {FILE_OP_WRITE, FILE_OP_WRITE, FILE_OP_FSYNC, FILE_OP_RENAME};
    for (size_t i = 0; i < 4; i++) {
        file_fail_at(i == 1 ? 2 : 1, ops[i], ENOSPC, false);
        assert_int_equal(file_write_atomic(path, "new", 3, &err), ST_NOSPACE);
        file_fail_at(0, 0, 0, false);
        char *data;
        size_t n;
        assert_int_equal(file_read_all(&data, &n, path, 100, &err), ST_OK);
        assert_string_equal(data, "old");
        mem_free(data);
    }
    char *data;
    size_t n;
    assert_int_equal(file_read_all(&data, &n, path, 2, &err), ST_LIMIT);
    assert_int_equal(file_read_all(&data, &n, dir, 2, &err), ST_FORMAT);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0); /* no temporary file stayed behind */
    mem_free(path);
}

static long mapped_kb(void)
{
    char *text = NULL;
    size_t n;
    long kb = -1;
    assert_int_equal(file_read_all(&text, &n, "/proc/self/status", 1 << 16, NULL), ST_OK);
    const char *at = strstr(text, "RssFile:");
    if (at)
        kb = strtol(at + 8, NULL, 10);
    mem_free(text);
    return kb;
}

static void pages_of_a_map_that_are_given_back_come_again(void **state)
{
    (void)state;
    enum { SIZE = 16 << 20 };
    char dir[] = "/tmp/eidetic-core-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *path = path_join(dir, "f"), *data = mem_zalloc(SIZE);
    struct rng r = {5};
    for (size_t i = 0; i < SIZE; i += 100)
        data[i] = (char)rng_u64(&r);
    assert_int_equal(file_write_atomic(path, data, SIZE, NULL), ST_OK);
    struct file_map m;
    assert_int_equal(file_map_open(&m, path, NULL), ST_OK);
    assert_memory_equal(m.data, data, SIZE);
    long full = mapped_kb();
    file_map_give_back(m.data + 5, SIZE - 10);
    if (full >= 0) /* all but the first and the last page */
        assert_true(mapped_kb() < full - (SIZE >> 10) * 3 / 4);
    file_map_give_back(m.data + 5, 100); /* no whole page */
    assert_memory_equal(m.data, data, SIZE);
    file_map_close(&m);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
    mem_free(data);
    mem_free(path);
}

static void count_up(void *ctx, int i, int thread)
{
    (void)thread;
    atomic_fetch_add((atomic_int *)ctx + i, 1);
}

static void pool_runs_every_index_once(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        struct pool *p = pool_new(threads);
        atomic_int seen[100] = {0};
        for (int round = 1; round <= 200; round++) {
            pool_for(p, 100, count_up, seen);
            for (int i = 0; i < 100; i++)
                assert_int_equal(seen[i], round);
        }
        pool_free(p);
    }
}

static void rng_is_reproducible(void **state)
{
    (void)state;
    struct rng r = {42};
    assert_true(rng_u64(&r) == UINT64_C(0xbdd732262feb6e95)); /* SplitMix64 of seed 42 */
    double sum = 0;
    for (int i = 0; i < 10000; i++)
        sum += rng_normal(&r);
    assert_true(sum > -300 && sum < 300); /* three deviations of the sum */
    assert_true(cpu_count() >= 1);
    assert_int_equal(cpu_level_parse(cpu_level_name(cpu_level_max())), cpu_level_max());
}

/* Whatever a file calls its things, and however long, an error is one line to print. */
static void error_texts_are_one_printable_line(void **state)
{
    struct error err;
    char longname[512] = "";
    (void)state;
    error_set(&err, ST_FORMAT, "the token %s is not read", "a\nb\x1b[31m\xff");
    assert_string_equal(err.text, "the token a\\nb\\x1b[31m\\xff is not read");
    error_prefix(&err, ST_FORMAT, "%s", "in\ta/\xe2\x80\xae");
    assert_string_equal(err.text, "in\\ta/\\u{202e}: the token a\\nb\\x1b[31m\\xff is not read");
    error_errno(&err, ENOENT, "%s", "caf\xc3\xa9\r");
    assert_string_equal(err.text, "caf\xc3\xa9\\r: no such file or directory");
    for (size_t i = 0; i + 3 < sizeof longname; i += 3)
        memcpy(longname + i, "\xe6\xb5\xb7", 4);
    for (int i = 0; i < 3; i++) { /* cut between characters, wherever the end falls */
        error_set(&err, ST_FORMAT, "%.*s%s", i, "xx", longname);
        assert_in_range(strlen(err.text), 252, 255);
        assert_true(utf8_valid(err.text, strlen(err.text)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_text_is_cut_but_keeps_the_reason),
        cmocka_unit_test(error_texts_are_one_printable_line),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(an_allocation_fails_when_told),
        cmocka_unit_test(arena_keeps_its_largest_freed_block),
        cmocka_unit_test(arena_keeps_pointers_and_reuses_one_block),
        cmocka_unit_test(buf_over_its_limit_fails_for_good),
        cmocka_unit_test(paths_fold_lexically),
        cmocka_unit_test(hostile_names_print_safely),
        cmocka_unit_test(a_failed_write_leaves_the_old_file),
        cmocka_unit_test(pages_of_a_map_that_are_given_back_come_again),
        cmocka_unit_test(pool_runs_every_index_once),
        cmocka_unit_test(rng_is_reproducible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
