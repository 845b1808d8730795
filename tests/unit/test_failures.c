/* The n-th allocation, read, write, sync, rename or call of SQLite fails, once or from then on, in
 * index, search, check, generate and search --or-generate over three pictures and toy models: the
 * command ends by itself with a code that says so, the library stays sound, no picture is half
 * written, and the next run makes it whole. A spread of 6 n of each kind; of 250 with
 * EIDETIC_TEST_FULL=1, which is every n but of SQLite's calls and of generate's memory; of all with
 * 2 (hours; a word of the command line chooses the tests, such as "search*").
 */
#include "app/app.h"
#include "core/file.h"
#include "core/rng.h"
#include "db/vectors.h"
#include "image/image.h"
#include "search/search.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#undef TEST_DATA
#define TEST_DATA SOURCE_DIR "/tests/golden"
#include "golden/sd_toy.h"
#include "unit/faults.h"

enum { PICTURES = 3 };

static struct {
    char base[64], photos[96], library[96], query[112], fresh[96], generated[112];
    char *model, *checkpoint;
    int out, err; /* the real ones, while a command's go nowhere */
    uint64_t spread;
    char now[96]; /* said at the end where a test fails */
    uint64_t runs, fired;
} at;

static volatile sig_atomic_t never;

static void nothing(void)
{
}

static int command(const struct command *c, const char *const *words)
{
    char *argv[16] = {0};
    struct app a = {.stop = &never, .stop_gently = nothing};
    int argc = 0;
    for (; words[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    fflush(stdout);
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(nowhere, 1);
    dup2(nowhere, 2);
    close(nowhere);
    int code = c->run(&a, argc, argv);
    app_close(&a);
    fflush(stdout);
    clearerr(stdout);
    dup2(at.out, 1);
    dup2(at.err, 2);
    return code;
}

static int run_index(void)
{
    return command(&cmd_index, (const char *const[]){"index", "--model", at.model, "--threads", "1",
                                                     "--quiet", at.photos, NULL});
}
static int run_search(void)
{
    return command(&cmd_search, (const char *const[]){"search", "--json", "--threads", "1",
                                                      "--quiet", at.query, NULL});
}
static int run_check(void)
{
    return command(&cmd_check,
                   (const char *const[]){"check", "--read-data", "--repair", "--quiet", NULL});
}
static int run_generate(void)
{
    return command(&cmd_generate,
                   (const char *const[]){"generate", "--checkpoint", at.checkpoint, "--threads",
                                         "1", "--quiet", "a dog", NULL});
}
static int run_or_generate(void)
{
    return command(&cmd_search, (const char *const[]){"search", "--or-generate", "--min-score",
                                                      "0.999", "--checkpoint", at.checkpoint,
                                                      "--threads", "1", "--quiet", "a cat", NULL});
}

static void remove_all(const char *folder)
{
    char text[320];
    snprintf(text, sizeof text, "rm -rf '%s'", folder);
    assert_int_equal(system(text), 0);
}

static void remove_caches(void)
{
    char text[320];
    snprintf(text, sizeof text, "rm -f '%s'/vectors-* '%s'/faiss-*", at.library, at.library);
    assert_int_equal(system(text), 0);
}

static int open_files(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

static void say_problem(void *ctx, const char *what)
{
    (void)ctx;
    fprintf(stderr, "%s\n", what);
}

static enum status check_model(void *ctx, const struct db_model *m)
{
    struct db *db = ctx;
    struct error e;
    int64_t n = 0;
    assert_int_equal(search_check(db, m->id, true, say_problem, NULL, &n, &e), ST_OK);
    assert_int_equal(n, 0);
    return ST_OK;
}

/* What is in the library is sound, and its caches hold exactly that. */
static void check_library(struct db_stats *s)
{
    struct db *db = NULL;
    struct error e;
    int64_t n = 0;
    *s = (struct db_stats){0};
    enum status st = db_open(&db, at.library, &(struct db_opts){.mode = DB_READ}, &e);
    if (st == ST_NOT_FOUND)
        return; /* it failed before there was one */
    if (st)
        fail_msg("the library cannot be opened: %s", e.text);
    assert_int_equal(db_check(db, true, say_problem, NULL, &n, &e), ST_OK);
    assert_int_equal(n, 0);
    assert_int_equal(db_models_each(db, check_model, db, &e), ST_OK);
    assert_int_equal(db_stats(db, s, &e), ST_OK);
    db_close(db);
}

/* Pictures below generated: each whole, and nothing else there but the lock. */
static int n_generated;

static int look_at_generated(const char *path, const struct stat *st, int kind, struct FTW *f)
{
    struct image img = {0};
    struct error e;
    (void)st;
    if (kind != FTW_F || !strcmp(path + f->base, ".making"))
        return 0;
    if (!path_has_ext(path, "png") || image_load(&img, path, NULL, NULL, &e))
        fail_msg("%s is no whole picture", path);
    image_release(&img);
    n_generated++;
    return 0;
}

static int count_generated(void)
{
    n_generated = 0;
    nftw(at.generated, look_at_generated, 8, FTW_PHYS);
    return n_generated;
}

struct scenario {
    const char *name;
    int (*run)(void);
    void (*prepare)(void);
    void (*finish)(void); /* the next run, and what must hold after it */
};

static void without_library(void)
{
    remove_all(at.library);
}

static void with_three(void)
{
    char text[320];
    remove_all(at.library);
    snprintf(text, sizeof text, "cp -r '%s' '%s'", at.fresh, at.library);
    assert_int_equal(system(text), 0);
}

static void index_again(void)
{
    struct db_stats stats;
    assert_int_equal(run_index(), EXIT_DONE);
    check_library(&stats);
    assert_int_equal(stats.images_present, PICTURES);
    assert_int_equal(stats.vectors, PICTURES);
}

/* What lies there is filed; the same seed makes the same bytes, so all of it is one picture. */
static void generate_again(void)
{
    struct db_stats stats;
    assert_int_equal(run_generate(), EXIT_DONE);
    check_library(&stats);
    assert_int_equal(stats.files_present, PICTURES + count_generated());
    assert_int_equal(stats.images_present, PICTURES + 1);
    assert_int_equal(stats.generated, 1);
    assert_int_equal(stats.vectors, PICTURES + 1);
}

/* However it failed, one is made. */
static void or_generate_again(void)
{
    struct db_stats stats;
    assert_int_equal(run_or_generate(), EXIT_DONE);
    check_library(&stats);
    assert_int_equal(count_generated(), 1);
    assert_int_equal(stats.files_present, PICTURES + 1);
    assert_int_equal(stats.generated, 1);
    assert_int_equal(stats.vectors, PICTURES + 1);
}

/* A new library has no tables until its first migration is through. */
static bool is_said(int code)
{
    return code == EXIT_DONE || code == EXIT_UNREADABLE || code == EXIT_BAD_FILE ||
           code == EXIT_DISK || code == EXIT_INTERNAL || code == EXIT_LOCKED;
}

/* False: the n-th call was never made. */
static bool fail_one(const struct scenario *s, enum fault kind, uint64_t n, bool persistent)
{
    struct db_stats stats;
    snprintf(at.now, sizeof at.now, "%s, %s, call %llu%s", s->name, fault_names[kind],
             (unsigned long long)n, persistent ? " and later" : "");
    s->prepare();
    int before = open_files();
    faults_arm(kind, n, persistent);
    int code = s->run();
    bool fired = faults_disarm() >= n;
    at.runs++;
    at.fired += fired;
    if (!fired && code != EXIT_DONE)
        fail_msg("%s fails with %d although nothing failed", s->name, code);
    if (!is_said(code))
        fail_msg("%s ends with %d (%s, call %llu%s)", s->name, code, fault_names[kind],
                 (unsigned long long)n, persistent ? " and later" : "");
    if (open_files() != before)
        fail_msg("%s left a file open (%s, call %llu)", s->name, fault_names[kind],
                 (unsigned long long)n);
    check_library(&stats);
    count_generated();
    if (s->finish)
        s->finish();
    return fired;
}

static uint64_t count_calls(const struct scenario *s, enum fault kind)
{
    s->prepare();
    faults_arm(kind, UINT64_MAX, false);
    assert_int_equal(s->run(), EXIT_DONE);
    return faults_disarm();
}

static void fail_all(const struct scenario *s)
{
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        uint64_t calls = count_calls(s, (enum fault)kind);
        uint64_t step = calls <= at.spread ? 1 : (calls + at.spread - 1) / at.spread;
        for (int persistent = 0; persistent < 2; persistent++)
            for (uint64_t n = 1 + (uint64_t)kind % step; n <= calls; n += step)
                fail_one(s, (enum fault)kind, n, persistent);
        printf("  %-11s %-13s %llu calls, every %lluth failed\n", s->name, fault_names[kind],
               (unsigned long long)calls, (unsigned long long)step);
    }
}

static void index_survives(void **state)
{
    (void)state;
    fail_all(&(struct scenario){"index", run_index, without_library, index_again});
}

static void search_survives(void **state)
{
    (void)state;
    without_library();
    assert_int_equal(run_index(), EXIT_DONE);
    fail_all(&(struct scenario){"search", run_search, nothing, NULL});
    remove_caches(); /* which a search makes again where it can */
    fail_all(&(struct scenario){"search", run_search, remove_caches, NULL});
}

static void check_survives(void **state)
{
    (void)state;
    without_library();
    assert_int_equal(run_index(), EXIT_DONE);
    fail_all(&(struct scenario){"check", run_check, remove_caches, NULL});
}

static void keep_fresh_library(void)
{
    without_library();
    remove_all(at.fresh);
    assert_int_equal(run_index(), EXIT_DONE);
    assert_int_equal(rename(at.library, at.fresh), 0);
}

static void generate_survives(void **state)
{
    (void)state;
    keep_fresh_library();
    fail_all(&(struct scenario){"generate", run_generate, with_three, generate_again});
}

static void or_generate_survives(void **state)
{
    (void)state;
    keep_fresh_library();
    fail_all(&(struct scenario){"or-generate", run_or_generate, with_three, or_generate_again});
}

/* SQLite takes memory to read the word ROLLBACK. */
static void a_rollback_without_memory_is_made_up_for(void **state)
{
    struct db *db = NULL;
    (void)state;
    without_library();
    assert_int_equal(run_index(), EXIT_DONE);
    assert_int_equal(db_open(&db, at.library, &(struct db_opts){.mode = DB_WRITE}, NULL), ST_OK);
    assert_int_equal(db_begin(db, NULL), ST_OK);
    faults_arm(FAULT_SQLITE_MEMORY, 1, true);
    db_rollback(db);
    assert_true(faults_disarm() > 0);
    assert_false(db_in_transaction(db));
    assert_int_equal(db_begin(db, NULL), ST_OK);
    assert_int_equal(db_commit(db, NULL), ST_OK);
    assert_false(db_in_transaction(db));
    db_close(db);
}

static int begin(void **state)
{
    (void)state;
    const char *full = getenv("EIDETIC_TEST_FULL");
    at.spread = !full ? 6 : strcmp(full, "2") != 0 ? 250 : UINT64_MAX;
    at.out = dup(1);
    at.err = dup(2);
    snprintf(at.base, sizeof at.base, "/dev/shm/eidetic-failures-XXXXXX");
    if (!mkdtemp(at.base)) {
        snprintf(at.base, sizeof at.base, "/tmp/eidetic-failures-XXXXXX");
        assert_non_null(mkdtemp(at.base));
    }
    snprintf(at.photos, sizeof at.photos, "%s/photos", at.base);
    snprintf(at.library, sizeof at.library, "%s/library", at.base);
    snprintf(at.fresh, sizeof at.fresh, "%s/fresh", at.base);
    snprintf(at.generated, sizeof at.generated, "%s/generated", at.library);
    snprintf(at.query, sizeof at.query, "%s/0.png", at.photos);
    setenv("EIDETIC_LIBRARY", at.library, 1);
    setenv("XDG_CONFIG_HOME", at.base, 1);
    setenv("XDG_CACHE_HOME", at.base, 1);
    assert_int_equal(mkdir(at.photos, 0755), 0);
    for (int i = 0; i < PICTURES; i++) {
        struct image img;
        char path[128];
        struct rng r = {.state = (uint64_t)i};
        assert_int_equal(image_alloc(&img, 40, 30, NULL), ST_OK);
        for (int k = 0; k < 40 * 30 * 3; k++)
            img.data[k] = (uint8_t)(128 + 40 * rng_normal(&r));
        snprintf(path, sizeof path, "%s/%d.png", at.photos, i);
        assert_int_equal(image_write_png(path, &img, NULL, NULL), ST_OK);
        image_release(&img);
    }
    sd_write_text(at.base, "eidetic/config", "width = 16\nheight = 16\nsteps = 1\nseed = 7\n");
    char *made = toy_make("hf_quick", "-failures", NULL, NULL), *dir = path_join(at.base, "sd");
    at.checkpoint = sd_toy_write(dir, &(struct sd_toy){0});
    mem_free(dir);
    at.model = path_absolute(made);
    mem_free(made);
    return 0;
}

static int say_last(void **state)
{
    (void)state;
    printf("the last: %s\n", at.now);
    return 0;
}

static int end(void **state)
{
    (void)state;
    printf("%llu runs, in %llu of them something failed\n", (unsigned long long)at.runs,
           (unsigned long long)at.fired);
    remove_all(at.base);
    remove_all(at.model);
    mem_free(at.model);
    mem_free(at.checkpoint);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(index_survives, say_last),
        cmocka_unit_test_teardown(search_survives, say_last),
        cmocka_unit_test_teardown(check_survives, say_last),
        cmocka_unit_test_teardown(generate_survives, say_last),
        cmocka_unit_test_teardown(or_generate_survives, say_last),
        cmocka_unit_test(a_rollback_without_memory_is_made_up_for),
    };
    if (argc > 1 && !strcmp(argv[1], DECODER_WORKER_ARG))
        return decoder_worker_main(argc, argv);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    faults_init();
    return cmocka_run_group_tests(tests, begin, end);
}
