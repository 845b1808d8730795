/* Queries that a device looks for together get the answers that they get one by one: under filters,
 * where pictures were removed, where many have one score, and after the library has changed. Where
 * EIDETIC_TEST_DEVICE names no device, exit code 77. */
#include "app/search_device.h"
#include "core/rng.h"
#include "search/search_int.h"
#include "test.h"
#include "unit/library_fixture.h"
#include <math.h>

enum { DIM = 24, PICTURES = 700, QUERIES = 9, BEST = 25, ALIKE = 400 };

static struct db *db;
static int64_t model;

/* seed: of its vector */
static void put_picture(int n, int seed)
{
    struct db_image im = {.width = 1, .height = 1, .format = "jpeg"};
    struct rng r = {(uint64_t)seed + 1};
    float v[DIM];
    int64_t id;
    char path[64];
    memcpy(im.hash, &n, sizeof n);
    OK(db_image_put(db, &im, &id, &e));
    snprintf(path, sizeof path, "/p/%c/%d.jpg", "abc"[n % 3], n);
    add_file(db, path, id);
    double s = 0;
    for (int i = 0; i < DIM; i++) {
        v[i] = rng_normal(&r);
        s += (double)v[i] * (double)v[i];
    }
    for (int i = 0; i < DIM; i++)
        v[i] = (float)((double)v[i] / sqrt(s));
    OK(db_vector_put(db, model, &(struct db_vector){.image = id, .v = v}, &e));
}

static void put_pictures(int from, int to)
{
    OK(db_begin(db, &e));
    for (int n = from; n < to; n++)
        put_picture(n, n);
    OK(db_commit(db, &e));
}

static void compare(struct search *s, struct search *alone, const float *q,
                    const struct db_filter *filter)
{
    for (int i = 0; i < QUERIES; i++) {
        struct search_result a, b;
        OK(search_topk(s, q + i * DIM, filter, BEST, &a, &e));
        OK(search_topk(alone, q + i * DIM, filter, BEST, &b, &e));
        assert_true((a.exact || !a.candidates) && a.n == b.n);
        assert_int_equal(a.candidates, b.candidates);
        assert_int_equal(a.scored, b.scored);
        for (size_t t = 0; t < a.n; t++) {
            assert_int_equal(a.hits[t].image, b.hits[t].image);
            assert_true(a.hits[t].score == b.hits[t].score); /* both of SQLite's vectors */
        }
        search_result_release(&a);
        search_result_release(&b);
    }
}

struct looking {
    struct search *s, *alone;
    struct search_device *d;
    float q[QUERIES * DIM];
};

static void looking_open(struct looking *l)
{
    struct app a = {.device = test_device()};
    struct rng r = {99};
    for (int i = 0; i < QUERIES * DIM; i++)
        l->q[i] = rng_normal(&r);
    OK(search_open(&l->s, db, model, &(struct search_opts){.threads = 2}, &e));
    OK(search_open(&l->alone, db, model, &(struct search_opts){.threads = 2}, &e));
    l->d = search_device_open(&a);
    assert_non_null(l->d);
}

static void looking_close(struct looking *l)
{
    search_device_close(l->d);
    search_close(l->s);
    search_close(l->alone);
}

/* How many of the queries are answered from what was found. */
static int answered(struct looking *l, const struct db_filter *filter, size_t k)
{
    int n = 0;
    for (int i = 0; i < QUERIES; i++) {
        float unit[DIM];
        size_t found;
        struct search_result r;
        OK(search_topk(l->s, l->q + i * DIM, filter, 1, &r, &e)); /* the filter's selection */
        search_result_release(&r);
        OK(search_unit_query(l->q + i * DIM, DIM, unit, &e));
        n += ahead_find(l->s, unit, k, &found) != NULL;
    }
    return n;
}

static void look(struct looking *l, const struct db_filter *filter, int expected)
{
    search_device_look(l->d, l->s, l->q, QUERIES, filter);
    assert_int_equal(answered(l, filter, BEST), expected);
    OK(search_refresh(l->alone, &e));
    compare(l->s, l->alone, l->q, filter);
}

static void answers_are_those_of_the_scan(void **state)
{
    (void)state;
    struct looking l;
    put_pictures(0, PICTURES);
    looking_open(&l);
    for (int turn = 0; turn < 3; turn++) {
        look(&l, NULL, QUERIES);
        put_pictures(PICTURES + 40 * turn, PICTURES + 40 * (turn + 1));
        OK(search_refresh(l.alone, &e));
    }
    look(&l, NULL, QUERIES);
    looking_close(&l);
}

static void filters_and_removed_pictures_are_left_out(void **state)
{
    (void)state;
    const struct db_filter a = {.folder = "/p/a"}, none = {.folder = "/q"}, one = {.without = 17};
    struct looking l;
    put_pictures(0, PICTURES);
    looking_open(&l);
    look(&l, &a, QUERIES);
    assert_int_equal(answered(&l, NULL, BEST), 0); /* it was another filter's */
    compare(l.s, l.alone, l.q, NULL);
    look(&l, &none, QUERIES);
    look(&l, &one, QUERIES);
    for (int id = 3; id < PICTURES; id += 7)
        OK(db_vector_remove(db, model, id, &e));
    look(&l, NULL, QUERIES);
    look(&l, &a, QUERIES);
    looking_close(&l);
}

/* As many as a device does not tell apart, put in an order of ids that is not that of rows: then
 * the smallest ids are wanted, and the device's answer is left alone. */
static void many_pictures_of_one_score(void **state)
{
    (void)state;
    struct looking l;
    put_pictures(0, PICTURES);
    OK(db_begin(db, &e));
    for (int n = 0; n < ALIKE; n++)
        put_picture(PICTURES + n, 12345);
    for (int n = 0; n < 50; n++) { /* again: rows at the end, with small ids */
        float v[DIM];
        bool have;
        int64_t id = PICTURES + 1 + n;
        OK(db_vectors_get(db, model, &id, 1, DIM, v, &have, &e));
        assert_true(have);
        OK(db_vector_put(db, model, &(struct db_vector){.image = id, .v = v}, &e));
    }
    OK(db_commit(db, &e));
    looking_open(&l);
    struct rng r = {12346};
    for (int i = 0; i < DIM; i++)
        l.q[i] = rng_normal(&r); /* the first query is nearest to them all */
    search_device_look(l.d, l.s, l.q, QUERIES, NULL);
    assert_in_range(answered(&l, NULL, BEST), 1, QUERIES - 1);
    compare(l.s, l.alone, l.q, NULL);
    looking_close(&l);
}

static int begin(void **state)
{
    int rc = setup_in_memory(state);
    if (rc)
        return rc;
    db = open_mode(DB_CREATE);
    OK(db_model_put(db, "abc123", "toy", DIM, &model, &e));
    return 0;
}

static int end(void **state)
{
    db_close(db);
    return teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_are_those_of_the_scan, begin, end),
        cmocka_unit_test_setup_teardown(filters_and_removed_pictures_are_left_out, begin, end),
        cmocka_unit_test_setup_teardown(many_pictures_of_one_score, begin, end),
    };
    if (strncmp(test_device(), "cuda", 4) != 0) {
        print_message("skipped: EIDETIC_TEST_DEVICE names no device of its own memory\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
