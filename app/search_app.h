/* Shared by search and similar: one run over an open library. */
#ifndef EIDETIC_APP_SEARCH_APP_H
#define EIDETIC_APP_SEARCH_APP_H

#include "app/app.h"
#include "search/expr.h"
#include "search/fuse.h"
#include "search/query.h"
#include "search/rank.h"
#include "search/search.h"

struct search_args {
    int top;
    bool files, null, strict, explain, dry_run;
    const char *min_score, *folder, *after, *before, *camera, *near, *batch, *generated;
    const char *date;
    bool dedup, interactive;
    const char *or_generate, *checkpoint; /* or_generate: NULL, "" or a number */
    const char *preview;                  /* NULL, "" or a kind of image/terminal.h */
    struct option_list tags;
};

/* Which pictures: rows of an option table whose struct begins with a struct search_args. */
/* clang-format off */
#define SEARCH_FILTER_OPTIONS(top_default) \
    {"top", 't', OPT_INT, offsetof(struct search_args, top), "N", \
     "how many results (" top_default ")"}, \
    {"min-score", 0, OPT_TEXT, offsetof(struct search_args, min_score), "X", \
     "only results whose cosine is at least X"}, \
    {"folder", 0, OPT_TEXT, offsetof(struct search_args, folder), "DIR", \
     "only pictures below DIR"}, \
    {"date", 0, OPT_TEXT, offsetof(struct search_args, date), "WHEN", \
     "taken then: 2019, \"july 2019\", \"last summer\", yesterday, \"3 weeks ago\""}, \
    {"after", 0, OPT_TEXT, offsetof(struct search_args, after), "WHEN", \
     "taken then or later"}, \
    {"before", 0, OPT_TEXT, offsetof(struct search_args, before), "WHEN", \
     "taken then or earlier"}, \
    {"camera", 0, OPT_TEXT, offsetof(struct search_args, camera), "S", \
     "taken with a camera or lens whose name holds S"}, \
    {"near", 0, OPT_TEXT, offsetof(struct search_args, near), "LAT,LON,KM", \
     "taken at most KM kilometres from there"}, \
    {"tag", 0, OPT_LIST, offsetof(struct search_args, tags), "T", \
     "only pictures with this tag (repeatable: with all of them)"}, \
    {"generated", 0, OPT_TEXT, offsetof(struct search_args, generated), "only|no|any", \
     "generated pictures: only them, none of them, or any (any)"}, \
    {"dedup", 0, OPT_FLAG, offsetof(struct search_args, dedup), NULL, \
     "of results that are nearly alike, only the best"}
/* clang-format on */

struct search_maker;   /* search_generate.c */
struct search_preview; /* search_preview.c */
struct search_run;
struct search_view;

struct search_run {
    const struct search_args *args;
    struct db_filter filter;
    struct rank_cut cut;
    char *folder;
    struct db_expr *tags; /* of --tag */
    bool leave_out_query; /* similar */
    struct search *search;
    struct fits_params text_fits;   /* calibrated for the model, for queries of words */
    struct search_maker *maker;     /* --or-generate, else NULL */
    struct search_preview *preview; /* --preview, else NULL */
    /* Takes the answer instead of search_print; NULL = print. Non-zero: it failed and said so. */
    int (*take)(struct app *a, struct search_run *run, const struct search_view *v);
    void *take_ctx;
};

/* search_parse.c: the options; then the query, where plain words come first and --add and
 * --subtract follow in their order; and what was asked, as text (mem_free). */
int search_parse_args(struct app *a, struct search_run *run);
int search_build_query(struct app *a, struct query *q);
char *search_text(const struct app *a);

/* search_live.c */
int search_live(struct app *a, struct search_run *run);

/* Library, model and search. Only the towers that q asks for are opened; NULL: both. */
int search_open_all(struct app *a, struct search_run *run, const struct query *q);
int search_answer(struct app *a, struct search_run *run, const struct query *q, const char *text,
                  double start);
/* The same from the query's vector on. line: of a batch, or 0. Non-zero ends a batch. */
int search_answer_vector(struct app *a, struct search_run *run, const struct query *q,
                         const float *vector, const char *text, uint64_t line, double start);
/* A picture's unit vector, from the library where it is known there. */
int search_picture_vector(struct app *a, struct search_run *run, const char *typed, float *out);
/* search_batch.c: an answer for each line of run->args->batch. */
int search_batch(struct app *a, struct search_run *run);
void search_run_release(struct search_run *run);

struct search_view { /* one answer, ready to print */
    const char *query;
    const struct search_result *result;
    size_t shown;
    bool fits, fused;
    float margin;
    double ms;
    uint64_t line;     /* of a batch; 0 = a single query */
    const char *error; /* why this line has no answer; then nothing but query and line is set */
    json_t *generated; /* pictures made for this answer, as `generate --json` tells them; or NULL */
};
int search_print(struct app *a, struct search_run *run, const struct search_view *v);
/* The query, where nothing fits it. */
int search_print_dry(struct app *a, const struct search_view *v);

/* search_generate.c: pictures for what the archive does not hold. Non-zero: said, a->exit is set.
 */
int search_maker_open(struct app *a, struct search_run *run);
void search_maker_close(struct search_run *run);
/* A picture that was made for exactly these words counts as found, any other generated one does
 * not: *found; pictures of these words move to the front of r, with their own cosines. */
int search_maker_look(struct app *a, struct search_run *run, const char *words, const float *vector,
                      struct search_result *r, bool *found);
/* Makes and files them; *made is a new array. */
int search_maker_make(struct app *a, struct search_run *run, const char *words, json_t **made);

/* search_preview.c: pictures in the terminal. */
int search_preview_open(struct app *a, struct search_run *run);
void search_preview_show(struct search_run *run, const char *path);
void search_preview_close(struct search_run *run);

/* fits.c: what the model's config.json says of "does anything fit" ("fits" object), else defaults.
 */
void fits_load(struct fits_params *p, const char *model_path);

#endif
