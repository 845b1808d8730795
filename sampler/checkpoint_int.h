/* What the two layouts are read by; checkpoint.c chooses. */
#ifndef EIDETIC_SAMPLER_CHECKPOINT_INT_H
#define EIDETIC_SAMPLER_CHECKPOINT_INT_H

#include "sampler/checkpoint.h"

/* What stands in configs, with Stable Diffusion 1's values before they are read. */
struct checkpoint_numbers {
    struct net_unet_config unet;
    struct net_vae_config vae;
    enum prediction prediction;
    double latent_scale, beta_first, beta_last;
    bool linear;       /* betas linear themselves, not their roots */
    bool zero_snr;     /* the noise levels are moved so that the last one is noise alone */
    double last_alpha; /* what stands there for none: diffusers' and AUTOMATIC1111's differ */
    bool averaged;     /* what the caller wants */
};

enum status checkpoint_open_file(struct checkpoint *c, struct checkpoint_numbers *n,
                                 const char *path, struct error *err);
enum status checkpoint_open_folder(struct checkpoint *c, struct checkpoint_numbers *n,
                                   const char *path, struct error *err);

/* checkpoint_vae.c: a diffusers folder's own autoencoder is AutoencoderTiny. */
enum status checkpoint_open_tiny(struct checkpoint *c, struct checkpoint_numbers *n,
                                 const char *path, struct error *err);
/* checkpoint_tower.c: the CLIP model in whose folder `path` lies, checked against sampler.json, and
 * what that file says of sides and latents. */
bool checkpoint_has_tower(const char *path);
enum status checkpoint_open_tower(struct checkpoint *c, const char *path, struct error *err);

/* A diffusers component's folder alone: its weights, and for an autoencoder what its config says of
 * *n. */
enum status checkpoint_folder_weights(struct weights **w, const char *path, struct error *err);
enum status checkpoint_folder_vae(struct checkpoint_numbers *n, const char *path,
                                  struct error *err);

#endif
