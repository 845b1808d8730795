/* Timing the stages of indexing. Surprising: the last figure is no sum of the others but a run of
 * the indexer itself, over links to the pictures, into a library in a temporary folder. */
#include "app/bench_app.h"
#include "app/index_precision.h"
#include "core/file.h"
#include "core/progress.h"
#include "db/files.h"
#include "db/images.h"
#include "db/vectors.h"
#include "indexer/indexer.h"
#include <assert.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 512, MAX_FILE = 1 << 30, MAX_ROUNDS = 50 };
static const double SECONDS = 1.0; /* at least, for each part */

const char *const bench_stage_names[BENCH_STAGES] = {"read", "decode", "resize", "tower", "write"};

static int fail(struct bench *b, enum status st, const char *what)
{
    error_set(&b->app->err, st, "%s", what);
    return app_fail(b->app, APP_FILE);
}

static bool stopped(const struct bench *b)
{
    return b->app->stop && *b->app->stop;
}

static enum status on_file(void *ctx, const struct walk_file *f, struct error *err)
{
    struct bench *b = ctx;
    if (b->n == b->limit || stopped(b))
        return error_set(err, ST_INTERRUPTED, "enough");
    b->path[b->n] = mem_strdup(f->path);
    return b->path[b->n++] ? ST_OK : error_set(err, ST_NOMEM, "out of memory");
}

static void on_walk_error(void *ctx, const char *path, bool is_dir, const struct error *e)
{
    (void)ctx;
    (void)path;
    (void)is_dir;
    log_warn("%s", e->text);
}

int bench_collect(struct bench *b, const char *const *roots, size_t n_roots)
{
    struct walk_opts o = {.want = image_name_supported};
    b->path = mem_zarray(b->limit + 1, sizeof *b->path);
    b->pixels = mem_zarray(b->limit + 1, sizeof *b->pixels);
    if (!b->path || !b->pixels)
        return fail(b, ST_NOMEM, "out of memory");
    for (size_t i = 0; i < n_roots; i++) {
        enum status st = walk_tree(roots[i], &o, on_file, on_walk_error, b, &b->app->err);
        if (st && st != ST_INTERRUPTED)
            return app_fail(b->app, APP_LIBRARY);
    }
    if (stopped(b))
        return fail(b, ST_INTERRUPTED, "interrupted");
    return b->n ? 0 : app_usage(b->app, "there is no picture to measure with");
}

/* One picture through read, decode and resize, the times added up; keep: hands its pixels over. */
static enum status prepare(struct bench *b, const char *path, const struct decoder_prep *prep,
                           uint8_t **keep, struct error *err)
{
    struct image whole = {0}, out = {0};
    struct image_meta meta;
    struct image_opts o = {.min_side = decoder_min_side(prep)};
    char *data = NULL;
    size_t size = 0;
    double t0 = time_now();
    enum status st = file_read_all(&data, &size, path, MAX_FILE, err);
    double t1 = time_now();
    if (!st)
        st = image_load_memory(&whole, (const uint8_t *)data, size, path, &o, &meta, err);
    double t2 = time_now();
    if (!st)
        st = decoder_prepare_reduced(&out, &whole, &meta, prep, err);
    if (!st && keep) {
        b->bytes += (double)size;
        *keep = out.data;
        out.data = NULL;
    } else if (!st) {
        b->seconds[BENCH_READ] += t1 - t0;
        b->seconds[BENCH_DECODE] += t2 - t1;
        b->seconds[BENCH_RESIZE] += time_now() - t2;
    }
    mem_free(data);
    image_release(&whole);
    image_release(&out);
    return st;
}

/* The first round warms the disk's cache, keeps the pixels and drops what is no picture. */
static int time_pictures(struct bench *b)
{
    struct decoder_prep prep = clip_prep(b->app->clip, false);
    struct error *err = &b->app->err;
    size_t good = 0;
    for (size_t i = 0; i < b->n && !stopped(b); i++) {
        char *path = b->path[i];
        b->path[i] = NULL;
        if (prepare(b, path, &prep, &b->pixels[good], err)) {
            log_warn("%s", err->text);
            mem_free(path);
        } else {
            b->path[good++] = path;
        }
    }
    b->n = good;
    if (!good)
        return fail(b, stopped(b) ? ST_INTERRUPTED : ST_FORMAT, "no picture could be decoded");
    double start = time_now();
    size_t done = 0;
    do {
        for (size_t i = 0; i < good && !stopped(b); i++, done++)
            if (prepare(b, b->path[i], &prep, NULL, err))
                return app_fail(b->app, APP_FILE);
    } while (time_now() - start < SECONDS && done < good * MAX_ROUNDS && !stopped(b));
    for (int s = BENCH_READ; s <= BENCH_RESIZE; s++)
        b->seconds[s] /= (double)(done ? done : 1);
    return stopped(b) ? fail(b, ST_INTERRUPTED, "interrupted") : 0;
}

/* A vision transformer's multiply-adds, counted twice; what goes by patches is one. */
static double count_flops(const struct clip_info *info)
{
    if (info->patch <= 0)
        return 0;
    int across = info->image_size / info->patch;
    double side = across, w = info->image_width, t = side * side + 1;
    double layer = 2 * t * 12 * w * w + 4 * t * t * w;
    return info->image_layers * layer + 2 * side * side * 3 * info->patch * info->patch * w +
           2 * w * info->dim;
}

static int time_tower(struct bench *b)
{
    const uint8_t *batch[INDEX_BATCH];
    float *out = mem_array(INDEX_BATCH, sizeof(float) * (size_t)clip_dim(b->app->clip));
    enum status st = out ? ST_OK : error_set(&b->app->err, ST_NOMEM, "out of memory");
    double start = 0, spent = 0;
    size_t done = 0;
    assert(b->n > 0);
    for (int i = 0; i < INDEX_BATCH; i++)
        batch[i] = b->pixels[(size_t)i % b->n];
    for (int round = 0; !st && spent < 2 * SECONDS && !stopped(b); round++) {
        st = clip_encode_images(b->app->session, batch, INDEX_BATCH, out, &b->app->err);
        if (round == 0) /* memory is asked for and weights are touched */
            start = time_now();
        else
            done += INDEX_BATCH;
        spent = time_now() - start;
    }
    mem_free(out);
    if (st)
        return app_fail(b->app, APP_MODEL);
    b->seconds[BENCH_TOWER] = spent / (double)(done ? done : 1);
    b->tower_flops = count_flops(clip_info(b->app->clip));
    return stopped(b) ? fail(b, ST_INTERRUPTED, "interrupted") : 0;
}

static enum status write_row(struct db *db, int64_t model, const float *v, int i, struct error *err)
{
    char path[64];
    struct db_image im = {.bytes = 1, .width = 1, .height = 1, .format = "jpeg"};
    struct db_vector row = {.precision = DB_PREC_F32, .device = "cpu", .v = v};
    struct db_file f = {.path = path, .size = 1, .mtime_ns = i, .status = DB_FILE_PRESENT};
    snprintf(path, sizeof path, "/bench/%d.jpg", i);
    memcpy(im.hash, &i, sizeof i);
    enum status st = db_image_put(db, &im, &f.image, err);
    row.image = f.image;
    if (!st)
        st = db_vector_put(db, model, &row, err);
    return st ? st : db_file_put(db, &f, NULL, err);
}

/* Made-up rows, committed as the indexer commits them: by batches. */
static int time_write(struct bench *b)
{
    const struct clip_info *info = clip_info(b->app->clip);
    struct db_opts o = {.mode = DB_CREATE, .command = "bench"};
    struct db *db = NULL;
    struct error *err = &b->app->err;
    int64_t model = 0;
    char *library = path_join(b->folder, "rows");
    float *v = mem_zarray((size_t)info->dim, sizeof *v);
    enum status st =
        library && v ? db_open(&db, library, &o, err) : error_set(err, ST_NOMEM, "out of memory");
    if (!st)
        st = db_model_put(db, info->id, info->name, info->dim, &model, err);
    double start = time_now();
    for (int i = 0; !st && i < ROWS; i++) {
        v[(i + info->dim - 1) % info->dim] = 0;
        v[i % info->dim] = 1;
        if (i % INDEX_BATCH == 0)
            st = db_begin(db, err);
        if (!st)
            st = write_row(db, model, v, i, err);
        if (!st && (i + 1) % INDEX_BATCH == 0)
            st = db_commit(db, err);
    }
    b->seconds[BENCH_WRITE] = (time_now() - start) / ROWS;
    db_close(db);
    mem_free(v);
    mem_free(library);
    return st ? app_fail(b->app, APP_LIBRARY) : 0;
}

static int make_folder(struct bench *b)
{
    const char *tmp = getenv("TMPDIR");
    b->folder = mem_printf("%s/eidetic-bench-XXXXXX", tmp && tmp[0] == '/' ? tmp : "/tmp");
    if (b->folder && mkdtemp(b->folder))
        return 0;
    error_errno(&b->app->err, b->folder ? errno : ENOMEM, "cannot make a temporary folder");
    mem_free(b->folder);
    b->folder = NULL;
    return app_fail(b->app, APP_LIBRARY);
}

int bench_stages(struct bench *b)
{
    struct app *a = b->app;
    if (make_folder(b) || app_open_model(a, &(struct clip_opts){.no_text = true}) ||
        app_open_decoder(a, a->threads, 2 * INDEX_BATCH + 2 * a->threads, false, 0) ||
        app_open_session(a))
        return 1;
    struct pool *pool = a->threads > 1 ? pool_new(a->threads) : NULL;
    peak_measure(&b->peak, pool, cpu_level_max());
    pool_free(pool);
    if (time_pictures(b))
        return 1;
    if (index_precision_choose(a, (const uint8_t *const *)b->pixels, (int)b->n, &a->session,
                               &a->err))
        return app_fail(a, APP_MODEL);
    return time_tower(b) || time_write(b);
}

/* Links keep the user's folder out of it, and a folder of a million pictures short. */
static enum status make_links(const struct bench *b, const char *dir, struct error *err)
{
    enum status st = file_make_dirs(dir, err);
    for (size_t i = 0; !st && i < b->n; i++) {
        char *link = mem_printf("%s/%zu.%s", dir, i, path_ext(b->path[i]));
        if (!link)
            st = error_set(err, ST_NOMEM, "out of memory");
        else if (symlink(b->path[i], link))
            st = error_errno(err, errno, "%s", link);
        mem_free(link);
    }
    return st;
}

int bench_together(struct bench *b)
{
    struct app *a = b->app;
    struct index_report r;
    char *links = path_join(b->folder, "pictures"), *library = path_join(b->folder, "library");
    const char *roots[] = {links};
    struct index_opts o = {
        .roots = roots, .n_roots = 1, .walk = {.follow_symlinks = true}, .stop = a->stop};
    struct db_opts create = {.mode = DB_CREATE, .command = "bench"};
    enum status st = links && library ? make_links(b, links, &a->err)
                                      : error_set(&a->err, ST_NOMEM, "out of memory");
    if (!st)
        st = db_open(&a->db, library, &create, &a->err);
    if (!st)
        st = index_run(&(struct index_parts){a->db, a->session, a->clip, a->decoder}, &o, &r,
                       &a->err);
    if (!st)
        b->together = (double)(r.embedded + r.copies) / r.seconds;
    mem_free(links);
    mem_free(library);
    return st ? app_fail(a, APP_LIBRARY) : 0;
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *f)
{
    (void)s;
    (void)kind;
    (void)f;
    return remove(path);
}

void bench_release(struct bench *b)
{
    db_close(b->app->db); /* before its folder goes */
    b->app->db = NULL;
    if (b->folder)
        nftw(b->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    for (size_t i = 0; i < b->n; i++) {
        mem_free(b->path[i]);
        mem_free(b->pixels[i]);
    }
    mem_free(b->path);
    mem_free(b->pixels);
    mem_free(b->folder);
}
