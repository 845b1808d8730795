/* Queries that a device looks for together get the answers that they get one by one, also after the
 * library has changed. Where EIDETIC_TEST_DEVICE names no device, exit code 77. */
#include "app/search_device.h"
#include "core/rng.h"
#include "test.h"
#include "unit/library_fixture.h"
#include <math.h>

enum { DIM = 24, PICTURES = 700, QUERIES = 9, BEST = 25 };

static struct db *db;
static int64_t model;

static void put_picture(int n)
{
    struct db_image im = {.width = 1, .height = 1, .format = "jpeg"};
    struct rng r = {(uint64_t)n + 1};
    float v[DIM];
    int64_t id;
    char path[64];
    memcpy(im.hash, &n, sizeof n);
    OK(db_image_put(db, &im, &id, &e));
    snprintf(path, sizeof path, "/p/%d.jpg", n);
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
        put_picture(n);
    OK(db_commit(db, &e));
}

static void compare(struct search *s, struct search *alone, const float *q)
{
    for (int i = 0; i < QUERIES; i++) {
        struct search_result a, b;
        OK(search_topk(s, q + i * DIM, NULL, BEST, &a, &e));
        OK(search_topk(alone, q + i * DIM, NULL, BEST, &b, &e));
        assert_true(a.exact && a.n == BEST && b.n == BEST);
        assert_int_equal(a.candidates, b.candidates);
        assert_int_equal(a.scored, b.scored);
        for (int t = 0; t < BEST; t++) {
            assert_int_equal(a.hits[t].image, b.hits[t].image);
            assert_true(a.hits[t].score == b.hits[t].score); /* both of SQLite's vectors */
        }
        search_result_release(&a);
        search_result_release(&b);
    }
}

static void answers_are_those_of_the_scan(void **state)
{
    (void)state;
    struct app a = {.device = test_device()};
    struct search *s, *alone;
    float q[QUERIES * DIM];
    struct rng r = {99};
    for (int i = 0; i < QUERIES * DIM; i++)
        q[i] = rng_normal(&r);
    put_pictures(0, PICTURES);
    OK(search_open(&s, db, model, &(struct search_opts){.threads = 2}, &e));
    OK(search_open(&alone, db, model, &(struct search_opts){.threads = 2}, &e));
    struct search_device *d = search_device_open(&a);
    assert_non_null(d);
    for (int turn = 0; turn < 3; turn++) {
        search_device_look(d, s, q, QUERIES);
        compare(s, alone, q);
        put_pictures(PICTURES + 40 * turn, PICTURES + 40 * (turn + 1));
        OK(search_refresh(alone, &e));
    }
    search_device_look(d, s, q, QUERIES);
    compare(s, alone, q);
    search_device_close(d);
    search_close(s);
    search_close(alone);
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
    };
    if (strncmp(test_device(), "cuda", 4) != 0) {
        print_message("skipped: EIDETIC_TEST_DEVICE names no device of its own memory\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
