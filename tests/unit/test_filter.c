/* Filters of a search: the ids of a brute force, ascending and each once, whatever order the
 * indices give them in; and the key that says when they may be kept. */
#include "core/rng.h"
#include "search/search.h"
#include "unit/library_fixture.h"

enum { PICTURES = 3000, FILES = 5000, DAYS = 40 };

static int64_t ids[PICTURES];
static bool in_folder[PICTURES], present[PICTURES];
static int day[PICTURES];

/* Files in no order, several of some pictures, some missing. */
static struct db *make_library(struct rng *r)
{
    struct db *db = open_mode(DB_CREATE);
    OK(db_begin(db, &e));
    for (int i = 0; i < PICTURES; i++) {
        int n = (i * 7919) % PICTURES; /* each once */
        struct db_image im = {.width = 1, .height = 1, .bytes = 1, .format = "jpeg"};
        in_folder[n] = present[n] = false;
        memcpy(im.hash, &n, sizeof n);
        day[n] = (int)rng_below(r, DAYS);
        if (day[n])
            snprintf(im.taken, sizeof im.taken, "2020-%02d-%02dT10:00:00", 1 + day[n] / 28,
                     1 + day[n] % 28);
        im.has_gps = day[n] % 2;
        im.lat = 40;
        im.lon = day[n];
        OK(db_image_put(db, &im, &ids[n], &e));
    }
    for (int i = 0; i < FILES; i++) {
        int n = (int)rng_below(r, PICTURES), folder = (int)rng_below(r, 3);
        char path[64];
        snprintf(path, sizeof path, "/p/%s/%08x%d.jpg", folder ? "a" : "a b", rng_below(r, 1 << 30),
                 i);
        struct db_file f = {.path = path,
                            .size = 1,
                            .image = ids[n],
                            .status = i % 9 ? DB_FILE_PRESENT : DB_FILE_MISSING};
        OK(db_file_put(db, &f, NULL, &e));
        present[n] |= f.status == DB_FILE_PRESENT;
        in_folder[n] |= folder && f.status == DB_FILE_PRESENT;
    }
    OK(db_commit(db, &e));
    return db;
}

static void expect(struct db *db, const struct db_filter *f, bool (*want)(int n))
{
    struct db_idset set;
    size_t count = 0;
    OK(db_filter_run(db, f, &set, &e));
    assert_false(set.except);
    for (size_t i = 1; i < set.n; i++)
        assert_true(set.ids[i - 1] < set.ids[i]);
    for (int n = 0; n < PICTURES; n++) {
        size_t lo = 0, hi = set.n;
        while (lo < hi) {
            size_t mid = (lo + hi) / 2;
            if (set.ids[mid] < ids[n])
                lo = mid + 1;
            else
                hi = mid;
        }
        assert_int_equal(lo < set.n && set.ids[lo] == ids[n], want(n));
        count += want(n);
    }
    assert_int_equal(set.n, count);
    db_idset_release(&set);
}

static bool of_folder(int n)
{
    return in_folder[n] && n != 77;
}
static bool of_dates(int n)
{
    return present[n] && day[n] >= 5 && day[n] <= 20;
}
static bool of_both(int n)
{
    return in_folder[n] && of_dates(n);
}
static bool near_day(int n)
{
    return in_folder[n] && day[n] == 9;
}

static void ids_are_those_of_a_brute_force(void **state)
{
    (void)state;
    struct rng r = {3};
    struct db *db = make_library(&r);
    struct db_filter f = {.folder = "/p/a", .without = ids[77]};
    expect(db, &f, of_folder);
    f = (struct db_filter){.has_after = true, .has_before = true};
    assert_true(db_parse_time("2020-01-06", false, &f.after)); /* day 5 */
    assert_true(db_parse_time("2020-01-21", true, &f.before));
    expect(db, &f, of_dates);
    f.folder = "/p/a";
    expect(db, &f, of_both);
    f = (struct db_filter){.folder = "/p/a/", .has_near = true, .lat = 40, .lon = 9, .km = 20};
    expect(db, &f, near_day);
    assert_int_equal(problems(db), 0);
    db_close(db);
}

static char *key_of(struct db *db, const struct db_filter *f)
{
    char *key;
    OK(db_filter_key(db, f, &key, &e));
    return key;
}

static void a_key_changes_with_the_filter_and_with_the_library(void **state)
{
    (void)state;
    struct rng r = {4};
    db_close(make_library(&r));
    struct db *db = open_mode(DB_READ), *other = open_mode(DB_WRITE);
    const struct db_filter f[] = {
        {0},
        {.folder = "/p/a"},
        {.folder = "/p/a b"},
        {.folder = "/p/a", .missing_too = true},
        {.folder = "/p/a", .without = 5},
        {.has_after = true, .after = 5},
        {.has_before = true, .before = 5},
        {.camera = "x"},
        {.generated = DB_GENERATED_NO},
        {.has_near = true, .lat = 1, .lon = 2, .km = 3},
        {.has_near = true, .lat = 1, .lon = 3, .km = 3},
        {.has_near = true, .lat = 1, .lon = 2, .km = 4},
    };
    enum { N = sizeof f / sizeof *f };
    char *key[N];
    for (int i = 0; i < N; i++) {
        key[i] = key_of(db, &f[i]);
        char *again = key_of(db, &f[i]);
        assert_string_equal(key[i], again);
        mem_free(again);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(key[i], key[j]);
    }
    char *writer = key_of(other, &f[1]), *now;
    struct db_image im = {.width = 1, .height = 1, .bytes = 1, .format = "jpeg", .hash = {9}};
    int64_t id;
    OK(db_image_put(other, &im, &id, &e));
    now = key_of(db, &f[1]); /* another connection's change */
    assert_string_not_equal(key[1], now);
    mem_free(now);
    now = key_of(other, &f[1]); /* one's own */
    assert_string_not_equal(writer, now);
    mem_free(now);
    mem_free(writer);
    for (int i = 0; i < N; i++)
        mem_free(key[i]);
    db_close(other);
    db_close(db);
}

static size_t candidates(struct search *s, const struct db_filter *f)
{
    struct search_result r;
    OK(search_topk(s, (float[]){1, 0}, f, 3, &r, &e));
    size_t n = r.candidates;
    search_result_release(&r);
    return n;
}

static void what_was_selected_is_kept_until_something_changes(void **state)
{
    (void)state;
    struct db *db = open_mode(DB_CREATE), *other;
    struct search *s;
    struct db_file f;
    int64_t model;
    char path[32];
    OK(db_model_put(db, "abc", "toy", 2, &model, &e));
    for (int n = 0; n < 20; n++) {
        snprintf(path, sizeof path, "/%c/%d", n < 12 ? 'a' : 'b', n);
        int64_t image = add_image(db, n);
        add_file(db, path, image);
        float v[2] = {n % 2, 1 - n % 2};
        OK(db_vector_put(db, model, &(struct db_vector){.image = image, .v = v}, &e));
    }
    OK(search_open(&s, db, model, NULL, &e));
    const struct db_filter a = {.folder = "/a"}, b = {.folder = "/b"};
    for (int round = 0; round < 2; round++) {
        assert_int_equal(candidates(s, &a), 12);
        assert_int_equal(candidates(s, &a), 12);
        assert_int_equal(candidates(s, &b), 8);
        assert_int_equal(candidates(s, NULL), 20);
    }
    search_close(s);
    db_close(db);
    db = open_mode(DB_READ);
    other = open_mode(DB_WRITE);
    OK(search_open(&s, db, model, NULL, &e));
    assert_int_equal(candidates(s, &a), 12);
    OK(db_file_get(other, "/a/3", &f, &e));
    OK(db_file_set_status(other, f.id, DB_FILE_MISSING, &e));
    assert_int_equal(candidates(s, &a), 11); /* without a refresh: filters are of now */
    assert_int_equal(candidates(s, NULL), 19);
    OK(db_file_set_status(other, f.id, DB_FILE_PRESENT, &e));
    assert_int_equal(candidates(s, &a), 12);
    OK(db_vector_remove(other, model, f.image, &e));
    OK(search_refresh(s, &e));
    assert_int_equal(candidates(s, &a), 11);
    assert_int_equal(candidates(s, NULL), 19);
    search_close(s);
    db_close(other);
    db_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(ids_are_those_of_a_brute_force),
        T(a_key_changes_with_the_filter_and_with_the_library),
        T(what_was_selected_is_kept_until_something_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
