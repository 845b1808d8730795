/* The FAISS index beside the vector file: recall, filters, tail, damage, and that its lists are
 * mapped. */
#include "core/progress.h"
#include "core/rng.h"
#include "search/search.h"
#include "search/vindex.h"
#include "unit/library_fixture.h"
#include <errno.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIM 64
#define ROWS 60000
#define CLUSTERS 300
#define HEX "fa155"

static struct db *db;
static int64_t model;
static float centres[CLUSTERS][DIM];

static void normalise(float *v)
{
    double s = 0;
    for (int i = 0; i < DIM; i++)
        s += (double)v[i] * v[i];
    for (int i = 0; i < DIM; i++)
        v[i] = (float)(v[i] / sqrt(s));
}

static void clustered(uint64_t seed, float *v)
{
    struct rng r = {.state = seed * 977};
    const float *c = centres[rng_below(&r, CLUSTERS)];
    for (int i = 0; i < DIM; i++)
        v[i] = c[i] + 0.1f * rng_normal(&r);
    normalise(v);
}

/* Picture n as /p<n % 10>/<n>; the last tenth of the folders holds 2 % (p9: n % 50 == 9). */
static void add(int n)
{
    float v[DIM];
    char path[64];
    int64_t id = add_image(db, n);
    snprintf(path, sizeof path, "/p%d/%d", n % 50 == 9 ? 9 : n % 9, n);
    add_file(db, path, id);
    clustered((uint64_t)n, v);
    OK(db_vector_put(db, model, &(struct db_vector){.image = id, .v = v}, &e));
}

/* One library for all tests: they leave it as they found it or go on from there, in order. */
static int make_library(void **state)
{
    struct rng r = {.state = 42};
    if (setup(state))
        return -1;
    for (int c = 0; c < CLUSTERS; c++) {
        for (int i = 0; i < DIM; i++)
            centres[c][i] = rng_normal(&r);
        normalise(centres[c]);
    }
    db = open_mode(DB_CREATE);
    OK(db_model_put(db, HEX, "toy", DIM, &model, &e));
    OK(db_begin(db, &e));
    double start = time_now();
    for (int n = 1; n <= ROWS; n++)
        add(n);
    OK(db_commit(db, &e));
    print_message("%d rows written in %.1f s\n", ROWS, time_now() - start);
    return 0;
}

static int drop_library(void **state)
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

static double recall(struct search *a, struct search *truth, const struct db_filter *f, bool exact)
{
    struct rng r = {.state = 7};
    int hits = 0, all = 0;
    for (int i = 0; i < 50; i++) {
        float q[DIM], other[DIM];
        clustered(1000000 + (uint64_t)i, q);
        if (i % 2) { /* between clusters, as a sentence's vector lies */
            clustered(rng_u64(&r), other);
            for (int j = 0; j < DIM; j++)
                q[j] += other[j];
        }
        struct search_result x, y;
        OK(search_topk(a, q, f, 10, &x, &e));
        OK(search_topk(truth, q, f, 10, &y, &e));
        assert_true(y.exact);
        assert_int_equal(x.exact, exact);
        assert_int_equal(x.n, y.n);
        assert_true(fabs(x.mean - y.mean) < 0.02 && fabs(x.sd - y.sd) < 0.02);
        for (size_t k = 0; k < y.n; k++, all++)
            for (size_t j = 0; j < x.n; j++)
                if (x.hits[j].image == y.hits[k].image) {
                    hits++;
                    assert_true(fabsf(x.hits[j].score - y.hits[k].score) < 1e-6f);
                }
        search_result_release(&x);
        search_result_release(&y);
    }
    return all ? (double)hits / all : 1;
}

static void no_index_is_built_below_the_limit(void **state)
{
    (void)state;
    struct search_stats st;
    OK(search_maintain(db, model, &(struct search_opts){.exact_below = ROWS + 1}, &e));
    struct search *s = open_with(NULL);
    search_stats(s, &st);
    assert_string_equal(st.kind, "exact");
    assert_true(st.recall == 1 && st.rows == ROWS);
    search_close(s);
}

static void the_index_keeps_the_promised_recall(void **state)
{
    (void)state;
    struct search_stats st;
    double start = time_now();
    OK(search_maintain(db, model, &(struct search_opts){.threads = 2}, &e));
    print_message("index built in %.1f s\n", time_now() - start);
    struct search *s = open_with(NULL), *exact = open_with(&(struct search_opts){.no_index = true});
    search_stats(s, &st);
    assert_string_equal(st.kind, "ivf");
    assert_true(st.recall >= 0.98);
    assert_int_equal(st.indexed, ROWS);
    assert_int_equal(st.tail, 0);
    assert_true(st.nprobe < st.nlist / 2);
    double got = recall(s, exact, NULL, false);
    print_message("%s, nprobe %d of %d, recall@20 %.4f at build, %.4f here\n", st.description,
                  st.nprobe, st.nlist, st.recall, got);
    assert_true(got >= 0.97);
    search_close(s);
    search_close(exact);
}

static void filters_are_answered_in_full(void **state)
{
    (void)state;
    struct search *s = open_with(NULL), *exact = open_with(&(struct search_opts){.no_index = true});
    assert_true(recall(s, exact, &(struct db_filter){.folder = "/p9"}, true) == 1);
    assert_true(recall(s, exact, &(struct db_filter){.folder = "/p3"}, false) >= 0.97);
    search_close(s);
    search_close(exact);
}

static int64_t anonymous_kb(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    long long kb = -1;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "RssAnon: %lld", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb;
}

static int64_t mapped_kb(const char *name)
{
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[512];
    bool here = false;
    unsigned long from, to;
    long long kb = 0, sum = 0;
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2) /* anonymous maps have no name */
            here = strstr(line, name) != NULL;
        if (here && sscanf(line, "Rss: %lld", &kb) == 1)
            sum += kb;
    }
    if (f)
        fclose(f);
    return sum;
}

static void the_lists_are_mapped_not_read(void **state)
{
    (void)state;
    char path[128];
    struct vindex_info info;
    void *index;
    snprintf(path, sizeof path, "%s/faiss-" HEX ".idx", dir);
    const struct vindex_kind *k = vindex_find("ivf");
    int64_t before = anonymous_kb();
    OK(k->open(&index, path, HEX, DIM, false, &info, &e));
    int64_t after = anonymous_kb(), size = (int64_t)info.bytes / 1024;
    float q[DIM];
    clustered(5, q);
    struct flat_hit hits[10];
    size_t n;
    bool all;
    int64_t at_open = mapped_kb("faiss-" HEX ".idx");
    OK(k->search(index, &(struct vindex_query){.q = q, .n = 10, .effort = 1}, hits, &n, &all, &e));
    assert_true(n == 0 && !all); /* no vector file: no row is known */
    int64_t touched = mapped_kb("faiss-" HEX ".idx");
    print_message("index %lld kB; opening took %lld kB of memory, of the map %lld kB; a query "
                  "touched %lld kB\n",
                  (long long)size, (long long)(after - before), (long long)at_open,
                  (long long)touched);
    assert_true(after - before < size / 4);
    assert_true(touched > at_open && touched < size * 3 / 4);
    k->close(index);
}

static void additions_are_a_tail_until_there_are_many(void **state)
{
    (void)state;
    struct search_stats st;
    OK(db_begin(db, &e));
    for (int n = ROWS + 1; n <= ROWS + 500; n++)
        add(n);
    for (int64_t i = 1; i <= 200; i++)
        OK(db_vector_remove(db, model, i, &e));
    for (int64_t i = 201; i <= 300; i++) { /* replaced */
        float v[DIM];
        clustered((uint64_t)i + 500000, v);
        OK(db_vector_put(db, model, &(struct db_vector){.image = i, .v = v}, &e));
    }
    OK(db_commit(db, &e));
    OK(search_maintain(db, model, NULL, &e));
    struct search *s = open_with(NULL), *exact = open_with(&(struct search_opts){.no_index = true});
    search_stats(s, &st);
    assert_string_equal(st.kind, "ivf");
    assert_int_equal(st.tail, 600);
    assert_int_equal(st.rows, ROWS + 300);
    assert_int_equal(st.indexed, ROWS - 300);
    assert_true(recall(s, exact, NULL, false) >= 0.97);
    float q[DIM];
    struct search_result r;
    clustered(ROWS + 77, q); /* in the tail: must be found */
    OK(search_topk(s, q, NULL, 1, &r, &e));
    assert_true(!r.exact && r.hits[0].score > 0.9999f);
    search_result_release(&r);
    clustered(100, q); /* removed: must not be found */
    OK(search_topk(s, q, NULL, 5, &r, &e));
    for (size_t i = 0; i < r.n; i++)
        assert_true(r.hits[i].image > 200 && r.hits[i].score < 0.9999f);
    search_result_release(&r);
    search_close(s);
    search_close(exact);
    OK(db_begin(db, &e));
    for (int n = ROWS + 501; n <= ROWS + 7000; n++)
        add(n);
    OK(db_commit(db, &e));
    OK(search_maintain(db, model, NULL, &e));
    s = open_with(NULL);
    search_stats(s, &st);
    assert_int_equal(st.tail, 0); /* built again */
    assert_int_equal(st.indexed, ROWS + 6800);
    search_close(s);
}

static void a_lost_index_is_made_again(void **state)
{
    (void)state;
    struct search_stats st;
    OK(search_drop_caches(db, HEX, &e));
    OK(search_maintain(db, model, &(struct search_opts){.threads = 2}, &e));
    struct search *s = open_with(NULL), *exact = open_with(&(struct search_opts){.no_index = true});
    search_stats(s, &st);
    assert_non_null(strstr(st.description, "SQ8"));
    assert_int_equal(st.indexed, ROWS + 6800);
    assert_true(recall(s, exact, NULL, false) >= 0.97);
    search_close(s);
    search_close(exact);
}

static void a_damaged_index_is_never_parsed_and_made_again(void **state)
{
    (void)state;
    char path[128], *good;
    size_t size;
    struct search_stats st;
    struct vindex_info info;
    void *index;
    const struct vindex_kind *k = vindex_find("ivf");
    snprintf(path, sizeof path, "%s/faiss-" HEX ".idx", dir);
    OK(file_read_all(&good, &size, path, 1 << 28, &e));
    struct rng r = {.state = 1};
    size_t lists = (ROWS + 6800) * (DIM + 8), parsed = size - lists;
    for (int i = 0; i < 200; i++) { /* in what FAISS parses, and in the header */
        size_t at = i < 100 ? rng_below(&r, 256) : rng_below(&r, (uint32_t)parsed);
        FILE *f = fopen(path, "r+b");
        uint8_t was = (uint8_t)good[at];
        fseek(f, (long)at, SEEK_SET);
        fputc(was ^ (1 << i % 8), f);
        fflush(f);
        enum status rc = k->open(&index, path, HEX, DIM, false, &info, &e);
        assert_true(rc == ST_FORMAT || rc == ST_UNSUPPORTED);
        fseek(f, (long)at, SEEK_SET);
        fputc(was, f);
        fclose(f);
    }
    static const size_t cuts[] = {0, 1, 255, 256, 1000, 300000};
    for (size_t i = 0; i < 6; i++) {
        OK(file_write_atomic(path, good, cuts[i], &e));
        assert_int_equal(k->open(&index, path, HEX, DIM, false, &info, &e), ST_FORMAT);
    }
    good[size - 5000] ^= 1; /* in the lists: found by a check, harmless to a search */
    OK(file_write_atomic(path, good, size, &e));
    int64_t n;
    OK(search_check(db, model, true, NULL, NULL, &n, &e));
    assert_int_equal(n, 1);
    OK(file_write_atomic(path, good, size / 2, &e));
    struct search *s = open_with(NULL);
    search_stats(s, &st);
    assert_string_equal(st.kind, "exact"); /* works without */
    assert_true(strlen(st.why) > 0);
    search_close(s);
    OK(search_maintain(db, model, NULL, &e));
    s = open_with(NULL);
    search_stats(s, &st);
    assert_string_equal(st.kind, "ivf");
    search_close(s);
    mem_free(good);
}

static void a_full_disk_leaves_the_old_index(void **state)
{
    (void)state;
    struct search_stats st;
    char path[128];
    snprintf(path, sizeof path, "%s/faiss-" HEX ".idx", dir);
    struct stat a, b;
    assert_int_equal(stat(path, &a), 0);
    struct search_opts o = {.exact_below = 1000};
    OK(db_begin(db, &e));
    for (int64_t i = 1001; i <= 9000; i++) { /* more than a tenth */
        float v[DIM];
        clustered((uint64_t)i + 700000, v);
        OK(db_vector_put(db, model, &(struct db_vector){.image = i, .v = v}, &e));
    }
    OK(db_commit(db, &e));
    file_fail_at(8, FILE_OP_WRITE, ENOSPC, true); /* the vector file's block still fits */
    enum status rc = search_maintain(db, model, &o, &e);
    file_fail_at(0, 0, 0, false);
    assert_int_equal(rc, ST_NOSPACE);
    assert_int_equal(stat(path, &b), 0);
    assert_int_equal(a.st_ino, b.st_ino);
    struct search *s = open_with(NULL), *exact = open_with(&(struct search_opts){.no_index = true});
    search_stats(s, &st);
    assert_string_equal(st.kind, "ivf");
    assert_int_equal(st.tail, 8000);
    assert_true(recall(s, exact, NULL, false) >= 0.97);
    search_close(s);
    search_close(exact);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_index_is_built_below_the_limit),
        cmocka_unit_test(the_index_keeps_the_promised_recall),
        cmocka_unit_test(filters_are_answered_in_full),
        cmocka_unit_test(the_lists_are_mapped_not_read),
        cmocka_unit_test(additions_are_a_tail_until_there_are_many),
        cmocka_unit_test(a_lost_index_is_made_again),
        cmocka_unit_test(a_damaged_index_is_never_parsed_and_made_again),
        cmocka_unit_test(a_full_disk_leaves_the_old_index),
    };
    return cmocka_run_group_tests(tests, make_library, drop_library);
}
