/* `index --caption`: tags of every picture as it is embedded, as `caption --mode tags --write db`
 * makes them, and a sentence by the captioner in the model's folder, as `caption --write db` does
 * by default. */
#ifndef EIDETIC_APP_INDEX_CAPTION_H
#define EIDETIC_APP_INDEX_CAPTION_H

#include "app/caption_own.h"
#include "caption/tagger.h"
#include "db/tags.h"

struct index_tagger {
    struct app *app;
    struct lexicon lexicon;
    struct labels labels;
    struct tagger tagger;
    char key[DB_TAGS_KEY + 1];
    float *scores;
    float mean[CLIP_MAX_DIM]; /* of n pictures: those that were there, and those of this run */
    size_t n, calibrated;     /* by how many */
    struct caption_own own;   /* captioner NULL: tags alone */
    size_t tagged, captioned;
};
/* The library, the model with its text tower, and the session must be open. */
int index_tagger_open(struct app *a, struct index_tagger *t, bool sentences);
/* index_opts.embedded; ctx: the struct index_tagger. */
enum status index_tagger_put(void *ctx, int64_t image, const float *vector, const float *places,
                             struct error *err);
void index_tagger_close(struct index_tagger *t); /* takes a zeroed struct */

#endif
