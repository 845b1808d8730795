/* Text, or text and a picture, to picture: a checkpoint, a prompt, a solver, and pixels out.
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
#include "sampler/embedding.h"
#include "sampler/solver.h"
#include <signal.h>

#define SAMPLER_MAX_SIDE 4096
#define SAMPLER_MAX_STEPS 1000

enum sampler_content {
    CONTENT_ORIGINAL = 0, /* as in diffusers: at a strength of 1 nothing is left of it */
    CONTENT_KEPT,         /* the picture as it is there, at a strength of 1 too: for a filling */
    CONTENT_NOISE,        /* the noise itself, as AUTOMATIC1111's "latent noise" */
};

struct sampler;
enum status sampler_new(struct sampler **s, const struct checkpoint *c, const char *device,
                        int threads, struct error *err);
void sampler_free(struct sampler *s);
/* The parts that gave no number in half precision and were computed again in f32, and are from then
 * on: "unet, decoder"; "" = none. */
void sampler_redone(const struct sampler *s, char text[64]);

struct sampler_progress {
    int call, calls; /* of the UNet, of about so many; after the last one the picture is decoded */
    double seconds;  /* that this call took */
    const float *estimate; /* of the latent without noise [channels, height, width] */
    int width, height;     /* in cells */
};

/* All-zero means the default, given in brackets. */
struct sampler_job {
    const char *prompt, *negative; /* [""]; sampler/prompt.h's grammar */
    int width, height;             /* [the checkpoint's side], multiples of the autoencoder's 8 */
    int steps;                     /* [20] */
    bool has_guidance;             /* else the checkpoint's */
    double guidance;               /* 1: the prompt alone, without its negative */
    /* [0] to 1: so much of what guidance adds to the deviation of the network's answer is taken
     * away again (Lin et al. 2024); diffusers' guidance_rescale */
    double guidance_rescale;
    uint64_t seed; /* of this picture */
    /* [0] to 1: so far the first noise turns towards that of variation_seed, column by column on a
     * sphere, as AUTOMATIC1111 does it */
    double variation;
    uint64_t variation_seed;
    enum noise_kind rng;             /* [torch's CPU generator] */
    const struct solver *solver;     /* [the checkpoint's, else Euler a] */
    const struct schedule *schedule; /* [the solver's, the checkpoint's, else normal] */
    struct solver_opts solver_opts;
    int clip_skip;                 /* [1] */
    struct embeddings *embeddings; /* that both prompts may name, or NULL */
    /* A picture to start from [none]: resized to width x height by Pillow's Lanczos filter,
     * encoded, and given the noise of the level from which int(steps * strength) steps remain, as
     * diffusers does (AUTOMATIC1111 takes one step more). The latent is a sample of the encoder's
     * distribution, and its noise is drawn first. */
    const struct image *init;
    const float *init_latent; /* or its latent, as latent below; not with a mask [none] */
    bool has_strength;
    double strength; /* [0.75], above 0, at most 1 */
    /* Where it is at least half white, the picture is made anew, elsewhere its latent is kept
     * [none: everywhere]: width x height, goes with init. A latent's cell is that of its first
     * pixel, as in diffusers. A UNet of 2 n + 1 channels sees mask and masked picture and is not
     * held to the latent; without a mask it is told that all is to be made. */
    const struct image *mask;
    enum sampler_content content; /* what is beneath the noise where it is made anew */
    /* Then the picture is enlarged [0: it is not], above 1 to 8, sides rounded down to the
     * autoencoder's unit, and int(hires_steps * hires_strength) steps are taken again. Not with a
     * picture to start from. */
    double hires_scale;
    bool hires_pixels;     /* decoded, enlarged by Lanczos and encoded; else the latent, bilinear */
    int hires_steps;       /* [steps] */
    double hires_strength; /* [0.7] */
    bool circular;         /* convolutions see the opposite edge beyond an edge: tiles seamlessly */
    int vae_tile; /* [0: whole] decode in overlapping tiles of so many cells, a multiple of 4 */
    void (*progress)(void *ctx, const struct sampler_progress *p);
    void *progress_ctx;
    const volatile sig_atomic_t *stop; /* becomes non-zero: ST_INTERRUPTED within a block's time */
    float *latent; /* [4 * h * w] of what comes out, as [channel, row, column]: kept, or NULL */
};

/* Fills in what job leaves at 0, and says what is wrong with the rest (ST_USAGE). */
enum status sampler_check(const struct checkpoint *c, struct sampler_job *job, struct error *err);
/* Steps that will be taken; job is checked. [from:to:when] in a prompt counts these. */
int sampler_steps(const struct sampler_job *job);
/* Sides of what comes out; job is checked. */
void sampler_sides(const struct checkpoint *c, const struct sampler_job *job, int *width,
                   int *height);
/* Bytes of activations that a checked job needs beside the weights, from above. */
uint64_t sampler_memory(const struct checkpoint *c, const struct sampler_job *job);
/* preview.c: what the estimate looks like; for use in job's progress callback, on the sampler that
 * calls it. By the tiny autoencoder where there is one, else in cells, by a sum over Stable
 * Diffusion 1's four channels. Other latents: ST_UNSUPPORTED. */
enum status sampler_preview(struct sampler *s, const struct sampler_job *job,
                            const struct sampler_progress *p, struct image *out, struct error *err);
bool sampler_can_preview(const struct checkpoint *c);
/* *out is made here: image_release. A NaN on the way is ST_FORMAT, never a black picture. */
enum status sampler_run(struct sampler *s, const struct sampler_job *job, struct image *out,
                        struct error *err);

#endif
