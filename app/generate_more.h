/* Options of `generate` that bend a run: variations, hires fix, seamless tiling, decoding in tiles.
 *
 *     struct generate_more m = GENERATE_MORE_NOTHING;
 *     if (generate_more_read(a, &m, &job)) return a->exit;
 *     generate_more_put(&job, &b);               // what AUTOMATIC1111's text says of them */
#ifndef EIDETIC_APP_GENERATE_MORE_H
#define EIDETIC_APP_GENERATE_MORE_H

#include "app/app.h"
#include "core/buf.h"
#include "sampler/sampler.h"

enum { GENERATE_TILE = 32 }; /* cells of the latent: 256 pixels */

struct generate_more {
    const char *variation_seed, *hires_upscaler; /* NULL = not said */
    double variation, hires_scale, hires_strength;
    int hires_steps;
    bool circular, vae_tiling;
};
#define GENERATE_MORE_NOTHING                                                                      \
    {                                                                                              \
        .hires_strength = 0.7, .hires_steps = -1                                                   \
    }

/* Non-zero: said, a->exit is set. */
int generate_more_read(struct app *a, const struct generate_more *m, struct sampler_job *job);
/* A whole number below 2^63, random of 32 bits where text is NULL or negative: those fit
 * AUTOMATIC1111's fields. */
int generate_seed(struct app *a, const char *option, const char *text, uint64_t *seed);
/* The job of the next picture: another seed, or another variation of the same. */
void generate_next_seed(struct sampler_job *job);
/* Appends ", Key: value" for what AUTOMATIC1111's text says of them. */
void generate_more_put(const struct sampler_job *job, struct buf *b);

#endif
