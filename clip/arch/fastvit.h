/* FastViT, the image tower of MobileCLIP and MobileCLIP2 (Vasu et al. 2023, 2024; timm's
 * fastvit_mci0 to mci4): convolutions whose training-time branches are folded into one kernel each,
 * and attention in the last stages.
 *
 *     struct clip_fastvit *v = ...;                    // in the model's arena, zeroed
 *     if (!clip_fastvit_guess(&loader, v)) ...         // sizes from the tensors; then size and
 * grid
 *     clip_fastvit_load(&loader, v, dim);              // then loader.status
 *     clip_fastvit_run(r, v, &pixels, &y);             // y [B, dim]
 *
 * Reads branches as they were trained and kernels that were folded before they were saved, in
 * timm's names and in Apple's. Traces "embed" (the stem), "block.<i>" (the stages) and "pooled";
 * there the channels of the last convolution stand even ones first, then the odd ones. */
#ifndef EIDETIC_CLIP_ARCH_FASTVIT_H
#define EIDETIC_CLIP_ARCH_FASTVIT_H

#include "clip/arch/fold.h"
#include "clip/arch/transformer.h"

#define CLIP_FASTVIT_STAGES 5

/* A depthwise convolution to as many channels, or to twice as many: then channel 2c + h is channel
 * c of half h, and the halves stand one behind the other. */
struct clip_fastvit_dw {
    struct tensor w[2], b[2]; /* [high,k,C], [C] */
    int high, kernel, stride, halves;
};
struct clip_fastvit_squeeze {
    struct clip_linear reduce, expand; /* reduce.w.data NULL = none */
    int width;                         /* between them */
};
struct clip_fastvit_block {
    struct clip_fastvit_dw mixer, conv; /* mixer: where there is no attention */
    struct clip_norm norm;              /* of layers; batch norms are folded into qkv */
    struct clip_linear qkv, o, fc1, fc2;
};
struct clip_fastvit_stage {
    int width, hidden, layers;
    bool attends;
    struct clip_fastvit_dw down, places; /* down.halves 0, places.halves 0 = none */
    struct clip_fastvit_squeeze squeeze;
    struct clip_linear mix; /* after down */
    struct clip_fastvit_block *block;
};
struct clip_fastvit {
    int size, grid, stages, dim, width; /* grid: of the last stage; width: the stem's */
    bool apple;
    struct clip_parts parts;
    struct clip_linear stem, stem_mix; /* stem: [O,3,3,3] turned to [O,k,k,C] */
    struct clip_fastvit_dw stem_down, last;
    struct clip_fastvit_stage stage[CLIP_FASTVIT_STAGES];
    struct clip_fastvit_squeeze squeeze;
    struct clip_linear head;
};

/* One block of convolutions over a row (MobileCLIP-S0's text), by Apple's names below `stem`. */
struct clip_fastvit_block clip_fastvit_load_row(struct clip_loader *l, const char *stem,
                                                const char *block, int width);
/* x [B,1,T,D] -> y, by way of two more of that shape and one of the hidden layer's; not in place.
 */
void clip_fastvit_run_row(struct clip_run *r, const struct clip_fastvit_block *b, struct tensor *y,
                          const struct tensor *x, struct tensor *spare, struct tensor *h);

bool clip_fastvit_guess(const struct clip_loader *l, struct clip_fastvit *v);
/* What is told of it as of a transformer: its stages as layers, the last one's sizes. */
struct clip_transformer clip_fastvit_sizes(const struct clip_fastvit *v);
void clip_fastvit_load(struct clip_loader *l, struct clip_fastvit *v, int dim);
enum status clip_fastvit_run(struct clip_run *r, const struct clip_fastvit *v,
                             const struct tensor *x, struct tensor *y);

#endif
