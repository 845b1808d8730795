/* eidetic check: is the library sound? And forget: take something out of it. */
#include "app/app.h"
#include "db/files.h"
#include "db/vectors.h"
#include "db/words.h"
#include "search/search.h"
#include <inttypes.h>
#include <stdio.h>

struct check_args {
    bool read_data, repair;
};

static const struct option_def check_defs[] = {
    {"read-data", 0, OPT_FLAG, offsetof(struct check_args, read_data), NULL,
     "also read every page and vector"},
    {"repair", 0, OPT_FLAG, offsetof(struct check_args, repair), NULL,
     "make caches and full-text table again, remove damaged copies"},
    {0}};

struct check {
    struct app *app;
    const struct check_args *args;
    json_t *problems;
    int64_t n, cache_n, words_n;
    struct clip_half_check half;
    int64_t models[64];
    int n_models;
};

static void found(void *ctx, const char *what)
{
    struct check *c = ctx;
    struct buf b;
    json_array_append_new(c->problems, json_text(what));
    if (c->app->json)
        return;
    buf_init(&b, 1 << 16);
    buf_text_safe(&b, what);
    puts(b.data ? b.data : "?");
    buf_release(&b);
}

static void passed(void *ctx, const char *why)
{
    (void)ctx;
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_text_safe(&b, why);
    log_warn("a copy of a text tower was not checked: %s", b.data ? b.data : "?");
    buf_release(&b);
}

static enum status collect_model(void *ctx, const struct db_model *m)
{
    struct check *c = ctx;
    if (c->n_models < (int)(sizeof c->models / sizeof *c->models))
        c->models[c->n_models++] = m->id;
    return ST_OK;
}

static enum status check_all(struct check *c)
{
    struct app *a = c->app;
    int64_t n = 0;
    enum status st = db_check(a->db, c->args->read_data, found, c, &c->n, &a->err);
    if (!st)
        st = db_words_check(a->db, found, c, &c->words_n, &a->err);
    if (!st)
        st = db_models_each(a->db, collect_model, c, &a->err);
    for (int i = 0; !st && i < c->n_models; i++) {
        n = 0;
        st = search_check(a->db, c->models[i], c->args->read_data, found, c, &n, &a->err);
        c->cache_n += n;
    }
    return st ? st : clip_check_half(&c->half, &a->err);
}

static enum status repair(struct check *c)
{
    struct app *a = c->app;
    struct search_opts o = {.threads = a->threads};
    enum status st = c->cache_n ? search_drop_caches(a->db, NULL, &a->err) : ST_OK;
    for (int i = 0; !st && i < c->n_models; i++)
        st = search_maintain(a->db, c->models[i], &o, &a->err);
    if (!st && c->cache_n)
        log_info("the caches were made again from the database");
    if (!st && c->words_n)
        st = db_words_repair(a->db, &a->err);
    if (!st && c->words_n)
        log_info("the full-text table was made again");
    if (!st && c->half.damaged)
        log_info("copies of text towers that were damaged are removed; index makes one again for a "
                 "model of 1,000 vectors or more, and not with --precision f32");
    return st;
}

static int run_check(struct app *a, int argc, char **argv)
{
    struct check_args args = {0};
    if (app_begin(a, &cmd_check, check_defs, &args, argc, argv) || app_want_args(a, 0, 0) ||
        app_open_library(a, args.repair ? DB_WRITE : DB_READ))
        return a->exit;
    struct check c = {.app = a, .args = &args, .problems = json_array()};
    c.half = (struct clip_half_check){
        .remove = args.repair, .found = found, .passed = passed, .ctx = &c};
    enum status st = check_all(&c);
    if (!st && args.repair)
        st = repair(&c);
    bool spare = c.cache_n || c.words_n || c.half.damaged; /* what can be made again */
    bool bad = c.n || (spare && !args.repair);
    if (st)
        app_fail(a, APP_LIBRARY);
    else if (bad)
        a->exit = EXIT_BAD_FILE;
    if (!st && a->json)
        app_print_json(a, json_pack("{s:b s:O s:b}", "ok", !bad, "problems", c.problems, "repaired",
                                    args.repair && spare));
    else if (!st && !bad)
        log_info("the library is sound%s",
                 args.read_data ? "" : " (--read-data reads every vector too)");
    else if (!st && c.n)
        log_error("the database is damaged; the pictures are not affected: index them into a new "
                  "library");
    else if (!st)
        log_error("%s is damaged; eidetic check --repair %s",
                  c.cache_n   ? "a cache"
                  : c.words_n ? "the full-text table"
                              : "a copy of a text tower",
                  c.cache_n || c.words_n ? "makes it again" : "removes it");
    json_decref(c.problems);
    return a->exit;
}

static const struct option_def forget_defs[] = {{0}};

static int run_forget(struct app *a, int argc, char **argv)
{
    struct db_removed r = {0};
    if (app_begin(a, &cmd_forget, forget_defs, NULL, argc, argv) || app_want_args(a, 1, 1) ||
        app_open_library(a, DB_WRITE))
        return a->exit;
    char *path = path_absolute(a->rest.item[0].value);
    enum status st =
        path ? db_forget(a->db, path, &r, &a->err) : error_set(&a->err, ST_NOMEM, "out of memory");
    if (st == ST_NOT_FOUND)
        app_usage(a, "the library knows nothing at %.160s", path);
    else if (st)
        app_fail(a, APP_LIBRARY);
    else if (a->json)
        app_print_json(a, json_pack("{s:I s:I s:I}", "files", (json_int_t)r.files, "images",
                                    (json_int_t)r.images, "vectors", (json_int_t)r.vectors));
    else
        log_info("forgot %" PRId64 " files and %" PRId64 " vectors; the pictures themselves stay",
                 r.files, r.vectors);
    mem_free(path);
    return a->exit;
}

const struct command cmd_check = {"check", "is the library sound?",
                                  "usage: eidetic check [--read-data] [--repair]\n\n"
                                  "Checks the database and its caches, and the copies of text "
                                  "towers in the user's cache folder.\n"
                                  "Problems are listed on stdout; exit code 4 where there are any."
                                  "\n\n"
                                  "--repair makes the caches and the full-text table again from "
                                  "the database. A damaged copy of\n"
                                  "a text tower is removed: sentences are then read by the model's "
                                  "own weights, until index makes\n"
                                  "the copy again, which it does from 1,000 vectors of a model on "
                                  "and not with --precision f32.\n\n"
                                  "  eidetic check --read-data",
                                  run_check};

const struct command cmd_forget = {
    "forget", "take a file or folder out of the library",
    "usage: eidetic forget PATH\n\n"
    "Removes what the library knows of PATH and below. The pictures themselves are not touched.\n\n"
    "  eidetic forget ~/Pictures/receipts",
    run_forget};
