/* eidetic search and similar: words and pictures to a ranked list. */
#include "app/search_app.h"
#include "core/file.h"
#include "core/progress.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The first ones are for queries of several terms or lines, which `similar` does not have. */
enum { SEARCH_ONLY = 7 };
static const struct option_def defs[] = {
    {"add", 'a', OPT_PAIR, 0, "Q", "add a sentence or picture to the query (repeatable)"},
    {"subtract", 's', OPT_PAIR, 0, "Q", "take one away (repeatable)"},
    {"interactive", 'i', OPT_FLAG, offsetof(struct search_args, interactive), NULL,
     "answers while you type; Enter prints the chosen path"},
    {"batch", 0, OPT_TEXT, offsetof(struct search_args, batch), "FILE",
     "answer one query a line of FILE (- is standard input)"},
    {"or-generate", 0, OPT_OPTIONAL, offsetof(struct search_args, or_generate), "N",
     "where nothing fits, make N pictures of the words (1), file them, and answer with them"},
    {"checkpoint", 0, OPT_TEXT, offsetof(struct search_args, checkpoint), "NAME|PATH",
     "the Stable Diffusion checkpoint for that"},
    {"dry-run", 0, OPT_FLAG, offsetof(struct search_args, dry_run), NULL,
     "with --or-generate: only list the queries that nothing fits"},
    SEARCH_FILTER_OPTIONS("10"),
    {"preview", 'p', OPT_OPTIONAL, offsetof(struct search_args, preview), "KIND",
     "show each picture in the terminal: kitty, iterm2, sixel, blocks (the best it names)"},
    {"explain", 0, OPT_FLAG, offsetof(struct search_args, explain), NULL,
     "say what puts each result where it is"},
    {"files", 'f', OPT_FLAG, offsetof(struct search_args, files), NULL, "paths only"},
    {"filepath-only", 0, OPT_FLAG, offsetof(struct search_args, files), NULL, "the same"},
    {"null", '0', OPT_FLAG, offsetof(struct search_args, null), NULL,
     "paths only, each ended by a NUL byte, for xargs -0"},
    {"strict", 0, OPT_FLAG, offsetof(struct search_args, strict), NULL,
     "print nothing where nothing fits"},
    {0}};

static int search_once(struct app *a, struct search_run *run)
{
    struct query q = {0};
    char *text = search_text(a);
    double start = time_now();
    if (!text) {
        app_no_memory(a);
    } else if (!search_build_query(a, &q) && !search_open_all(a, run, &q)) {
        search_answer(a, run, &q, text, start);
    }
    query_release(&q);
    mem_free(text);
    return a->exit;
}

/* What the config file asks for stays away from where it cannot be. */
static void pass_over_wishes(const struct app *a, struct search_args *args)
{
    if (args->interactive && app_from_config(a, args->or_generate))
        args->or_generate = NULL;
    if ((a->json || args->files || args->null || args->interactive || !isatty(STDOUT_FILENO)) &&
        app_from_config(a, args->preview))
        args->preview = NULL;
}

static int run_search(struct app *a, int argc, char **argv)
{
    struct search_args args = {.top = 10};
    struct search_run run = {.args = &args};
    int failed = app_begin(a, &cmd_search, defs, &args, argc, argv);
    if (!failed)
        pass_over_wishes(a, &args);
    if (!failed && !search_parse_args(a, &run)) {
        if (args.interactive && (args.batch || args.or_generate || args.explain || a->json))
            app_usage(a,
                      "--interactive does not go with --batch, --or-generate, --explain or --json");
        else if (args.interactive)
            search_live(a, &run);
        else if (args.batch)
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
    if (app_begin(a, &cmd_similar, defs + SEARCH_ONLY, &args, argc, argv))
        goto out;
    pass_over_wishes(a, &args);
    if (search_parse_args(a, &run) || app_want_args(a, 1, 1))
        goto out;
    char *path = app_user_path(a->rest.item[0].value);
    if (!path || query_add(&q, path, 1, &a->err))
        app_fail(a, APP_USAGE);
    else if (!search_open_all(a, &run, &q))
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
    "  eidetic search -i                              answers while you type\n"
    "  eidetic search cat -f -0 | xargs -0 cp -t /tmp/cats\n"
    "  eidetic search --batch questions.txt --json --folder ~/Pictures/family\n\n"
    "-i edits its line as a shell does (arrows, Home, End, Ctrl-A/E/U/K/W); Up, Down and the page "
    "keys\n"
    "choose, Enter prints the path, Esc leaves (exit code 130). A query that cannot be read yet is "
    "said\n"
    "below the last answer, of which nothing can be chosen then.\n\n"
    "--batch answers in the order of the lines and passes over empty ones. A table begins with "
    "its\n"
    "query and ends with an empty line; -f and -0 end each list with an empty line or name. A "
    "line\n"
    "that cannot be answered has an \"error\" (--json) or nothing, and the rest goes on; the exit "
    "code\n"
    "is the highest of any line's.\n\n"
    "--json has a hit's companions: the video of its name, and the others of its burst.",
    run_search};

const struct command cmd_similar = {
    "similar", "find pictures like a given one",
    "usage: eidetic similar FILE [options]\n\n"
    "Pictures like FILE, which need not be in the library; FILE itself is left out.\n\n"
    "  eidetic similar ~/Pictures/2019/IMG_0042.jpg -t 20",
    run_similar};
