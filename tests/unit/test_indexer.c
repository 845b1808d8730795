/* indexer: whole runs over a few photographs, decoded in this process so that memory can be made to
 * fail and files to change at a known moment. What a person sees of it is in tests/e2e. */
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include "db/files.h"
#include "indexer/indexer.h"
#include "test.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {"casa-mila.jpg", "ocean-waves.jpg", "tea-gardens.jpg"};
enum { N = sizeof names / sizeof *names };

static struct clip *clip;

struct fixture {
    char base[64];
    char *photos, *library;
};

static int open_clip(void **state)
{
    struct error err;
    (void)state;
    return clip_open(&clip, SOURCE_DIR "/models/starter", &(struct clip_opts){.no_text = true},
                     &err);
}

static int close_clip(void **state)
{
    (void)state;
    clip_close(clip);
    return 0;
}

static void copy_photo(const struct fixture *f, const char *from, const char *to)
{
    char *source = path_join(SOURCE_DIR "/samples/photos", from), *data = NULL;
    char *dest = path_join(f->photos, to);
    size_t size;
    assert_int_equal(file_read_all(&data, &size, source, 1 << 24, NULL), ST_OK);
    assert_int_equal(file_write_atomic(dest, data, size, NULL), ST_OK);
    mem_free(data);
    mem_free(source);
    mem_free(dest);
}

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    snprintf(f->base, sizeof f->base, "/tmp/eidetic-indexer-XXXXXX");
    assert_non_null(mkdtemp(f->base));
    f->photos = path_join(f->base, "photos");
    f->library = path_join(f->base, "library");
    assert_int_equal(file_make_dirs(f->photos, NULL), ST_OK);
    for (int i = 0; i < N; i++)
        copy_photo(f, names[i], names[i]);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char *command = mem_printf("rm -rf '%s'", f->base);
    int rc = system(command);
    mem_free(command);
    mem_free(f->photos);
    mem_free(f->library);
    mem_free(f);
    return rc;
}

struct hook {
    const struct fixture *f;
    void (*act)(struct hook *h); /* once, after the first picture was decoded */
    volatile sig_atomic_t stop;
    bool done;
};

static void on_progress(void *ctx, const struct index_report *r)
{
    struct hook *h = ctx;
    if (r->done && h->act && !h->done) {
        h->done = true;
        h->act(h);
    }
}

/* One run with batches of one; the n-th allocation in it fails where n is not 0. */
static enum status run(const struct fixture *f, struct hook *h, uint64_t n, struct index_report *r,
                       struct error *err)
{
    struct index_parts p = {.clip = clip};
    struct clip_session *session = NULL;
    struct decoder *decoder = NULL;
    struct db *db = NULL;
    struct decoder_opts d = {
        .workers = 1, .slots = 2, .prep = clip_prep(clip, false), .hash = true, .in_process = true};
    const char *roots[] = {f->photos};
    struct index_opts o = {.roots = roots,
                           .n_roots = 1,
                           .batch_size = 1,
                           .stop = &h->stop,
                           .progress = on_progress,
                           .ctx = h};
    assert_int_equal(db_open(&db, f->library, &(struct db_opts){.mode = DB_CREATE}, err), ST_OK);
    assert_int_equal(clip_session_new(&session, clip, "cpu", 1, err), ST_OK);
    assert_int_equal(decoder_open(&decoder, &d, err), ST_OK);
    p.db = db;
    p.session = session;
    p.decoder = decoder;
    if (n)
        mem_fail_at(n, false);
    enum status st = index_run(&p, &o, r, err);
    mem_fail_at(0, false);
    decoder_close(decoder);
    clip_session_free(session);
    db_close(db);
    return st;
}

static void assert_sound(const struct fixture *f)
{
    struct db *db = NULL;
    struct error err;
    int64_t problems = -1;
    assert_int_equal(db_open(&db, f->library, NULL, &err), ST_OK);
    assert_int_equal(db_check(db, true, NULL, NULL, &problems, &err), ST_OK);
    assert_int_equal(problems, 0);
    db_close(db);
}

static void a_run_settles_what_is_there(void **state)
{
    const struct fixture *f = *state;
    struct hook h = {.f = f};
    struct index_report r;
    struct error err;
    copy_photo(f, names[0], "same-bytes.jpg");
    assert_int_equal(run(f, &h, 0, &r, &err), ST_OK);
    assert_int_equal(r.scanned, N + 1);
    assert_int_equal(r.embedded, N);
    assert_int_equal(r.copies, 1);
    assert_int_equal(run(f, &h, 0, &r, &err), ST_OK);
    assert_int_equal(r.unchanged, N + 1);
    assert_int_equal(r.work, 0);
    assert_sound(f);
}

static void stop(struct hook *h)
{
    h->stop = 1;
}

static void a_stopped_run_keeps_what_is_done(void **state)
{
    const struct fixture *f = *state;
    struct hook h = {.f = f, .act = stop};
    struct index_report r;
    struct error err;
    assert_int_equal(run(f, &h, 0, &r, &err), ST_INTERRUPTED);
    assert_in_range(r.embedded, 1, N - 1);
    uint64_t before = r.embedded;
    assert_sound(f);
    h = (struct hook){.f = f};
    assert_int_equal(run(f, &h, 0, &r, &err), ST_OK);
    assert_int_equal(r.embedded, N - before);
}

static void remove_last(struct hook *h)
{
    char *path = path_join(h->f->photos, names[N - 1]);
    assert_int_equal(unlink(path), 0);
    mem_free(path);
}

static void append_to_last(struct hook *h)
{
    char *path = path_join(h->f->photos, names[N - 1]);
    FILE *out = fopen(path, "ab");
    assert_non_null(out);
    fputs("more", out);
    fclose(out);
    mem_free(path);
}

/* The last file has not been submitted when the first result comes: two slots, one of them held. */
static void a_file_that_goes_after_the_scan_is_no_failure(void **state)
{
    const struct fixture *f = *state;
    struct hook h = {.f = f, .act = remove_last};
    struct index_report r;
    struct error err;
    assert_int_equal(run(f, &h, 0, &r, &err), ST_OK);
    assert_int_equal(r.embedded, N - 1);
    assert_int_equal(r.failed, 0);
    assert_int_equal(r.missing, 1);
    assert_sound(f);
}

static void a_file_that_changes_after_the_scan_is_stored_as_read(void **state)
{
    const struct fixture *f = *state;
    struct hook h = {.f = f, .act = append_to_last};
    struct index_report r;
    struct error err;
    assert_int_equal(run(f, &h, 0, &r, &err), ST_OK);
    assert_int_equal(r.embedded, N);
    h = (struct hook){.f = f};
    assert_int_equal(run(f, &h, 0, &r, &err), ST_OK);
    assert_int_equal(r.unchanged, N);
}

/* One picture and growing steps, since a run makes many allocations and most tries embed. */
static void failing_memory_leaves_a_sound_library(void **state)
{
    const struct fixture *f = *state;
    struct index_report r;
    struct error err;
    uint64_t n = 1;
    for (int i = 1; i < N; i++) {
        char *path = path_join(f->photos, names[i]);
        assert_int_equal(unlink(path), 0);
        mem_free(path);
    }
    for (;; n += 1 + n / 3) {
        struct hook h = {.f = f};
        enum status st = run(f, &h, n, &r, &err);
        assert_true(st == ST_OK || st == ST_NOMEM);
        assert_sound(f);
        bool past = st == ST_OK && r.embedded == 1;
        char *db = path_join(f->library, "library.db");
        assert_int_equal(unlink(db), 0);
        mem_free(db);
        if (past)
            break;
    }
    assert_true(n > 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_run_settles_what_is_there),
        TEST(a_stopped_run_keeps_what_is_done),
        TEST(a_file_that_goes_after_the_scan_is_no_failure),
        TEST(a_file_that_changes_after_the_scan_is_stored_as_read),
        TEST(failing_memory_leaves_a_sound_library),
    };
    return cmocka_run_group_tests(tests, open_clip, close_clip);
}
