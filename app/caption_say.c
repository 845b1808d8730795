/* Captions over files. Surprising: a picture may be decoded twice, for the captioner's own eyes and
 * for CLIP's; the second is left out where the library has its vector and the captioner does not
 * see by CLIP's own states. */
#include "app/caption_say.h"
#include "core/file.h"
#include "core/progress.h"
#include "db/images.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { AHEAD = 6 };
static const double COMMIT_SECONDS = 1.0;

/* One file on its way. */
struct item {
    const char *path;
    int64_t image;
    enum status status;
    char text[256];
    bool waits_clip, waits_own, has_clip, has_own, have_vector, answered;
    struct decoder_job clip, own;
    struct db_tags stored;
    float *vector, *embedding; /* [dim] */
};
struct saying {
    struct app *a;
    struct caption_run *run;
    struct caption_say *s;
    struct item item[AHEAD];
    float *vectors, *places; /* places: of the picture at hand, where the captioner wants them */
    double begun;            /* the transaction */
};

static enum status on_model(void *ctx, const char *name, const char *path)
{
    char **found = ctx;
    (void)name;
    if (*found || !captioner_probe(path))
        return ST_OK;
    *found = mem_strdup(path);
    return *found ? ST_OK : ST_NOMEM;
}

int caption_say_find(struct app *a, const char *name, char **path)
{
    *path = NULL;
    if (name)
        return app_find_model(name, path, &a->err) ? app_fail(a, APP_MODEL) : 0;
    if (app_each_model(on_model, path, &a->err))
        return app_no_memory(a);
    if (*path)
        return 0;
    if (app_locate_model(a))
        return 1;
    *path = caption_own_path(a);
    return 0;
}

/* *x stays where text is NULL. */
static int read_number(struct app *a, const char *option, const char *text, float lo, float hi,
                       float *x)
{
    char *end;
    if (!text)
        return 0;
    float v = strtof(text, &end);
    if (end == text || *end || !(v >= lo && v <= hi))
        return app_usage(a, "--%s is a number from %g to %g, not \"%.40s\"", option, (double)lo,
                         (double)hi, text);
    *x = v;
    return 0;
}

int caption_say_check(struct app *a, const struct caption_say_args *args, struct caption_say *s)
{
    struct decode_opts *d = &s->opts.decode;
    float length = 1.0f;
    if (args->beams < 1 || args->beams > DECODE_MAX_BEAMS)
        return app_usage(a, "--beams is 1 to %d", DECODE_MAX_BEAMS);
    if (args->max < 1 || args->max > DECODE_MAX_TOKENS || args->min > args->max)
        return app_usage(a, "--max-length is 1 to %d and not below --min-length",
                         DECODE_MAX_TOKENS);
    if (read_number(a, "top-p", args->top_p, 0.0f, 1.0f, &d->top_p) ||
        read_number(a, "temperature", args->temperature, 0.01f, 100.0f, &d->temperature) ||
        read_number(a, "repetition-penalty", args->repetition, 0.1f, 10.0f,
                    &d->repetition_penalty) ||
        read_number(a, "length-penalty", args->length, -10.0f, 10.0f, &length))
        return 1;
    if (d->temperature != 0.0f && d->top_p <= 0.0f)
        return app_usage(a, "--temperature goes with --top-p");
    d->length_penalty = length == 0.0f ? DECODE_NO_LENGTH : length;
    d->beams = args->beams;
    d->min_tokens = args->min;
    d->max_tokens = args->max;
    d->seed = (uint64_t)args->seed;
    s->opts.prompt = args->prompt;
    return 0;
}

int caption_say_open(struct app *a, struct caption_say *s)
{
    if (captioner_open(&s->captioner, s->path, &a->err))
        return app_fail(a, APP_MODEL);
    if (captioner_fits(s->captioner, clip_info(a->clip), &a->err))
        return app_fail(a, APP_MODEL);
    if (captioner_info(s->captioner)->wants != CAPTIONER_PIXELS)
        return 0;
    struct decoder_opts o = {.workers = a->threads > 2 ? 2 : a->threads,
                             .slots = AHEAD,
                             .prep = captioner_prep(s->captioner),
                             .hash = true};
    return decoder_open(&s->decoder, &o, &a->err) ? app_fail(a, APP_FILE) : 0;
}

void caption_say_close(struct caption_say *s)
{
    decoder_close(s->decoder);
    captioner_session_free(s->session);
    captioner_close(s->captioner);
    mem_free(s->path);
}

static bool wants(const struct saying *y, enum captioner_wants w)
{
    return captioner_info(y->s->captioner)->wants == w;
}

/* Known to the library with the same settings: the answer is there already. */
static bool stored_answer(const struct saying *y, struct item *it)
{
    struct app *a = y->a;
    if (!y->run->write.db || y->run->redo || !it->image ||
        db_tags_get(a->db, it->image, &it->stored, NULL))
        return false;
    if (it->stored.caption && !strcmp(it->stored.caption_key, y->run->key))
        return true;
    db_tags_release(&it->stored);
    return false;
}

static int item_begin(struct saying *y, size_t i)
{
    struct app *a = y->a;
    struct item *it = &y->item[i % AHEAD];
    size_t dim = (size_t)clip_dim(a->clip);
    *it = (struct item){.path = y->run->path[i], .vector = y->vectors + 2 * (i % AHEAD) * dim};
    it->embedding = it->vector + dim;
    it->have_vector = app_stored_vector(a, it->path, it->vector, &it->image);
    it->answered = it->have_vector && stored_answer(y, it);
    if (it->answered)
        return 0;
    if (!it->have_vector || wants(y, CAPTIONER_EMBEDDING) || wants(y, CAPTIONER_PLACES)) {
        if (decoder_submit(a->decoder, i, it->path, &a->err))
            return app_fail(a, APP_FILE);
        it->waits_clip = true;
    }
    if (wants(y, CAPTIONER_PIXELS)) {
        if (decoder_submit(y->s->decoder, i, it->path, &a->err))
            return app_fail(a, APP_FILE);
        it->waits_own = true;
    }
    return 0;
}

/* One result of either decoder to its file. */
static int take(struct saying *y, struct decoder *d, bool own)
{
    struct app *a = y->a;
    struct decoder_job job;
    if (decoder_next(d, &job, -1, &a->err))
        return app_fail(a, APP_FILE);
    struct item *it = &y->item[job.ticket % AHEAD];
    if (own)
        it->waits_own = false;
    else
        it->waits_clip = false;
    if (a->db && !it->image && job.has_hash && db_image_find(a->db, job.hash, &it->image, NULL))
        it->image = 0;
    if (job.status) {
        it->status = job.status;
        memcpy(it->text, job.text, sizeof it->text);
        decoder_done(d, &job);
    } else if (own) {
        it->own = job;
        it->has_own = true;
    } else {
        it->clip = job;
        it->has_clip = true;
    }
    return 0;
}

static void item_end(struct saying *y, struct item *it)
{
    if (it->has_clip)
        decoder_done(y->a->decoder, &it->clip);
    if (it->has_own)
        decoder_done(y->s->decoder, &it->own);
    db_tags_release(&it->stored);
    *it = (struct item){0};
}

static int look(struct saying *y, struct item *it)
{
    struct app *a = y->a;
    enum status st = ST_OK;
    if (!it->has_clip)
        return 0;
    if (wants(y, CAPTIONER_PLACES))
        return clip_look_images(a->session, &it->clip.pixels, 1, it->vector, y->places, &a->err)
                   ? app_fail(a, APP_MODEL)
                   : 0;
    if (wants(y, CAPTIONER_EMBEDDING))
        st = clip_embed_images(a->session, &it->clip.pixels, 1, it->embedding, &a->err);
    if (!st && !it->have_vector)
        st = clip_encode_images(a->session, &it->clip.pixels, 1, it->vector, &a->err);
    return st ? app_fail(a, APP_MODEL) : 0;
}

static int keep(struct saying *y, const struct item *it, const char *caption, double score)
{
    struct app *a = y->a;
    enum status st = ST_OK;
    if (!it->image) {
        y->run->unknown++;
        return 0;
    }
    if (!db_in_transaction(a->db)) {
        y->begun = time_now();
        st = db_begin(a->db, &a->err);
    }
    if (!st)
        st = db_caption_put(a->db, it->image, y->run->key, caption, score, &a->err);
    if (st)
        return app_fail(a, APP_LIBRARY);
    y->run->kept++;
    return 0;
}

static int print_said(struct app *a, const char *path, const struct db_tags *t)
{
    bool low = t->caption_score < AGREEMENT_LOW;
    if (a->json) {
        json_t *o = json_object();
        json_set_path(o, path);
        json_object_set_new(o, "caption", json_text(t->caption));
        json_object_set_new(o, "score", json_real6(t->caption_score));
        json_object_set_new(o, "low_confidence", json_boolean(low));
        json_object_set_new(o, "tags", json_tags(t));
        return app_print_json(a, o);
    }
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_text_safe(&b, t->caption);
    print_path(stdout, path);
    printf("\t%s\t%.2f%s\n", b.data ? b.data : "", t->caption_score,
           low ? " (low confidence)" : "");
    buf_release(&b);
    return app_check_stdout(a);
}

/* One that cannot be written costs itself, unless nothing can be written any more. */
static int write_sidecars(struct saying *y, const char *path, const struct db_tags *t)
{
    enum status st = caption_write_sidecars(&y->run->write, path, t, &y->a->err);
    if (st == ST_NOSPACE || st == ST_NOMEM)
        return app_fail(y->a, APP_LIBRARY);
    if (st)
        caption_warn_failed(y->run, path, y->a->err.text);
    return 0;
}

/* The answer for one file whose pixels are there. */
static int say(struct saying *y, struct item *it)
{
    struct app *a = y->a;
    struct captions l = {0};
    struct captioner_input in = {.pixels = it->has_own ? it->own.pixels : NULL,
                                 .vector =
                                     wants(y, CAPTIONER_EMBEDDING) ? it->embedding : it->vector,
                                 .places = y->places};
    double agreement = 0, start = time_now();
    if (look(y, it))
        return 1;
    enum status st = captioner_say(y->s->session, &in, &y->s->opts, &l, &a->err);
    y->s->seconds += time_now() - start;
    y->s->tokens += (size_t)l.tokens;
    if (!st && l.n)
        st = agreement_rank(&y->s->agreement, a->session, it->vector, &l, &agreement, &a->err);
    if (!st && !l.n)
        st = error_set(&a->err, ST_INTERNAL, "%s: no caption came out", it->path);
    int failed = st ? app_fail(a, APP_MODEL) : 0;
    if (!failed) {
        struct db_tags t = {.caption = l.item[0].text, .caption_score = agreement};
        struct db_tags known = {0};
        if (a->db && it->image && !db_tags_get(a->db, it->image, &known, NULL)) {
            t.tag = known.tag;
            t.n = known.n;
        }
        y->s->low += agreement < AGREEMENT_LOW;
        if (y->run->write.db)
            failed = keep(y, it, t.caption, agreement);
        if (!failed)
            failed = write_sidecars(y, it->path, &t);
        if (!failed)
            failed = print_said(a, it->path, &t);
        db_tags_release(&known);
    }
    captions_release(&l);
    return failed;
}

static int answer(struct saying *y, struct item *it)
{
    if (it->status) {
        caption_warn_failed(y->run, it->path, it->text);
        return 0;
    }
    if (!it->answered)
        return say(y, it);
    y->run->same++;
    y->s->low += it->stored.caption_score < AGREEMENT_LOW;
    return write_sidecars(y, it->path, &it->stored) || print_said(y->a, it->path, &it->stored);
}

static int commit(struct saying *y, bool now)
{
    struct app *a = y->a;
    if (!y->run->write.db || !db_in_transaction(a->db) ||
        (!now && time_now() - y->begun < COMMIT_SECONDS))
        return 0;
    return db_commit(a->db, &a->err) ? app_fail(a, APP_LIBRARY) : 0;
}

static int say_all(struct saying *y)
{
    struct caption_run *run = y->run;
    size_t begun = 0;
    int failed = 0;
    for (size_t i = 0; i < run->n_paths && !failed; i++) {
        struct item *it = &y->item[i % AHEAD];
        for (; begun < run->n_paths && begun < i + AHEAD && !failed; begun++)
            failed = item_begin(y, begun);
        while (it->waits_clip && !failed)
            failed = take(y, y->a->decoder, false);
        while (it->waits_own && !failed)
            failed = take(y, y->s->decoder, true);
        if (!failed)
            failed = answer(y, it) || commit(y, false);
        item_end(y, it);
        progress_update(&run->progress, ++run->done);
        if (!failed && *y->a->stop && i + 1 < run->n_paths) {
            error_set(&y->a->err, ST_INTERRUPTED, "interrupted; what was written is kept");
            failed = app_fail(y->a, APP_LIBRARY);
        }
    }
    if (!failed || y->a->exit == EXIT_INTERRUPTED)
        failed |= commit(y, true);
    for (size_t i = 0; i < AHEAD; i++)
        item_end(y, &y->item[i]);
    return failed;
}

int caption_say(struct app *a, struct caption_run *run, struct caption_say *s)
{
    struct saying y = {.a = a, .run = run, .s = s};
    const struct clip_info *clip = clip_info(a->clip);
    if (caption_session(a, s->captioner, &s->session))
        return 1;
    if (agreement_init(&s->agreement, a->session, a->clip, &a->err))
        return app_fail(a, APP_MODEL);
    bool sees = wants(&y, CAPTIONER_PLACES);
    y.vectors = mem_zarray(2 * AHEAD, (size_t)clip->dim * sizeof *y.vectors);
    if (sees)
        y.places = mem_array((size_t)clip->places, (size_t)clip->place_width * sizeof *y.places);
    if (!y.vectors || (sees && !y.places)) {
        mem_free(y.vectors);
        mem_free(y.places);
        return app_no_memory(a);
    }
    captioner_key(run->key, s->captioner, &s->opts, clip->id);
    progress_init(&run->progress, stderr, "describing", run->n_paths, !a->quiet);
    int failed = say_all(&y);
    progress_finish(&run->progress);
    if (s->tokens)
        log_debug("%zu tokens in %.1f s, %.1f tokens/s", s->tokens, s->seconds,
                  (double)s->tokens / s->seconds);
    if (s->low)
        log_info("%zu captions fit their pictures badly by CLIP: low confidence", s->low);
    mem_free(y.vectors);
    mem_free(y.places);
    return failed;
}
