/* What a library of N pictures costs, from the start of the program to the answer: search, filters,
 * changes. Pictures are rows alone (no files), vectors from 2,000 overlapping clusters (a row's
 * cosine to its centre is about 0.7), queries half of that kind and half mixtures of two rows, as
 * sentences lie.
 *
 *     bench_scale EIDETIC MODEL FOLDER N...      libraries FOLDER/N are made, and changed by the
 * run
 *
 * Recall is against the exact scan of the same rows. Times are medians; "processor" is user time of
 * the child, which a busy machine disturbs less. */
#include "clip/clip.h"
#include "core/file.h"
#include "core/path.h"
#include "core/progress.h"
#include "core/rng.h"
#include "db/files.h"
#include "db/images.h"
#include "search/search.h"
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLUSTERS = 2000, QUERIES = 40, TOP = 20, RUNS = 7, CHANGED = 1000, BATCH_LINES = 500 };
static const char *const shares[] = {"/half", "/5", "/0.5", "/0.01"}; /* per cent, but for half */

extern char **environ;

struct scale {
    const char *program, *model_path, *library;
    struct db *db;
    int64_t model, root, n;
    int dim;
    float *centres;
    struct rng rng;
    struct error err;
};

static void make_vector(struct scale *s, float *v)
{
    const float *c = s->centres + (size_t)rng_below(&s->rng, CLUSTERS) * (size_t)s->dim;
    double sum = 0;
    for (int j = 0; j < s->dim; j++) {
        v[j] = c[j] + rng_normal(&s->rng);
        sum += (double)v[j] * v[j];
    }
    for (int j = 0; j < s->dim; j++)
        v[j] = (float)(v[j] / sqrt(sum));
}

static const char *folder_of(int64_t i)
{
    return i % 10000 == 0  ? shares[3]
           : i % 200 == 1  ? shares[2]
           : i % 20 == 2   ? shares[1]
           : i % 200 < 112 ? shares[0]
                           : "/rest";
}

static enum status add_picture(struct scale *s, int64_t i)
{
    struct db_image im = {.width = 4000, .height = 3000, .bytes = 3000000, .format = "jpeg"};
    char path[96];
    float v[CLIP_MAX_DIM];
    memcpy(im.hash, &i, sizeof i);
    memcpy(im.hash + 8, "made-up!", 8);
    snprintf(im.taken, sizeof im.taken, "%04d-%02d-%02dT12:00:00", 2000 + (int)(i % 25),
             1 + (int)(i / 25 % 12), 1 + (int)(i / 300 % 28));
    snprintf(im.make, sizeof im.make, "Example");
    snprintf(im.camera, sizeof im.camera, "Camera %d", (int)(i % 7));
    snprintf(path, sizeof path, "/scale%s/%04d/IMG_%08lld.jpg", folder_of(i), (int)(i / 1000),
             (long long)i);
    struct db_file f = {.root = s->root, .path = path, .size = im.bytes, .status = DB_FILE_PRESENT};
    enum status st = db_image_put(s->db, &im, &f.image, &s->err);
    if (!st)
        st = db_file_put(s->db, &f, NULL, &s->err);
    make_vector(s, v);
    struct db_vector row = {.image = f.image, .v = v};
    return st ? st : db_vector_put(s->db, s->model, &row, &s->err);
}

static enum status open_library(struct scale *s)
{
    struct db_opts o = {.mode = DB_CREATE, .command = "bench_scale"};
    struct clip *c = NULL;
    enum status st =
        clip_open(&c, s->model_path, &(struct clip_opts){.no_image = 1, .no_text = 1}, &s->err);
    if (!st)
        st = db_open(&s->db, s->library, &o, &s->err);
    if (!st)
        st = db_root_put(s->db, "/scale", 0, &s->root, &s->err);
    if (!st)
        st = db_model_put(s->db, clip_info(c)->id, clip_info(c)->name, clip_dim(c), &s->model,
                          &s->err);
    if (!st)
        st = db_setting_set(s->db, "model", s->model_path, &s->err);
    s->dim = st ? 1 : clip_dim(c);
    clip_close(c);
    if (!st && !(s->centres = mem_array((size_t)s->dim * CLUSTERS, sizeof(float))))
        st = error_set(&s->err, ST_NOMEM, "out of memory");
    for (int i = 0; !st && i < s->dim * CLUSTERS; i++)
        s->centres[i] = rng_normal(&s->rng);
    return st;
}

static enum status fill(struct scale *s)
{
    struct db_model m;
    double start = time_now();
    enum status st = db_model_by_id(s->db, s->model, &m, &s->err);
    int64_t from = st ? 0 : m.vectors;
    for (int64_t i = from; !st && i < s->n;) {
        st = db_begin(s->db, &s->err);
        for (int k = 0; !st && k < 20000 && i < s->n; k++)
            st = add_picture(s, i++);
        if (!st)
            st = db_commit(s->db, &s->err);
    }
    if (!st && from < s->n)
        printf("  rows written          %8.1f s\n", time_now() - start);
    return st;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

/* Runs `eidetic search --library L -t 20 --json` with `more` behind it; false when it failed. */
static bool answer(const struct scale *s, const char *const *more, double *ms, double *user,
                   double *mb)
{
    char *argv[24];
    int n = 0, status;
    const char *const first[] = {s->program, "search", "--library", s->library,
                                 "-t",       "20",     "--json",    NULL};
    for (int i = 0; first[i]; i++)
        argv[n++] = (char *)(uintptr_t)first[i];
    for (int i = 0; more[i] && n < 23; i++)
        argv[n++] = (char *)(uintptr_t)more[i];
    argv[n] = NULL;
    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
    double start = time_now();
    struct rusage u;
    pid_t pid;
    bool ok = posix_spawn(&pid, s->program, &fa, NULL, argv, environ) == 0 &&
              wait4(pid, &status, 0, &u) == pid && WIFEXITED(status) && WEXITSTATUS(status) <= 1;
    *ms = (time_now() - start) * 1e3;
    posix_spawn_file_actions_destroy(&fa);
    if (ok) {
        *user = (double)u.ru_utime.tv_sec * 1e3 + (double)u.ru_utime.tv_usec / 1e3;
        *mb = (double)u.ru_maxrss / 1e3;
    }
    return ok;
}

static bool report_start(const struct scale *s, const char *what, const char *const *more)
{
    double ms[RUNS], user[RUNS], mb[RUNS];
    for (int i = -1; i < RUNS; i++) { /* one before, unmeasured */
        int at = i < 0 ? 0 : i;
        if (!answer(s, more, &ms[at], &user[at], &mb[at]))
            return false;
    }
    printf("  from start, %-16s %6.0f ms (%.0f processor)   %.0f MB\n", what, median(ms, RUNS),
           median(user, RUNS), median(mb, RUNS));
    return true;
}

static bool report_batch(const struct scale *s, const char *path)
{
    double one[RUNS], many[3], user, mb;
    const char *const single[] = {"a dog on a beach", NULL}, *const batch[] = {"--batch", path,
                                                                               NULL};
    FILE *f = fopen(path, "we");
    for (int i = 0; f && i < BATCH_LINES; i++)
        fprintf(f, "a photo of %d dogs on a beach\n", i + 1);
    bool ok = f && fclose(f) == 0;
    for (int i = 0; ok && i < RUNS; i++)
        ok = answer(s, single, &one[i], &user, &mb);
    for (int i = 0; ok && i < 3; i++)
        ok = answer(s, batch, &many[i], &user, &mb);
    unlink(path);
    if (ok)
        printf("  --batch               %8.2f ms a query, model's sentence included   %.0f MB\n",
               (median(many, 3) - median(one, RUNS)) / (BATCH_LINES - 1), mb);
    return ok;
}

static enum status report_starts(const struct scale *s)
{
    static const char query[] = "a dog on a beach";
    char batch[4096];
    snprintf(batch, sizeof batch, "%s.queries", s->library);
    const char *const cases[][6] = {
        {"no filter", query},
        {"half, a folder", query, "--folder", "/scale/half"},
        {"5 %, a folder", query, "--folder", "/scale/5"},
        {"half, by date", query, "--after", "2012-07"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (!report_start(s, cases[i][0], cases[i] + 1))
            return ST_INTERNAL;
    return report_batch(s, batch) ? ST_OK : ST_INTERNAL;
}

static void make_query(struct scale *s, int i, float *q)
{
    float other[CLIP_MAX_DIM];
    make_vector(s, q);
    if (i % 2)
        make_vector(s, other);
    for (int j = 0; i % 2 && j < s->dim; j++)
        q[j] += other[j];
}

/* Recall@20 and time of one filter's queries; *first_ms: the first, which works the rows out. */
static enum status measure(struct scale *s, struct search *a, struct search *truth,
                           const struct db_filter *f, const char *what)
{
    double ms[QUERIES], first = 0;
    size_t right = 0, all = 0, kept = 0;
    enum status st = ST_OK;
    for (int i = 0; !st && i < QUERIES; i++) {
        struct search_result x = {0}, y = {0};
        float q[CLIP_MAX_DIM];
        make_query(s, i, q);
        double start = time_now();
        st = search_topk(a, q, f, TOP, &x, &s->err);
        ms[i] = (time_now() - start) * 1e3;
        if (i == 0)
            first = ms[0];
        if (!st)
            st = search_topk(truth, q, f, TOP, &y, &s->err);
        for (size_t j = 0; !st && j < y.n; j++, all++) /* equals are no miss */
            right += j < x.n && x.hits[j].score >= y.hits[j].score - 1e-6f;
        kept = y.candidates;
        search_result_release(&x);
        search_result_release(&y);
    }
    if (!st)
        printf("  %-14s %9zu rows   first %7.2f ms, then %6.2f ms   recall@20 %.4f\n", what, kept,
               first, median(ms, QUERIES), all ? (double)right / (double)all : 1);
    return st;
}

static enum status measure_all(struct scale *s, const char *why)
{
    struct search *a = NULL, *truth = NULL;
    struct search_stats t = {0};
    double start = time_now();
    enum status st = search_open(&a, s->db, s->model, NULL, &s->err);
    double opened = (time_now() - start) * 1e3;
    if (!st)
        st = search_open(&truth, s->db, s->model, &(struct search_opts){.no_index = true}, &s->err);
    if (!st) {
        search_stats(a, &t);
        printf("  %s: opened in %.1f ms; %s (nprobe %d, recall@20 %.4f when built), %llu in it, "
               "%llu beside it\n",
               why, opened, t.description, t.nprobe, t.recall, (unsigned long long)t.indexed,
               (unsigned long long)t.tail);
        st = measure(s, a, truth, NULL, "all");
    }
    for (size_t i = 0; !st && i < sizeof shares / sizeof *shares; i++) {
        char folder[64];
        snprintf(folder, sizeof folder, "/scale%s", shares[i]);
        st = measure(s, a, truth, &(struct db_filter){.folder = folder}, folder + 1);
    }
    struct db_filter dates = {.has_after = true},
                     both = {.folder = "/scale/half", .has_after = true};
    db_parse_time("2012-07", false, &dates.after);
    both.after = dates.after;
    if (!st)
        st = measure(s, a, truth, &dates, "after 2012-07");
    if (!st)
        st = measure(s, a, truth, &both, "half, and date");
    search_close(a);
    search_close(truth);
    return st;
}

/* One photo, then replaced and removed ones: what waits for what, and that the index stays. */
static enum status change(struct scale *s)
{
    struct search *a = NULL;
    struct stat before = {0}, after = {0};
    struct db_model m;
    enum status st = db_model_by_id(s->db, s->model, &m, &s->err);
    if (st)
        return st;
    char *index = mem_printf("%s/faiss-%s.idx", s->library, m.hex);
    bool have = index && stat(index, &before) == 0;
    st = search_open(&a, s->db, s->model, NULL, &s->err);
    double start = time_now();
    if (!st)
        st = add_picture(s, m.generation + 10 * s->n); /* a hash of its own */
    double added = (time_now() - start) * 1e3;
    start = time_now();
    if (!st)
        st = search_refresh(a, &s->err);
    double seen = (time_now() - start) * 1e3;
    start = time_now();
    if (!st)
        st = search_maintain(s->db, s->model, NULL, &s->err);
    double kept = (time_now() - start) * 1e3;
    start = time_now();
    if (!st)
        st = db_begin(s->db, &s->err);
    for (int i = 0; !st && i < CHANGED; i++) {
        float v[CLIP_MAX_DIM];
        make_vector(s, v);
        int64_t image = 1 + (int64_t)(rng_u64(&s->rng) % (uint64_t)s->n);
        if (i % 2)
            st = db_vector_put(s->db, s->model, &(struct db_vector){.image = image, .v = v},
                               &s->err);
        else
            st = db_vector_remove(s->db, s->model, image, &s->err);
        st = st == ST_NOT_FOUND ? ST_OK : st;
    }
    if (!st)
        st = db_commit(s->db, &s->err);
    double changed = (time_now() - start) * 1e3;
    start = time_now();
    if (!st)
        st = search_refresh(a, &s->err);
    if (!st)
        printf(
            "  one photo added in %.1f ms, found after %.1f ms, maintained in %.1f ms, index file "
            "%s; %d replaced or removed in %.0f ms, seen after %.1f ms\n",
            added, seen, kept,
            !have ? "absent"
            : stat(index, &after) == 0 && after.st_mtime == before.st_mtime &&
                    after.st_ino == before.st_ino
                ? "untouched"
                : "REWRITTEN",
            CHANGED, changed, (time_now() - start) * 1e3);
    search_close(a);
    mem_free(index);
    return st;
}

static void say(void *ctx, const char *step)
{
    (void)ctx;
    fprintf(stderr, "  %s\n", step);
}

static enum status make(struct scale *s)
{
    struct search_opts o = {.progress = say};
    struct rusage u;
    enum status st = open_library(s);
    if (!st)
        st = fill(s);
    double start = time_now();
    if (!st)
        st = search_maintain(s->db, s->model, &o, &s->err);
    getrusage(RUSAGE_SELF, &u);
    if (!st)
        printf("  caches made or found  %8.1f s (peak of making the library %.0f MB)\n",
               time_now() - start, (double)u.ru_maxrss / 1e3);
    db_close(s->db);
    mem_free(s->centres);
    return st;
}

/* In a process of its own: what is started from a large one would be counted as large. */
static enum status make_apart(struct scale *s)
{
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        enum status st = make(s);
        if (st)
            fprintf(stderr, "bench_scale: %s\n", s->err.text);
        _exit(st ? 1 : 0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        return error_set(&s->err, ST_IO, "%s was not made", s->library);
    return ST_OK;
}

static enum status run(struct scale *s)
{
    printf("%lld pictures\n", (long long)s->n);
    enum status st = make_apart(s);
    if (!st)
        st = report_starts(s);
    if (st == ST_INTERNAL && !s->err.text[0])
        error_set(&s->err, st, "%s does not answer", s->program);
    if (!st)
        st = open_library(s);
    if (!st)
        st = measure_all(s, "as made");
    if (!st)
        st = change(s);
    if (!st)
        st = measure_all(s, "changed");
    db_close(s->db);
    mem_free(s->centres);
    return st;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "bench_scale EIDETIC MODEL FOLDER N...\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 4; i < argc; i++) {
        struct scale s = {.program = argv[1], .rng = {.state = 5}};
        s.n = strtol(argv[i], NULL, 10);
        char *library = mem_printf("%s/%lld", argv[3], (long long)s.n);
        char *model = path_absolute(argv[2]);
        enum status st = s.n < 1 || !library || !model
                             ? error_set(&s.err, ST_USAGE, "%s: no number of pictures", argv[i])
                             : file_make_dirs(argv[3], &s.err);
        s.library = library;
        s.model_path = model;
        if (!st)
            st = run(&s);
        mem_free(library);
        mem_free(model);
        if (st) {
            fprintf(stderr, "bench_scale: %s\n", s.err.text);
            return 1;
        }
    }
    return 0;
}
