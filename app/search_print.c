/* The answer as a table, as paths, or as JSON. */
#include "app/companions.h"
#include "app/search_app.h"
#include "db/images.h"
#include "db/tags.h"
#include "db/written.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Keywords that people wrote go before tags that were computed, each word once. */
static json_t *json_all_tags(const struct db_written_all *w, const struct db_tags *t)
{
    json_t *list = json_array();
    for (size_t i = 0; i < w->n; i++)
        json_array_append_new(list, json_text(w->keyword[i]));
    for (size_t i = 0; i < t->n; i++) {
        bool there = false;
        for (size_t k = 0; k < w->n; k++)
            there |= !strcasecmp(w->keyword[k], t->tag[i].tag);
        if (!there)
            json_array_append_new(list, json_text(t->tag[i].tag));
    }
    return list;
}

static json_t *json_of_hit(struct app *a, const struct search_view *v, size_t i, const char *path,
                           bool explained)
{
    const struct search_hit *h = &v->result->hits[i];
    struct db_image im;
    struct db_tags t = {0};
    struct db_written_all w = {0};
    if (db_image_get(a->db, h->image, &im, &a->err))
        return NULL;
    if (db_tags_get(a->db, h->image, &t, &a->err) || db_written_get(a->db, h->image, &w, &a->err)) {
        db_tags_release(&t);
        db_image_release(&im);
        return NULL;
    }
    json_t *companions = app_companions(a, h->image, path, false);
    json_t *o = companions ? json_pack("{s:i s:o s:o}", "rank", (int)i + 1, "score",
                                       json_real6(h->score), "companions", companions)
                           : NULL;
    if (o) {
        json_set_path(o, path);
        json_object_set_new(o, "width", json_integer(im.width));
        json_object_set_new(o, "height", json_integer(im.height));
        json_object_set_new(o, "taken", json_text(im.taken));
        json_object_set_new(o, "caption", json_text(t.caption));
        json_object_set_new(o, "tags", json_all_tags(&w, &t));
        json_object_set_new(o, "generated", json_boolean(im.generated));
    }
    if (o && v->fused && explained)
        json_object_set_new(o, "explain",
                            json_pack("{s:o s:o s:o s:o}", "cosine", json_real6(h->score), "names",
                                      json_real6(h->names), "tags", json_real6(h->tags), "order",
                                      json_real6(search_fused(h))));
    db_written_release(&w);
    db_tags_release(&t);
    db_image_release(&im);
    return o;
}

static int print_json(struct app *a, struct search_run *run, const struct search_view *v)
{
    json_t *results = json_array();
    for (size_t i = 0; i < v->shown; i++) {
        const struct search_hit *h = &v->result->hits[i];
        char *path = NULL;
        json_t *hit = NULL;
        enum status st = db_image_path(a->db, h->image, run->folder, &path, &a->err);
        if (!st && !(hit = json_of_hit(a, v, i, path, run->args->explain)))
            st = a->err.code;
        if (!st)
            json_array_append_new(results, hit);
        mem_free(path);
        if (st) {
            json_decref(results);
            return app_fail(a, APP_LIBRARY);
        }
    }
    json_t *o =
        json_pack("{s:o s:s s:o s:b s:o s:o}", "query", json_text(v->query), "model",
                  clip_info(a->clip)->name, "results", results, "fits", v->fits, "margin",
                  v->error ? json_null() : json_real6(v->margin), "elapsed_ms", json_real6(v->ms));
    if (v->line)
        json_object_set_new(o, "line", json_integer((json_int_t)v->line));
    if (v->error)
        json_object_set_new(o, "error", json_text(v->error));
    if (run->maker && !v->error)
        json_object_set_new(o, "generated",
                            v->generated ? json_incref(v->generated) : json_array());
    return app_print_json(a, o);
}

/* Lists of a batch stand apart. */
static void print_query(const char *query)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_text_safe(&b, query);
    printf("query\t%s\n", b.data ? b.data : "?");
    buf_release(&b);
}

static void explain(const struct search_view *v, const struct search_hit *h)
{
    printf("\tcosine %.3f", (double)h->score);
    if (v->fused)
        printf(", %.0f %% of the words in its path, %.0f %% in its tags and caption: %.3f",
               100 * (double)h->names, 100 * (double)h->tags, (double)search_fused(h));
}

int search_print(struct app *a, struct search_run *run, const struct search_view *v)
{
    bool paths_only = run->args->files || run->args->null;
    if (a->json)
        return print_json(a, run, v);
    if (!paths_only && v->line)
        print_query(v->query);
    if (!paths_only && v->shown)
        puts("score\tfilepath");
    for (size_t i = 0; i < v->shown; i++) {
        const struct search_hit *h = &v->result->hits[i];
        char *path = NULL;
        if (db_image_path(a->db, h->image, run->folder, &path, &a->err))
            return app_fail(a, APP_LIBRARY);
        if (paths_only) {
            print_plain_path(path, run->args->null);
        } else {
            printf("%.3f\t", (double)h->score);
            print_path(stdout, path);
            if (run->args->explain)
                explain(v, h);
            putchar('\n');
            if (run->preview)
                search_preview_show(run, path);
        }
        mem_free(path);
    }
    if (v->line)
        putchar(run->args->null ? 0 : '\n');
    return app_check_stdout(a);
}

int search_print_dry(struct app *a, const struct search_view *v)
{
    if (v->fits)
        return 0;
    if (a->json)
        return app_print_json(a, json_pack("{s:o s:b s:o}", "query", json_text(v->query), "fits", 0,
                                           "margin", json_real6(v->margin)));
    print_plain_path(v->query, false);
    return app_check_stdout(a);
}
