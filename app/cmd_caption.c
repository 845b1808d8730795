/* eidetic caption: what is in a picture, in words, by comparing it with labels. */
#include "app/caption_say.h"
#include "core/file.h"
#include "db/vectors.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHOICES_MAX = 1000 };

struct caption_args {
    const char *mode, *labels, *choices, *thresh, *interrogate;
    int top;
    bool redo;
    struct caption_write write;
    struct caption_say_args say;
};

static const struct option_def defs[] = {
    {"mode", 0, OPT_TEXT, offsetof(struct caption_args, mode), "M",
     "caption (a sentence; the default where there is a captioner), tags (what is in it; else the "
     "default), classify (which of the labels it is), ask (which of the choices) or "
     "interrogate (a prompt that would make such a picture)"},
    {"interrogate", 0, OPT_TEXT, offsetof(struct caption_args, interrogate), "HOW",
     "with --mode interrogate: best, fast, classic or negative (best)"},
    {"labels", 0, OPT_TEXT, offsetof(struct caption_args, labels), "FILE",
     "labels of your own, one a line, in place of the built-in vocabulary"},
    {"choices", 0, OPT_TEXT, offsetof(struct caption_args, choices), "A,B,...",
     "the answers that ask chooses from"},
    {"top", 't', OPT_INT, offsetof(struct caption_args, top), "N", "how many at most (10)"},
    {"thresh", 0, OPT_TEXT, offsetof(struct caption_args, thresh), "X",
     "only those that score at least X, of 0 to 1 (0.15; classify and ask: 0)"},
    {"write", 0, OPT_TEXT, offsetof(struct caption_args, write.to), "db,xmp,txt",
     "keep the tags or the caption: in the library, where search finds them; in photo.jpg.xmp; in "
     "photo.txt"},
    {"redo", 0, OPT_FLAG, offsetof(struct caption_args, redo), NULL,
     "with --write db: also pictures that were described in the same way before; with txt: replace "
     "what is there"},
    {"separator", 0, OPT_TEXT, offsetof(struct caption_args, write.separator), "S",
     "with --write txt: what stands between tags (\", \")"},
    {"prefix", 0, OPT_TEXT, offsetof(struct caption_args, write.prefix), "TEXT",
     "with --write txt: what each text begins with"},
    {"append", 0, OPT_FLAG, offsetof(struct caption_args, write.append), NULL,
     "with --write txt: add to the texts that are there"},
    {"underscores", 0, OPT_FLAG, offsetof(struct caption_args, write.underscores), NULL,
     "with --write txt: sports_car in place of sports car"},
    {"undesired-tags", 0, OPT_TEXT, offsetof(struct caption_args, write.undesired), "A,B",
     "with --write xmp or txt: tags that are left out"},
    {"captioner", 0, OPT_TEXT, offsetof(struct caption_args, say.captioner), "NAME|PATH",
     "BLIP or ClipCap (else the first that the model folders hold, else the model's own)"},
    {"beams", 0, OPT_INT, offsetof(struct caption_args, say.beams), "N",
     "how many sentences are followed at a time (3; 1 = greedy)"},
    {"min-length", 0, OPT_INT, offsetof(struct caption_args, say.min), "N",
     "tokens that a caption has at least (5)"},
    {"max-length", 0, OPT_INT, offsetof(struct caption_args, say.max), "N",
     "tokens that a caption has at most (30)"},
    {"top-p", 0, OPT_TEXT, offsetof(struct caption_args, say.top_p), "P",
     "draw --beams captions from the likeliest tokens that hold P, in place of beam search"},
    {"temperature", 0, OPT_TEXT, offsetof(struct caption_args, say.temperature), "T",
     "of the draws: below 1 surer, above 1 wilder (1)"},
    {"seed", 0, OPT_INT, offsetof(struct caption_args, say.seed), "N", "of the draws (0)"},
    {"repetition-penalty", 0, OPT_TEXT, offsetof(struct caption_args, say.repetition), "X",
     "above 1: words that were said are less likely again (1)"},
    {"length-penalty", 0, OPT_TEXT, offsetof(struct caption_args, say.length), "X",
     "of beam search: above 0 longer captions score better (1)"},
    {"prompt", 0, OPT_TEXT, offsetof(struct caption_args, say.prompt), "TEXT",
     "words that every caption begins with"},
    {0}};

static int parse_args(struct app *a, const struct caption_args *args, struct caption_run *run,
                      struct caption_say *say)
{
    static const char *const modes[] = {"tags", "classify", "ask", "interrogate", "caption"};
    const char *mode = args->mode ? args->mode : args->labels ? "tags" : "caption";
    char *end;
    size_t m = 0;
    while (m < 5 && strcmp(mode, modes[m]) != 0)
        m++;
    if (m == 5)
        return app_usage(a, "--mode is caption, tags, classify, ask or interrogate, not \"%.40s\"",
                         mode);
    if (m == CAPTION_SAY && args->labels)
        return app_usage(a, "--labels goes with --mode tags and classify");
    if (m != CAPTION_SAY && args->say.captioner)
        return app_usage(a, "--captioner goes with --mode caption");
    run->mode = (enum caption_mode)m;
    run->top = (size_t)args->top;
    run->redo = args->redo;
    run->thresh = m == CAPTION_TAGS || m == CAPTION_SAY ? (float)TAGGER_THRESHOLD : 0;
    if (args->top < 1 || args->top > LEXICON_MAX_TERMS)
        return app_usage(a, "--top is 1 to %d", LEXICON_MAX_TERMS);
    if (args->thresh) {
        run->thresh = strtof(args->thresh, &end);
        if (end == args->thresh || *end || !(run->thresh >= 0 && run->thresh <= 1))
            return app_usage(a, "--thresh is a number from 0 to 1, not \"%.40s\"", args->thresh);
    }
    run->write = args->write;
    run->write.replace = args->redo;
    if (caption_write_parse(a, &run->write))
        return 1;
    if (run->write.to && m != CAPTION_TAGS && m != CAPTION_SAY)
        return app_usage(a, "--write goes with --mode caption and tags");
    if (m == CAPTION_SAY && caption_say_check(a, &args->say, say))
        return 1;
    if (m == CAPTION_CLASSIFY && !args->labels)
        return app_usage(a, "--mode classify needs --labels FILE");
    if (m == CAPTION_ASK && (args->labels || !args->choices))
        return app_usage(a, "--mode ask needs --choices A,B (and no --labels)");
    if (m != CAPTION_INTERROGATE && args->interrogate)
        return app_usage(a, "--interrogate goes with --mode interrogate");
    if (caption_interrogate_parse(a, args->interrogate, run))
        return 1;
    if (m != CAPTION_ASK && args->choices)
        return app_usage(a, "--choices goes with --mode ask");
    return app_want_args(a, m == CAPTION_ASK ? 2 : 1, SIZE_MAX);
}

/* "a, b" to two labels. */
static int read_choices(struct app *a, const char *text, struct lexicon *v)
{
    char *copy = mem_strdup(text), *p = copy;
    const char *choice[CHOICES_MAX];
    size_t n = 0;
    enum status st = copy ? ST_OK : error_set(&a->err, ST_NOMEM, "out of memory");
    while (!st && p) {
        char *next = strchr(p, ',');
        if (next)
            *next++ = 0;
        if (n == CHOICES_MAX)
            st = error_set(&a->err, ST_LIMIT, "more than %d choices", CHOICES_MAX);
        else
            choice[n++] = p;
        p = next;
    }
    if (!st)
        st = lexicon_from_texts(v, choice, n, &a->err);
    mem_free(copy);
    if (!st && v->n < 2)
        return app_usage(a, "--choices needs two answers at least");
    return st ? app_fail(a, APP_USAGE) : 0;
}

static int read_vocab(struct app *a, const struct caption_args *args, struct caption_run *run)
{
    if (run->mode == CAPTION_ASK)
        return read_choices(a, args->choices, &run->lexicon);
    enum status st = args->labels ? lexicon_read(&run->lexicon, args->labels, &a->err)
                                  : lexicon_builtin(&run->lexicon, &a->err);
    return st ? app_fail(a, APP_FILE) : 0;
}

/* "%s" in a question would be taken for the label's place. */
static char *ask_template(const char *question)
{
    return strstr(question, "%s") ? mem_strdup("%s") : mem_printf("%s %%s", question);
}

static int open_labels(struct app *a, struct caption_run *run)
{
    if (run->mode != CAPTION_ASK)
        return caption_open_labels(a, &run->lexicon, NULL, &run->labels);
    char *question = ask_template(a->rest.item[0].value);
    const char *const asking[] = {"%s", "a photo, %s", question, NULL};
    int failed =
        question ? caption_open_labels(a, &run->lexicon, asking, &run->labels) : app_no_memory(a);
    mem_free(question);
    return failed;
}

static int open_tagger(struct app *a, struct caption_run *run)
{
    float mean[CLIP_MAX_DIM];
    size_t n = 0;
    if (a->db && a->model_row && (run->mode == CAPTION_TAGS || run->mode == CAPTION_INTERROGATE) &&
        db_vectors_mean(a->db, a->model_row, CAPTION_MEAN_OF, mean, &n, &a->err))
        return app_fail(a, APP_LIBRARY);
    if (tagger_init(&run->tagger, &run->lexicon, &run->labels, clip_info(a->clip)->logit_scale,
                    mean, n, &a->err))
        return app_fail(a, APP_MODEL);
    tagger_key(run->key, &run->lexicon, clip_info(a->clip)->id, run->top, run->thresh);
    return 0;
}

/* A picture can be described without a library; tags can only be kept in one. */
static int open_library(struct app *a, const struct caption_run *run)
{
    if (run->write.db)
        return app_open_library(a, DB_WRITE);
    struct db_opts o = {.mode = DB_READ, .command = "caption"};
    a->library_path = app_library_path(a->library);
    enum status st = a->library_path ? db_open(&a->db, a->library_path, &o, &a->err)
                                     : error_set(&a->err, ST_NOMEM, "out of memory");
    return st && st != ST_NOT_FOUND ? app_fail(a, APP_LIBRARY) : 0;
}

/* Which captioner, if sentences are wanted; where nothing was asked for and there is none, tags. */
static int choose(struct app *a, const struct caption_args *args, struct caption_run *run,
                  struct caption_say *say)
{
    if (run->mode != CAPTION_SAY)
        return 0;
    if (caption_say_find(a, args->say.captioner, &say->path))
        return 1;
    if (!say->path && args->mode)
        return app_usage(a, "there is no captioner; name one with --captioner PATH");
    if (!say->path)
        run->mode = CAPTION_TAGS;
    return 0;
}

static int open_all(struct app *a, struct caption_run *run, struct caption_say *say)
{
    bool sentences = run->mode == CAPTION_SAY;
    if (app_open_model(a, NULL) || (a->db && app_find_model_row(a)) ||
        app_open_decoder(a, a->threads, 2 * 16 + 2 * a->threads, false, 0) ||
        (sentences && caption_say_open(a, say)) || app_open_session(a))
        return 1;
    if (sentences)
        return 0;
    if (open_labels(a, run) || open_tagger(a, run))
        return 1;
    return run->mode == CAPTION_INTERROGATE ? caption_interrogate_open(a, run) : 0;
}

int caption_print(struct app *a, const char *path, const struct db_tags *t)
{
    if (a->json) {
        json_t *o = json_object();
        json_set_path(o, path);
        json_object_set_new(o, "caption", json_text(t->caption));
        json_object_set_new(o, "score", json_null());
        json_object_set_new(o, "tags", json_tags(t));
        return app_print_json(a, o);
    }
    print_path(stdout, path);
    for (size_t i = 0; i < t->n; i++) {
        struct buf b;
        buf_init(&b, 1 << 16);
        buf_text_safe(&b, t->tag[i].tag);
        printf("%s%s %.2f", i ? ", " : "\t", b.data ? b.data : "?", t->tag[i].score);
        buf_release(&b);
    }
    putchar('\n');
    return app_check_stdout(a);
}

static int describe(struct app *a, struct caption_run *run, struct caption_say *say)
{
    if (run->mode == CAPTION_SAY)
        return caption_say(a, run, say);
    if (run->mode == CAPTION_ASK)
        log_info("the picture is compared with each choice; nothing is read, counted or reasoned, "
                 "and \"no\" is not understood");
    if (run->top > run->lexicon.n)
        run->top = run->lexicon.n;
    return caption_files(a, run);
}

static int run(struct app *a, int argc, char **argv)
{
    struct caption_args args = {
        .top = CAPTION_TOP,
        .say = {.beams = CAPTION_BEAMS, .min = CAPTION_MIN, .max = CAPTION_MAX}};
    struct caption_run run = {0};
    struct caption_say say = {0};
    if (app_begin(a, &cmd_caption, defs, &args, argc, argv))
        goto out;
    if (parse_args(a, &args, &run, &say) || caption_collect(a, &run, run.mode == CAPTION_ASK) ||
        open_library(a, &run) || choose(a, &args, &run, &say) ||
        (run.mode != CAPTION_SAY && read_vocab(a, &args, &run)) || open_all(a, &run, &say) ||
        describe(a, &run, &say))
        goto out;
    caption_write_report(&run.write);
    if (run.write.db)
        log_info("%zu pictures %s, %zu were already", run.kept,
                 run.mode == CAPTION_SAY ? "captioned" : "tagged", run.same);
    if (run.unknown)
        log_warn("%zu of the pictures are not in the library, so what was said is not kept; run: "
                 "eidetic index",
                 run.unknown);
    if (run.failed || run.unknown)
        a->exit = EXIT_UNREADABLE;
out:
    caption_say_close(&say);
    caption_run_release(&run);
    return a->exit;
}

const struct command cmd_caption = {
    "caption", "say what is in pictures",
    "usage: eidetic caption FILE|DIR... [options]\n"
    "       eidetic caption --mode ask QUESTION --choices A,B FILE|DIR...\n\n"
    "caption   a sentence, by a captioner: the one in the model's own folder, BLIP (the folder of\n"
    "          Hugging Face, or the authors' .pth) or ClipCap (the authors' .pt in a folder with\n"
    "          GPT-2's config.json, vocab.json and merges.txt; --model names its CLIP). The "
    "library's\n"
    "          model chooses among the beams, and says where even the best fits badly: low "
    "confidence\n"
    "tags      labels of a vocabulary of 4,800 (things, scenes, activities, colours, terms of\n"
    "          photography), or of --labels FILE, with scores from 0 to 1; what is above a label "
    "is\n"
    "          named too, and never scores less (animal, dog, dachshund)\n"
    "classify  which of the labels of --labels FILE: probabilities that sum to 1\n"
    "ask       which of the choices fits the picture best. The picture is compared with each;\n"
    "          nothing is counted, read or reasoned, and \"no\" is not understood\n"
    "interrogate  a prompt for generate, as clip-interrogator finds it: the library's caption of "
    "the\n"
    "          picture, else one by the captioner in the model's folder, else \"a photo of\" the "
    "label\n"
    "          that fits best, and phrases out of 3,000 flavors,\n"
    "          800 artists, mediums, movements and sites; at most 77 tokens. fast: those nearest "
    "to\n"
    "          the picture; classic: one of each kind and three flavors; best: phrase by phrase, "
    "each\n"
    "          that which brings the whole nearer (slow), or the better of the former; negative: "
    "what\n"
    "          leads away from it, for --negative-prompt\n\n"
    "--labels FILE is UTF-8, one label a line; behind it, after tabs, a facet (scene, activity,\n"
    "colour, photo, person) and a parent may stand. --write db keeps tags of pictures that are in "
    "the\n"
    "library; a run that was stopped goes on where it was. --write xmp adds to photo.jpg.xmp what "
    "it\n"
    "lacks (dc:subject; dc:description where it has none) and changes nothing else in it; --write "
    "txt\n"
    "makes photo.txt, one line, as programs that train on pictures read it; one that is there and "
    "says\n"
    "something else stays unless --append or --redo is given. Originals are never written.\n\n"
    "  eidetic caption photo.jpg\n"
    "  eidetic caption --captioner blip-image-captioning-base --beams 5 --write db ~/Pictures\n"
    "  eidetic caption --write db,xmp ~/Pictures\n"
    "  eidetic caption --write txt --prefix mydog --undesired-tags animal,pet training/\n"
    "  eidetic caption --mode classify --labels breeds.txt --top 3 dog.jpg\n"
    "  eidetic caption --mode interrogate --interrogate fast photo.jpg\n"
    "  eidetic caption --mode ask \"where is it?\" --choices indoors,outdoors photo.jpg",
    run};
