/* OpenCLIP's HFTextEncoder: a text tower of transformers', its tokens' mean or first token, and a
 * projection of up to two layers. open_clip.c uses it where text_cfg names an hf_model_name.
 *
 *     clip_hf_text_read(&g, text_cfg, &t);       // names, context, which projection
 *     clip_hf_text_load(&loader, &t, dim, &vocab);
 *     clip_hf_text_run(r, &t, tokens, &y);       // y [n, dim] */
#ifndef EIDETIC_CLIP_ARCH_HF_TEXT_H
#define EIDETIC_CLIP_ARCH_HF_TEXT_H

#include "clip/arch/bert.h"
#include "clip/config.h"

enum clip_hf_pool { CLIP_HF_MEAN, CLIP_HF_FIRST, CLIP_HF_POOLER };

struct clip_hf_text {
    struct clip_bert bert;
    bool used, mlp, none;   /* used: the model has such a tower; none: no projection */
    enum clip_hf_pool pool; /* POOLER: the first token through a layer of its own, as BERT does */
    enum tokenizer_kind tokenizer;
    struct clip_linear pooler, first, second; /* w.data NULL: none */
};

void clip_hf_text_read(struct clip_config *g, const json_t *o, struct clip_hf_text *t);
/* load false: only the sizes. */
void clip_hf_text_load(struct clip_loader *l, struct clip_hf_text *t, int dim, bool load,
                       int *vocab);
enum status clip_hf_text_run(struct clip_run *r, const struct clip_hf_text *t,
                             const struct clip_tokens *tokens, struct tensor *y);

#endif
