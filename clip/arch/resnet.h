/* CLIP's ResNet image tower (Radford et al. 2021, ModifiedResNet): a stem of three convolutions,
 * four stages of bottlenecks that shrink by averages, and attention in place of the last average.
 *
 *     struct clip_resnet *v = ...;             // in the model's arena, zeroed
 *     clip_resnet_load(&loader, v, dim);       // sizes filled in before; then loader.status
 *     clip_resnet_run(r, v, &pixels, &y);      // y [B, dim]
 *
 * Batch norms are folded into the convolutions at load. Traces "embed" (the stem), "block.0" to
 * "block.3" (the stages) and "pooled". */
#ifndef EIDETIC_CLIP_ARCH_RESNET_H
#define EIDETIC_CLIP_ARCH_RESNET_H

#include "clip/arch/transformer.h"

#define CLIP_RESNET_STAGES 4

struct clip_resnet_conv {
    struct tensor w, b; /* [O,k,k,C] or, of 1x1, [O,C]; [O] */
    int kernel, stride, in, out;
};
struct clip_resnet_block {
    struct clip_resnet_conv conv[3], down; /* down.out 0 = the block's input is added as it is */
    int stride;
};
struct clip_resnet {
    int size, width, heads, dim;
    int layers[CLIP_RESNET_STAGES];
    struct clip_resnet_conv stem[3];
    struct clip_resnet_block *stage[CLIP_RESNET_STAGES];
    struct tensor quarter; /* [2,2,C] of 1/4: averages of two by two as a depthwise convolution */
    struct tensor positions;
    struct clip_linear q, k, v, c;
};

/* size (a multiple of 32), width (an even number), heads and layers are set. */
void clip_resnet_load(struct clip_loader *l, struct clip_resnet *v, int dim);
enum status clip_resnet_run(struct clip_run *r, const struct clip_resnet *v, const struct tensor *x,
                            struct tensor *y);

#endif
