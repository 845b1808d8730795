/* transformers' CLIP text tower, for who has it in another file than a CLIPModel's: checkpoints of
 * Stable Diffusion bring one along.
 *
 *     struct clip_config g = {.file = path, .err = err};
 *     clip_hf_read_text(&g, config, &text);                      // CLIPTextConfig
 *     clip_hf_load_text(&loader, &text, 49408, "text_model.");   // then g.status, loader.status
 */
#ifndef EIDETIC_CLIP_ARCH_HF_CLIP_H
#define EIDETIC_CLIP_ARCH_HF_CLIP_H

#include "clip/arch/vit.h"
#include "clip/config.h"

/* Sizes, heads, activation, context; o NULL = transformers' defaults. */
void clip_hf_read_text(struct clip_config *g, const json_t *o, struct clip_vit_text *v);
struct clip_hf_defaults {
    int width, hidden, heads;
    double eps;
    const char *act;
};
void clip_hf_read_transformer(struct clip_config *g, const json_t *o,
                              const struct clip_hf_defaults *d, struct clip_transformer *t);
/* "<tower>encoder.layers.N": transformers' names of CLIP's and SigLIP's layers. */
void clip_hf_load_layers(struct clip_loader *l, struct clip_transformer *t, const char *tower);
/* Everything but the projection. stem: what stands before "embeddings.", dot included. */
void clip_hf_load_text(struct clip_loader *l, struct clip_vit_text *v, int vocab, const char *stem);

#endif
