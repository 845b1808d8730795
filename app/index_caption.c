/* Tags during indexing. Labels are measured by what they score on other pictures
 * (caption/tagger.h); in a library that is being made these are the pictures of the run itself, so
 * the mean is taken again as they come, at first after each and then when they are a fifth more. */
#include "app/index_caption.h"
#include "app/caption_app.h"
#include "db/vectors.h"
#include <string.h>

int index_tagger_open(struct app *a, struct index_tagger *t, bool sentences)
{
    size_t dim = (size_t)clip_dim(a->clip);
    t->app = a;
    if (lexicon_builtin(&t->lexicon, &a->err))
        return app_fail(a, APP_FILE);
    if (caption_open_labels(a, &t->lexicon, NULL, &t->labels))
        return 1;
    if (a->model_row &&
        db_vectors_mean(a->db, a->model_row, CAPTION_MEAN_OF, t->mean, &t->n, &a->err))
        return app_fail(a, APP_LIBRARY);
    if (!t->n)
        memset(t->mean, 0, dim * sizeof *t->mean);
    if (tagger_init(&t->tagger, &t->lexicon, &t->labels, clip_info(a->clip)->logit_scale, t->mean,
                    t->n, &a->err))
        return app_fail(a, APP_MODEL);
    t->calibrated = t->n;
    tagger_key(t->key, &t->lexicon, clip_info(a->clip)->id, CAPTION_TOP, (float)TAGGER_THRESHOLD);
    t->scores = mem_array(t->labels.n, sizeof *t->scores);
    if (!t->scores)
        return app_no_memory(a);
    return sentences ? caption_own_open(a, &t->own) : 0;
}

static void add_to_mean(struct index_tagger *t, const float *x)
{
    if (t->n >= CAPTION_MEAN_OF)
        return;
    t->n++;
    for (size_t i = 0; i < t->labels.dim; i++)
        t->mean[i] += (x[i] - t->mean[i]) / (float)t->n;
    if (t->n < t->calibrated + t->calibrated / 5 + 1 && t->n < CAPTION_MEAN_OF)
        return;
    tagger_calibrate(&t->tagger, t->mean, t->n);
    t->calibrated = t->n;
}

static enum status put_caption(struct index_tagger *t, int64_t image, const float *vector,
                               const float *places, struct error *err)
{
    char *text = NULL;
    double agreement = 0;
    enum status st = caption_own_say(&t->own, vector, places, &text, &agreement, err);
    if (!st)
        st = db_caption_put(t->app->db, image, t->own.key, text, agreement, err);
    t->captioned += !st;
    mem_free(text);
    return st;
}

enum status index_tagger_put(void *ctx, int64_t image, const float *vector, const float *places,
                             struct error *err)
{
    struct index_tagger *t = ctx;
    struct tag best[CAPTION_TOP];
    struct db_tag tags[CAPTION_TOP];
    add_to_mean(t, vector);
    tagger_score(&t->tagger, vector, t->scores);
    size_t n = tagger_best(&t->tagger, t->scores, (float)TAGGER_THRESHOLD, best, CAPTION_TOP);
    for (size_t i = 0; i < n; i++)
        tags[i] = (struct db_tag){t->lexicon.term[best[i].term].text, (double)best[i].score};
    enum status st = db_tags_put(t->app->db, image, t->key, tags, n, err);
    t->tagged += !st;
    if (!st && t->own.captioner)
        st = put_caption(t, image, vector, places, err);
    return st;
}

void index_tagger_close(struct index_tagger *t)
{
    caption_own_close(&t->own);
    mem_free(t->scores);
    tagger_release(&t->tagger);
    labels_close(&t->labels);
    lexicon_release(&t->lexicon);
    *t = (struct index_tagger){0};
}
