/* What the parts of a run share; for sampler.c, start.c, decode.c and hires.c alone. */
#ifndef EIDETIC_SAMPLER_SAMPLER_INT_H
#define EIDETIC_SAMPLER_SAMPLER_INT_H

#include "sampler/cond.h"
#include "sampler/sampler.h"

enum sampler_part { PART_TEXT = 1, PART_UNET = 2, PART_DECODER = 4, PART_ENCODER = 8 };

struct sampler {
    const struct checkpoint *c;
    struct backend *be;
    struct backend *exact; /* in f32, where be is in half precision: opened when a part needs it */
    unsigned redone;       /* parts that use it */
    char device[64];       /* be's */
    int threads;
    struct arena arena, exact_arena;
};

struct denoiser {
    struct sampler *s;
    const struct sampler_job *job;
    struct clip_run run;
    struct noise noise;
    struct cond good, bad;
    int64_t h, w, channels;
    int call;
    float *results;  /* [prompts + 2, channels * h * w]: the negative's, and scratch, at the end */
    float *init;     /* the picture's latent [channels * h * w], or NULL */
    uint8_t *anew;   /* [h * w], not 0 where the latent is made anew; NULL = everywhere */
    float *beside;   /* [h * w, 1 + channels]: mask and masked picture for a UNet for inpainting */
    bool from_noise; /* the first call sees noise alone */
    bool alone;      /* the device has no room for two prompts at once */
    struct error *err;
};

/* Does the UNet take mask and masked picture beside the latent? */
static inline bool denoiser_inpaints(const struct denoiser *d)
{
    return d->s->c->unet.in > d->s->c->unet.out;
}

/* An empty arena and a fresh d->run, that looks at the job's stop behind each block. */
void denoiser_begin(struct denoiser *d, enum sampler_part part);
/* Is the part to be computed again? So where x [n], its answer in half precision, holds what is no
 * number: from now on it is computed in f32. *st: whether that can be had. */
bool denoiser_again(struct denoiser *d, enum sampler_part part, const float *x, int64_t n,
                    enum status *st);
enum status denoiser_check_stop(const struct denoiser *d);

/* x [channels * h * w] = what is denoised from level sigma on: noise, with the job's picture
 * beneath. Fills d->init, anew, beside and from_noise. */
enum status start_latent(struct denoiser *d, float *x, float sigma);
void start_release(struct denoiser *d);

/* *out = the picture of latent x, made here. */
enum status decode_latent(struct denoiser *d, const float *x, struct image *out);

/* The run without hires fix: x [channels * h * w] and, unless NULL, its picture. job is checked. */
enum status sampler_latent(struct sampler *s, const struct sampler_job *job, float *x,
                           struct image *out, struct error *err);
/* The two passes of a checked job that has a hires_scale, and both of them run. */
void hires_jobs(const struct checkpoint *c, const struct sampler_job *job,
                struct sampler_job *first, struct sampler_job *second);
enum status hires_run(struct sampler *s, const struct sampler_job *job, struct image *out,
                      struct error *err);

#endif
