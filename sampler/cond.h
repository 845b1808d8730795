/* What a prompt asks of the UNet, step by step: token states, in chunks of 75 tokens, weighted.
 *
 *     struct cond c;
 *     if (cond_build(&c, &source, "a (red:1.3) [cat:dog:0.5] AND snow:0.8", 20, true, err)) ...
 *     const struct cond_text *t = cond_at(&c.part[0], step);       // step counts from 0
 *     cond_release(&c);
 *
 * Follows AUTOMATIC1111: pieces of the prompt are tokenized one by one and fill chunks of 75; a
 * chunk that would break within 20 tokens behind a comma breaks at it; BREAK ends one; each chunk
 * goes through the text tower alone, between a begin and an end token; weights multiply states,
 * whose mean is then restored. A prompt without weights and of one chunk gives diffusers' states
 * exactly. An embedding's vectors are never split over two chunks; they move on with the words
 * behind a comma, where AUTOMATIC1111 leaves them behind. */
#ifndef EIDETIC_SAMPLER_COND_H
#define EIDETIC_SAMPLER_COND_H

#include "sampler/embedding.h"

struct cond_text {
    int end_step;  /* holds up to and with this one; the last holds for ever */
    int tokens;    /* chunks of the text tower's context; of a CLIP model's those that count */
    float *states; /* [tokens, width] */
};
struct cond_part { /* of prompts joined by AND */
    double weight;
    struct cond_text *text;
    int n;
};
struct cond {
    struct cond_part *part;
    int n;
};

struct cond_source {
    const struct checkpoint *c;
    struct clip_run run;           /* its arena is rewound to where it stands */
    int clip_skip;                 /* 1 = none */
    struct embeddings *embeddings; /* or NULL */
};

/* steps: model calls, for [from:to:when]. split: by AND, and <lora:...> is taken out, which must be
 * in the checkpoint's patch; a negative prompt is not split, and both are words there. */
enum status cond_build(struct cond *c, struct cond_source *src, const char *prompt, int steps,
                       bool split, struct error *err);
void cond_release(struct cond *c); /* takes a zeroed struct */
const struct cond_text *cond_at(const struct cond_part *p, int step);

#endif
