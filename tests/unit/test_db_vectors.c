/* Models, vectors and their generations: what caches rely on. And dates, which filters rely on. */
#include "unit/library_fixture.h"
#include <math.h>
#include <sqlite3.h>

#define DIM 4

static void put(struct db *db, int64_t model, int64_t image, float x)
{
    float v[DIM] = {x, sqrtf(1 - x * x)};
    struct db_vector row = {.image = image,
                            .v = v,
                            .precision = DB_PREC_INT8,
                            .flags = DB_VEC_REDUCED,
                            .device = "cuda:0"};
    OK(db_vector_put(db, model, &row, &e));
}

struct log {
    int64_t images[64], gens[64];
    size_t n;
};

static enum status note(void *ctx, int64_t image, int64_t generation)
{
    struct log *l = ctx;
    l->images[l->n] = image;
    l->gens[l->n++] = generation;
    return ST_OK;
}

static enum status note_vector(void *ctx, int64_t image, int64_t generation, const float *v)
{
    assert_true(fabsf(v[0] * v[0] + v[1] * v[1] - 1) < 1e-6f);
    return note(ctx, image, generation);
}

static void every_change_takes_a_generation(void **state)
{
    (void)state;
    struct db *db = open_mode(DB_CREATE);
    int64_t model, other, g;
    OK(db_model_put(db, "aa", "toy", DIM, &model, &e));
    OK(db_model_put(db, "bb", "toy two", DIM, &other, &e));
    int64_t a = add_image(db, 1), b = add_image(db, 2);
    put(db, model, a, 0.1f); /* 1 */
    put(db, model, b, 0.2f); /* 2 */
    put(db, model, a, 0.3f); /* 3 removed, 4 put */
    put(db, other, a, 0.4f);
    OK(db_vector_remove(db, model, b, &e)); /* 5 */
    OK(db_generation(db, model, &g, &e));
    assert_int_equal(g, 5);
    struct log l = {0};
    OK(db_vectors_each(db, model, 0, note_vector, &l, &e));
    assert_true(l.n == 1 && l.images[0] == a && l.gens[0] == 4);
    l.n = 0;
    OK(db_removals_each(db, model, 0, note, &l, &e));
    assert_true(l.n == 2 && l.images[0] == a && l.gens[0] == 3 && l.images[1] == b &&
                l.gens[1] == 5);
    l.n = 0;
    OK(db_removals_each(db, model, 3, note, &l, &e));
    assert_int_equal(l.n, 1);
    struct db_model m;
    OK(db_model_get(db, "aa", &m, &e));
    assert_true(m.vectors == 1 && m.dim == DIM && m.generation == 5);
    OK(db_model_get(db, "bb", &m, &e));
    assert_true(m.vectors == 1 && m.generation == 1);
    assert_int_equal(db_model_get(db, "cc", &m, &e), ST_NOT_FOUND);
    enum db_precision precision;
    unsigned flags;
    char device[32];
    OK(db_vector_info(db, model, a, &precision, &flags, device, &e));
    assert_true(precision == DB_PREC_INT8 && flags == DB_VEC_REDUCED);
    assert_string_equal(device, "cuda:0");
    OK(db_model_remove(db, model, &e));
    assert_int_equal(problems(db), 0);
    db_close(db);
}

static void stamps_cover_what_was_committed_and_nothing_else(void **state)
{
    (void)state;
    struct db *db = open_mode(DB_CREATE);
    int64_t model, g, a = add_image(db, 1), b = add_image(db, 2);
    uint64_t one, two, three;
    OK(db_model_put(db, "aa", "toy", DIM, &model, &e));
    OK(db_begin(db, &e));
    put(db, model, a, 0.1f);
    put(db, model, b, 0.1f);
    OK(db_commit(db, &e));
    OK(db_stamp(db, model, 1, &one, &e));
    OK(db_stamp(db, model, 2, &two, &e));
    OK(db_stamp(db, model, 3, &three, &e));
    assert_true(one == two && three == 0);
    OK(db_begin(db, &e));
    put(db, model, a, 0.5f);
    db_rollback(db);
    OK(db_generation(db, model, &g, &e));
    assert_int_equal(g, 2);
    put(db, model, a, 0.6f);
    OK(db_stamp(db, model, 2, &two, &e));
    OK(db_stamp(db, model, 3, &three, &e));
    assert_true(one == two && three != 0 && three != two);
    assert_int_equal(problems(db), 0);
    db_close(db);
}

static void bad_vectors_are_refused(void **state)
{
    (void)state;
    struct db *db = open_mode(DB_CREATE);
    int64_t model, image = add_image(db, 1);
    OK(db_model_put(db, "aa", "toy", DIM, &model, &e));
    static const float bad[][DIM] = {{0}, {2}, {NAN, 1}, {INFINITY}, {0.9f}};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(
            db_vector_put(db, model, &(struct db_vector){.image = image, .v = bad[i]}, &e),
            ST_FORMAT);
    float good[DIM] = {1};
    assert_true(db_vector_put(db, model, &(struct db_vector){.image = 99, .v = good}, &e) != ST_OK);
    assert_int_equal(db_vector_put(db, 99, &(struct db_vector){.image = image, .v = good}, &e),
                     ST_NOT_FOUND);
    assert_int_equal(db_model_put(db, "aa", "toy", DIM + 1, NULL, &e), ST_FORMAT);
    assert_int_equal(db_model_put(db, "../x", "toy", DIM, NULL, &e), ST_FORMAT);
    assert_int_equal(db_model_put(db, "", "toy", DIM, NULL, &e), ST_FORMAT);
    assert_int_equal(db_model_put(db, "bb", "toy", 0, NULL, &e), ST_LIMIT);
    assert_int_equal(problems(db), 0);
    float out[2 * DIM];
    bool have[2];
    OK(db_vector_put(db, model, &(struct db_vector){.image = image, .v = good}, &e));
    OK(db_vectors_get(db, model, (int64_t[]){77, image}, 2, DIM, out, have, &e));
    assert_true(!have[0] && have[1] && out[0] == 0 && out[DIM] == 1);
    db_close(db);
}

static void check_finds_what_is_wrong(void **state)
{
    (void)state;
    struct db *db = open_mode(DB_CREATE);
    int64_t model, image = add_image(db, 1);
    add_file(db, "/a.jpg", image);
    OK(db_model_put(db, "aa", "toy", DIM, &model, &e));
    put(db, model, image, 0.5f);
    assert_int_equal(problems(db), 0);
    db_close(db);
    static const char *const harm[] = {
        "UPDATE images SET present = 5",         "UPDATE vectors SET vec = zeroblob(16)",
        "UPDATE vectors SET vec = zeroblob(12)", "UPDATE models SET vectors = 3",
        "UPDATE files SET status = 3",           "PRAGMA foreign_keys = OFF; DELETE FROM models",
    };
    char path[128], *good;
    size_t size;
    snprintf(path, sizeof path, "%s/library.db", dir);
    OK(file_read_all(&good, &size, path, 1 << 24, &e));
    for (size_t i = 0; i < sizeof harm / sizeof *harm; i++) {
        sqlite3 *h;
        assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
        assert_int_equal(sqlite3_exec(h, harm[i], NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(h);
        db = open_mode(DB_READ);
        assert_true(problems(db) > 0);
        db_close(db);
        OK(file_write_atomic(path, good, size, &e));
    }
    mem_free(good);
}

static void dates_are_read_as_iso_8601(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t from, to;
    } good[] = {
        {"1970", 0, 31535999},
        {"1970-01-01", 0, 86399},
        {"1970-01-01T00:00:01", 1, 1},
        {"1970-01-01 00:01", 60, 119},
        {"1970-01-01T00:00:01.75", 1, 1},
        {"1970-01-01T02:00:00+02:00", 0, 0},
        {"1970-01-01T00:00:00-0130", 5400, 5400},
        {"1970-01-01T00:00:00Z", 0, 0},
        {"1969-12-31", -86400, -1},
        {"2000-02", 949363200, 951868799},
        {"2024-02-29T23:59:59", 1709251199, 1709251199},
        {"0001-01-01", -62135596800, -62135510401},
        {"9999", 253370764800, 253402300799},
    };
    static const char *const bad[] = {"",
                                      "19",
                                      "0000",
                                      "2021-13",
                                      "2021-00-01",
                                      "2021-02-29",
                                      "2021-1-1",
                                      "2021-01-01T",
                                      "2021-01-01T25:00",
                                      "2021-01-01T10",
                                      "2021-01-01T10:00:00+99:00",
                                      "2021-01-01 10:00:00 x",
                                      "yesterday",
                                      "2021:01:01",
                                      "20210101"};
    int64_t s;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(db_parse_time(good[i].text, false, &s));
        assert_int_equal(s, good[i].from);
        assert_true(db_parse_time(good[i].text, true, &s));
        assert_int_equal(s, good[i].to);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(db_parse_time(bad[i], false, &s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_change_takes_a_generation), T(stamps_cover_what_was_committed_and_nothing_else),
        T(bad_vectors_are_refused),         T(check_finds_what_is_wrong),
        T(dates_are_read_as_iso_8601),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
