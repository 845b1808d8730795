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
    const char *or_generate, *checkpoint; /* or_generate: NULL, "" or a number */
    struct option_list tags;
};

struct search_maker; /* search_generate.c */

struct search_run {
    const struct search_args *args;
    struct db_filter filter;
    struct rank_cut cut;
    char *folder;
    struct db_expr *tags; /* of --tag */
    bool leave_out_query; /* similar */
    struct search *search;
    struct fits_params text_fits; /* calibrated for the model, for queries of words */
    struct search_maker *maker;   /* --or-generate, else NULL */
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

/* fits.c: what the model's config.json says of "does anything fit" ("fits" object), else defaults.
 */
void fits_load(struct fits_params *p, const char *model_path);

#endif
