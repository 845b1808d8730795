/* search --or-generate: where nothing fits, the picture is made, filed, and found from then on. The
 * checkpoint is opened at the first query that needs it. */
#include "app/generate_app.h"
#include "app/search_app.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct search_maker {
    struct generate_args args;
    char *config_text; /* what args points into */
    struct generate_run run;
    bool open;
};

int search_maker_open(struct app *a, struct search_run *run)
{
    const struct search_args *args = run->args;
    char *end;
    long n = 1;
    if (args->or_generate[0]) {
        errno = 0;
        n = strtol(args->or_generate, &end, 10);
        if (errno || *end || n < 1 || n > 1000)
            return app_usage(a, "--or-generate=N is from 1 to 1000, not \"%.40s\"",
                             args->or_generate);
    }
    struct search_maker *m = run->maker = mem_zalloc(sizeof *m);
    char *path = app_config_path();
    if (m)
        m->run.filing.lock = -1;
    if (!m || !path) {
        mem_free(path);
        return app_no_memory(a);
    }
    m->args = generate_defaults;
    /* as `generate` would, by the same lines of the config file */
    struct option_tables t = {generate_defs, generate_defs, &m->args, &m->args};
    size_t size;
    enum status st = options_read_file(&t, path, &m->config_text, &size, &a->err);
    mem_free(path);
    if (st)
        return app_fail_config(a);
    m->args.count = (int)n;
    m->args.output = NULL;
    m->args.no_file = false;
    m->args.wildcards_dir = NULL; /* what is filed must be what was asked */
    if (args->checkpoint)
        m->args.checkpoint = args->checkpoint;
    char *starter = m->args.checkpoint || args->dry_run ? NULL : generate_starter_path();
    bool have = m->args.checkpoint || args->dry_run || starter;
    mem_free(starter);
    if (!have)
        return app_usage(a, "--or-generate needs a checkpoint: --checkpoint FILE, or a line "
                            "\"checkpoint = FILE\" in the config file");
    return 0;
}

void search_maker_close(struct search_run *run)
{
    struct search_maker *m = run->maker;
    if (!m)
        return;
    generate_end(&m->run);
    mem_free(m->config_text);
    mem_free(m);
    run->maker = NULL;
}

/* The picture to the front; the others keep their order. */
static enum status pin(struct search_result *r, const struct search_hit *hit, size_t at,
                       struct error *err)
{
    size_t from = 0;
    while (from < r->n && r->hits[from].image != hit->image)
        from++;
    if (from == r->n) {
        struct search_hit *grown = mem_realloc_array(r->hits, r->n + 1, sizeof *grown);
        if (!grown)
            return error_set(err, ST_NOMEM, "out of memory");
        r->hits = grown;
        r->n++;
    }
    memmove(r->hits + at + 1, r->hits + at, (from - at) * sizeof *r->hits);
    r->hits[at] = *hit;
    return ST_OK;
}

static int by_score(const void *a, const void *b)
{
    const struct search_hit *x = a, *y = b;
    return x->score < y->score   ? 1
           : x->score > y->score ? -1
                                 : (x->image > y->image) - (x->image < y->image);
}

int search_maker_look(struct app *a, struct search_run *run, const char *words, const float *vector,
                      struct search_result *r, bool *found)
{
    int64_t *ids = NULL;
    size_t n = 0;
    enum status st = db_images_of_prompt(a->db, words, &ids, &n, &a->err);
    struct search_hit *hits = st ? NULL : mem_zarray(n + 1, sizeof *hits);
    if (!st && !hits)
        st = error_set(&a->err, ST_NOMEM, "out of memory");
    for (size_t i = 0; !st && i < n; i++) {
        bool have;
        hits[i].image = ids[i];
        st = search_score(run->search, vector, ids[i], &hits[i].score, &have, &a->err);
    }
    if (!st)
        qsort(hits, n, sizeof *hits, by_score);
    for (size_t i = 0; !st && i < n; i++)
        st = pin(r, &hits[i], i, &a->err);
    *found = n > 0;
    mem_free(hits);
    mem_free(ids);
    return st ? app_fail(a, APP_LIBRARY) : 0;
}

static int open_run(struct app *a, struct search_maker *m, const char *words)
{
    const char *model = a->model;
    char *path = a->model_path;
    a->model = NULL; /* --model is the library's here, the checkpoint has a name of its own */
    a->model_path = NULL;
    m->open = true;
    int failed = generate_begin(&m->run, a, &m->args, words);
    mem_free(a->model_path);
    a->model = model;
    a->model_path = path;
    return failed;
}

/* Another process may have made it meanwhile, or a kill left it without a row. */
static int made_meanwhile(struct app *a, struct search_maker *m, const char *words, bool *there)
{
    int64_t *ids = NULL;
    size_t n = 0;
    if (filing_lock(&m->run.filing) || filing_add(&m->run.filing, NULL))
        return 1;
    enum status st = db_images_of_prompt(a->db, words, &ids, &n, &a->err);
    *there = n > 0;
    mem_free(ids);
    return st ? app_fail(a, APP_LIBRARY) : 0;
}

int search_maker_make(struct app *a, struct search_run *run, const char *words, json_t **made)
{
    struct search_maker *m = run->maker;
    struct generate_made one = {0};
    bool there = false;
    *made = json_array();
    a->stop_gently();
    if ((!m->open && open_run(a, m, words)) || made_meanwhile(a, m, words, &there))
        return 1;
    if (!there)
        log_info("nothing fits; making %d picture%s of it", m->args.count,
                 m->args.count > 1 ? "s" : "");
    m->run.job.prompt = words;
    m->run.picture = 1;
    int failed = 0;
    for (int i = 0; !there && !failed && i < m->args.count; i++) {
        failed = generate_one(&m->run, &one);
        if (one.path)
            json_array_append_new(*made, generate_json(&m->run, &one));
        mem_free(one.path);
        one.path = NULL;
    }
    filing_unlock(&m->run.filing);
    return failed;
}
