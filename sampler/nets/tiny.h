/* TAESD, the tiny autoencoder of Stable Diffusion by Ollin Boer Bohan (madebyollin/taesd), which
 * diffusers has as AutoencoderTiny: convolutions and ReLUs, some 20 times less to compute.
 *
 *     struct net_tiny d = {0};
 *     net_tiny_load(&d, &model, weights, true, err);
 *     net_tiny_decode(&run, &d, &pixels, &z);   // z [1,h,w,4] -> [1,8h,8w,3], about -1 to 1
 *
 * Its latents are the denoiser's own: scaled as those that leave AutoencoderKL's encoder times the
 * scaling factor. One half a struct; a file may hold one or both. Structure is read from the
 * tensors: "<i>.weight" is a convolution, "<i>.conv.0.weight" a block, and a number left out in the
 * decoder enlarges. TAEF2 is read as well, whose blocks may have a "<i>.pool" of two 1x1
 * convolutions and a group norm. */
#ifndef EIDETIC_SAMPLER_NETS_TINY_H
#define EIDETIC_SAMPLER_NETS_TINY_H

#include "sampler/nets/net.h"

enum { NET_TINY_MAX = 64 };

enum net_tiny_kind { NET_TINY_CONV, NET_TINY_BLOCK, NET_TINY_DOWN, NET_TINY_UP };
struct net_tiny_stage {
    enum net_tiny_kind kind;
    struct net_conv conv[3];
    struct net_conv skip;       /* a block's, where it changes its width; w.data NULL = none */
    struct net_conv pool[2];    /* what is added to a block's input first; w.data NULL = nothing */
    struct clip_norm pool_norm; /* between the two */
};
struct net_tiny {
    int stages; /* 0 = this half is not there */
    int latent, shrink;
    int64_t width; /* of the widest stage */
    struct net_tiny_stage stage[NET_TINY_MAX];
};

/* ST_NOT_FOUND where the file has no such half. */
enum status net_tiny_load(struct net_tiny *t, struct clip_model *m, struct weights *w, bool decoder,
                          struct error *err);
enum status net_tiny_decode(struct clip_run *r, const struct net_tiny *t, struct tensor *y,
                            const struct tensor *z);
/* x [1,8h,8w,3] -> z [1,h,w,4]; both sides must be multiples of t->shrink. */
enum status net_tiny_encode(struct clip_run *r, const struct net_tiny *t, struct tensor *z,
                            const struct tensor *x);

#endif
