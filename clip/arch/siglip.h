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

#define CLIP_NAFLEX_GRID 30 /* positions a side at most, as resize_positions counts on */

struct clip_siglip_image {
    struct clip_vit_image vit;       /* without class token, ln_pre and proj */
    struct tensor patch_bias, probe; /* [D], [1,D] */
    struct clip_linear q, k, v, o, fc1, fc2;
    struct clip_norm norm;
};

/* width, hidden, layers, heads, patch and eps from the tensors; false where they are none of it. */
bool clip_siglip_guess_timm(const struct clip_loader *l, struct clip_siglip_image *v);
void clip_siglip_load_timm(struct clip_loader *l, struct clip_siglip_image *v);
/* y [B,D]: the query asks all states x [B,T,D]. */
enum status clip_siglip_ask(struct clip_run *r, const struct clip_siglip_image *v,
                            const struct tensor *x, struct tensor *y);
/* The tower over pictures of any shape (SigLIP 2's naflex): r->pixels are lists of patches
 * (decoder_patches), v->patches is a matrix [D, p * p * 3], and v->vit.positions [G * G, D] are
 * resized to each picture's shape, G = v->vit.grid. */
enum status clip_naflex_run_image(struct clip_run *r, const struct clip_siglip_image *v,
                                  const struct tensor *pixels, struct tensor *y);
enum status clip_siglip_run_image(struct clip_run *r, const struct clip_siglip_image *v,
                                  const struct tensor *pixels, struct tensor *y);

#endif
