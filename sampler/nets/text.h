/* The text tower of a checkpoint: token ids to the states that the UNet attends to.
 *
 *     struct net_text t;
 *     net_text_load(&t, &model, weights, "cond_stage_model.transformer.", NULL, NULL, err);
 *     net_text_run(&run, &t, &y, ids, n, 1);      // ids [n, context] -> y [n, context, width]
 *
 * CLIP ViT-L/14's text side (CLIPTextModel), computed by clip/'s own layers: the last hidden
 * states behind the final layer norm. skip 2 leaves out the last layer (the norm is kept), as
 * AUTOMATIC1111's clip skip counts; 1 leaves out none. */
#ifndef EIDETIC_SAMPLER_NETS_TEXT_H
#define EIDETIC_SAMPLER_NETS_TEXT_H

#include "clip/arch/hf_clip.h"

struct net_text {
    struct clip_vit_text v;
    int vocab;
    const float *extra; /* rows of the token table behind vocab's: ids from vocab on mean them */
};

/* config: CLIPTextConfig's JSON and its path, or NULL = ViT-L/14's shape as far as the tensors do
 * not say. The tower is known by its token table; ST_NOT_FOUND where there is none. */
enum status net_text_load(struct net_text *t, struct clip_model *m, struct weights *w,
                          const char *prefix, const json_t *config, const char *config_path,
                          struct error *err);
enum status net_text_run(struct clip_run *r, const struct net_text *t, struct tensor *y,
                         const int32_t *ids, int n, int skip);

#endif
