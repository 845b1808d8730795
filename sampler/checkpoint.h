/* A Stable Diffusion 1.x checkpoint: its networks, tokenizer and noise levels, from one file or a
 * diffusers folder.
 *
 *     struct checkpoint *c = NULL;
 *     if (checkpoint_open(&c, "dreamshaper.safetensors", NULL, &err)) return err.code;
 *     c->unet, c->vae, c->text ...             // sampler.h runs them
 *     checkpoint_close(c);
 *
 * Single files (.safetensors, .ckpt, by content) have CompVis' names (model.diffusion_model.*,
 * first_stage_model.*, cond_stage_model.transformer.*) and no config: heads, prediction and betas
 * are Stable Diffusion 1's, unless a <stem>.yaml beside the file says otherwise (num_heads,
 * parameterization, linear_start, linear_end, scale_factor, as AUTOMATIC1111 reads it), or tensors
 * v_pred and ztsnr are in it, as ComfyUI and AUTOMATIC1111 have them. A UNet that is there only as
 * averaged weights (model_ema.*, names without dots) is read from those. Folders
 * have unet/, vae/, text_encoder/, tokenizer/ and scheduler/ with configs; vae/ may be diffusers'
 * AutoencoderTiny. A folder with a sampler.json (docs/FILE-FORMATS.md) has no text tower: it lies
 * in the folder of the CLIP model that it was trained with. What is missing or unsupported is one
 * sentence. Thread rule: immutable after open, shared by threads. */
#ifndef EIDETIC_SAMPLER_CHECKPOINT_H
#define EIDETIC_SAMPLER_CHECKPOINT_H

#include "clip/clip.h"
#include "sampler/nets/text.h"
#include "sampler/nets/unet.h"
#include "sampler/nets/vae.h"
#include "sampler/schedule.h"

struct lora_patch;

enum prediction {
    PREDICT_AUTO = 0, /* what the file says, else noise */
    PREDICT_NOISE,    /* "epsilon" */
    PREDICT_V,        /* "v": Salimans and Ho 2022 */
};

struct checkpoint_opts {
    enum prediction prediction;
    bool averaged; /* the UNet's averaged weights, where a single file has both */
    bool zero_snr; /* as if the files said so */
};

struct checkpoint {
    const char *layout; /* "single file", "diffusers folder" */
    char *name;         /* for people: the file's stem or the folder's name */
    char *vae_name;     /* of another autoencoder than its own: the file's, or NULL */
    enum prediction prediction;
    double latent_scale;
    float *latent_mean, *latent_std; /* per channel, in place of the scale; NULL = the scale */
    int side;                        /* of pictures by default: what the UNet was trained at */
    double guidance;                 /* by default */
    const struct solver *solver;     /* by default; NULL = Euler a */
    const struct schedule *schedule; /* by default; NULL = the solver's */
    bool trailing;                   /* the schedule where nobody names one, as diffusers has it */
    bool zero_snr;                   /* the last level is noise alone */
    struct sigma_table sigmas;
    struct net_unet unet;
    struct net_vae vae;
    struct net_text text; /* its sizes alone where a tower is */
    /* The CLIP model whose token states the UNet attends to, in place of a text tower of its own:
     * eidetic's own samplers. Only states that stand for tokens count then. */
    struct clip *tower;
    struct tokenizer *tokenizer; /* NULL where a tower is: checkpoint_tokenizer */
    struct clip_model model;     /* its arena holds what is copied */
    /* UNet, autoencoder, text; a single file is the first; then another autoencoder, TAESD */
    struct weights *weights[5];
    const struct lora_patch *patch; /* what lora_apply added to the weights, or NULL */
};

enum status checkpoint_open(struct checkpoint **c, const char *path,
                            const struct checkpoint_opts *o, struct error *err);
void checkpoint_close(struct checkpoint *c);

static inline const struct tokenizer *checkpoint_tokenizer(const struct checkpoint *c)
{
    return c->tower ? clip_tokenizer(c->tower) : c->tokenizer;
}

/* Where the library's model has the same text tower, c uses that one's weights from now on, which
 * must live until c is closed, and its own need not stay in memory. false: it has another one. Call
 * before LoRAs are added. */
bool checkpoint_share_text(struct checkpoint *c, const struct clip *library);

/* checkpoint_vae.c: another autoencoder in place of its own, from a single file (LDM's or
 * diffusers' names, with first_stage_model. before them or not) or a diffusers folder, whose config
 * also gives the scaling factor. On failure, which names both, c is as it was. Call before TAESD.
 */
enum status checkpoint_replace_vae(struct checkpoint *c, const char *path, struct error *err);
/* TAESD for decoding, encoding or both, as the file or diffusers folder has it. */
enum status checkpoint_add_taesd(struct checkpoint *c, const char *path, struct error *err);

#endif
