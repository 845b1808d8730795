/* What was typed to search or export: filters, limits, and the query. */
#include "app/search_app.h"
#include "core/file.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse_near(struct app *a, const char *text, struct db_filter *f)
{
    char tail;
    f->has_near = true;
    if (sscanf(text, "%lf,%lf,%lf%c", &f->lat, &f->lon, &f->km, &tail) != 3 ||
        !(fabs(f->lat) <= 90) || !(fabs(f->lon) <= 180) || !(f->km >= 0))
        return app_usage(a, "--near is LAT,LON,KM, not \"%.60s\"", text);
    return 0;
}

/* --date is both ends at once. */
static int parse_dates(struct app *a, const struct search_args *args, struct db_filter *f)
{
    const char *after = args->after ? args->after : args->date;
    const char *before = args->before ? args->before : args->date, *bad = NULL;
    int64_t now = db_wall_clock(), other;
    if (args->date && (args->after || args->before))
        return app_usage(a, "--date does not go with --after or --before");
    f->has_after = after != NULL;
    f->has_before = before != NULL;
    if (after && !db_parse_when(after, now, &f->after, &other))
        bad = after;
    else if (before && !db_parse_when(before, now, &other, &f->before))
        bad = before;
    if (!bad)
        return 0;
    return app_usage(a,
                     "\"%.40s\" is not a date such as 2019, 2019-05-04, \"july 2019\" or \"last "
                     "summer\"",
                     bad);
}

static int parse_filter(struct app *a, struct search_run *run)
{
    const struct search_args *args = run->args;
    struct db_filter *f = &run->filter;
    if (args->folder && !(run->folder = app_user_path(args->folder)))
        return app_no_memory(a);
    for (size_t i = 0; i < args->tags.n; i++) {
        const char *tag = args->tags.item[i].value;
        struct db_expr *x = expr_new(DB_TAG, tag, strlen(tag));
        if (!x || expr_and(run->tags, x, &run->tags, &a->err))
            return app_no_memory(a);
    }
    f->also = run->tags;
    f->folder = run->folder;
    f->camera = args->camera;
    if (parse_dates(a, args, f))
        return 1;
    const char *g = args->generated ? args->generated : "any";
    f->generated = !strcmp(g, "only") ? DB_GENERATED_ONLY
                   : !strcmp(g, "no") ? DB_GENERATED_NO
                                      : DB_GENERATED_ANY;
    if (f->generated == DB_GENERATED_ANY && strcmp(g, "any") != 0)
        return app_usage(a, "--generated is only, no or any, not \"%.40s\"", g);
    return args->near ? parse_near(a, args->near, f) : 0;
}

int search_parse_args(struct app *a, struct search_run *run)
{
    const struct search_args *args = run->args;
    char *end;
    if (args->top < 1)
        return app_usage(a, "--top is at least 1");
    if (args->min_score) {
        run->cut.has_min = true;
        run->cut.min_score = strtof(args->min_score, &end);
        if (end == args->min_score || *end || !isfinite(run->cut.min_score))
            return app_usage(a, "--min-score needs a number, not \"%.40s\"", args->min_score);
    }
    if (args->dry_run && !args->or_generate)
        return app_usage(a, "--dry-run goes with --or-generate");
    if (args->or_generate && search_maker_open(a, run))
        return 1;
    if (args->preview && search_preview_open(a, run))
        return 1;
    return parse_filter(a, run);
}

/* `search cat.jpg` asks for words, by rclip's rule; whoever meant the picture should know. */
static void hint_at_files(struct app *a)
{
    for (size_t i = 0; i < a->rest.n; i++) {
        const char *word = a->rest.item[i].value;
        struct buf b;
        if (strchr("./~", word[0]) || !image_name_supported(word) || !file_exists(word))
            continue;
        buf_init(&b, 1 << 16);
        buf_text_safe(&b, word);
        log_info("\"%s\" is read as words; for the picture write ./%s", b.data ? b.data : "",
                 b.data ? b.data : "");
        buf_release(&b);
    }
}

int search_build_query(struct app *a, struct query *q)
{
    const char **words = mem_zarray(a->rest.n + 1, sizeof *words);
    size_t n = 0;
    for (size_t i = 0; words && i < a->rest.n; i++)
        if (!a->rest.item[i].name[0])
            words[n++] = a->rest.item[i].value;
    enum status st = words ? query_add_words(q, words, n, &a->err)
                           : error_set(&a->err, ST_NOMEM, "out of memory");
    mem_free(words);
    if (!st)
        st = query_conditions(q, &a->err);
    for (size_t i = 0; !st && i < a->rest.n; i++) {
        const struct option_item *it = &a->rest.item[i];
        if (it->name[0])
            st = query_add(q, it->value, it->name[0] == 's' ? -1 : 1, &a->err);
    }
    if (st)
        return app_fail(a, APP_USAGE);
    hint_at_files(a);
    if (!q->n)
        return app_usage(a, "%s needs a sentence or a picture (see eidetic %s --help)",
                         a->command->name, a->command->name);
    return 0;
}

char *search_text(const struct app *a)
{
    struct buf b;
    buf_init(&b, 1 << 24);
    for (size_t i = 0; i < a->rest.n; i++) {
        const struct option_item *it = &a->rest.item[i];
        if (i)
            buf_putc(&b, ' ');
        if (it->name[0])
            buf_printf(&b, "--%s ", it->name);
        buf_puts(&b, it->value);
    }
    return buf_take(&b);
}
