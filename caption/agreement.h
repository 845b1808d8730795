/* How well a sentence fits a picture by CLIP, and the best of several.
 *
 *     struct agreement a;
 *     agreement_init(&a, session, clip, &err);                        // once a model
 *     double agreement;
 *     agreement_rank(&a, session, vector, &captions, &agreement, &err);
 *     // captions.item[0] is the best now; agreement < AGREEMENT_LOW: better not believed
 *
 * A sentence's rank is T cos(picture, sentence) plus the captioner's own score (the mean
 * log-probability of its tokens), T the model's logit scale: CLIP decides, unless the decoder finds
 * a sentence much less likely than another. Agreement, of 0 to 1, compares with sentences that say
 * nothing ("a photo.", "a picture of something." and the like): 1 / (1 + exp(T (mean cosine of
 * those - cosine) + AGREEMENT_SHIFT)). With the starter, of Flickr8k's dev sentences 4 % of those
 * of the picture itself and 89 % of those of another one are below AGREEMENT_LOW. Thread rule: that
 * of the session. */
#ifndef EIDETIC_CAPTION_AGREEMENT_H
#define EIDETIC_CAPTION_AGREEMENT_H

#include "caption/captioner.h"
#include "clip/clip.h"

#define AGREEMENT_LOW 0.5
#define AGREEMENT_SHIFT 3.5

struct agreement {
    double scale;
    int dim;
    float nothing[CLIP_MAX_DIM]; /* the mean vector of the sentences that say nothing */
};
enum status agreement_init(struct agreement *a, struct clip_session *s, const struct clip *c,
                           struct error *err);
enum status agreement_rank(const struct agreement *a, struct clip_session *s, const float *vector,
                           struct captions *l, double *agreement, struct error *err);

#endif
