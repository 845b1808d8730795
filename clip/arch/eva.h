/* EVA-02's image tower as OpenCLIP has it over timm (Sun et al. 2023): a class token, positions
 * both added and turned into queries and keys (RoPE over the two axes), SwiGLU, norms inside both
 * halves.
 *
 *     struct clip_eva *v = ...;                  // in the model's arena, zeroed
 *     if (!clip_eva_guess(&loader, v)) ...       // sizes from the tensors; then size and grid
 *     clip_eva_load(&loader, v, dim);            // then loader.status
 *     clip_eva_run(r, v, &pixels, &y);           // y [B, dim]
 *
 * Traces "embed", "block.<i>" and "pooled". */
#ifndef EIDETIC_CLIP_ARCH_EVA_H
#define EIDETIC_CLIP_ARCH_EVA_H

#include "clip/arch/transformer.h"

struct clip_eva_block {
    struct clip_norm ln1, ln2, inner, middle; /* inner, middle: of attention and of SwiGLU */
    struct clip_linear q, k, v, o, q_turned, k_turned, gate, up, down;
};
struct clip_eva {
    int size, patch, grid, width, heads, hidden, layers;
    float eps;
    struct tensor patches, patch_bias, class_token, positions;
    struct tensor cosine, sine; /* [1 + grid * grid, width]; the class token is not turned */
    struct clip_eva_block *block;
    struct clip_norm norm;
    struct clip_linear head;
};

bool clip_eva_guess(const struct clip_loader *l, struct clip_eva *v);
void clip_eva_load(struct clip_loader *l, struct clip_eva *v, int dim);
enum status clip_eva_run(struct clip_run *r, const struct clip_eva *v, const struct tensor *x,
                         struct tensor *y);

#endif
