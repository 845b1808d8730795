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
    bool files, null, strict, explain;
    const char *min_score, *folder, *after, *before, *camera, *near, *batch;
    struct option_list tags;
};

struct search_run {
    const struct search_args *args;
    struct db_filter filter;
    struct rank_cut cut;
    char *folder;
    struct db_expr *tags; /* of --tag */
    bool leave_out_query; /* similar */
    struct search *search;
    struct fits_params text_fits; /* calibrated for the model, for queries of words */
};

bool search_has_text(const struct query *q);
int search_open_all(struct app *a, struct search_run *run, bool text);
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
};
int search_print(struct app *a, struct search_run *run, const struct search_view *v);

/* fits.c: what the model's config.json says of "does anything fit" ("fits" object), else defaults.
 */
void fits_load(struct fits_params *p, const char *model_path);

#endif
