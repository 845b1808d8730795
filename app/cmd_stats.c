/* eidetic stats and errors: what the library holds, and what could not be read. */
#include "app/app.h"
#include "db/files.h"
#include "db/vectors.h"
#include "search/search.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct option_def no_defs[] = {{0}};

struct lists {
    struct app *app;
    json_t *roots, *models;
};

static void set_time(json_t *o, const char *key, int64_t t)
{
    char text[32] = "";
    struct tm tm;
    time_t when = (time_t)t;
    if (t && gmtime_r(&when, &tm))
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    json_object_set_new(o, key, json_text(text));
}

static enum status add_root(void *ctx, const struct db_root *r)
{
    json_t *o = json_object();
    json_set_path(o, r->path);
    set_time(o, "last_scan", r->last_scan);
    json_array_append_new(((struct lists *)ctx)->roots, o);
    return ST_OK;
}

/* The index is opened without touching the caches: stats must work on a read-only library. */
static json_t *index_json(struct app *a, int64_t model)
{
    struct search *s = NULL;
    struct search_stats st;
    struct search_opts o = {.threads = 1, .caches_read_only = true};
    if (search_open(&s, a->db, model, &o, &a->err))
        return json_null();
    search_stats(s, &st);
    json_t *j = json_pack("{s:s s:s s:I s:I s:I s:I s:I s:f s:i s:i}", "kind", st.kind,
                          "description", st.description, "rows", (json_int_t)st.rows, "indexed",
                          (json_int_t)st.indexed, "tail", (json_int_t)st.tail, "dead",
                          (json_int_t)st.dead, "bytes", (json_int_t)st.bytes, "recall_at_20",
                          st.recall, "nlist", st.nlist, "nprobe", st.nprobe);
    search_close(s);
    return j;
}

static enum status add_model(void *ctx, const struct db_model *m)
{
    struct lists *l = ctx;
    json_array_append_new(l->models,
                          json_pack("{s:o s:s s:i s:I s:o}", "name", json_text(m->name), "id",
                                    m->hex, "dim", m->dim, "vectors", (json_int_t)m->vectors,
                                    "index", index_json(l->app, m->id)));
    return ST_OK;
}

static void print_stats(const struct app *a, const struct db_stats *s, const struct lists *l)
{
    size_t i;
    json_t *v;
    fputs("library      ", stdout);
    print_path(stdout, db_library(a->db));
    printf("\npictures     %" PRId64 " (in %" PRId64 " files; %" PRId64 " files gone, %" PRId64
           " unreadable)\n",
           s->images_present, s->files_present, s->files_missing, s->files_failed);
    if (s->generated)
        printf("generated    %" PRId64 " of the pictures\n", s->generated);
    printf("database     %.1f MB\n", (double)s->db_bytes / 1e6);
    json_array_foreach(l->roots, i, v)
    {
        const char *when = json_string_value(json_object_get(v, "last_scan"));
        fputs("folder       ", stdout);
        print_path(stdout, json_string_value(json_object_get(v, "path")));
        printf(", scanned %s\n", when ? when : "never");
    }
    json_array_foreach(l->models, i, v)
    {
        const json_t *ix = json_object_get(v, "index");
        printf("model        %s, %d numbers a vector, %" JSON_INTEGER_FORMAT " vectors\n",
               json_string_value(json_object_get(v, "name")),
               (int)json_integer_value(json_object_get(v, "dim")),
               json_integer_value(json_object_get(v, "vectors")));
        if (json_is_object(ix))
            printf("index        %s (%s), recall@20 %.3f, %.1f MB\n",
                   json_string_value(json_object_get(ix, "kind")),
                   json_string_value(json_object_get(ix, "description")),
                   json_number_value(json_object_get(ix, "recall_at_20")),
                   json_number_value(json_object_get(ix, "bytes")) / 1e6);
    }
}

static int run_stats(struct app *a, int argc, char **argv)
{
    struct db_stats s;
    if (app_begin(a, &cmd_stats, no_defs, NULL, argc, argv) || app_want_args(a, 0, 0) ||
        app_open_library(a, DB_READ))
        return a->exit;
    struct lists l = {a, json_array(), json_array()};
    if (db_stats(a->db, &s, &a->err) || db_roots_each(a->db, add_root, &l, &a->err) ||
        db_models_each(a->db, add_model, &l, &a->err)) {
        app_fail(a, APP_LIBRARY);
    } else if (a->json) {
        json_t *o = json_pack(
            "{s:I s:I s:I s:I s:I s:I s:I s:I s:O s:O}", "images", (json_int_t)s.images_present,
            "generated", (json_int_t)s.generated, "files", (json_int_t)s.files_present, "missing",
            (json_int_t)s.files_missing, "failed", (json_int_t)s.files_failed, "errors",
            (json_int_t)s.errors, "vectors", (json_int_t)s.vectors, "db_bytes",
            (json_int_t)s.db_bytes, "roots", l.roots, "models", l.models);
        app_print_json(a, o);
    } else {
        print_stats(a, &s, &l);
        app_check_stdout(a);
    }
    json_decref(l.roots);
    json_decref(l.models);
    return a->exit;
}

struct error_view {
    struct app *app;
    uint64_t n;
};

static enum status show_error(void *ctx, const struct db_error *e)
{
    struct error_view *v = ctx;
    struct buf b;
    v->n++;
    if (v->app->json) {
        json_t *o = json_object();
        json_set_path(o, e->path);
        json_object_set_new(o, "code", json_string(status_name(e->code)));
        json_object_set_new(o, "error", json_text(e->text));
        set_time(o, "when", e->when);
        return app_print_json(v->app, o) ? ST_IO : ST_OK;
    }
    buf_init(&b, 1 << 16);
    buf_text_safe(&b, e->path);
    size_t n = b.data ? strlen(b.data) : 0; /* most sentences begin with the path, said already */
    bool named = n && !strncmp(e->text, b.data, n) && !strncmp(e->text + n, ": ", 2);
    buf_release(&b);
    buf_init(&b, 1 << 16);
    buf_text_safe(&b, named ? e->text + n + 2 : e->text);
    print_path(stdout, e->path);
    printf("\t%s\n", b.data ? b.data : "?");
    buf_release(&b);
    return ST_OK;
}

static int run_errors(struct app *a, int argc, char **argv)
{
    struct error_view v = {.app = a};
    if (app_begin(a, &cmd_errors, no_defs, NULL, argc, argv) || app_want_args(a, 0, 0) ||
        app_open_library(a, DB_READ))
        return a->exit;
    if (db_errors_each(a->db, show_error, &v, &a->err) && !a->exit)
        app_fail(a, APP_LIBRARY);
    if (!a->exit && !app_check_stdout(a) && !v.n)
        log_info("no errors");
    return a->exit;
}

const struct command cmd_stats = {
    "stats", "what the library holds",
    "usage: eidetic stats\n\n"
    "Pictures, folders, models, and the index with its measured recall.\n\n"
    "  eidetic stats --json",
    run_stats};

const struct command cmd_errors = {
    "errors", "what could not be read, and why",
    "usage: eidetic errors\n\n"
    "One line a file or folder that the last index could not read.\n\n"
    "  eidetic errors\n"
    "  eidetic errors --json",
    run_errors};
