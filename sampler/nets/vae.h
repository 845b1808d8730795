/* AutoencoderKL: pictures to latents and back (Rombach et al. 2022), as diffusers has it.
 *
 *     struct net_vae v;
 *     net_vae_load(&v, &loader, &config);
 *     net_vae_decode(&run, &v, &pixels, &z);    // z [1,h,w,latent] -> [1,8h,8w,3], about -1 to 1
 *     net_vae_encode(&run, &v, &moments, &x);   // x [1,H,W,3] -> [1,H/8,W/8, 2*latent]
 *
 * Moments are the mean, then the logarithm of the variance. Latents here are not scaled: who calls
 * divides by the scaling factor before decoding and multiplies after encoding. Widths, levels and
 * blocks are the file's. TAESD (nets/tiny.h) may stand for either half, with the same contract; the
 * logarithm of its variance is -30. Traces "mid", "up.<level>", "down.<level>", "out". */
#ifndef EIDETIC_SAMPLER_NETS_VAE_H
#define EIDETIC_SAMPLER_NETS_VAE_H

#include "sampler/nets/tiny.h"

struct net_vae_config {
    int groups; /* 0 = 32 */
};

struct net_vae_attention {
    struct clip_norm norm;
    struct clip_linear q, k, v, o;
};
struct net_vae_level {
    int blocks;
    struct net_resnet *block;
    struct net_conv resample; /* w.data NULL = none */
};
struct net_vae_half {
    bool there;
    struct net_conv conv_in, conv_out;
    struct clip_norm norm_out;
    struct net_vae_level level[NET_MAX_LEVELS];
    struct net_resnet mid1, mid2;
    struct net_vae_attention attn;
};
struct net_vae {
    int levels, latent, shrink; /* channels of a latent; pixels of a side that it stands for */
    struct net_norm_opts norm;
    struct net_vae_half encoder, decoder;         /* the encoder may be missing */
    struct clip_linear quant, post_quant;         /* w.data NULL = none */
    struct net_tiny *tiny_encoder, *tiny_decoder; /* TAESD in the place of a half, or NULL */
    float tiny_scale;                             /* the scaling factor, which its latents carry */
};

enum status net_vae_load(struct net_vae *v, struct net_loader *l, const struct net_vae_config *c);
enum status net_vae_decode(struct clip_run *r, const struct net_vae *v, struct tensor *y,
                           const struct tensor *z);
/* Both sides of x must be multiples of v->shrink; v->encoder.there. */
enum status net_vae_encode(struct clip_run *r, const struct net_vae *v, struct tensor *moments,
                           const struct tensor *x);

#endif
