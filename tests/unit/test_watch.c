/* indexer: waiting for changes. No test asserts how long something takes; each waits as long as it
 * must. */
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include "indexer/watch.h"
#include "test.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char base[64];
    struct watch *w;
};

static bool is_picture(const char *name)
{
    return path_has_ext(name, "jpg");
}

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    snprintf(f->base, sizeof f->base, "/tmp/eidetic-watch-XXXXXX");
    assert_non_null(mkdtemp(f->base));
    struct watch_opts o = {
        .settle_ms = 20, .settle_most_ms = 200, .poll_seconds = 1, .want = is_picture};
    assert_int_equal(watch_open(&f->w, &o, NULL), ST_OK);
    watch_add(f->w, f->base);
    assert_int_equal(watch_add_root(f->w, f->base, NULL), ST_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char *command = mem_printf("rm -rf '%s' '%s.away'", f->base, f->base);
    int rc = system(command);
    mem_free(command);
    watch_close(f->w);
    mem_free(f);
    return rc;
}

static void touch(const struct fixture *f, const char *name)
{
    char *path = path_join(f->base, name);
    assert_int_equal(file_write_atomic(path, "x", 1, NULL), ST_OK);
    mem_free(path);
}

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

/* As Ctrl-C does after a while, so that a wait that must not end by itself ends. */
static void *stop_soon(void *waiting)
{
    usleep(400 * 1000);
    pthread_kill(*(const pthread_t *)waiting, SIGUSR1);
    return NULL;
}

static enum status wait_or_stop(struct fixture *f)
{
    pthread_t t, self = pthread_self();
    struct error err;
    stop = 0;
    signal(SIGUSR1, on_signal);
    assert_int_equal(pthread_create(&t, NULL, stop_soon, &self), 0);
    enum status st = watch_wait(f->w, &stop, &err);
    pthread_join(t, NULL);
    return st;
}

static void a_picture_that_is_written_asks_for_a_scan(void **state)
{
    struct fixture *f = *state;
    touch(f, "a.jpg");
    assert_int_equal(watch_wait(f->w, NULL, NULL), ST_OK);
}

static void what_is_no_picture_does_not_and_stop_ends_the_wait(void **state)
{
    struct fixture *f = *state;
    if (watch_polls(f->w))
        skip(); /* a network drive, or no watches left */
    touch(f, "a.txt");
    assert_int_equal(wait_or_stop(f), ST_INTERRUPTED);
}

static void rules_and_folders_and_renames_and_removals_do(void **state)
{
    struct fixture *f = *state;
    char *a = path_join(f->base, "a.jpg"), *b = path_join(f->base, "b.jpg");
    char *sub = path_join(f->base, "sub");
    touch(f, ".eideticignore");
    assert_int_equal(watch_wait(f->w, NULL, NULL), ST_OK);
    assert_int_equal(mkdir(sub, 0755), 0);
    assert_int_equal(watch_wait(f->w, NULL, NULL), ST_OK);
    touch(f, "a.jpg");
    assert_int_equal(watch_wait(f->w, NULL, NULL), ST_OK);
    assert_int_equal(rename(a, b), 0);
    assert_int_equal(watch_wait(f->w, NULL, NULL), ST_OK);
    assert_int_equal(unlink(b), 0);
    assert_int_equal(watch_wait(f->w, NULL, NULL), ST_OK);
    mem_free(a);
    mem_free(b);
    mem_free(sub);
}

static void an_overflow_asks_for_a_scan(void **state)
{
    struct fixture *f = *state;
    char *path = path_join(f->base, "x.txt");
    for (int i = 0; i < 20000; i++) { /* more than the kernel's queue holds by default */
        char *other = mem_printf("%s/%d.txt", f->base, i % 2);
        FILE *out = fopen(i % 2 ? path : other, "w");
        assert_non_null(out);
        fclose(out);
        mem_free(other);
    }
    touch(f, "a.jpg");
    assert_int_equal(watch_wait(f->w, NULL, NULL), ST_OK);
    mem_free(path);
}

static void a_drive_that_goes_and_comes_back_asks_twice(void **state)
{
    struct fixture *f = *state;
    char *away = mem_printf("%s.away", f->base);
    assert_int_equal(rename(f->base, away), 0);
    assert_int_equal(watch_wait(f->w, NULL, NULL), ST_OK);
    assert_int_equal(watch_wait(f->w, NULL, NULL),
                     ST_OK); /* by the folder's own event, or by looking */
    assert_int_equal(rename(away, f->base), 0);
    assert_int_equal(watch_wait(f->w, NULL, NULL), ST_OK);
    mem_free(away);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_picture_that_is_written_asks_for_a_scan, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_picture_does_not_and_stop_ends_the_wait, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(rules_and_folders_and_renames_and_removals_do, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_overflow_asks_for_a_scan, setup, teardown),
        cmocka_unit_test_setup_teardown(a_drive_that_goes_and_comes_back_asks_twice, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
