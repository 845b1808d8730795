/* A prompt that would make a picture like this one, as clip-interrogator finds it.
 *
 *     struct interrogator q;
 *     struct interrogator_opts o = {.cache = "<folder>"};
 *     interrogator_open(&q, session, clip, &o, &err);             // vectors of 6,000 phrases, once
 *     struct interrogation r;
 *     interrogator_ask(&q, INTERROGATE_BEST, vector, "a dog on a beach", &r, &err);
 *     puts(r.prompt);                                              // interrogation_release(&r)
 *     interrogator_close(&q);
 *
 * A phrase is one of five lists: mediums, artists ("by X", "inspired by X"), sites it may be
 * trending on, movements, flavors. FAST: the caption and the phrases nearest to the picture.
 * CLASSIC: caption, medium, artist, site, movement, three flavors. BEST: phrase after phrase, each
 * that which brings the whole sentence nearest to the picture, at least eight, as long as it comes
 * nearer; then the nearest of caption, classic, fast and this. NEGATIVE: the same away from the
 * picture, from the farthest flavors and a list of faults. Where clip-interrogator weighs 2,048
 * phrases at each step, these are the INTERROGATE_TRIED nearest (farthest), since each costs a pass
 * of the text tower; and where it starts NEGATIVE from a similarity with the wrong sign, and so
 * never gets beyond one phrase, this goes on. A prompt is at most 77 tokens of CLIP's tokenizer and
 * of the model's own context, and is plain text to the grammar of `generate`. Thread rule: that of
 * the session. */
#ifndef EIDETIC_CAPTION_INTERROGATE_H
#define EIDETIC_CAPTION_INTERROGATE_H

#include "caption/labels.h"

enum interrogate_mode {
    INTERROGATE_BEST,
    INTERROGATE_FAST,
    INTERROGATE_CLASSIC,
    INTERROGATE_NEGATIVE
};
enum interrogate_list {
    INTERROGATE_FLAVORS,
    INTERROGATE_ARTISTS,
    INTERROGATE_MEDIUMS,
    INTERROGATE_MOVEMENTS,
    INTERROGATE_TRENDING,
    INTERROGATE_FAULTS,
    INTERROGATE_LISTS
};
enum { INTERROGATE_TRIED = 64, INTERROGATE_LEAST = 8, INTERROGATE_MOST = 32 };

struct interrogator_opts {
    const char *cache; /* the folder that keeps the phrases' vectors; NULL = none */
    const volatile sig_atomic_t *stop;
    void (*progress)(void *ctx, size_t done, size_t n);
    void *ctx;
};
struct interrogator {
    struct clip_session *session;
    struct tokenizer *clip;        /* CLIP's own, whatever the model's is */
    const struct tokenizer *model; /* the model's */
    size_t context;                /* of the model */
    const volatile sig_atomic_t *stop;
    size_t dim;
    struct lexicon list[INTERROGATE_LISTS];
    struct labels vectors[INTERROGATE_LISTS];
};
enum status interrogator_open(struct interrogator *q, struct clip_session *s, const struct clip *c,
                              const struct interrogator_opts *o, struct error *err);
void interrogator_close(struct interrogator *q); /* takes a zeroed struct */

struct interrogation {
    char *prompt;
    float score; /* its cosine to the picture */
};
/* x: the picture's unit vector. caption: what the prompt begins with; not of NEGATIVE. */
enum status interrogator_ask(struct interrogator *q, enum interrogate_mode mode, const float *x,
                             const char *caption, struct interrogation *r, struct error *err);
void interrogation_release(struct interrogation *r); /* takes a zeroed struct */

#endif
