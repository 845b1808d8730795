/* eidetic index: add or refresh folders. */
#include "app/index_caption.h"
#include "app/index_precision.h"
#include "app/index_watch.h"
#include "core/file.h"
#include "core/progress.h"
#include "image/image.h"
#include "indexer/indexer.h"
#include "search/search.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CARD_BATCH = 128 }; /* on a graphics card: two that take turns */

struct index_args {
    struct option_list exclude;
    bool hidden, symlinks, prune, exact, retry;
    const char *caption; /* "" or "true" (the config file's): all */
    const char *max_megapixels, *watch, *shard;
    int batch;
};

static const struct option_def defs[] = {
    {"exclude-dir", 0, OPT_LIST, offsetof(struct index_args, exclude), "NAME",
     "leave out folders of this name (repeatable; replaces @eaDir, node_modules, .git, \"System "
     "Volume Information\")"},
    {"include-hidden", 0, OPT_FLAG, offsetof(struct index_args, hidden), NULL,
     "also names that begin with a dot"},
    {"follow-symlinks", 0, OPT_FLAG, offsetof(struct index_args, symlinks), NULL,
     "also what symbolic links point to (loops are noticed)"},
    {"prune", 0, OPT_FLAG, offsetof(struct index_args, prune), NULL,
     "forget files that are gone, and roots that are gone"},
    {"watch", 0, OPT_OPTIONAL, offsetof(struct index_args, watch), "SECONDS",
     "go on until Ctrl-C, and index what changes; network drives are looked at every SECONDS (60)"},
    {"shard", 0, OPT_TEXT, offsetof(struct index_args, shard), "I/N",
     "only the I-th of N parts of the files, always the same ones"},
    {"exact", 0, OPT_FLAG, offsetof(struct index_args, exact), NULL,
     "decode large JPEGs in full (slower)"},
    {"retry-failed", 0, OPT_FLAG, offsetof(struct index_args, retry), NULL,
     "try files again that failed before and have not changed"},
    {"caption", 0, OPT_OPTIONAL, offsetof(struct index_args, caption), "tags",
     "also describe each new picture, as caption --write db does: tags, and a sentence where the "
     "model brings a captioner; with =tags tags alone, which is faster"},
    {"max-image-megapixels", 0, OPT_TEXT, offsetof(struct index_args, max_megapixels), "MP|none",
     "refuse larger pictures (500)"},
    {"batch-size", 'b', OPT_INT, offsetof(struct index_args, batch), "N",
     "pictures embedded at once (16, on a graphics card 128)"},
    {0}};

struct view {
    struct app *app;
    struct progress progress;
    bool decoding; /* the walk is over: its time is no part of the rate */
};

static void on_progress(void *ctx, const struct index_report *r)
{
    struct view *v = ctx;
    if (r->work && !v->decoding) {
        v->decoding = true;
        progress_finish(&v->progress);
        progress_init(&v->progress, stderr, "indexing", r->work, !v->app->quiet);
    }
    progress_update(&v->progress, v->decoding ? r->done : r->scanned);
}

static void on_warn(void *ctx, const char *sentence)
{
    struct view *v = ctx;
    progress_clear(&v->progress);
    log_warn("%s", sentence);
}

static void on_step(void *ctx, const char *step)
{
    (void)ctx;
    log_debug("%s", step);
}

/* Megapixels to pixels; "none" lifts the limit as far as memory addresses go. */
static int parse_megapixels(struct app *a, const char *text, uint64_t *pixels)
{
    char *end;
    *pixels = 0;
    if (!text)
        return 0;
    if (!strcmp(text, "none")) {
        *pixels = UINT64_C(1) << 40;
        return 0;
    }
    double mp = strtod(text, &end);
    if (end == text || *end || !isfinite(mp) || mp <= 0 || mp > 1e6)
        return app_usage(a, "--max-image-megapixels is a number or none, not \"%.40s\"", text);
    *pixels = (uint64_t)(mp * 1e6);
    return 0;
}

static int print_report(struct app *a, const struct index_report *r)
{
    double rate = r->seconds > 0 ? (double)r->embedded / r->seconds : 0;
    if (a->json)
        return app_print_json(
            a, json_pack("{s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:o s:o}", "scanned",
                         (json_int_t)r->scanned, "embedded", (json_int_t)r->embedded, "moved",
                         (json_int_t)r->moved, "copies", (json_int_t)r->copies, "unchanged",
                         (json_int_t)r->unchanged, "missing", (json_int_t)r->missing, "failed",
                         (json_int_t)r->failed, "known_bad", (json_int_t)r->known_bad, "words",
                         (json_int_t)r->words, "pruned", (json_int_t)r->pruned, "seconds",
                         json_real6(r->seconds), "images_per_second", json_real6(rate)));
    log_info("%" PRIu64 " picture%s: %" PRIu64 " new, %" PRIu64 " unchanged, %" PRIu64
             " moved, %" PRIu64 " copies, %" PRIu64 " gone, %" PRIu64
             " unreadable; %.1f s, %.1f pictures/s",
             r->scanned, r->scanned == 1 ? "" : "s", r->embedded, r->unchanged, r->moved, r->copies,
             r->missing, r->failed + r->known_bad, r->seconds, rate);
    if (r->failed)
        log_info("what could not be read: eidetic errors");
    return 0;
}

/* "2/4": the second of four. */
static int parse_shard(struct app *a, const char *text, struct index_opts *o)
{
    char tail;
    if (!text)
        return 0;
    if (sscanf(text, "%9u/%9u%c", &o->shard, &o->shards, &tail) != 2 ||
        !isdigit((unsigned char)text[0]) || !o->shard || o->shard > o->shards)
        return app_usage(a, "--shard is I/N, such as 1/4 to 4/4, not \"%.40s\"", text);
    return 0;
}

static void warn_left_out(const char *arg)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_path_quoted(&b, arg);
    log_warn("%s is left out: neither a folder nor named like a picture", b.data ? b.data : "?");
    buf_release(&b);
}

/* Absolute roots of the plain arguments; *roots is the caller's, each string too. */
static int collect_roots(struct app *a, char ***roots)
{
    *roots = mem_zarray(a->rest.n + 1, sizeof **roots);
    for (size_t i = 0; *roots && i < a->rest.n; i++) {
        const char *arg = a->rest.item[i].value;
        if (!arg[0])
            return app_usage(a, "an empty folder name");
        errno = ENOMEM; /* else the current folder is gone */
        if (!((*roots)[i] = path_absolute(arg))) {
            error_errno(&a->err, errno, "%s", arg);
            return app_fail(a, APP_LIBRARY);
        }
        struct stat sb;
        if (!image_name_supported(arg) && !stat(arg, &sb) && S_ISREG(sb.st_mode))
            warn_left_out(arg);
    }
    if (*roots)
        return 0;
    return app_no_memory(a);
}

/* The library remembers its model, so that a search need not name it. */
static int remember_model(struct app *a)
{
    if (!a->model)
        return 0;
    char *here = path_absolute(a->model); /* a name that means something elsewhere only as a path */
    bool path = strchr(a->model, '/') || !here || !strcmp(here, a->model_path);
    mem_free(here);
    return db_setting_set(a->db, "model", path ? a->model_path : a->model, &a->err)
               ? app_fail(a, APP_LIBRARY)
               : 0;
}

/* No library is made for nothing: without folders, or for the sake of one that is not there. */
static int open_library(struct app *a, char **roots)
{
    char *library = app_library_path(a->library);
    bool none = library && !file_exists(library);
    mem_free(library);
    for (char **root = roots; none && *root; root++)
        if (!file_exists(*root)) {
            error_set(&a->err, ST_NOT_FOUND, "%s: no such folder", *root);
            return app_fail(a, APP_LIBRARY);
        }
    return app_open_library(a, *roots ? DB_CREATE : DB_WRITE);
}

static bool has_news(const struct index_report *r)
{
    return r->embedded || r->moved || r->copies || r->missing || r->failed || r->words || r->pruned;
}

/* From so many pictures on, the copy that makes sentences faster is worth its place. */
enum { HALF_FROM = 1000 };

static void keep_half(const struct app *a, const struct db_model *m)
{
    struct error e;
    bool exact = a->precision && !strcmp(a->precision, "f32");
    if (m->vectors >= HALF_FROM && !exact && clip_write_half(a->model_path, &e))
        log_debug("no copy of the text tower in f16: %s", e.text);
}

/* quiet: what finds nothing new says nothing. */
static int index_once(struct app *a, struct index_opts *o, bool quiet)
{
    struct view *view = o->ctx;
    struct index_report r = {0};
    *view = (struct view){.app = a};
    progress_init(&view->progress, stderr, "looking at", 0, !a->quiet && !quiet);
    index_precision_measure(a, o);
    struct index_parts parts = {a->db, a->session, a->clip, a->decoder};
    enum status st = index_run(&parts, o, &r, &a->err);
    progress_finish(&view->progress);
    if (st && st != ST_INTERRUPTED)
        return app_fail(a, APP_LIBRARY);
    struct error kept = a->err;
    struct db_model m;
    if (remember_model(a))
        return 1;
    struct search_opts so = {.threads = a->threads, .progress = on_step};
    if (!st && (db_model_get(a->db, clip_info(a->clip)->id, &m, &a->err) ||
                search_maintain(a->db, m.id, &so, &a->err)))
        return app_fail(a, APP_LIBRARY);
    if (!st)
        keep_half(a, &m);
    if ((!quiet || has_news(&r)) && print_report(a, &r))
        return 1;
    if (r.failed)
        a->exit = EXIT_UNREADABLE;
    a->err = kept;
    return st ? app_fail(a, APP_LIBRARY) : 0;
}

static int index_folders(struct app *a, const struct index_args *args, char **roots,
                         const char **excludes, uint64_t max_pixels, struct index_tagger *tagger)
{
    int batch = args->batch ? args->batch : app_on_card(a) ? CARD_BATCH : INDEX_BATCH;
    struct view view = {.app = a};
    struct index_opts o = {.roots = (const char *const *)roots,
                           .n_roots = a->rest.n,
                           .walk = {.exclude_dirs = args->exclude.n ? excludes : NULL,
                                    .include_hidden = args->hidden,
                                    .follow_symlinks = args->symlinks},
                           .batch_size = batch,
                           .exact = args->exact,
                           .prune = args->prune,
                           .retry_failed = args->retry,
                           .stop = a->stop,
                           .progress = on_progress,
                           .warn = on_warn,
                           .ctx = &view};
    struct watch *watch = NULL;
    if (batch > 4096)
        return app_usage(a, "--batch-size is at most 4096");
    bool sentences = args->caption && strcmp(args->caption, "tags") != 0;
    if (sentences && args->caption[0] && strcmp(args->caption, "true") != 0)
        return app_usage(a, "--caption is alone or --caption=tags, not \"%.40s\"", args->caption);
    if (parse_shard(a, args->shard, &o) ||
        (args->watch && index_watch_open(a, args->watch, &o, &watch)))
        return 1;
    if (args->caption) {
        o.embedded = index_tagger_put;
        o.embedded_ctx = tagger;
    }
    int failed =
        open_library(a, roots) ||
        app_open_model(a, &(struct clip_opts){.no_text = !args->caption}) ||
        app_open_decoder(a, a->threads, 2 * batch + 2 * a->threads, args->exact, max_pixels) ||
        app_open_session(a) ||
        (args->caption && (app_find_model_row(a) || index_tagger_open(a, tagger, sentences)));
    o.places = tagger->own.captioner != NULL;
    failed = failed || index_once(a, &o, false);
    if (!failed && args->caption)
        log_info("%zu pictures tagged, %zu captioned; those that were indexed before: eidetic "
                 "caption --write db",
                 tagger->tagged, tagger->captioned);
    while (!failed && watch)
        failed = index_watch_next(a, watch) || index_once(a, &o, true);
    watch_close(watch);
    return failed;
}

static int run(struct app *a, int argc, char **argv)
{
    struct index_args args = {0};
    uint64_t max_pixels;
    char **roots = NULL;
    const char **excludes = NULL;
    struct index_tagger tagger = {0};
    if (app_begin(a, &cmd_index, defs, &args, argc, argv) ||
        parse_megapixels(a, args.max_megapixels, &max_pixels) || collect_roots(a, &roots))
        goto out;
    excludes = mem_zarray(args.exclude.n + 1, sizeof *excludes);
    for (size_t i = 0; excludes && i < args.exclude.n; i++)
        excludes[i] = args.exclude.item[i].value;
    if (excludes)
        index_folders(a, &args, roots, excludes, max_pixels, &tagger);
    else if (error_set(&a->err, ST_NOMEM, "out of memory"))
        app_fail(a, APP_FILE);
out:
    for (size_t i = 0; roots && roots[i]; i++)
        mem_free(roots[i]);
    mem_free(roots);
    mem_free(excludes);
    index_tagger_close(&tagger);
    option_list_release(&args.exclude);
    return a->exit;
}

const struct command cmd_index = {
    "index", "add or refresh folders",
    "usage: eidetic index [DIR...]\n\n"
    "Reads the pictures below each DIR (without DIR: below every folder indexed before) and makes "
    "them\n"
    "findable. Titles, descriptions, keywords and ratings are read from them (XMP, IPTC, EXIF) "
    "and\n"
    "from photo.jpg.xmp or photo.xmp beside them, again when such a file changes. Only what is new "
    "or changed is read; moved files are recognised by content. The "
    "pictures\n"
    "are never written. A file .eideticignore (gitignore's syntax) leaves things out, and a "
    "camera's\n"
    "raw file is left out where a JPEG of the same name stands beside it. (eidetic doctor lists "
    "the\n"
    "formats.) Options that every\n"
    "run shall have belong in ~/.config/eidetic/config, such as: follow-symlinks = true\n\n"
    "  eidetic index ~/Pictures\n"
    "  eidetic index --exclude-dir thumbnails ~/Pictures /mnt/camera\n"
    "  eidetic index --caption ~/Pictures   tags and captions too\n"
    "  eidetic index --watch                go on, and index what changes\n"
    "  eidetic index --json                 one JSON line at the end (with --watch one for each "
    "change)",
    run};
