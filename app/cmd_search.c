/* eidetic search and similar: words and pictures to a ranked list. */
#include "app/search_app.h"
#include "core/file.h"
#include "core/progress.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first ones are for queries of several terms or lines, which `similar` does not have. */
enum { SEARCH_ONLY = 6 };
static const struct option_def defs[] = {
    {"add", 'a', OPT_PAIR, 0, "Q", "add a sentence or picture to the query (repeatable)"},
    {"subtract", 's', OPT_PAIR, 0, "Q", "take one away (repeatable)"},
    {"batch", 0, OPT_TEXT, offsetof(struct search_args, batch), "FILE",
     "answer one query a line of FILE (- is standard input)"},
    {"or-generate", 0, OPT_OPTIONAL, offsetof(struct search_args, or_generate), "N",
     "where nothing fits, make N pictures of the words (1), file them, and answer with them"},
    {"checkpoint", 0, OPT_TEXT, offsetof(struct search_args, checkpoint), "NAME|PATH",
     "the Stable Diffusion checkpoint for that"},
    {"dry-run", 0, OPT_FLAG, offsetof(struct search_args, dry_run), NULL,
     "with --or-generate: only list the queries that nothing fits"},
    {"top", 't', OPT_INT, offsetof(struct search_args, top), "N", "how many results (10)"},
    {"min-score", 0, OPT_TEXT, offsetof(struct search_args, min_score), "X",
     "only results whose cosine is at least X"},
    {"folder", 0, OPT_TEXT, offsetof(struct search_args, folder), "DIR", "only pictures below DIR"},
    {"after", 0, OPT_TEXT, offsetof(struct search_args, after), "DATE",
     "taken on DATE or later (2019, 2019-05, 2019-05-04T13:00)"},
    {"before", 0, OPT_TEXT, offsetof(struct search_args, before), "DATE",
     "taken on DATE or earlier"},
    {"camera", 0, OPT_TEXT, offsetof(struct search_args, camera), "S",
     "taken with a camera or lens whose name holds S"},
    {"tag", 0, OPT_LIST, offsetof(struct search_args, tags), "T",
     "only pictures with this tag (repeatable: with all of them)"},
    {"explain", 0, OPT_FLAG, offsetof(struct search_args, explain), NULL,
     "say what puts each result where it is"},
    {"generated", 0, OPT_TEXT, offsetof(struct search_args, generated), "only|no|any",
     "generated pictures: only them, none of them, or any (any)"},
    {"near", 0, OPT_TEXT, offsetof(struct search_args, near), "LAT,LON,KM",
     "taken at most KM kilometres from there"},
    {"files", 'f', OPT_FLAG, offsetof(struct search_args, files), NULL, "paths only"},
    {"filepath-only", 0, OPT_FLAG, offsetof(struct search_args, files), NULL, "the same"},
    {"null", '0', OPT_FLAG, offsetof(struct search_args, null), NULL,
     "paths only, each ended by a NUL byte, for xargs -0"},
    {"strict", 0, OPT_FLAG, offsetof(struct search_args, strict), NULL,
     "print nothing where nothing fits"},
    {0}};

static int parse_near(struct app *a, const char *text, struct db_filter *f)
{
    char tail;
    f->has_near = true;
    if (sscanf(text, "%lf,%lf,%lf%c", &f->lat, &f->lon, &f->km, &tail) != 3 ||
        !(fabs(f->lat) <= 90) || !(fabs(f->lon) <= 180) || !(f->km >= 0))
        return app_usage(a, "--near is LAT,LON,KM, not \"%.60s\"", text);
    return 0;
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
    f->has_after = args->after != NULL;
    f->has_before = args->before != NULL;
    if (args->after && !db_parse_time(args->after, false, &f->after))
        return app_usage(a, "--after is a date such as 2019 or 2019-05-04, not \"%.40s\"",
                         args->after);
    if (args->before && !db_parse_time(args->before, true, &f->before))
        return app_usage(a, "--before is a date such as 2019 or 2019-05-04, not \"%.40s\"",
                         args->before);
    const char *g = args->generated ? args->generated : "any";
    f->generated = !strcmp(g, "only") ? DB_GENERATED_ONLY
                   : !strcmp(g, "no") ? DB_GENERATED_NO
                                      : DB_GENERATED_ANY;
    if (f->generated == DB_GENERATED_ANY && strcmp(g, "any") != 0)
        return app_usage(a, "--generated is only, no or any, not \"%.40s\"", g);
    return args->near ? parse_near(a, args->near, f) : 0;
}

static int parse_args(struct app *a, struct search_run *run)
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

/* Plain words make the query; --add and --subtract follow in their order. */
static int build_query(struct app *a, struct query *q)
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
        return app_usage(a, "search needs a sentence or a picture (see eidetic search --help)");
    return 0;
}

/* What was asked, for the answer's "query". */
static char *query_text(const struct app *a)
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

static int search_once(struct app *a, struct search_run *run)
{
    struct query q = {0};
    char *text = query_text(a);
    double start = time_now();
    if (!text) {
        app_no_memory(a);
    } else if (!build_query(a, &q) && !search_open_all(a, run, search_has_text(&q))) {
        search_answer(a, run, &q, text, start);
    }
    query_release(&q);
    mem_free(text);
    return a->exit;
}

static int run_search(struct app *a, int argc, char **argv)
{
    struct search_args args = {.top = 10};
    struct search_run run = {.args = &args};
    if (!app_begin(a, &cmd_search, defs, &args, argc, argv) && !parse_args(a, &run)) {
        if (args.batch)
            search_batch(a, &run);
        else
            search_once(a, &run);
    }
    search_run_release(&run);
    option_list_release(&args.tags);
    return a->exit;
}

static int run_similar(struct app *a, int argc, char **argv)
{
    struct search_args args = {.top = 10};
    struct search_run run = {.args = &args, .leave_out_query = true};
    struct query q = {0};
    double start = time_now();
    if (app_begin(a, &cmd_similar, defs + SEARCH_ONLY, &args, argc, argv) || parse_args(a, &run) ||
        app_want_args(a, 1, 1))
        goto out;
    char *path = app_user_path(a->rest.item[0].value);
    if (!path || query_add(&q, path, 1, &a->err))
        app_fail(a, APP_USAGE);
    else if (!search_open_all(a, &run, false))
        search_answer(a, &run, &q, a->rest.item[0].value, start);
    mem_free(path);
out:
    query_release(&q);
    search_run_release(&run);
    option_list_release(&args.tags);
    return a->exit;
}

const struct command cmd_search = {
    "search", "find pictures by a sentence, a picture, or both",
    "usage: eidetic search QUERY... [options]\n\n"
    "A query is a sentence, or a picture: a path that starts with ./ or / or ~/. Several are added "
    "up;\n"
    "a weight may stand before each. Scores are cosines. Where nothing stands out, a sentence on "
    "stderr\n"
    "says so and the exit code is 1.\n\n"
    "Words that stand in a picture's path, tags or caption bring it forward. Conditions hide what "
    "does\n"
    "not meet them: \"an exact phrase\" in quotes, tag:T path:T caption:T camera:T date:D "
    "date:D..D, "
    "with\n"
    "AND, OR, NOT (in capitals) and parentheses; bare words below OR and NOT are conditions "
    "too.\n\n"
    "  eidetic search \"a dog on a beach\"\n"
    "  eidetic search ./sunset.jpg --add \"2:snow\" --subtract people\n"
    "  eidetic search \"birthday cake\" --after 2019 --before 2021-06 --folder ~/Pictures/family\n"
    "  eidetic search 'a beach (tag:dog OR tag:cat) NOT path:2018'\n"
    "  eidetic search '\"lake garda\" date:2019..2021' --explain\n"
    "  eidetic search \"a fox in the snow\" --or-generate --checkpoint ~/sd/v1-5.safetensors\n"
    "  eidetic search cat -f -0 | xargs -0 cp -t /tmp/cats\n"
    "  eidetic search --batch questions.txt --json --folder ~/Pictures/family\n\n"
    "--batch answers in the order of the lines and passes over empty ones. A table begins with "
    "its\n"
    "query and ends with an empty line; -f and -0 end each list with an empty line or name. A "
    "line\n"
    "that cannot be answered has an \"error\" (--json) or nothing, and the rest goes on; the exit "
    "code\n"
    "is the highest of any line's.",
    run_search};

const struct command cmd_similar = {
    "similar", "find pictures like a given one",
    "usage: eidetic similar FILE [options]\n\n"
    "Pictures like FILE, which need not be in the library; FILE itself is left out.\n\n"
    "  eidetic similar ~/Pictures/2019/IMG_0042.jpg -t 20",
    run_similar};
