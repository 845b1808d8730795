/* SigLIP's image tower (Zhai et al. 2023): patches with a bias, no class token, and a learned query
 * that asks all of them. siglip.c fills it from transformers' names, open_clip.c from timm's.
 *
 *     struct clip_siglip_image *v = ...;                // in the model's arena, zeroed
 *     clip_siglip_load_timm(&loader, v);                // v->vit's sizes set; then loader.status
 *     clip_siglip_run_image(r, v, &pixels, &y);         // y [B, width]
 *
 * Traces "embed", "block.<i>" and "pooled" (what the query gets). */
#ifndef EIDETIC_CLIP_ARCH_SIGLIP_H
#define EIDETIC_CLIP_ARCH_SIGLIP_H

#include "clip/arch/vit.h"

struct clip_siglip_image {
    struct clip_vit_image vit;       /* without class token, ln_pre and proj */
    struct tensor patch_bias, probe; /* [D], [1,D] */
    struct clip_linear q, k, v, o, fc1, fc2;
    struct clip_norm norm;
};

/* width, hidden, layers, heads, patch and eps from the tensors; false where they are none of it. */
bool clip_siglip_guess_timm(const struct clip_loader *l, struct clip_siglip_image *v);
void clip_siglip_load_timm(struct clip_loader *l, struct clip_siglip_image *v);
enum status clip_siglip_run_image(struct clip_run *r, const struct clip_siglip_image *v,
                                  const struct tensor *pixels, struct tensor *y);

#endif
