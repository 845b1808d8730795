/* A search over a library: exact answers, filters, caches that follow the database whatever happens
 * to them. */
#include "core/rng.h"
#include "search/search.h"
#include "unit/library_fixture.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIM 16
#define HEX "abc123"

static struct db *db;
static int64_t model;

static void unit(struct rng *r, float *v)
{
    double s = 0;
    for (int i = 0; i < DIM; i++) {
        v[i] = rng_normal(r);
        s += (double)v[i] * v[i];
    }
    for (int i = 0; i < DIM; i++)
        v[i] = (float)(v[i] / sqrt(s));
}

/* Picture n as /p<n % 3>/<n>.jpg, taken on day n; one in ten is generated. */
static int64_t add_picture(int n)
{
    struct db_image im = {.width = 1, .height = 1, .format = "jpeg", .generated = n % 10 == 0};
    memcpy(im.hash, &n, sizeof n);
    snprintf(im.taken, sizeof im.taken, "2020-01-%02dT12:00:00", n % 28 + 1);
    snprintf(im.camera, sizeof im.camera, "%s", n % 2 ? "Canon EOS" : "Nikon");
    im.has_gps = n % 4 == 0;
    im.lat = 47 + n % 5;
    im.lon = 8;
    int64_t id;
    OK(db_image_put(db, &im, &id, &e));
    char path[64];
    snprintf(path, sizeof path, "/p%d/%d.jpg", n % 3, n);
    add_file(db, path, id);
    return id;
}

static void put_vector(int64_t image, uint64_t seed)
{
    float v[DIM];
    unit(&(struct rng){.state = seed}, v);
    OK(db_vector_put(db, model, &(struct db_vector){.image = image, .v = v}, &e));
}

static int begin(void **state)
{
    int rc = setup_in_memory(state);
    if (rc)
        return rc;
    db = open_mode(DB_CREATE);
    OK(db_model_put(db, HEX, "toy", DIM, &model, &e));
    OK(db_begin(db, &e));
    for (int n = 1; n <= 300; n++)
        put_vector(add_picture(n), (uint64_t)n);
    OK(db_commit(db, &e));
    return 0;
}

static int end(void **state)
{
    db_close(db);
    return teardown(state);
}

static struct search *open_with(const struct search_opts *o)
{
    struct search *s;
    OK(search_open(&s, db, model, o, &e));
    return s;
}

/* What SQLite says, scored and sorted in double. */
struct truth {
    struct search_hit hits[400];
    size_t n;
    const float *q;
    double sum, sum2;
};

static enum status score_one(void *ctx, int64_t image, int64_t generation, const float *v)
{
    struct truth *t = ctx;
    (void)generation;
    double s = 0;
    for (int j = 0; j < DIM; j++)
        s += (double)t->q[j] * v[j];
    t->sum += s;
    t->sum2 += s * s;
    t->hits[t->n++] = (struct search_hit){image, (float)s, 0, 0};
    return ST_OK;
}

static int by_score(const void *a, const void *b)
{
    const struct search_hit *x = a, *y = b;
    return x->score > y->score ? -1 : x->score < y->score;
}

static void expect_truth(struct search *s, size_t k)
{
    float q[DIM];
    unit(&(struct rng){.state = 9999}, q);
    struct truth t = {.q = q};
    OK(db_vectors_each(db, model, 0, score_one, &t, &e));
    qsort(t.hits, t.n, sizeof *t.hits, by_score);
    struct search_result r;
    OK(search_topk(s, q, NULL, k, &r, &e));
    assert_true(r.exact);
    assert_int_equal(r.n, k < t.n ? k : t.n);
    for (size_t i = 0; i < r.n; i++) {
        assert_int_equal(r.hits[i].image, t.hits[i].image);
        assert_true(fabsf(r.hits[i].score - t.hits[i].score) < 1e-6f);
    }
    assert_int_equal(r.moments_n, t.n);
    assert_true(fabs(r.mean - t.sum / (double)t.n) < 1e-4);
    double var = t.sum2 / (double)t.n - t.sum / (double)t.n * (t.sum / (double)t.n);
    assert_true(fabs(r.sd - sqrt(var)) < 1e-4);
    search_result_release(&r);
    int64_t problems_found = -1;
    OK(search_check(db, model, true, NULL, NULL, &problems_found, &e));
    assert_int_equal(problems_found, 0);
}

static void the_best_come_first_with_exact_cosines(void **state)
{
    (void)state;
    struct search *s = open_with(&(struct search_opts){.threads = 2});
    expect_truth(s, 10);
    expect_truth(s, 1000);
    struct search_result r;
    float zero[DIM] = {0};
    assert_int_equal(search_topk(s, zero, NULL, 3, &r, &e), ST_FORMAT);
    search_close(s);
}

static size_t count(struct search *s, const struct db_filter *f)
{
    float q[DIM];
    unit(&(struct rng){.state = 1}, q);
    struct search_result r;
    OK(search_topk(s, q, f, 500, &r, &e));
    for (size_t i = 1; i < r.n; i++)
        assert_true(r.hits[i - 1].score >= r.hits[i].score);
    assert_int_equal(r.n, r.candidates);
    size_t n = r.n;
    search_result_release(&r);
    return n;
}

static void filters_leave_exactly_what_they_select(void **state)
{
    (void)state;
    struct search *s = open_with(NULL);
    int64_t from = 0, to = 0;
    assert_true(db_parse_time("2020-01-03", false, &from) &&
                db_parse_time("2020-01-04", true, &to));
    assert_int_equal(count(s, NULL), 300);
    assert_int_equal(count(s, &(struct db_filter){.folder = "/p1"}), 100);
    assert_int_equal(count(s, &(struct db_filter){.folder = "/p1/4.jpg"}), 1);
    assert_int_equal(count(s, &(struct db_filter){.folder = "/nowhere"}), 0);
    assert_int_equal(count(s, &(struct db_filter){.generated = DB_GENERATED_ONLY}), 30);
    assert_int_equal(count(s, &(struct db_filter){.generated = DB_GENERATED_NO}), 270);
    assert_int_equal(count(s, &(struct db_filter){.camera = "canon"}), 150);
    assert_int_equal(count(s, &(struct db_filter){.camera = "%"}), 0);
    assert_int_equal(count(s, &(struct db_filter){.has_near = true, .lat = 47, .lon = 8, .km = 5}),
                     15);
    assert_int_equal(count(s,
                           &(struct db_filter){
                               .has_after = true, .after = from, .has_before = true, .before = to}),
                     22);
    assert_int_equal(count(s, &(struct db_filter){.without = 7}), 299);
    struct db_file f;
    OK(db_file_get(db, "/p1/1.jpg", &f, &e));
    OK(db_file_set_status(db, f.id, DB_FILE_MISSING, &e));
    assert_int_equal(count(s, NULL), 299); /* filters are of now */
    assert_int_equal(count(s, &(struct db_filter){.missing_too = true}), 300);
    assert_int_equal(count(s, &(struct db_filter){.folder = "/p1"}), 99);
    assert_int_equal(count(s, &(struct db_filter){.folder = "/p1", .missing_too = true}), 100);
    search_close(s);
}

static void the_cache_follows_every_change(void **state)
{
    (void)state;
    struct search *s = open_with(NULL);
    struct search_stats st;
    expect_truth(s, 20);
    put_vector(add_picture(301), 301);
    put_vector(5, 5555); /* replaced */
    OK(db_vector_remove(db, model, 6, &e));
    OK(db_forget(db, "/p1/7.jpg", NULL, &e));
    OK(search_refresh(s, &e));
    expect_truth(s, 20);
    search_stats(s, &st);
    assert_int_equal(st.rows, 299);
    assert_int_equal(st.dead, 3);
    assert_int_equal(st.in_memory, 0);
    assert_false(st.rebuilt);
    OK(db_vector_remove(db, model, 8, &e)); /* added and removed between two looks */
    put_vector(8, 8);
    OK(db_vector_remove(db, model, 8, &e));
    OK(search_refresh(s, &e));
    expect_truth(s, 20);
    search_close(s);
}

static void what_cannot_be_written_is_held_in_memory(void **state)
{
    (void)state;
    search_close(open_with(NULL));
    put_vector(add_picture(301), 301);
    put_vector(5, 5555);
    OK(db_vector_remove(db, model, 6, &e));
    char path[128];
    snprintf(path, sizeof path, "%s/caches.lock", dir);
    int fd = open(path, O_RDWR);
    assert_int_equal(flock(fd, LOCK_EX), 0); /* another process is at it */
    struct search *s = open_with(NULL);
    struct search_stats st;
    search_stats(s, &st);
    assert_int_equal(st.in_memory, 2);
    assert_int_equal(st.rows, 300);
    expect_truth(s, 20);
    search_close(s);
    close(fd);
    s = open_with(&(struct search_opts){.caches_read_only = true});
    search_stats(s, &st);
    assert_int_equal(st.in_memory, 2);
    expect_truth(s, 20);
    search_close(s);
    OK(search_drop_caches(db, NULL, &e));
    s = open_with(&(struct search_opts){.caches_read_only = true});
    search_stats(s, &st);
    assert_int_equal(st.in_memory, 300);
    expect_truth(s, 20);
    search_close(s);
}

static void a_damaged_cache_is_made_again(void **state)
{
    (void)state;
    char path[128], *good;
    size_t size;
    snprintf(path, sizeof path, "%s/vectors-" HEX ".bin", dir);
    search_close(open_with(NULL));
    OK(file_read_all(&good, &size, path, 1 << 24, &e));
    for (int i = 0; i < 6; i++) {
        static const size_t sizes[] = {0, 1, 127, 128, 200, 5000};
        OK(file_write_atomic(path, good, sizes[i], &e));
        struct search *s = open_with(NULL);
        expect_truth(s, 20);
        search_close(s);
    }
    char *bad = mem_dup(good, size);
    bad[100] ^= 1;
    OK(file_write_atomic(path, bad, size, &e));
    mem_free(bad);
    struct search *s = open_with(NULL);
    struct search_stats st;
    search_stats(s, &st);
    assert_true(st.rebuilt);
    expect_truth(s, 20);
    search_close(s);
    mem_free(good);
}

static void a_damaged_block_is_found_by_check_and_mended(void **state)
{
    (void)state;
    char path[128], *bytes;
    size_t size;
    snprintf(path, sizeof path, "%s/vectors-" HEX ".bin", dir);
    search_close(open_with(NULL));
    put_vector(add_picture(301), 301); /* a second block: the first is taken on trust from now on */
    search_close(open_with(NULL));
    OK(file_read_all(&bytes, &size, path, 1 << 24, &e));
    bytes[4000] ^= 64;
    OK(file_write_atomic(path, bytes, size, &e));
    mem_free(bytes);
    int64_t n;
    OK(search_check(db, model, true, NULL, NULL, &n, &e));
    assert_int_equal(n, 1);
    OK(search_drop_caches(db, HEX, &e));
    OK(search_maintain(db, model, NULL, &e));
    OK(search_check(db, model, true, NULL, NULL, &n, &e));
    assert_int_equal(n, 0);
}

/* An older copy of the database is put back: the cache knows rows that the database never had. */
static void a_restored_backup_does_not_mix_with_the_cache(void **state)
{
    (void)state;
    char copy[128], path[128], *bytes;
    size_t size;
    snprintf(copy, sizeof copy, "%s/copy.db", dir);
    snprintf(path, sizeof path, "%s/library.db", dir);
    OK(db_backup(db, copy, NULL, NULL, &e));
    for (int n = 301; n <= 310; n++)
        put_vector(add_picture(n), (uint64_t)n);
    search_close(open_with(NULL));
    db_close(db);
    OK(file_read_all(&bytes, &size, copy, 1 << 26, &e));
    OK(file_write_atomic(path, bytes, size, &e));
    mem_free(bytes);
    db = open_mode(DB_WRITE);
    struct search *s = open_with(NULL);
    struct search_stats st;
    search_stats(s, &st);
    assert_true(st.rebuilt);
    expect_truth(s, 20);
    for (int n = 401; n <= 410; n++) /* the same generations again, other pictures */
        put_vector(add_picture(n), (uint64_t)n);
    OK(search_refresh(s, &e));
    expect_truth(s, 20);
    search_close(s);
}

static void many_removals_are_squeezed_out(void **state)
{
    (void)state;
    OK(db_begin(db, &e));
    for (int round = 0; round < 5; round++)
        for (int64_t i = 1; i <= 300; i++)
            put_vector(i, (uint64_t)(i * 7 + round));
    OK(db_commit(db, &e));
    struct search *s = open_with(NULL);
    OK(db_begin(db, &e));
    for (int round = 0; round < 5; round++) {
        for (int64_t i = 1; i <= 300; i++)
            put_vector(i, (uint64_t)(i * 9 + round));
        OK(db_commit(db, &e));
        OK(search_refresh(s, &e));
        OK(db_begin(db, &e));
    }
    db_rollback(db);
    struct search_stats st;
    search_stats(s, &st);
    assert_int_equal(st.dead, 1500);
    expect_truth(s, 20);
    search_close(s);
    OK(search_maintain(db, model, NULL, &e));
    s = open_with(NULL);
    search_stats(s, &st);
    assert_int_equal(st.dead, 0);
    assert_int_equal(st.rows, 300);
    expect_truth(s, 20);
    search_close(s);
}

static void an_empty_library_has_no_hits(void **state)
{
    (void)state;
    int64_t other;
    float q[DIM] = {1};
    OK(db_model_put(db, "ff", "empty", DIM, &other, &e));
    struct search *s;
    OK(search_open(&s, db, other, NULL, &e));
    struct search_result r;
    OK(search_topk(s, q, NULL, 10, &r, &e));
    assert_int_equal(r.n, 0);
    search_result_release(&r);
    search_close(s);
    assert_int_equal(search_open(&s, db, 99, NULL, &e), ST_NOT_FOUND);
}

static void failures_of_memory_and_disk_are_clean(void **state)
{
    (void)state;
    float q[DIM];
    unit(&(struct rng){.state = 1}, q);
    for (int kind = 0; kind < 2; kind++) {
        enum status rc = ST_NOMEM;
        for (uint64_t n = 1; rc; n++) {
            struct search *s = NULL;
            struct search_result r = {0};
            OK(search_drop_caches(db, NULL, &e));
            if (kind)
                file_fail_at(n, FILE_OP_WRITE | FILE_OP_FSYNC | FILE_OP_RENAME | FILE_OP_READ,
                             ENOSPC, true);
            else
                mem_fail_at(n, false);
            rc = search_open(&s, db, model, &(struct search_opts){.threads = 2}, &e);
            struct search_stats st = {0};
            if (!rc)
                search_stats(s, &st);
            if (!rc && !(rc = search_topk(s, q, NULL, 10, &r, &e)))
                assert_int_equal(r.n, 10);
            search_result_release(&r);
            search_close(s);
            mem_fail_at(0, false);
            file_fail_at(0, 0, 0, false);
            assert_true(rc == ST_OK || rc == ST_NOMEM);
            assert_true(n < 300);
            if (kind && !rc && *st.why && n < 50)
                rc = ST_NOMEM; /* worked without the disk; go on until nothing fails */
        }
    }
    struct search *s = open_with(NULL);
    expect_truth(s, 10);
    search_close(s);
}

#define S(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        S(the_best_come_first_with_exact_cosines),
        S(filters_leave_exactly_what_they_select),
        S(the_cache_follows_every_change),
        S(what_cannot_be_written_is_held_in_memory),
        S(a_damaged_cache_is_made_again),
        S(a_damaged_block_is_found_by_check_and_mended),
        S(a_restored_backup_does_not_mix_with_the_cache),
        S(many_removals_are_squeezed_out),
        S(an_empty_library_has_no_hits),
        S(failures_of_memory_and_disk_are_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
