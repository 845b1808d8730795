/* The denoiser of Stable Diffusion 1.x (Rombach et al. 2022): UNet2DConditionModel, any width and
 * depth.
 *
 *     struct net_unet u;
 *     net_unet_load(&u, &loader, &config);
 *     struct tensor eps = ...;                            // [B,h,w,out]
 *     net_unet_run(&run, &u, &eps, &x, times, &context, NULL); // x [B,h,w,in], context [B,T,D]
 *
 * Structure and widths are read from the tensors that are there: levels, blocks on a level, which
 * have attention, how deep. Only heads, groups and epsilon are the config's. Equals diffusers in
 * f32 to 1e-3 of the output's scale. Traces "conv_in", "down.<level>", "mid", "up.<level>",
 * "out". */
#ifndef EIDETIC_SAMPLER_NETS_UNET_H
#define EIDETIC_SAMPLER_NETS_UNET_H

#include "sampler/nets/net.h"

struct net_unet_config {
    int heads[NET_MAX_LEVELS]; /* per level; 0 = 8, or width / 64 where projections are linear */
    struct net_norm_opts norm; /* groups 0 = 32, eps 0 = 1e-5 */
};

struct net_attention {
    struct clip_norm norm;
    struct clip_linear q, k, v, o;
};
struct net_layer {
    struct net_attention self, cross;
    struct clip_norm norm;
    struct clip_linear value, gate, out; /* GEGLU, as two products */
};
struct net_transformer {
    int depth, heads; /* depth 0 = none here */
    int64_t width;
    struct clip_norm norm;
    struct clip_linear in, out;
    struct net_layer *layer;
};
struct net_stage {
    struct net_resnet res;
    struct net_transformer attn;
};
struct net_level {
    int blocks;
    struct net_stage *block;
    struct net_conv resample; /* to the next level; w.data NULL = none */
};
struct net_unet {
    int levels, in, out, context; /* channels, and the width of token states */
    int64_t width, time_width;
    struct net_norm_opts norm;
    struct clip_linear time1, time2;
    struct net_conv conv_in, conv_out;
    struct clip_norm norm_out;
    struct net_level down[NET_MAX_LEVELS], up[NET_MAX_LEVELS];
    struct net_resnet mid1, mid2;
    struct net_transformer mid_attn;
};

enum status net_unet_load(struct net_unet *u, struct net_loader *l,
                          const struct net_unet_config *c);
/* times [B]: training steps, may be fractional. keys [B]: so many of the T states count, the first
 * ones; NULL = all. x, y and context may be any memory. */
enum status net_unet_run(struct clip_run *r, const struct net_unet *u, struct tensor *y,
                         const struct tensor *x, const float *times, const struct tensor *context,
                         const int32_t *keys);

/* The same in two parts: what follows from the times alone, y [B, width] on the host; and ops,
 * which backend_repeat may replay. */
void net_unet_embed(const struct net_unet *u, struct tensor *y, const float *times);
enum status net_unet_step(struct clip_run *r, const struct net_unet *u, struct tensor *y,
                          const struct tensor *x, const struct tensor *times,
                          const struct tensor *context, const int32_t *keys);

/* unet_attn.c */
void net_transformer_load(struct net_loader *l, struct net_transformer *t, int64_t width, int heads,
                          int *context, const char *stem);
/* x [B,H,W,C] in place. */
enum status net_transformer_run(struct clip_run *r, const struct net_transformer *t,
                                struct tensor *x, const struct tensor *context, const int32_t *keys,
                                int groups);

#endif
