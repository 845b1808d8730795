/* Text to picture: a checkpoint, a prompt, a solver, and pixels out.
 *
 *     struct sampler *s = NULL;
 *     if (sampler_new(&s, checkpoint, "cpu", 0, &err)) return err.code;
 *     struct sampler_job job = {.prompt = "a lighthouse at night", .seed = 42};   // the rest: 0
 *     struct image img = {0};
 *     if (sampler_run(s, &job, &img, &err)) return err.code;
 *     image_write_png("out.png", &img, NULL, &err);
 *
 * Computes what diffusers' networks and k-diffusion's solvers compute: noise of torch's generator
 * in torch's order, guidance on the denoised picture (Ho and Salimans 2022), sigma turned into a
 * fractional step. Not compared with AUTOMATIC1111, whose rules for long prompts it follows. One
 * thread at a time per sampler; the checkpoint is shared. */
#ifndef EIDETIC_SAMPLER_SAMPLER_H
#define EIDETIC_SAMPLER_SAMPLER_H

#include "image/image.h"
#include "sampler/checkpoint.h"
#include "sampler/solver.h"
#include <signal.h>

#define SAMPLER_MAX_SIDE 4096
#define SAMPLER_MAX_STEPS 1000

struct sampler;
enum status sampler_new(struct sampler **s, const struct checkpoint *c, const char *device,
                        int threads, struct error *err);
void sampler_free(struct sampler *s);

struct sampler_progress {
    int call, calls; /* of the UNet, of about so many; after the last one the picture is decoded */
    double seconds;  /* that this call took */
};

/* All-zero means the default, given in brackets. */
struct sampler_job {
    const char *prompt, *negative;   /* [""]; sampler/prompt.h's grammar */
    int width, height;               /* [512], multiples of the autoencoder's 8 */
    int steps;                       /* [20] */
    bool has_guidance;               /* else 7 */
    double guidance;                 /* 1: the prompt alone, without its negative */
    uint64_t seed;                   /* of this picture */
    enum noise_kind rng;             /* [torch's CPU generator] */
    const struct solver *solver;     /* [Euler a] */
    const struct schedule *schedule; /* [the solver's, else normal] */
    struct solver_opts solver_opts;
    int clip_skip; /* [1] */
    void (*progress)(void *ctx, const struct sampler_progress *p);
    void *progress_ctx;
    const volatile sig_atomic_t *stop; /* becomes non-zero: ST_INTERRUPTED within a block's time */
    float *latent;                     /* [4 * h * w], as [channel, row, column]: kept, or NULL */
};

/* Fills in what job leaves at 0, and says what is wrong with the rest (ST_USAGE). */
enum status sampler_check(const struct checkpoint *c, struct sampler_job *job, struct error *err);
/* Bytes of activations that a picture of this size needs beside the weights, from above. */
uint64_t sampler_memory(const struct checkpoint *c, int width, int height);
/* *out is made here: image_release. A NaN on the way is ST_FORMAT, never a black picture. */
enum status sampler_run(struct sampler *s, const struct sampler_job *job, struct image *out,
                        struct error *err);

#endif
