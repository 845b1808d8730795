/* The files of `caption`, in windows: while one is embedded and answered, the workers decode the
 * next. A window's tags are committed together, so that a kill costs at most that. */
#include "app/caption_app.h"
#include "core/file.h"
#include "db/files.h"
#include "db/images.h"
#include "indexer/walk.h"
#include <string.h>

enum { WINDOW = 16 };
static const double COMMIT_SECONDS = 1.0;

struct item {
    const char *path;
    int64_t image; /* in the library; 0 = not */
    enum status status;
    char text[256];                         /* why it failed */
    bool have_vector, waits, has_job, seen; /* seen: its places are in the window */
    struct decoder_job job;
    struct db_tags stored; /* what an earlier run wrote, when it is still what would be */
    bool answered;
};
struct window {
    struct item item[WINDOW];
    size_t first, n;
    float *vectors; /* [WINDOW, dim] */
    float *places;  /* [WINDOW, places_size], where a captioner wants them; else NULL */
};
struct walking {
    struct app *app;
    struct caption_run *run;
};

static enum status add_path(struct caption_run *run, const char *path, struct error *err)
{
    if (run->n_paths == run->cap_paths) {
        size_t cap = run->cap_paths ? run->cap_paths * 2 : 64;
        char **grown = mem_realloc_array(run->path, cap, sizeof *grown);
        if (!grown)
            return error_set(err, ST_NOMEM, "out of memory");
        run->path = grown;
        run->cap_paths = cap;
    }
    if (!(run->path[run->n_paths] = mem_strdup(path)))
        return error_set(err, ST_NOMEM, "out of memory");
    run->n_paths++;
    return ST_OK;
}

void caption_warn_failed(struct caption_run *run, const char *path, const char *text)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    if (!strstr(text, path)) { /* most texts name the file themselves */
        buf_text_safe(&b, path);
        buf_puts(&b, ": ");
    }
    buf_text_safe(&b, text);
    progress_clear(&run->progress);
    log_warn("%s", b.data ? b.data : "?");
    buf_release(&b);
    run->failed++;
}

static enum status on_file(void *ctx, const struct walk_file *f, struct error *err)
{
    return add_path(((struct walking *)ctx)->run, f->path, err);
}

static void on_error(void *ctx, const char *path, bool is_dir, const struct error *err)
{
    (void)is_dir;
    caption_warn_failed(((struct walking *)ctx)->run, path, err->text);
}

int caption_collect(struct app *a, struct caption_run *run, size_t first)
{
    struct walking w = {a, run};
    struct walk_opts o = {.want = image_name_supported};
    for (size_t i = first; i < a->rest.n; i++) {
        struct error why = {0};
        char *path = app_user_path(a->rest.item[i].value);
        if (!path)
            return app_no_memory(a);
        /* A file is taken whatever its name says; what is none fails alone. */
        enum status st = file_is_dir(path) ? walk_tree(path, &o, on_file, on_error, &w, &why)
                                           : add_path(run, path, &why);
        if (st == ST_NOMEM) {
            a->err = why;
            mem_free(path);
            return app_fail(a, APP_FILE);
        }
        if (st)
            caption_warn_failed(run, path, why.text);
        mem_free(path);
    }
    return 0;
}

/* Known to the library with the same settings: the answer is there already. */
static bool stored_answer(struct app *a, struct caption_run *run, struct item *it)
{
    if (!run->write.db || run->redo || !it->image ||
        db_tags_get(a->db, it->image, &it->stored, NULL))
        return false;
    if (!strcmp(it->stored.key, run->key))
        return true;
    db_tags_release(&it->stored);
    return false;
}

static size_t places_size(const struct app *a)
{
    const struct clip_info *i = clip_info(a->clip);
    return (size_t)i->places * (size_t)i->place_width;
}

/* Whether a sentence must be made of it, for which its places must be seen. */
static int wants_places(struct app *a, const struct caption_run *run, const struct item *it,
                        bool *want)
{
    char *caption = NULL;
    *want = false;
    if (!run->own.captioner)
        return 0;
    if (caption_stored(a, it->image, &caption))
        return 1;
    *want = !caption;
    mem_free(caption);
    return 0;
}

static int window_begin(struct app *a, struct caption_run *run, struct window *w, size_t first)
{
    size_t dim = (size_t)clip_dim(a->clip), left = run->n_paths - first;
    w->first = first;
    w->n = left < WINDOW ? left : WINDOW;
    for (size_t i = 0; i < w->n; i++) {
        struct item *it = &w->item[i];
        *it = (struct item){.path = run->path[first + i]};
        it->have_vector = app_stored_vector(a, it->path, w->vectors + i * dim, &it->image);
        it->answered = it->have_vector && stored_answer(a, run, it);
        bool look = false;
        if (it->have_vector && wants_places(a, run, it, &look))
            return 1;
        if (it->have_vector && !look)
            continue;
        if (decoder_submit(a->decoder, first + i, it->path, &a->err))
            return app_fail(a, APP_FILE);
        it->waits = true;
    }
    return 0;
}

/* One result of the workers to the window it belongs to, the one at hand or the next. */
static int take_result(struct app *a, struct window *w, struct window *next)
{
    struct decoder_job job;
    if (decoder_next(a->decoder, &job, -1, &a->err))
        return app_fail(a, APP_FILE);
    struct window *of = job.ticket < w->first + w->n ? w : next;
    struct item *it = &of->item[job.ticket - of->first];
    it->waits = false;
    it->status = job.status;
    if (job.status) {
        memcpy(it->text, job.text, sizeof it->text);
        decoder_done(a->decoder, &job);
        return 0;
    }
    it->job = job;
    it->has_job = true;
    if (a->db && job.has_hash && db_image_find(a->db, job.hash, &it->image, NULL))
        it->image = 0;
    return 0;
}

static int embed_window(struct app *a, struct window *w)
{
    size_t dim = (size_t)clip_dim(a->clip), n = 0;
    const uint8_t *pixels[WINDOW];
    size_t at[WINDOW];
    float *out = mem_array(WINDOW, dim * sizeof *out);
    if (!out)
        return app_no_memory(a);
    size_t size = places_size(a);
    for (size_t i = 0; i < w->n; i++)
        if (w->item[i].has_job) {
            pixels[n] = w->item[i].job.pixels;
            at[n++] = i;
        }
    int failed = 0;
    enum status st = ST_OK;
    if (n && w->places)
        st = clip_look_images(a->session, pixels, (int)n, out, w->places, &a->err);
    else if (n)
        st = clip_encode_images(a->session, pixels, (int)n, out, &a->err);
    if (st)
        failed = app_fail(a, APP_MODEL);
    for (size_t k = n; k-- > 0 && w->places;) { /* the last first: at[k] >= k */
        memmove(w->places + at[k] * size, w->places + k * size, size * sizeof *out);
        w->item[at[k]].seen = true;
    }
    for (size_t k = 0; k < n; k++) {
        struct item *it = &w->item[at[k]];
        memcpy(w->vectors + at[k] * dim, out + k * dim, dim * sizeof *out);
        it->have_vector = true;
        it->has_job = false;
        decoder_done(a->decoder, &it->job);
    }
    mem_free(out);
    return failed;
}

static enum status write_tags(struct app *a, struct caption_run *run, const struct item *it,
                              const struct db_tags *t, double *begun)
{
    enum status st = ST_OK;
    if (!it->image) {
        run->unknown++;
        return ST_OK;
    }
    if (!db_in_transaction(a->db)) {
        *begun = time_now();
        st = db_begin(a->db, &a->err);
    }
    if (!st)
        st = db_tags_put(a->db, it->image, run->key, t->tag, t->n, &a->err);
    run->kept += !st;
    return st;
}

/* One that cannot be written costs itself, unless nothing can be written any more. */
static int write_sidecars(struct app *a, struct caption_run *run, const struct item *it,
                          const struct db_tags *t)
{
    enum status st = caption_write_sidecars(&run->write, it->path, t, &a->err);
    if (st == ST_NOSPACE || st == ST_NOMEM)
        return app_fail(a, APP_LIBRARY);
    if (st)
        caption_warn_failed(run, it->path, a->err.text);
    return 0;
}

static int answer_item(struct app *a, struct caption_run *run, struct item *it, const float *vector,
                       const float *places, float *scores, struct tag *best, double *begun)
{
    if (it->status) {
        caption_warn_failed(run, it->path, it->text);
        return 0;
    }
    if (it->answered) {
        int failed =
            write_sidecars(a, run, it, &it->stored) || caption_print(a, it->path, &it->stored);
        db_tags_release(&it->stored);
        run->same++;
        return failed;
    }
    if (run->mode == CAPTION_INTERROGATE)
        return caption_interrogate(a, run, it->path, it->image, vector, places, scores);
    struct db_tags t = {.tag = mem_array(run->top, sizeof *t.tag)};
    if (!t.tag)
        return app_no_memory(a);
    if (run->mode == CAPTION_TAGS)
        tagger_score(&run->tagger, vector, scores);
    else
        tagger_classify(&run->tagger, vector, scores);
    t.n = tagger_best(&run->tagger, scores, run->thresh, best, run->top);
    for (size_t i = 0; i < t.n; i++)
        t.tag[i] = (struct db_tag){run->lexicon.term[best[i].term].text, (double)best[i].score};
    int failed = 0;
    if (run->write.db && write_tags(a, run, it, &t, begun))
        failed = app_fail(a, APP_LIBRARY);
    if (!failed)
        failed = write_sidecars(a, run, it, &t) || caption_print(a, it->path, &t);
    mem_free(t.tag); /* the texts are the vocabulary's */
    return failed;
}

static int window_answer(struct app *a, struct caption_run *run, struct window *w, float *scores,
                         struct tag *best, double *begun)
{
    size_t dim = (size_t)clip_dim(a->clip);
    for (size_t i = 0; i < w->n; i++) {
        const float *places = w->item[i].seen ? w->places + i * places_size(a) : NULL;
        if (answer_item(a, run, &w->item[i], w->vectors + i * dim, places, scores, best, begun))
            return 1;
        progress_update(&run->progress, ++run->done);
    }
    if (run->write.db && db_in_transaction(a->db) &&
        (time_now() - *begun >= COMMIT_SECONDS || w->first + w->n == run->n_paths) &&
        db_commit(a->db, &a->err))
        return app_fail(a, APP_LIBRARY);
    return 0;
}

static int run_windows(struct app *a, struct caption_run *run, struct window *w,
                       struct window *next, float *scores, struct tag *best)
{
    double begun = 0;
    int failed = run->n_paths ? window_begin(a, run, w, 0) : 0;
    while (!failed && w->n) {
        next->n = 0;
        if (w->first + w->n < run->n_paths)
            failed = window_begin(a, run, next, w->first + w->n);
        for (size_t i = 0; !failed && i < w->n; i++)
            while (!failed && w->item[i].waits)
                failed = take_result(a, w, next);
        if (!failed)
            failed = embed_window(a, w) || window_answer(a, run, w, scores, best, &begun);
        if (!failed && *a->stop && next->n) {
            error_set(&a->err, ST_INTERRUPTED, "interrupted; what was written is kept");
            failed = app_fail(a, APP_LIBRARY);
        }
        struct window *swap = w;
        w = next;
        next = swap;
    }
    if (a->exit == EXIT_INTERRUPTED && db_in_transaction(a->db) && db_commit(a->db, &a->err))
        app_fail(a, APP_LIBRARY);
    return failed;
}

int caption_files(struct app *a, struct caption_run *run)
{
    size_t dim = (size_t)clip_dim(a->clip);
    struct window *w = mem_zarray(2, sizeof *w);
    float *scores = mem_array(run->tagger.n, sizeof *scores);
    struct tag *best = mem_array(run->top, sizeof *best);
    float *vectors = mem_array(2 * WINDOW * dim, sizeof *vectors);
    size_t size = run->own.captioner ? WINDOW * places_size(a) : 0;
    float *places = size ? mem_array(2 * size, sizeof *places) : NULL;
    int failed = 1;
    if (w && scores && best && vectors && (places || !size)) {
        w[0].vectors = vectors;
        w[1].vectors = vectors + WINDOW * dim;
        w[0].places = places;
        w[1].places = size ? places + size : NULL;
        progress_init(&run->progress, stderr, "looking at", run->n_paths, !a->quiet);
        failed = run_windows(a, run, w, w + 1, scores, best);
        progress_finish(&run->progress);
    } else {
        app_no_memory(a);
    }
    for (size_t i = 0; w && i < 2 * WINDOW; i++)
        db_tags_release(&w[i / WINDOW].item[i % WINDOW].stored);
    mem_free(places);
    mem_free(vectors);
    mem_free(best);
    mem_free(scores);
    mem_free(w);
    return failed;
}

void caption_run_release(struct caption_run *run)
{
    for (size_t i = 0; i < run->n_paths; i++)
        mem_free(run->path[i]);
    mem_free(run->path);
    caption_own_close(&run->own);
    interrogator_close(&run->interrogator);
    tagger_release(&run->tagger);
    labels_close(&run->labels);
    lexicon_release(&run->lexicon);
}
