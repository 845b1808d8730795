/* eidetic export: what a search finds, as copies or links in a folder. */
#include "app/search_app.h"
#include "core/file.h"
#include "core/progress.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct export_args {
    struct search_args search; /* first: SEARCH_FILTER_OPTIONS */
    const char *copy, *link;
};

static const struct option_def defs[] = {
    {"copy", 0, OPT_TEXT, offsetof(struct export_args, copy), "DIR", "copy the pictures into DIR"},
    {"link", 0, OPT_TEXT, offsetof(struct export_args, link), "DIR",
     "make symbolic links to the pictures in DIR"},
    {"add", 'a', OPT_PAIR, 0, "Q", "add a sentence or picture to the query (repeatable)"},
    {"subtract", 's', OPT_PAIR, 0, "Q", "take one away (repeatable)"},
    SEARCH_FILTER_OPTIONS("100"),
    {"strict", 0, OPT_FLAG, offsetof(struct export_args, search.strict), NULL,
     "export nothing where nothing fits"},
    {0}};

struct exporting {
    char *folder;
    bool link;
    json_t *files;
    uint64_t made, there, failed;
};

static enum status link_new(const char *from, const char *to, bool *same, struct error *err)
{
    char now[4096];
    *same = false;
    if (!symlink(from, to))
        return ST_OK;
    if (errno != EEXIST)
        return error_errno(err, errno, "%s", to);
    ssize_t n = readlink(to, now, sizeof now - 1);
    *same = n > 0 && strlen(from) == (size_t)n && !memcmp(from, now, (size_t)n);
    return *same ? ST_OK : error_set(err, ST_USAGE, "%.200s: is there already", to);
}

/* DIR/name.jpg, then DIR/name-2.jpg and so on where that is another picture's. */
static char *name_of(const struct exporting *e, const char *path, int attempt)
{
    const char *base = path_base(path), *ext = path_ext(path);
    int stem = (int)(*ext ? ext - 1 - base : (ptrdiff_t)strlen(base));
    if (attempt < 2)
        return path_join(e->folder, base);
    return mem_printf("%s/%.*s-%d%s%s", e->folder, stem, base, attempt, *ext ? "." : "", ext);
}

static enum status put(struct exporting *e, const char *path, char **as, bool *same,
                       struct error *err)
{
    enum status st = ST_USAGE;
    *as = NULL;
    for (int attempt = 1; st == ST_USAGE && attempt < 10000; attempt++) {
        mem_free(*as);
        if (!(*as = name_of(e, path, attempt)))
            return error_set(err, ST_NOMEM, "out of memory");
        st = e->link ? link_new(path, *as, same, err) : file_copy_new(path, *as, same, err);
    }
    return st;
}

static int say(struct app *a, struct exporting *e, const char *path, const char *as, float score)
{
    if (a->json) {
        json_t *o = json_pack("{s:o s:o}", "score", json_real6(score), "as", json_text(as));
        json_set_path(o, path);
        return json_array_append_new(e->files, o) ? app_no_memory(a) : 0;
    }
    print_path(stdout, as);
    putchar('\n');
    return app_check_stdout(a);
}

/* A picture that cannot be read costs itself only; a folder that cannot be written costs all. */
static int export_one(struct app *a, struct search_run *run, const struct search_hit *h)
{
    struct exporting *e = run->take_ctx;
    char *path = NULL, *as = NULL;
    bool same;
    int failed = 0;
    if (db_image_path(a->db, h->image, run->folder, &path, &a->err))
        return app_fail(a, APP_LIBRARY);
    enum status st = put(e, path, &as, &same, &a->err);
    if (st == ST_NOT_FOUND || st == ST_IO || st == ST_UNSUPPORTED || st == ST_FORMAT) {
        e->failed++;
        app_fail(a, APP_FILE);
    } else if (st) {
        failed = app_fail(a, APP_LIBRARY);
    } else {
        *(same ? &e->there : &e->made) += 1;
        failed = say(a, e, path, as, h->score);
    }
    mem_free(as);
    mem_free(path);
    return failed;
}

static int take(struct app *a, struct search_run *run, const struct search_view *v)
{
    int failed = 0;
    for (size_t i = 0; !failed && i < v->shown; i++)
        failed = export_one(a, run, &v->result->hits[i]);
    return failed;
}

static int report(struct app *a, const struct exporting *e, const char *query)
{
    if (a->json)
        return app_print_json(
            a, json_pack("{s:o s:o s:I s:I s:I}", "query", json_text(query), "files",
                         json_incref(e->files), e->link ? "linked" : "copied", (json_int_t)e->made,
                         "there_already", (json_int_t)e->there, "failed", (json_int_t)e->failed));
    log_info("%" PRIu64 " %s, %" PRIu64 " there already, %" PRIu64 " unreadable", e->made,
             e->link ? "links" : "copies", e->there, e->failed);
    return 0;
}

static enum status can_write(const char *folder, struct error *err)
{
    return access(folder, W_OK) ? error_errno(err, errno, "%s", folder) : ST_OK;
}

static int export(struct app *a, struct search_run *run, struct exporting *e, const char *typed)
{
    struct query q = {0};
    char *text = search_text(a);
    double start = time_now();
    if (!text || !(e->folder = app_user_path(typed)) || !(e->files = json_array())) {
        app_no_memory(a);
    } else if (!search_build_query(a, &q) && !search_open_all(a, run, &q)) {
        if (file_make_dirs(e->folder, &a->err) || can_write(e->folder, &a->err))
            app_fail(a, APP_LIBRARY);
        else if (!search_answer(a, run, &q, text, start))
            report(a, e, text);
    }
    if (e->failed && a->exit <= EXIT_UNFIT)
        a->exit = EXIT_UNREADABLE;
    query_release(&q);
    mem_free(text);
    return a->exit;
}

static int run(struct app *a, int argc, char **argv)
{
    struct export_args args = {.search.top = 100};
    struct exporting e = {0};
    struct search_run run = {.args = &args.search, .take = take, .take_ctx = &e};
    if (!app_begin(a, &cmd_export, defs, &args, argc, argv) && !search_parse_args(a, &run)) {
        e.link = args.link != NULL;
        if (!args.copy == !args.link)
            app_usage(a, "export needs --copy DIR or --link DIR");
        else
            export(a, &run, &e, args.link ? args.link : args.copy);
    }
    json_decref(e.files);
    mem_free(e.folder);
    search_run_release(&run);
    option_list_release(&args.search.tags);
    return a->exit;
}

const struct command cmd_export = {
    "export", "copy or link what a search finds into a folder",
    "usage: eidetic export QUERY... --copy DIR | --link DIR [options]\n\n"
    "The query and the filters are those of search. Copies keep their times; links are symbolic. "
    "A\n"
    "name that another file has already gets a number; nothing is overwritten, and a picture that\n"
    "lies there already is not copied again. On stdout: the new names.\n\n"
    "  eidetic export \"a red car\" --copy ~/cars -t 50\n"
    "  eidetic export \"our garden\" --after 2019 --link /tmp/garden --min-score 0.25",
    run};
