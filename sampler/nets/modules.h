/* The matrices of the networks by name, for whoever changes them: LoRA, merging.
 *
 *     static void look(void *ctx, const struct net_module *m) { puts(m->name); }
 *     net_unet_modules(&c->unet, look, NULL);   // "down_blocks.0.resnets.0.conv1", ...
 *     net_text_modules(&c->text, look, NULL);   // "text_model.encoder.layers.0.mlp.fc1", ...
 *
 * Linear layers and convolutions, in diffusers' and LDM's spelling, without ".weight". A module's
 * tensors may be replaced by others of the same shape. */
#ifndef EIDETIC_SAMPLER_NETS_MODULES_H
#define EIDETIC_SAMPLER_NETS_MODULES_H

#include "sampler/nets/text.h"
#include "sampler/nets/unet.h"

struct net_module {
    char name[NET_NAME_MAX], ldm[NET_NAME_MAX]; /* ldm "": there is no other name */
    bool text;
    struct tensor *w;     /* [out, in], or a convolution's [out, k, k, in] */
    struct tensor *lower; /* the rows below w's, where the network holds a matrix in two; or NULL */
    int64_t out, in;      /* out: of both */
    int k;                /* side of the kernel; 1 = a linear layer */
};
typedef void net_module_fn(void *ctx, const struct net_module *m);

void net_unet_modules(struct net_unet *u, net_module_fn *f, void *ctx);
void net_text_modules(struct net_text *t, net_module_fn *f, void *ctx);

#endif
