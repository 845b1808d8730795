/* `caption --mode interrogate`: one picture's prompt. What it begins with is the caption that the
 * library holds, else what the model's own captioner says, else the label of the vocabulary that
 * fits best, as a sentence. */
#include "app/caption_app.h"
#include "core/file_note.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char *const modes[] = {"best", "fast", "classic", "negative"};

int caption_interrogate_parse(struct app *a, const char *how, struct caption_run *run)
{
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (!how || !strcmp(how, modes[i])) {
            run->how = (enum interrogate_mode)i;
            return 0;
        }
    return app_usage(a, "--interrogate is best, fast, classic or negative, not \"%.40s\"", how);
}

static void on_phrases(void *ctx, size_t done, size_t n)
{
    struct progress *p = ctx;
    if (p->what && p->total != n)
        progress_finish(p);
    if (!p->what || p->total != n)
        progress_init(p, stderr, "reading phrase", n, p->on);
    progress_update(p, done);
}

int caption_interrogate_open(struct app *a, struct caption_run *run)
{
    struct progress p = {.on = !a->quiet};
    char *folder = file_note_folder(LABELS_FOLDER);
    struct interrogator_opts o = {
        .cache = folder, .stop = a->stop, .progress = on_phrases, .ctx = &p};
    enum status st = interrogator_open(&run->interrogator, a->session, a->clip, &o, &a->err);
    progress_finish(&p);
    mem_free(folder);
    return st ? app_fail(a, APP_MODEL) : caption_own_open(a, &run->own);
}

/* The best label below `above` (-1: of those that nothing is above) of what a sentence can begin
 * with; -1 = none. */
static int best_below(const struct lexicon *v, const float *scores, int above)
{
    int top = -1;
    for (int i = 0; i < (int)v->n; i++)
        if (v->term[i].parent == above &&
            (v->term[i].facet == LEXICON_THING || v->term[i].facet == LEXICON_SCENE) &&
            (top < 0 || scores[i] > scores[top]))
            top = i;
    return top;
}

/* "a photo of a LABEL": from the most probable label down, as long as one below it has half of its
 * probability. */
static char *sentence_of(const struct caption_run *run, const float *x, float *scores)
{
    const struct lexicon *v = &run->lexicon;
    tagger_score(&run->tagger, x, scores);
    int at = best_below(v, scores, -1), next;
    if (at < 0) /* a list of colours, say */
        return mem_strdup("a photo");
    while ((next = best_below(v, scores, at)) >= 0 && scores[next] >= scores[at] / 2)
        at = next;
    const char *label = v->term[at].text;
    size_t n = strlen(label);
    bool plural = n > 2 && label[n - 1] == 's' && label[n - 2] != 's';
    bool vowel = strchr("aeiou", tolower((unsigned char)label[0])) != NULL;
    return mem_printf("a photo of %s%s", plural ? "" : vowel ? "an " : "a ", label);
}

static int print(struct app *a, const char *path, const char *caption,
                 const struct interrogation *r)
{
    if (a->json) {
        json_t *o = json_object();
        json_set_path(o, path);
        json_object_set_new(o, "caption", json_text(caption));
        json_object_set_new(o, "prompt", json_text(r->prompt));
        json_object_set_new(o, "score", json_real6(r->score));
        return app_print_json(a, o);
    }
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_text_safe(&b, r->prompt);
    print_path(stdout, path);
    printf("\t%s\n", b.data ? b.data : "?");
    buf_release(&b);
    return app_check_stdout(a);
}

int caption_stored(struct app *a, int64_t image, char **caption)
{
    struct db_tags stored = {0};
    *caption = NULL;
    if (!a->db || !image)
        return 0;
    if (db_tags_get(a->db, image, &stored, &a->err))
        return app_fail(a, APP_LIBRARY);
    *caption = stored.caption;
    stored.caption = NULL;
    db_tags_release(&stored);
    return 0;
}

int caption_interrogate(struct app *a, struct caption_run *run, const char *path, int64_t image,
                        const float *x, const float *places, float *scores)
{
    struct interrogation r = {0};
    char *caption = NULL;
    double agreement;
    int failed = caption_stored(a, image, &caption);
    if (!failed && !caption && places &&
        caption_own_say(&run->own, x, places, &caption, &agreement, &a->err))
        failed = app_fail(a, APP_MODEL);
    if (!failed && !caption)
        caption = sentence_of(run, x, scores);
    if (!failed && !caption)
        failed = app_no_memory(a);
    if (!failed && interrogator_ask(&run->interrogator, run->how, x, caption, &r, &a->err))
        failed = app_fail(a, APP_MODEL);
    if (!failed)
        failed = print(a, path, run->how == INTERROGATE_NEGATIVE ? NULL : caption, &r);
    interrogation_release(&r);
    mem_free(caption);
    return failed;
}
