/* Tags, and the full-text table that follows tags and files. */
#include "db/images.h"
#include "db/tags.h"
#include "library_fixture.h"
#include <math.h>
#include <sqlite3.h>

static int64_t count(const char *sql)
{
    sqlite3 *h = NULL;
    sqlite3_stmt *st = NULL;
    char path[96];
    snprintf(path, sizeof path, "%s/library.db", dir);
    assert_int_equal(sqlite3_open_v2(path, &h, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(h, sql, -1, &st, NULL), SQLITE_OK);
    int rc = sqlite3_step(st);
    int64_t n = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : -1;
    sqlite3_finalize(st);
    sqlite3_close(h);
    return n;
}
#define HITS(query) count("SELECT count(*) FROM words WHERE words MATCH '" query "'")

static void tags_are_kept_in_order_and_replaced(void **state)
{
    (void)state;
    struct db *db = open_mode(DB_CREATE);
    int64_t id = add_image(db, 1);
    struct db_tags t;
    OK(db_tags_get(db, id, &t, &e));
    assert_int_equal(t.n, 0);
    assert_string_equal(t.key, "");
    assert_null(t.caption);
    db_tags_release(&t);
    const struct db_tag tags[] = {{"animal", 0.9}, {"dog", 0.8}};
    OK(db_tags_put(db, id, "k1", tags, 2, &e));
    OK(db_tags_put(db, id, "k2", tags + 1, 1, &e));
    OK(db_tags_put(db, id, "k3", tags, 2, &e));
    OK(db_tags_get(db, id, &t, &e));
    assert_int_equal(t.n, 2);
    assert_string_equal(t.tag[0].tag, "animal");
    assert_string_equal(t.tag[1].tag, "dog");
    assert_true(fabs(t.tag[1].score - 0.8) < 1e-12);
    assert_string_equal(t.key, "k3");
    db_tags_release(&t);
    assert_int_not_equal(db_tags_put(db, id + 5, "k", tags, 2, &e), ST_OK); /* no such picture */
    assert_int_equal(problems(db), 0);
    db_close(db);
}

static enum status count_one(void *ctx, const char *path)
{
    (void)path;
    ++*(int *)ctx;
    return ST_OK;
}

/* Dates without a time of day put all pictures of a day into one second: no burst, and not to be
 * looked at one by one for each hit. */
static void a_day_in_one_second_is_no_burst(void **state)
{
    (void)state;
    struct db *db = open_mode(DB_CREATE);
    for (int i = 1; i <= 120; i++) {
        char path[32];
        snprintf(path, sizeof path, "/p/%03d.jpg", i);
        add_file(db, path, add_image(db, i));
    }
    count("UPDATE images SET taken_at = 1000, camera = 'c', present = 1");
    int found = 0;
    OK(db_burst_each(db, 1, "/p/001.jpg", count_one, &found, &e));
    assert_int_equal(found, 0);
    count("UPDATE images SET taken_at = 5000 WHERE id > 50");
    OK(db_burst_each(db, 1, "/p/001.jpg", count_one, &found, &e));
    assert_int_equal(found, 49);
    db_close(db);
}

static void words_follow_tags_and_files(void **state)
{
    (void)state;
    struct db *db = open_mode(DB_CREATE);
    int64_t a = add_image(db, 1), b = add_image(db, 2);
    add_file(db, "/photos/Lake_Garda/IMG-1.jpg", a);
    add_file(db, "/photos/b.jpg", b);
    assert_int_equal(HITS("garda"), 1);
    assert_int_equal(HITS("photos"), 2);
    const struct db_tag tags[] = {{"Caf\xC3\xA9 table", 0.9}};
    OK(db_tags_put(db, b, "k", tags, 1, &e));
    assert_int_equal(HITS("cafe"), 1);
    OK(db_tags_put(db, b, "k", tags, 0, &e));
    assert_int_equal(HITS("cafe"), 0);
    add_file(db, "/photos/Lake_Garda/IMG-1.jpg", b); /* the file's content changed */
    assert_int_equal(count("SELECT rowid FROM words WHERE words MATCH 'garda'"), b);
    OK(db_forget(db, "/photos/Lake_Garda", NULL, &e));
    assert_int_equal(HITS("garda"), 0);
    assert_int_equal(count("SELECT count(*) FROM words"), 1); /* a is gone */
    assert_int_equal(problems(db), 0);

    OK(db_begin(db, &e)); /* several changes of one picture before a commit */
    add_file(db, "/photos/c.jpg", b);
    add_file(db, "/photos/c.jpg", add_image(db, 3));
    add_file(db, "/photos/c.jpg", b);
    OK(db_tags_put(db, b, "k", tags, 0, &e));
    OK(db_tags_put(db, b, "k", tags, 0, &e));
    OK(db_commit(db, &e));
    assert_int_equal(problems(db), 0);

    OK(db_begin(db, &e));
    OK(db_tags_put(db, b, "k", tags, 1, &e));
    db_rollback(db);
    assert_int_equal(HITS("cafe"), 0);
    db_close(db);
    static const char *const strange_hands[] = {
        "DELETE FROM words",
        "UPDATE words_content SET c2 = 'x'",
        "INSERT INTO words (rowid, names) VALUES (99, 'x')",
        "INSERT INTO words_stale VALUES (1)",
    };
    for (size_t i = 0; i < sizeof strange_hands / sizeof *strange_hands; i++) {
        count(strange_hands[i]);
        db = open_mode(DB_READ);
        assert_true(problems(db) > 0);
        db_close(db);
        db = open_mode(DB_WRITE);
        OK(db_words_repair(db, &e));
        assert_int_equal(problems(db), 0);
        assert_true(HITS("photos") > 0);
        db_close(db);
    }
    count(
        "DELETE FROM words_data WHERE id > 10"); /* the index, which only a writer looks through */
    db = open_mode(DB_WRITE);
    assert_true(problems(db) > 0);
    OK(db_words_repair(db, &e));
    assert_int_equal(problems(db), 0);
    db_close(db);
}

static void an_older_library_gets_its_words(void **state)
{
    (void)state;
    struct db *db = open_mode(DB_CREATE);
    add_file(db, "/photos/lake.jpg", add_image(db, 1));
    db_close(db);
    static const char *const undo[] = {
        "DROP VIEW image_words",
        "DROP INDEX images_burst",
        "ALTER TABLE images DROP COLUMN burst",
        "DROP TABLE file_keywords",
        "DROP TABLE file_words",
        "ALTER TABLE files DROP COLUMN sidecars",
        "DROP TABLE words",
        "DROP TRIGGER words_file_put",
        "DROP TRIGGER words_file_gone",
        "DROP TRIGGER words_file_changed",
        "DROP TRIGGER words_text_put",
        "DROP TRIGGER words_text_changed",
        "DROP TRIGGER words_image_gone",
        "DROP TRIGGER words_image_put",
        "DROP TABLE words_stale",
        "DROP TABLE image_texts",
        "DROP TABLE image_tags",
        "DROP INDEX files_present",
        "DROP INDEX images_dated",
        "CREATE INDEX images_taken ON images (taken_at) WHERE taken_at IS NOT NULL",
        "PRAGMA user_version = 2"};
    for (size_t i = 0; i < sizeof undo / sizeof *undo; i++)
        count(undo[i]);
    db = open_mode(DB_READ);
    assert_int_equal(HITS("lake"), 1);
    assert_int_equal(problems(db), 0);
    db_close(db);
}

static void the_mean_is_that_of_the_vectors(void **state)
{
    (void)state;
    struct db *db = open_mode(DB_CREATE);
    int64_t model = 0;
    float mean[3];
    size_t n;
    OK(db_model_put(db, "ab", "m", 3, &model, &e));
    OK(db_vectors_mean(db, model, 10, mean, &n, &e));
    assert_int_equal(n, 0);
    const float v[2][3] = {{1, 0, 0}, {0, 1, 0}};
    for (int i = 0; i < 20; i++) {
        struct db_vector row = {.image = add_image(db, i), .v = v[i % 4 == 0]};
        OK(db_vector_put(db, model, &row, &e));
    }
    OK(db_vectors_mean(db, model, 100, mean, &n, &e));
    assert_int_equal(n, 20);
    assert_true(fabsf(mean[0] - 0.75F) < 1e-6F && fabsf(mean[1] - 0.25F) < 1e-6F);
    OK(db_vectors_mean(db, model, 7, mean, &n, &e));
    assert_true(n >= 5 && n <= 7);
    db_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(tags_are_kept_in_order_and_replaced), T(a_day_in_one_second_is_no_burst),
        T(words_follow_tags_and_files),         T(an_older_library_gets_its_words),
        T(the_mean_is_that_of_the_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
