/* eidetic duplicates: groups of files that hold the same or nearly the same, and which to keep. */
#include "app/duplicates.h"
#include "app/search_app.h"
#include "core/file.h"
#include "core/progress.h"
#include "db/files.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct duplicates_args {
    double threshold;
    const char *only;
    bool files, null;
};

static const struct option_def defs[] = {
    {"threshold", 0, OPT_NUMBER, offsetof(struct duplicates_args, threshold), "X",
     "near from this cosine on (0.92)"},
    {"only", 0, OPT_TEXT, offsetof(struct duplicates_args, only), "exact|same|near",
     "only groups of this kind"},
    {"files", 'f', OPT_FLAG, offsetof(struct duplicates_args, files), NULL,
     "only paths, and only those beside the suggested ones"},
    {"null", '0', OPT_FLAG, offsetof(struct duplicates_args, null), NULL,
     "the same, each ended by a NUL byte, for xargs -0"},
    {0}};

enum kind { EXACT, SAME, NEAR, KINDS };
static const char *const kind_names[KINDS] = {"exact", "same", "near"};

struct finding {
    struct app *app;
    const struct duplicates_args *args;
    char *folder;
    uint64_t groups[KINDS], beside[KINDS]; /* files beside the keepers */
    int64_t gain;                          /* bytes of exact copies */
    uint64_t number;
    bool header;
    /* of the exact group that is being read */
    int64_t image;
    struct copy {
        char *path;
        int64_t mtime_ns;
    } * copy;
    size_t n;
};

static bool is_wanted(const struct finding *f, enum kind kind)
{
    return !f->args->only || !strcmp(f->args->only, kind_names[kind]);
}

struct line {
    const char *path;
    const struct db_image *im;
    float score;
    bool keep;
};

static json_t *json_of(const struct line *l)
{
    json_t *o =
        json_pack("{s:b s:o s:I s:i s:i s:o s:o}", "keep", l->keep, "score", json_real6(l->score),
                  "bytes", (json_int_t)l->im->bytes, "width", l->im->width, "height", l->im->height,
                  "taken", json_text(l->im->taken), "camera", json_text(l->im->camera));
    if (o)
        json_set_path(o, l->path);
    return o;
}

static void print_line(struct finding *f, enum kind kind, const struct line *l)
{
    if (f->args->null || f->args->files) {
        if (!l->keep)
            print_plain_path(l->path, f->args->null);
        return;
    }
    if (!f->header)
        puts("group\tkind\tkeep\tscore\tfilepath");
    f->header = true;
    printf("%" PRIu64 "\t%s\t%s\t%.3f\t", f->number, kind_names[kind], l->keep ? "keep" : "",
           (double)l->score);
    print_path(stdout, l->path);
    putchar('\n');
}

static int print_group(struct finding *f, enum kind kind, const struct line *lines, size_t n)
{
    json_t *files = f->app->json ? json_array() : NULL;
    f->number++;
    f->groups[kind]++;
    f->beside[kind] += n - 1;
    for (size_t i = 0; i < n; i++) {
        if (f->app->json)
            json_array_append_new(files, json_of(&lines[i]));
        else
            print_line(f, kind, &lines[i]);
    }
    if (!f->app->json)
        return app_check_stdout(f->app);
    return app_print_json(f->app, json_pack("{s:I s:s s:o}", "group", (json_int_t)f->number, "kind",
                                            kind_names[kind], "files", files));
}

/* Which of two copies was there first: that without a copy's name, then the older, then the shorter
 * name. */
static bool is_first(const struct copy *a, const struct copy *b)
{
    bool a_copy = dup_named_as_copy(a->path), b_copy = dup_named_as_copy(b->path);
    if (a_copy != b_copy)
        return b_copy;
    if (a->mtime_ns != b->mtime_ns)
        return a->mtime_ns < b->mtime_ns;
    return strlen(a->path) < strlen(b->path);
}

static int end_exact(struct finding *f)
{
    struct app *a = f->app;
    struct db_image im = {0};
    size_t n = f->n, best = 0;
    struct line *lines = mem_zarray(n + 1, sizeof *lines);
    int failed = lines ? 0 : app_no_memory(a);
    if (!failed && n > 1 && db_image_get(a->db, f->image, &im, &a->err))
        failed = app_fail(a, APP_LIBRARY);
    for (size_t i = 1; i < n; i++)
        if (is_first(&f->copy[i], &f->copy[best]))
            best = i;
    for (size_t i = 0, at = 1; !failed && lines && i < n; i++)
        lines[i == best ? 0 : at++] = (struct line){f->copy[i].path, &im, 1, i == best};
    if (!failed && n > 1) {
        f->gain += (int64_t)(n - 1) * im.bytes;
        failed = print_group(f, EXACT, lines, n);
    }
    for (size_t i = 0; i < n; i++)
        mem_free(f->copy[i].path);
    mem_free(f->copy);
    f->copy = NULL;
    f->n = 0;
    db_image_release(&im);
    mem_free(lines);
    return failed;
}

static enum status on_copy(void *ctx, int64_t image, const char *path, int64_t mtime_ns)
{
    struct finding *f = ctx;
    if (image != f->image && f->n && end_exact(f))
        return ST_INTERNAL;
    f->image = image;
    struct copy *grown = mem_realloc_array(f->copy, f->n + 1, sizeof *grown);
    if (!grown)
        return app_no_memory(f->app), ST_NOMEM;
    f->copy = grown;
    char *own = mem_strdup(path);
    if (!own)
        return app_no_memory(f->app), ST_NOMEM;
    f->copy[f->n++] = (struct copy){own, mtime_ns};
    return ST_OK;
}

static int find_exact(struct finding *f)
{
    struct app *a = f->app;
    if (db_copies_each(a->db, f->folder, on_copy, f, &a->err) && !a->exit)
        app_fail(a, APP_LIBRARY);
    return end_exact(f) || a->exit;
}

static int print_groups(struct finding *f, enum kind kind, const struct dup_set *set,
                        const struct dup_groups *g)
{
    int failed = 0;
    for (size_t i = 0; !failed && i < g->n; i++) {
        const struct dup_group *d = &g->group[i];
        struct line *lines = mem_zarray(d->n, sizeof *lines);
        if (!lines)
            return app_no_memory(f->app);
        for (size_t k = 0; k < d->n; k++) {
            const struct dup_picture *p = &set->picture[d->member[k]];
            lines[k] = (struct line){p->path, &p->im, d->score[k], k == 0};
        }
        failed = print_group(f, kind, lines, d->n);
        mem_free(lines);
    }
    return failed;
}

static int group_and_print(struct finding *f, struct dup_set *set)
{
    struct dup_groups same = {0}, near = {0};
    int failed = same_judge(f->app, set) || dup_group(f->app, set, true, 0, NULL, &same) ||
                 dup_group(f->app, set, false, (float)f->args->threshold, &same, &near);
    if (!failed && is_wanted(f, SAME))
        failed = print_groups(f, SAME, set, &same);
    if (!failed && is_wanted(f, NEAR))
        failed = print_groups(f, NEAR, set, &near);
    dup_groups_release(&same);
    dup_groups_release(&near);
    return failed;
}

static void on_progress(void *ctx, size_t done, size_t all)
{
    struct progress *p = ctx;
    p->total = all;
    progress_update(p, done);
}

static int find_alike(struct finding *f)
{
    struct app *a = f->app;
    struct search *s = NULL;
    struct search_pairs pairs = {0};
    struct dup_set set = {0};
    struct progress bar;
    struct db_filter filter = {.folder = f->folder};
    float least = (float)f->args->threshold;
    struct pairs_opts o = {
        .least = least < SAME_COSINE ? least : SAME_COSINE, .progress = on_progress, .ctx = &bar};
    if (app_open_model(a, &(struct clip_opts){.no_text = true}) || app_find_model_row(a))
        return 1;
    if (!a->model_row)
        return 0; /* nothing is embedded: there are only exact copies */
    if (!is_wanted(f, SAME))
        o.least = least;
    progress_init(&bar, stderr, "comparing", 0, !a->quiet);
    int failed = search_open(&s, a->db, a->model_row, &(struct search_opts){.threads = a->threads},
                             &a->err) ||
                         search_pairs(s, &filter, &o, &pairs, &a->err)
                     ? app_fail(a, APP_LIBRARY)
                     : 0;
    progress_finish(&bar);
    if (!failed)
        failed = dup_load(a, &pairs, f->folder, &set) || group_and_print(f, &set);
    log_debug("%zu pictures, %" PRIu64 " comparisons, %zu pairs%s", pairs.pictures, pairs.scored,
              pairs.n, pairs.exact ? "" : " (by cells)");
    dup_release(&set);
    search_pairs_release(&pairs);
    search_close(s);
    return failed;
}

static void report(const struct finding *f)
{
    log_info("%" PRIu64 " group%s of the same bytes (%.1f MB in copies), %" PRIu64
             " of the same picture, %" PRIu64 " of near ones",
             f->groups[EXACT], f->groups[EXACT] == 1 ? "" : "s", (double)f->gain / 1e6,
             f->groups[SAME], f->groups[NEAR]);
}

/* A drive that is unplugged has a folder that is not there, and pictures in the library. */
static int check_folder(struct app *a, const char *folder)
{
    struct db_file_table known = {0};
    if (!folder || file_exists(folder))
        return 0;
    enum status st = db_files_load(a->db, folder, &known, &a->err);
    if (!st && !known.n)
        st = error_set(&a->err, ST_NOT_FOUND, "%.160s: no such folder", folder);
    db_file_table_release(&known);
    return st ? app_fail(a, APP_LIBRARY) : 0;
}

static int run(struct app *a, int argc, char **argv)
{
    struct duplicates_args args = {.threshold = 0.92};
    struct finding f = {.app = a, .args = &args};
    if (app_begin(a, &cmd_duplicates, defs, &args, argc, argv) || app_want_args(a, 0, 1))
        return a->exit;
    if (args.only && strcmp(args.only, "exact") != 0 && strcmp(args.only, "same") != 0 &&
        strcmp(args.only, "near") != 0)
        return app_usage(a, "--only is exact, same or near, not \"%.40s\"", args.only), a->exit;
    if (!(args.threshold >= 0.5 && args.threshold <= 1))
        return app_usage(a, "--threshold lies within 0.5 and 1"), a->exit;
    if (a->rest.n && !(f.folder = app_user_path(a->rest.item[0].value)))
        return app_no_memory(a), a->exit;
    if (!app_open_library(a, DB_READ) && !check_folder(a, f.folder) &&
        !(is_wanted(&f, EXACT) && find_exact(&f)) &&
        !((is_wanted(&f, SAME) || is_wanted(&f, NEAR)) && find_alike(&f)))
        report(&f);
    mem_free(f.folder);
    return a->exit;
}

const struct command cmd_duplicates = {
    "duplicates", "files that hold the same or nearly the same picture",
    "usage: eidetic duplicates [DIR] [options]\n\n"
    "Groups of files (below DIR): exact, the same bytes; same, one picture resized or "
    "recompressed,\n"
    "by its pixels; near, alike from --threshold on, such as a burst. Each group has a suggestion "
    "of\n"
    "which to keep: the one with most pixels, then the one that still has what its camera wrote,\n"
    "then the largest; of equal bytes the one whose name is not a copy's (\"a copy\", \"a (1)\", "
    "\"a~\"),\n"
    "then the oldest. A picture that is in an exact or same group takes part in the next kind by\n"
    "its suggested file only. Nothing is ever deleted.\n\n"
    "  eidetic duplicates ~/Pictures\n"
    "  eidetic duplicates --only exact -f           the copies that could go\n"
    "  eidetic duplicates --only near --threshold 0.9 --json",
    run};
