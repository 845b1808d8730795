/* search: pairs of pictures that are alike, found without comparing each with each. */
#include "core/rng.h"
#include "search/pairs.h"
#include "unit/library_fixture.h"
#include <math.h>

#define DIM 64
#define PICTURES 6000
#define PLANTED 300

static struct db *db;
static int64_t model, ids[PICTURES + PLANTED];

static void to_unit(float *v)
{
    double s = 0;
    for (int i = 0; i < DIM; i++)
        s += (double)v[i] * v[i];
    for (int i = 0; i < DIM; i++)
        v[i] = (float)(v[i] / sqrt(s));
}

static void put(int n, float *v)
{
    char path[64];
    to_unit(v);
    ids[n] = add_image(db, n + 1);
    snprintf(path, sizeof path, "/p%d/%d.jpg", n % 2, n);
    add_file(db, path, ids[n]);
    OK(db_vector_put(db, model, &(struct db_vector){.image = ids[n], .v = v}, &e));
}

/* Vectors as towers give them: a common direction, forty subjects, and what is a picture's own.
 * Every twentieth has a near copy (cosine about 0.97), put last. */
static int begin(void **state)
{
    static float all[PICTURES][DIM];
    float common[DIM], subject[40][DIM];
    struct rng r = {.state = 7};
    int rc = setup_in_memory(state);
    if (rc)
        return rc;
    db = open_mode(DB_CREATE);
    OK(db_begin(db, &e));
    OK(db_model_put(db, "abc", "toy", DIM, &model, &e));
    for (int i = 0; i < DIM; i++) {
        common[i] = rng_normal(&r);
        for (int k = 0; k < 40; k++)
            subject[k][i] = rng_normal(&r);
    }
    for (int n = 0; n < PICTURES; n++) {
        for (int i = 0; i < DIM; i++)
            all[n][i] = 0.7F * common[i] + 0.7F * subject[n % 40][i] + rng_normal(&r);
        put(n, all[n]);
    }
    for (int n = 0; n < PLANTED; n++) {
        float v[DIM];
        for (int i = 0; i < DIM; i++)
            v[i] = all[n * 20][i] + 0.03F * rng_normal(&r);
        put(PICTURES + n, v);
    }
    OK(db_commit(db, &e));
    return 0;
}

static int end(void **state)
{
    db_close(db);
    db = NULL;
    return teardown(state);
}

static struct search_pairs find(const struct db_filter *f, float least, size_t exact_below)
{
    struct search *s = NULL;
    struct search_pairs p = {0};
    OK(search_open(&s, db, model, &(struct search_opts){.threads = 2}, &e));
    OK(search_pairs(s, f, &(struct pairs_opts){.least = least, .exact_below = exact_below}, &p,
                    &e));
    search_close(s);
    return p;
}

static int planted(const struct search_pairs *p)
{
    int n = 0;
    for (size_t i = 0; i < p->n; i++)
        for (int k = 0; k < PLANTED; k++)
            n += p->pair[i].a == ids[k * 20] && p->pair[i].b == ids[PICTURES + k];
    return n;
}

static void all_pairs_are_found_once_each_in_order(void **state)
{
    (void)state;
    struct search_pairs p = find(NULL, 0.93F, 0);
    assert_true(p.exact);
    assert_int_equal(p.pictures, PICTURES + PLANTED);
    assert_int_equal(planted(&p), PLANTED);
    for (size_t i = 0; i < p.n; i++) {
        assert_true(p.pair[i].a < p.pair[i].b);
        assert_true(p.pair[i].score >= 0.93F);
        assert_true(!i || p.pair[i - 1].a < p.pair[i].a || p.pair[i - 1].b < p.pair[i].b);
    }
    search_pairs_release(&p);
}

static void cells_find_the_pairs_with_a_fraction_of_the_work(void **state)
{
    (void)state;
    struct search_pairs all = find(NULL, 0.93F, 0), p = find(NULL, 0.93F, 1);
    assert_false(p.exact);
    assert_true(planted(&p) >= PLANTED * 99 / 100);
    assert_true(p.n <= all.n && p.n >= all.n * 99 / 100);
    printf("%llu comparisons in cells, %llu in all\n", (unsigned long long)p.scored,
           (unsigned long long)all.scored);
    assert_true(p.scored < all.scored / 3);
    search_pairs_release(&all);
    search_pairs_release(&p);
}

static void the_filter_holds_for_both_of_a_pair(void **state)
{
    (void)state;
    struct search_pairs p = find(&(struct db_filter){.folder = "/p1"}, 0.93F, 0);
    assert_int_equal(p.pictures, (PICTURES + PLANTED) / 2);
    for (size_t i = 0; i < p.n; i++)
        for (int k = 0; k < PICTURES + PLANTED; k += 2)
            assert_true(p.pair[i].a != ids[k] && p.pair[i].b != ids[k]);
    search_pairs_release(&p);
    p = find(&(struct db_filter){.folder = "/none"}, 0.93F, 0);
    assert_int_equal(p.n, 0);
    assert_int_equal(p.pictures, 0);
    search_pairs_release(&p);
}

static void memory_that_runs_out_is_said(void **state)
{
    (void)state;
    struct search *s = NULL;
    OK(search_open(&s, db, model, &(struct search_opts){.threads = 1}, &e));
    for (uint64_t n = 1; n < 200; n++) {
        struct search_pairs p = {0};
        mem_fail_at(n, false);
        enum status st =
            search_pairs(s, &(struct db_filter){.folder = "/p1"},
                         &(struct pairs_opts){.least = 0.99F, .exact_below = 1}, &p, &e);
        bool fired = mem_fail_at(0, false) >= n;
        assert_true(st == (fired ? ST_NOMEM : ST_OK));
        search_pairs_release(&p);
        if (!fired) {
            search_close(s);
            return;
        }
    }
    fail_msg("it never ran through");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_pairs_are_found_once_each_in_order),
        cmocka_unit_test(cells_find_the_pairs_with_a_fraction_of_the_work),
        cmocka_unit_test(the_filter_holds_for_both_of_a_pair),
        cmocka_unit_test(memory_that_runs_out_is_said),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
