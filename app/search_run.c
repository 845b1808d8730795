/* One query over an open library: vectors of its terms, the search, the verdict, the answer. */
#include "app/search_app.h"
#include "core/progress.h"
#include "db/vectors.h"
#include <stdio.h>
#include <string.h>

#define DEDUP_COSINE 0.92F /* as duplicates' default for near ones */
enum { DEDUP_DEEPEST = 4096 };

static bool has_term(const struct query *q, enum query_kind kind)
{
    for (size_t i = 0; i < q->n; i++)
        if (q->terms[i].kind == kind)
            return true;
    return false;
}

int search_open_all(struct app *a, struct search_run *run, const struct query *q)
{
    struct clip_opts o = {.half = !a->precision || strcmp(a->precision, "f32") != 0};
    if (q) {
        o.no_text = !has_term(q, QUERY_TEXT);
        o.no_image = !has_term(q, QUERY_IMAGE) && !run->maker; /* what is made is looked at */
    }
    if (app_open_library(a, DB_READ) || app_open_model(a, &o) || app_find_model_row(a))
        return 1;
    fits_load(&run->text_fits, a->model_path);
    if (!a->model_row) {
        error_set(&a->err, ST_NOT_FOUND,
                  "no picture of this library is indexed with the model %.80s; run: eidetic index "
                  "--model %.80s",
                  clip_info(a->clip)->name, a->model ? a->model : clip_info(a->clip)->name);
        return app_fail(a, APP_LIBRARY);
    }
    struct search_opts so = {.threads = a->threads};
    if (search_open(&run->search, a->db, a->model_row, &so, &a->err))
        return app_fail(a, APP_LIBRARY);
    return 0;
}

void search_run_release(struct search_run *run)
{
    search_maker_close(run);
    search_preview_close(run);
    search_close(run->search);
    expr_free(run->tags);
    mem_free(run->folder);
}

int search_picture_vector(struct app *a, struct search_run *run, const char *typed, float *out)
{
    uint8_t hash[16];
    int64_t image = 0;
    char *path = app_user_path(typed);
    if (!path)
        return app_no_memory(a);
    int failed = 0;
    if (!app_stored_vector(a, path, out, &image)) {
        failed = app_embed_file(a, path, false, out, hash);
        if (!failed && db_image_find(a->db, hash, &image, NULL))
            image = 0;
    }
    if (run->leave_out_query)
        run->filter.without = image;
    mem_free(path);
    return failed;
}

static int query_vector(struct app *a, struct search_run *run, const struct query *q, float *out)
{
    size_t dim = (size_t)clip_dim(a->clip);
    float *rows = mem_zarray(q->n * dim, sizeof *rows);
    int failed = 0;
    if (!rows)
        return app_no_memory(a);
    for (size_t i = 0; !failed && i < q->n; i++) {
        const char *text = q->terms[i].text;
        if (q->terms[i].kind == QUERY_IMAGE)
            failed = search_picture_vector(a, run, text, rows + i * dim);
        else if (!a->session && app_open_session(a))
            failed = 1;
        else if (clip_encode_text(a->session, &text, 1, rows + i * dim, &a->err))
            failed = app_fail(a, APP_MODEL);
    }
    if (!failed && query_combine(q, rows, dim, out, &a->err))
        failed = app_fail(a, APP_USAGE);
    mem_free(rows);
    return failed;
}

/* The calibrated rule holds for words alone; with a picture in it a query stands out by its
 * z-score. */
static bool judge(const struct search_run *run, const struct query *q,
                  const struct search_result *r, const float *scores, float *margin)
{
    struct fits_params p = {0};
    if (!has_term(q, QUERY_IMAGE))
        p = run->text_fits;
    p.mean = r->mean;
    p.sd = r->sd;
    p.n = r->moments_n;
    return rank_fits(scores, r->n, &p, margin);
}

/* Before words change the order: whether something fits is judged by cosines. */
static int judge_result(struct app *a, const struct search_run *run, const struct query *q,
                        const struct search_result *r, struct search_view *v)
{
    float *scores = mem_array(r->n + 1, sizeof *scores);
    if (!scores)
        return app_no_memory(a);
    for (size_t i = 0; i < r->n; i++)
        scores[i] = r->hits[i].score;
    v->fits = judge(run, q, r, scores, &v->margin);
    mem_free(scores);
    return 0;
}

/* The words that a picture could be made from: one term, nothing but words. */
static const char *words_alone(const struct query *q)
{
    return q->n == 1 && q->terms[0].kind == QUERY_TEXT && q->terms[0].weight > 0 &&
                   !q->only_conditions
               ? q->terms[0].text
               : NULL;
}

/* The k best in their order, and whether one fits by itself. *all: there are no more. */
static int rank_deep(struct app *a, struct search_run *run, const struct query *q,
                     const float *vector, const struct db_filter *filter, size_t k,
                     struct search_result *r, struct search_view *v, bool *all)
{
    search_result_release(r);
    if (search_topk(run->search, vector, filter, k, r, &a->err))
        return app_fail(a, APP_LIBRARY);
    *all = r->n < k;
    if (judge_result(a, run, q, r, v))
        return 1;
    if (v->fused && search_fuse(run->search, q->terms[0].text, vector, filter, r, &a->err))
        return app_fail(a, APP_LIBRARY);
    if (r->n && (q->only_conditions || r->hits[0].names > 0.999F))
        v->fits = true; /* all that was asked for is written there */
    size_t kept = 0;
    for (size_t i = 0; i < r->n; i++)
        if (!run->cut.has_min || r->hits[i].score >= run->cut.min_score)
            r->hits[kept++] = r->hits[i];
    r->n = kept;
    v->fits = v->fits && kept; /* what --min-score leaves out does not fit */
    if (run->args->dedup && search_dedup(run->search, r, DEDUP_COSINE, &a->err))
        return app_fail(a, APP_LIBRARY);
    return 0;
}

/* Deeper where --dedup left too few. */
static int rank_hits(struct app *a, struct search_run *run, const struct query *q,
                     const float *vector, const struct db_filter *filter, struct search_result *r,
                     struct search_view *v)
{
    size_t top = (size_t)run->args->top, k = v->fused ? SEARCH_FUSE : 10;
    bool all = false;
    int failed = 0;
    for (k = k < top ? top : k; !failed; k *= 2) {
        failed = rank_deep(a, run, q, vector, filter, k, r, v, &all);
        if (!run->args->dedup || all || r->n >= top || k > DEDUP_DEEPEST)
            break;
    }
    return failed;
}

/* Where pictures may be made, only photographs are judged: a generated one counts by its prompt. */
static int judge_photographs(struct app *a, struct search_run *run, const struct query *q,
                             const float *vector, struct search_result *r, struct search_view *v)
{
    struct search_result photos = {0};
    struct db_filter filter = run->filter;
    bool found = false;
    filter.where = q->where;
    filter.generated = DB_GENERATED_NO;
    int failed = rank_hits(a, run, q, vector, &filter, &photos, v) ||
                 search_maker_look(a, run, words_alone(q), vector, r, &found);
    search_result_release(&photos);
    v->fits = v->fits || found;
    return failed;
}

struct named {
    struct search_hit hit;
    char *path;
};

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->path, ((const struct named *)b)->path);
}

/* Hits of one score stand by their paths: ids depend on which decoder was done first. */
static int order_equals(struct app *a, struct search_run *run, struct search_hit *hits, size_t n)
{
    struct named *list = mem_zarray(n, sizeof *list);
    int failed = 0;
    if (!list)
        return app_no_memory(a);
    for (size_t i = 0; !failed && i < n; i++) {
        list[i].hit = hits[i];
        if (db_image_path(a->db, hits[i].image, run->folder, &list[i].path, &a->err))
            failed = app_fail(a, APP_LIBRARY);
    }
    if (!failed)
        qsort(list, n, sizeof *list, by_path);
    for (size_t i = 0; i < n; i++) {
        if (!failed)
            hits[i] = list[i].hit;
        mem_free(list[i].path);
    }
    mem_free(list);
    return failed;
}

/* As far down as is shown. */
static int order_all_equals(struct app *a, struct search_run *run, struct search_result *r,
                            const struct search_view *v)
{
    int failed = 0;
    for (size_t from = 0, to; !failed && from < r->n && from < (size_t)run->args->top; from = to) {
        const struct search_hit *h = &r->hits[from];
        for (to = from + 1; to < r->n; to++)
            if (v->fused ? search_fused(&r->hits[to]) != search_fused(h)
                         : r->hits[to].score != h->score)
                break;
        if (to - from > 1)
            failed = order_equals(a, run, r->hits + from, to - from);
    }
    return failed;
}

static int find(struct app *a, struct search_run *run, const struct query *q, const float *vector,
                struct search_result *r, struct search_view *v)
{
    struct db_filter filter = run->filter;
    filter.where = q->where;
    search_result_release(r);
    if (search_refresh(run->search, &a->err)) /* a batch may wait long for its next line */
        return app_fail(a, APP_LIBRARY);
    if (rank_hits(a, run, q, vector, &filter, r, v) || order_all_equals(a, run, r, v))
        return 1;
    if (run->maker && words_alone(q) && judge_photographs(a, run, q, vector, r, v))
        return 1;
    v->shown = (size_t)run->args->top < r->n ? (size_t)run->args->top : r->n;
    if (run->args->strict && !v->fits)
        v->shown = 0;
    return 0;
}

static int print_answer(struct app *a, struct search_run *run, const struct search_view *v)
{
    if (run->args->dry_run)
        return search_print_dry(a, v);
    int failed = run->take ? run->take(a, run, v) : search_print(a, run, v);
    if (!failed && !v->fits)
        log_info("%s%snothing in the library fits this query%s", a->about ? a->about : "",
                 a->about ? ": " : "",
                 v->shown ? " well; these are the nearest"
                 : v->result->candidates
                     ? " well"
                     : ": there is no picture, or none that passes the filters");
    return failed;
}

int search_answer_vector(struct app *a, struct search_run *run, const struct query *q,
                         const float *vector, const char *text, uint64_t line, double start)
{
    struct search_result r = {0};
    /* A sentence alone is also looked for in words. */
    bool fused = q->n == 1 && q->terms[0].kind == QUERY_TEXT && q->terms[0].weight > 0;
    struct search_view v = {.query = text, .line = line, .result = &r, .fused = fused};
    const char *words = run->maker && !run->args->dry_run ? words_alone(q) : NULL;
    int failed = find(a, run, q, vector, &r, &v);
    if (!failed && words && !v.fits) {
        failed = search_maker_make(a, run, words, &v.generated);
        if (!failed)
            failed = find(a, run, q, vector, &r, &v);
    }
    v.ms = (time_now() - start) * 1e3;
    if (!failed)
        failed = print_answer(a, run, &v);
    if (!failed && !v.fits)
        a->exit = EXIT_UNFIT;
    json_decref(v.generated);
    search_result_release(&r);
    return failed;
}

int search_answer(struct app *a, struct search_run *run, const struct query *q, const char *text,
                  double start)
{
    float vector[CLIP_MAX_DIM];
    if (run->maker && !words_alone(q) && !app_from_config(a, run->args->or_generate))
        return app_usage(a, "--or-generate needs a query of words alone");
    return query_vector(a, run, q, vector) ||
           search_answer_vector(a, run, q, vector, text, 0, start);
}
