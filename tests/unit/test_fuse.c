/* Conditions on words as a filter, and words beside cosines. */
#include "db/tags.h"
#include "library_fixture.h"
#include "search/expr.h"
#include "search/fuse.h"
#include <math.h>

enum { PICTURES = 60, DIM = 4 };
static int64_t id[PICTURES], model;

/* Picture i: file "/p/<i>.jpg", vector turned by i degrees; some have tags and names. */
static struct db *make(void)
{
    struct db *db = open_mode(DB_CREATE);
    OK(db_model_put(db, "ab", "m", DIM, &model, &e));
    for (int i = 0; i < PICTURES; i++) {
        char path[64];
        struct db_image im = {.width = 1, .height = 1, .bytes = 1, .format = "jpeg"};
        memcpy(im.hash, &i, sizeof i);
        snprintf(im.taken, sizeof im.taken, "20%02d-01-01T00:00:00", i);
        snprintf(im.camera, sizeof im.camera, i == 5 ? "NIKON D70" : "");
        OK(db_image_put(db, &im, &id[i], &e));
        snprintf(path, sizeof path, i == 50 ? "/p/Lake_Garda/%d.jpg" : "/p/%d.jpg", i);
        add_file(db, path, id[i]);
        double a = i * 3.14159265358979 / 180;
        const float v[DIM] = {(float)cos(a), (float)sin(a), 0, 0};
        OK(db_vector_put(db, model, &(struct db_vector){.image = id[i], .v = v}, &e));
        const struct db_tag tags[] = {{"animal", 0.9}, {"brown dog", 0.8}};
        if (i >= 40 && i < 44)
            OK(db_tags_put(db, id[i], "k", tags, i < 42 ? 2 : 1, &e));
    }
    return db;
}

/* The numbers of the pictures that a condition lets through. */
static void selects(struct db *db, const char *text, size_t n, const int *want)
{
    char *said;
    struct db_expr *x;
    bool bare;
    struct db_idset set;
    OK(expr_parse(text, &said, &x, &bare, &e));
    OK(db_filter_run(db, &(struct db_filter){.where = x}, &set, &e));
    if (set.n != n)
        fail_msg("%s: %zu pictures, not %zu", text, set.n, n);
    for (size_t i = 0; want && i < n; i++)
        assert_int_equal(set.ids[i], id[want[i]]);
    db_idset_release(&set);
    expr_free(x);
    mem_free(said);
}

static void conditions_select(void **state)
{
    (void)state;
    struct db *db = make();
    selects(db, "tag:animal", 4, (int[]){40, 41, 42, 43});
    selects(db, "tag:ANIMAL NOT tag:\"Brown Dog\"", 2, (int[]){42, 43});
    selects(db, "tag:dog", 0, NULL); /* a tag is meant whole */
    selects(db, "\"brown dog\"", 2, (int[]){40, 41});
    selects(db, "\"dog brown\"", 0, NULL);
    selects(db, "\"garda\" OR camera:nikon", 2, (int[]){5, 50});
    selects(db, "path:lake_g", 1, (int[]){50});
    selects(db, "date:2003..2005 NOT date:2004", 2, (int[]){3, 5});
    selects(db, "NOT (tag:animal OR path:garda)", PICTURES - 5, NULL);
    selects(db, "caption:dog", 0, NULL);
    selects(db, "\"'; DROP TABLE files; --\"", 0, NULL);
    selects(db, "\"*\" OR tag:%", 0, NULL);
    struct db_expr chain[DB_EXPR_MOST + 1];
    for (int i = 0; i <= DB_EXPR_MOST; i++)
        chain[i] = (struct db_expr){.kind = DB_NOT, .a = &chain[i + (i < DB_EXPR_MOST)]};
    chain[DB_EXPR_MOST] = (struct db_expr){.kind = DB_TAG, .text = dir};
    struct db_idset set;
    assert_int_equal(db_filter_run(db, &(struct db_filter){.where = chain}, &set, &e), ST_LIMIT);
    db_close(db);
}

static struct search_result ask(struct db *db, const char *sentence, const struct db_filter *f)
{
    struct search *s = NULL;
    struct search_result r = {0};
    const float q[DIM] = {1, 0, 0, 0};
    OK(search_open(&s, db, model, &(struct search_opts){.threads = 1}, &e));
    OK(search_topk(s, q, f, 10, &r, &e));
    OK(search_fuse(s, sentence, q, f, &r, &e));
    search_close(s);
    return r;
}

static void a_name_brings_a_picture_forward(void **state)
{
    (void)state;
    struct db *db = make();
    struct search_result r = ask(db, "the Lake of Garda", NULL);
    assert_int_equal(r.n, 11); /* one that was not among the ten */
    assert_int_equal(r.hits[0].image, id[50]);
    assert_true(fabsf(r.hits[0].names - 1) < 1e-6F && !(r.hits[0].tags > 0));
    assert_true(fabsf(r.hits[0].score - cosf(50 * 3.14159265F / 180)) < 1e-5F); /* still a cosine */
    assert_int_equal(r.hits[1].image, id[0]);
    search_result_release(&r);

    r = ask(db, "lakes", NULL); /* a plural */
    assert_int_equal(r.hits[0].image, id[50]);
    search_result_release(&r);
    r = ask(db, "lake garda", &(struct db_filter){.folder = "/p/Lake_Garda", .without = id[50]});
    assert_int_equal(r.n, 0); /* what the filter hides stays hidden */
    search_result_release(&r);
    db_close(db);
}

static void a_word_in_passing_changes_nothing(void **state)
{
    (void)state;
    struct db *db = make();
    struct search_result r = ask(db, "p jpg", NULL); /* in every path */
    assert_int_equal(r.n, 10);
    assert_int_equal(r.hits[0].image, id[0]);
    assert_true(!(r.hits[0].names > 0));
    search_result_release(&r);
    r = ask(db, "an old man walks a dog in the rain", NULL); /* a small share of the sentence */
    assert_int_equal(r.hits[0].image, id[0]);
    search_result_release(&r);
    r = ask(db, "brown dog", NULL); /* all of it, in the tags */
    assert_int_equal(r.hits[0].image, id[40]);
    assert_true(fabsf(r.hits[0].tags - 1) < 1e-6F);
    search_result_release(&r);
    r = ask(db, "\" ( * ) AND NEAR", NULL); /* nothing of FTS5's own is read */
    assert_int_equal(r.hits[0].image, id[0]);
    search_result_release(&r);
    db_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(conditions_select),
        T(a_name_brings_a_picture_forward),
        T(a_word_in_passing_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
