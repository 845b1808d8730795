/* timm's plain ViTs as OpenCLIP's image towers: vit_base_mci_224 (MobileCLIP-B, whose patches come
 * from three convolutions) and vit_large_patch14_clip_* (MobileCLIP2-L/14).
 *
 *     struct clip_timm_vit *v = ...;                    // in the model's arena, zeroed
 *     if (!clip_timm_vit_guess(&loader, v)) ...         // sizes from the tensors; then size and
 * grid
 *     clip_timm_vit_load(&loader, v, dim);              // then loader.status
 *     clip_timm_vit_run(r, v, &pixels, &y);             // y [B, dim]
 *
 * Traces "embed", "block.<i>" and "pooled". */
#ifndef EIDETIC_CLIP_ARCH_TIMM_VIT_H
#define EIDETIC_CLIP_ARCH_TIMM_VIT_H

#include "clip/arch/fold.h"
#include "clip/arch/vit.h"

struct clip_timm_vit {
    struct clip_vit_image vit; /* without patches where there are convolutions */
    struct tensor patch_bias;  /* data NULL = none */
    struct clip_linear conv[3];
    int conv_width; /* of the first two; 0 = no convolutions */
    int pad;        /* of the first: 0 in timm, 1 in Apple's own code */
    bool class_has_place;
};

bool clip_timm_vit_guess(const struct clip_loader *l, struct clip_timm_vit *v);
void clip_timm_vit_load(struct clip_loader *l, struct clip_timm_vit *v, int dim);
/* MobileCLIP-B's three convolutions, <stem><i>.<conv> and <stem><i>.<norm>. */
void clip_timm_vit_load_convs(struct clip_loader *l, struct clip_timm_vit *v, const char *stem,
                              const char *conv, const char *norm);
/* Blocks as timm fuses them, t's sizes filled: visual.trunk.blocks.<i>.attn.qkv and so on. */
void clip_timm_load_blocks(struct clip_loader *l, struct clip_transformer *t);
enum status clip_timm_vit_run(struct clip_run *r, const struct clip_timm_vit *v,
                              const struct tensor *x, struct tensor *y);

#endif
