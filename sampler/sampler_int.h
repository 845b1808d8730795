/* What the parts of a run share; for sampler/sampler.c and sampler/start*.c alone. */
#ifndef EIDETIC_SAMPLER_SAMPLER_INT_H
#define EIDETIC_SAMPLER_SAMPLER_INT_H

#include "sampler/cond.h"
#include "sampler/sampler.h"

struct sampler {
    const struct checkpoint *c;
    struct backend *be;
    struct arena arena;
};

struct denoiser {
    struct sampler *s;
    const struct sampler_job *job;
    struct clip_run run;
    struct noise noise;
    struct cond good, bad;
    int64_t h, w, channels;
    int call;
    float *results;  /* [prompts, channels * h * w], the last one the negative's */
    float *init;     /* the picture's latent [channels * h * w], or NULL */
    uint8_t *anew;   /* [h * w], not 0 where the latent is made anew; NULL = everywhere */
    float *beside;   /* [h * w, 1 + channels]: mask and masked picture for a UNet for inpainting */
    bool from_noise; /* the first call sees noise alone */
    struct error *err;
};

/* Does the UNet take mask and masked picture beside the latent? */
static inline bool denoiser_inpaints(const struct denoiser *d)
{
    return d->s->c->unet.in > d->s->c->unet.out;
}

/* An empty arena and a fresh d->run, that looks at the job's stop behind each block. */
void denoiser_begin(struct denoiser *d, const char *tower);
enum status denoiser_check_stop(const struct denoiser *d);

/* x [channels * h * w] = what is denoised from level sigma on: noise, with the job's picture
 * beneath. Fills d->init, anew, beside and from_noise. */
enum status start_latent(struct denoiser *d, float *x, float sigma);
void start_release(struct denoiser *d);

#endif
