/* The library's database: opening, locking, refusing, and what the rows must hold. */
#include "core/path.h"
#include "unit/library_fixture.h"
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void add_vector(struct db *db, int64_t model, int64_t image, float angle)
{
    float v[4] = {0, angle, 0, 0};
    v[0] = __builtin_sqrtf(1 - angle * angle);
    OK(db_vector_put(db, model, &(struct db_vector){.image = image, .v = v}, &e));
}

static void a_new_library_is_made_and_found_again(void **state)
{
    (void)state;
    struct db *db = NULL;
    struct error err;
    assert_int_equal(db_open(&db, dir, &(struct db_opts){.mode = DB_READ}, &err), ST_NOT_FOUND);
    assert_int_equal(db_open(&db, dir, &(struct db_opts){.mode = DB_WRITE}, &err), ST_NOT_FOUND);
    db = open_mode(DB_CREATE);
    assert_true(db_is_wal(db));
    int64_t image = add_image(db, 7);
    add_file(db, "/a/b.jpg", image);
    db_close(db);
    db = open_mode(DB_READ);
    struct db_file f;
    OK(db_file_get(db, "/a/b.jpg", &f, &e));
    assert_int_equal(f.image, image);
    assert_int_equal(db_begin(db, &err), ST_NOSPACE);
    assert_int_equal(problems(db), 0);
    db_close(db);
}

static void a_second_writer_is_told_who_holds_the_lock(void **state)
{
    (void)state;
    struct db *db = open_mode(DB_CREATE), *other = NULL, *reader;
    struct error err;
    assert_int_equal(
        db_open(&other, dir, &(struct db_opts){.mode = DB_WRITE, .lock_wait_ms = 50}, &err),
        ST_LOCKED);
    char pid[32];
    snprintf(pid, sizeof pid, "pid %ld ", (long)getpid());
    assert_non_null(strstr(err.text, pid));
    assert_non_null(strstr(err.text, "eidetic test"));
    char *who = db_lock_holder(dir);
    assert_non_null(who);
    mem_free(who);
    OK(db_begin(db, &e));
    add_image(db, 1);
    reader = open_mode(DB_READ); /* never waits for the writer */
    struct db_stats s;
    OK(db_stats(reader, &s, &e));
    assert_int_equal(s.images, 0);
    OK(db_commit(db, &e));
    OK(db_stats(reader, &s, &e));
    assert_int_equal(s.images, 1);
    db_close(reader);
    db_close(db);
    assert_null(db_lock_holder(dir));
    db_close(open_mode(DB_WRITE));
}

static void put_bytes(const char *name, const void *data, size_t n)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    OK(file_write_atomic(path, data, n, &e));
}

static void what_is_not_a_library_is_refused(void **state)
{
    (void)state;
    struct db *db = NULL;
    struct error err;
    char noise[4096];
    memset(noise, 'x', sizeof noise);
    put_bytes("library.db", noise, sizeof noise);
    for (int mode = DB_READ; mode <= DB_CREATE; mode++) {
        assert_int_equal(db_open(&db, dir, &(struct db_opts){.mode = (enum db_mode)mode}, &err),
                         ST_FORMAT);
        assert_null(db);
    }
    char path[128];
    snprintf(path, sizeof path, "%s/library.db", dir);
    unlink(path);
    sqlite3 *h;
    assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
    sqlite3_exec(h, "CREATE TABLE t (x)", NULL, NULL, NULL);
    sqlite3_close(h);
    assert_int_equal(db_open(&db, dir, &(struct db_opts){.mode = DB_CREATE}, &err), ST_FORMAT);
    assert_non_null(strstr(err.text, "not a library"));
}

static void a_newer_library_is_refused(void **state)
{
    (void)state;
    db_close(open_mode(DB_CREATE));
    char path[128];
    snprintf(path, sizeof path, "%s/library.db", dir);
    sqlite3 *h;
    assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
    sqlite3_exec(h, "PRAGMA user_version = 9999", NULL, NULL, NULL);
    sqlite3_close(h);
    for (int mode = DB_READ; mode <= DB_CREATE; mode++) {
        struct db *db = NULL;
        struct error err;
        assert_int_equal(db_open(&db, dir, &(struct db_opts){.mode = (enum db_mode)mode}, &err),
                         ST_UNSUPPORTED);
        assert_non_null(strstr(err.text, "newer"));
    }
}

static void damage_gives_a_clean_error_wherever_it_is(void **state)
{
    (void)state;
    struct db *db = open_mode(DB_CREATE);
    int64_t model;
    OK(db_model_put(db, "abc", "toy", 4, &model, &e));
    OK(db_begin(db, &e));
    for (int i = 1; i <= 300; i++) {
        char path[64];
        int64_t image = add_image(db, i);
        snprintf(path, sizeof path, "/photos/%03d.jpg", i);
        add_file(db, path, image);
        add_vector(db, model, image, (float)i / 1000);
    }
    OK(db_commit(db, &e));
    db_close(db);
    char path[128], *good;
    size_t size;
    snprintf(path, sizeof path, "%s/library.db", dir);
    OK(file_read_all(&good, &size, path, 1 << 26, &e));
    unsigned seen = 0;
    for (size_t at = 0; at < size; at += 16384) {
        char *bad = mem_dup(good, size);
        for (size_t i = at; i < at + 1024 && i < size; i++)
            bad[i] = (char)~bad[i];
        put_bytes("library.db", bad, size);
        mem_free(bad);
        struct error err = {0};
        int64_t n = 0;
        enum status rc = db_open(&db, dir, &(struct db_opts){.mode = DB_READ}, &err);
        if (!rc) {
            struct db_file_table t = {0};
            rc = db_check(db, true, NULL, NULL, &n, &err);
            if (!db_files_load(db, "/", &t, NULL))
                db_file_table_release(&t);
            db_close(db);
        }
        seen += rc != ST_OK || n > 0;
    }
    assert_int_equal(seen, size / 16384); /* every page has a header that was hit */
    mem_free(good);
}

static void a_full_disk_loses_only_the_open_transaction(void **state)
{
    (void)state;
    struct db *db = open_mode(DB_CREATE);
    int64_t image = add_image(db, 1);
    add_file(db, "/kept.jpg", image);
    db_close(db);
    /* A file size limit stands for the full disk; in a child, since it is for good. */
    pid_t pid = fork();
    if (pid == 0) {
        struct db *w = NULL;
        struct error err = {0};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){2 << 20, 2 << 20});
        enum status rc = db_open(&w, dir, &(struct db_opts){.mode = DB_WRITE}, &err);
        if (rc || db_setting_set(w, "small", "fits", &err))
            _exit(9);
        rc = db_begin(w, &err);
        char path[4096];
        memset(path, 'x', sizeof path);
        for (int i = 0; !rc && i < 5000; i++) {
            snprintf(path, 16, "/full/%05d", i);
            path[11] = '/';
            path[sizeof path - 1] = 0;
            struct db_file f = {.path = path, .status = DB_FILE_FAILED};
            rc = db_file_put(w, &f, NULL, &err);
        }
        rc = rc ? rc : db_commit(w, &err);
        db_rollback(w);
        struct db_stats s;
        int bad = rc != ST_NOSPACE || db_stats(w, &s, &err) || s.files_present != 1;
        db_close(w);
        _exit(bad ? (int)rc + 20 : 0);
    }
    int st = 0;
    waitpid(pid, &st, 0);
    assert_int_equal(st, 0);
    db = open_mode(DB_READ);
    struct db_file f;
    OK(db_file_get(db, "/kept.jpg", &f, &e));
    db_close(db);
}

static void paths_may_hold_any_byte(void **state)
{
    (void)state;
    struct db *db = open_mode(DB_CREATE);
    static const char *const names[] = {
        "/p/a\n.jpg", "/p/\xff\xfe.jpg", "/p/%_'\".jpg", "/p/\x1b[31m", "/p0", "/p", "/p/",
        "/pq/x"};
    int64_t image = add_image(db, 1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        add_file(db, names[i], image);
    struct db_file_table t;
    OK(db_files_load(db, "/p/", &t, &e));
    assert_int_equal(t.n, 6); /* /p and below; not /p0, not /pq */
    for (size_t i = 1; i < t.n; i++)
        assert_true(strcmp(t.rows[i - 1].path, t.rows[i].path) < 0);
    assert_non_null(db_file_table_find(&t, "/p/\xff\xfe.jpg"));
    assert_null(db_file_table_find(&t, "/p0"));
    db_file_table_release(&t);
    OK(db_files_load(db, "/", &t, &e));
    assert_int_equal(t.n, 8);
    db_file_table_release(&t);
    db_close(db);
}

static void missing_files_keep_their_rows_and_come_back(void **state)
{
    (void)state;
    struct db *db = open_mode(DB_CREATE);
    int64_t image = add_image(db, 1), n;
    add_file(db, "/p/a.jpg", image);
    add_file(db, "/p/sub/b.jpg", add_image(db, 2));
    struct db_file bad = {.path = "/p/bad.jpg", .size = 5, .mtime_ns = 6};
    OK(db_file_failed(db, &bad, ST_FORMAT, "truncated", &e));
    struct db_file_table t;
    OK(db_files_load(db, "/p", &t, &e));
    const char *keep[] = {"/p/sub"};
    OK(db_files_mark_missing(db, &t, keep, 1, &n, &e));
    assert_int_equal(n, 2); /* a and bad; what is below the unreadable folder is spared */
    db_file_table_release(&t);
    struct db_stats s;
    OK(db_stats(db, &s, &e));
    assert_int_equal(s.files_missing, 2);
    assert_int_equal(s.images, 2);
    assert_int_equal(s.images_present, 1);
    assert_int_equal(s.errors, 0);
    struct db_idset set;
    OK(db_filter_run(db, NULL, &set, &e));
    assert_true(set.except && set.n == 1 && set.ids[0] == image);
    db_idset_release(&set);
    struct db_file f;
    OK(db_file_get(db, "/p/a.jpg", &f, &e));
    assert_int_equal(f.status, DB_FILE_MISSING);
    OK(db_file_set_status(db, f.id, DB_FILE_PRESENT, &e));
    OK(db_filter_run(db, NULL, &set, &e));
    assert_int_equal(set.n, 0);
    db_idset_release(&set);
    assert_int_equal(problems(db), 0);
    db_close(db);
}

static enum status count_error(void *ctx, const struct db_error *r)
{
    assert_int_equal(r->code, ST_FORMAT);
    assert_string_equal(r->text, "truncated");
    ++*(int *)ctx;
    return ST_OK;
}

static void an_error_stays_until_the_file_is_good(void **state)
{
    (void)state;
    struct db *db = open_mode(DB_CREATE);
    struct db_file bad = {.path = "/p/x.jpg", .size = 5, .mtime_ns = 6};
    OK(db_file_failed(db, &bad, ST_FORMAT, "truncated", &e));
    OK(db_file_failed(db, &bad, ST_FORMAT, "truncated", &e));
    int n = 0;
    OK(db_errors_each(db, count_error, &n, &e));
    assert_int_equal(n, 1);
    assert_int_equal(problems(db), 0);
    add_file(db, "/p/x.jpg", add_image(db, 1));
    n = 0;
    OK(db_errors_each(db, count_error, &n, &e));
    assert_int_equal(n, 0);
    db_close(db);
}

static void one_content_in_two_files_is_one_row(void **state)
{
    (void)state;
    struct db *db = open_mode(DB_CREATE);
    int64_t image = add_image(db, 1), model;
    assert_int_equal(add_image(db, 1), image);
    add_file(db, "/a/1.jpg", image);
    add_file(db, "/b/1.jpg", image);
    OK(db_model_put(db, "abc", "toy", 4, &model, &e));
    add_vector(db, model, image, 0);
    char *path;
    OK(db_image_path(db, image, "/b", &path, &e));
    assert_string_equal(path, "/b/1.jpg");
    mem_free(path);
    struct db_removed r;
    OK(db_forget(db, "/b", &r, &e));
    assert_true(r.files == 1 && r.images == 0 && r.vectors == 0);
    OK(db_forget(db, "/a/1.jpg", &r, &e));
    assert_true(r.files == 1 && r.images == 1 && r.vectors == 1);
    struct error err;
    assert_int_equal(db_forget(db, "/a/1.jpg", &r, &err), ST_NOT_FOUND);
    assert_int_equal(db_image_get(db, image, &(struct db_image){0}, &err), ST_NOT_FOUND);
    assert_true(add_image(db, 1) > image); /* an id is never used twice */
    assert_int_equal(problems(db), 0);
    db_close(db);
}

static void prune_takes_only_what_is_missing(void **state)
{
    (void)state;
    struct db *db = open_mode(DB_CREATE);
    add_file(db, "/p/a.jpg", add_image(db, 1));
    add_file(db, "/p/b.jpg", add_image(db, 2));
    struct db_file f;
    OK(db_file_get(db, "/p/b.jpg", &f, &e));
    OK(db_file_set_status(db, f.id, DB_FILE_MISSING, &e));
    struct db_removed r;
    OK(db_prune(db, "/elsewhere", &r, &e));
    assert_int_equal(r.files + r.images, 0);
    OK(db_prune(db, NULL, &r, &e));
    assert_true(r.files == 1 && r.images == 1);
    OK(db_file_get(db, "/p/a.jpg", &f, &e));
    db_close(db);
}

static void metadata_comes_back_as_it_went_in(void **state)
{
    (void)state;
    struct db *db = open_mode(DB_CREATE);
    struct db_image im = {.hash = {9},
                          .bytes = 123,
                          .width = 640,
                          .height = 480,
                          .orientation = 6,
                          .format = "png",
                          .taken = "2019-05-04T13:02:11+02:00",
                          .make = "Fuji",
                          .camera = "X100",
                          .lens = "23mm",
                          .has_gps = true,
                          .lat = -12.5,
                          .lon = 170.25,
                          .has_alt = true,
                          .alt = 3,
                          .generated = true,
                          .prompt = (char *)"a \"cat\"",
                          .gen_model = (char *)"sd",
                          .has_seed = true,
                          .seed = -1,
                          .added = 77},
                    got;
    int64_t id;
    OK(db_image_put(db, &im, &id, &e));
    OK(db_image_get(db, id, &got, &e));
    assert_memory_equal(got.hash, im.hash, 16);
    assert_string_equal(got.taken, im.taken);
    assert_true(got.has_taken && got.taken_at == 1556967731);
    assert_string_equal(got.camera, "X100");
    assert_string_equal(got.prompt, "a \"cat\"");
    assert_string_equal(got.gen_model, "sd");
    assert_true(got.has_seed && got.seed == -1 && got.generated && got.has_gps &&
                got.lat == -12.5 && got.lon == 170.25 && got.has_alt && got.alt == 3 &&
                got.orientation == 6 && got.bytes == 123 && got.added == 77 && got.present == 0);
    db_image_release(&got);
    db_close(db);
}

static void settings_and_roots_are_kept(void **state)
{
    (void)state;
    struct db *db = open_mode(DB_CREATE);
    char *value;
    OK(db_setting_get(db, "k", &value, &e));
    assert_null(value);
    OK(db_setting_set(db, "k", "1", &e));
    OK(db_setting_set(db, "k", "2", &e));
    OK(db_setting_get(db, "k", &value, &e));
    assert_string_equal(value, "2");
    mem_free(value);
    OK(db_setting_set(db, "k", NULL, &e));
    OK(db_setting_get(db, "k", &value, &e));
    assert_null(value);
    int64_t a, b;
    OK(db_root_put(db, "/photos", 5, &a, &e));
    OK(db_root_put(db, "/photos", 0, &b, &e));
    assert_int_equal(a, b);
    OK(db_root_scanned(db, a, &e));
    db_close(db);
}

static void a_backup_is_a_whole_library(void **state)
{
    (void)state;
    struct db *db = open_mode(DB_CREATE);
    add_file(db, "/a/1.jpg", add_image(db, 1));
    char path[128], sub[100];
    snprintf(sub, sizeof sub, "%s/copy", dir);
    mkdir(sub, 0755);
    snprintf(path, sizeof path, "%s/library.db", sub);
    OK(db_backup(db, path, NULL, NULL, &e));
    assert_int_equal(db_backup(db, path, NULL, NULL, NULL), ST_USAGE);
    db_close(db);
    OK(db_open(&db, sub, &(struct db_opts){.mode = DB_READ}, &e));
    struct db_file f;
    OK(db_file_get(db, "/a/1.jpg", &f, &e));
    assert_int_equal(problems(db), 0);
    db_close(db);
}

/* As a user who may not write there; root may everywhere. */
static int read_without_rights(void)
{
    if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
        return 1;
    struct db *db = NULL;
    struct db_file f;
    if (db_open(&db, dir, &(struct db_opts){.mode = DB_READ}, &e) ||
        db_file_get(db, "/a/1.jpg", &f, &e))
        return 2;
    db_close(db);
    return db_open(&db, dir, &(struct db_opts){.mode = DB_WRITE}, &e) == ST_NOSPACE ? 0 : 3;
}

static void a_read_only_library_can_be_read(void **state)
{
    (void)state;
    struct db *db = open_mode(DB_CREATE);
    add_file(db, "/a/1.jpg", add_image(db, 1));
    db_close(db);
    char cmd[200];
    snprintf(cmd, sizeof cmd, "chmod -R a-w,a+rX %s", dir);
    assert_int_equal(system(cmd), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(read_without_rights());
    int st = 0;
    waitpid(pid, &st, 0);
    assert_int_equal(st, 0);
}

static void no_allocation_failure_leaks_or_crashes(void **state)
{
    (void)state;
    db_close(open_mode(DB_CREATE));
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        assert_true(n < 1000);
        struct db *db = NULL;
        mem_fail_at(n, false);
        enum status rc = db_open(&db, dir, &(struct db_opts){.mode = DB_WRITE}, NULL);
        if (!rc) {
            struct db_file_table t = {0};
            struct db_idset set = {0};
            struct db_file f = {.path = "/q/a.jpg", .status = DB_FILE_PRESENT};
            int64_t image = 0;
            struct db_image im = {.hash = {1}, .prompt = (char *)"p", .gen_model = (char *)"m"},
                            got;
            rc = db_image_put(db, &im, &image, NULL);
            f.image = image;
            rc = rc ? rc : db_file_put(db, &f, NULL, NULL);
            rc = rc ? rc : db_files_load(db, "/q", &t, NULL);
            rc = rc ? rc : db_filter_run(db, &(struct db_filter){.folder = "/q"}, &set, NULL);
            char *path = NULL;
            rc = rc ? rc : db_image_path(db, image, NULL, &path, NULL);
            mem_free(path);
            if (!rc && !(rc = db_image_get(db, image, &got, NULL)))
                db_image_release(&got);
            db_idset_release(&set);
            db_file_table_release(&t);
        }
        done = rc == ST_OK;
        if (rc)
            assert_int_equal(rc, ST_NOMEM);
        mem_fail_at(0, false);
        db_close(db);
    }
    struct db *db = open_mode(DB_READ);
    assert_int_equal(problems(db), 0);
    db_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_new_library_is_made_and_found_again),
        T(a_second_writer_is_told_who_holds_the_lock),
        T(what_is_not_a_library_is_refused),
        T(a_newer_library_is_refused),
        T(damage_gives_a_clean_error_wherever_it_is),
        T(a_full_disk_loses_only_the_open_transaction),
        T(paths_may_hold_any_byte),
        T(missing_files_keep_their_rows_and_come_back),
        T(an_error_stays_until_the_file_is_good),
        T(one_content_in_two_files_is_one_row),
        T(prune_takes_only_what_is_missing),
        T(metadata_comes_back_as_it_went_in),
        T(settings_and_roots_are_kept),
        T(a_backup_is_a_whole_library),
        T(a_read_only_library_can_be_read),
        T(no_allocation_failure_leaks_or_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
