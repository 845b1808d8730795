/* A picture's vector to tags with probabilities.
 *
 *     struct tagger t;
 *     tagger_init(&t, &lexicon, &labels, clip_info(clip)->logit_scale, mean, n, &err);
 *     struct tag tags[10];
 *     tagger_score(&t, vector, scores);
 *     size_t found = tagger_best(&t, scores, TAGGER_THRESHOLD, tags, 10);
 *     tagger_release(&t);
 *
 * With x the picture's unit vector, e_l the label's, m the mean vector of n other pictures, T the
 * model's logit scale: z_l = T e_l.(x - w m), w = TAGGER_MEAN n / (n + TAGGER_MEAN_FEW), so that
 * each label has its own threshold: what it scores on pictures at large. Labels compete within
 * their facet: p_l = exp z_l / (sum over the facet + TAGGER_OTHERS * sum over all). A label's score
 * is p_l and those of all labels below it, at most 1, so a parent never scores less than its child
 * and stands before it in the list: "dog" over "dachshund".
 *
 * Thread rule: a tagger may be shared by threads that bring their own scores. */
#ifndef EIDETIC_CAPTION_TAGGER_H
#define EIDETIC_CAPTION_TAGGER_H

#include "caption/labels.h"

#define TAGGER_THRESHOLD 0.15
#define TAGGER_MEAN 0.5
#define TAGGER_MEAN_FEW 20
#define TAGGER_OTHERS 0.1

struct tag {
    int term; /* of the vocabulary */
    float score;
};
struct tagger {
    const struct lexicon *lexicon; /* the caller's */
    size_t n, dim;
    float *columns; /* [dim, n]: the labels' values, each times the logit scale */
    float *offset;  /* [n]: T e_l.(w m) */
};
/* mean NULL or n_mean 0: not calibrated. The labels are copied. */
enum status tagger_init(struct tagger *t, const struct lexicon *v, const struct labels *l,
                        float logit_scale, const float *mean, size_t n_mean, struct error *err);
/* The mean again, of more pictures; NULL or 0: not calibrated. Not while another thread scores. */
void tagger_calibrate(struct tagger *t, const float *mean, size_t n_mean);
void tagger_release(struct tagger *t); /* takes a zeroed struct */

/* scores: [n]; of every label, as above. */
void tagger_score(const struct tagger *t, const float *x, float *scores);
/* scores: [n]; softmax over all labels at the model's logit scale, without mean, facets, parents.
 */
void tagger_classify(const struct tagger *t, const float *x, float *scores);
/* The labels whose score is at least thresh, best first, parents before children, at most `most`.
 */
size_t tagger_best(const struct tagger *t, const float *scores, float thresh, struct tag *out,
                   size_t most);

/* A name of everything that decides a picture's tags but the mean: 32 hexadecimal digits. */
void tagger_key(char key[33], const struct lexicon *v, const char *model, size_t top, float thresh);

#endif
