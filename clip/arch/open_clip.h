/* What open_clip.c and open_clip_guess.c share: a model of OpenCLIP's, and its config while it is
 * read.
 *
 *     struct open_clip_cfg c = {.image = &d->vit.image, .text = &d->vit.text, ...};
 *     enum status st = clip_open_clip_guess(m, &loader, &c, err);     // no config
 *     if (st) return st; */
#ifndef EIDETIC_CLIP_ARCH_OPEN_CLIP_H
#define EIDETIC_CLIP_ARCH_OPEN_CLIP_H

#include "clip/arch/eva.h"
#include "clip/arch/fastvit.h"
#include "clip/arch/hf_text.h"
#include "clip/arch/resnet.h"
#include "clip/arch/siglip.h"
#include "clip/arch/timm_vit.h"
#include "clip/arch/vit.h"

enum open_clip_image { /* whose pictures: the others' structs stay empty */
                       OPEN_CLIP_VIT = 0,
                       OPEN_CLIP_RESNET,
                       OPEN_CLIP_SIGLIP,
                       OPEN_CLIP_EVA,
                       OPEN_CLIP_FASTVIT,
                       OPEN_CLIP_TIMM_VIT,
};

/* vit comes first: clip_vit_run_text reads it at m->data. */
struct open_clip {
    struct clip_vit vit;
    enum open_clip_image kind;
    struct clip_resnet resnet;
    struct clip_siglip_image siglip;
    struct clip_eva eva;
    struct clip_fastvit fastvit;
    struct clip_timm_vit timm;
    struct clip_hf_text hf; /* the text tower where it is used */
};

struct open_clip_cfg {
    struct open_clip *model;
    struct clip_vit_image *image; /* the model's */
    struct clip_resnet *resnet;   /* the same */
    struct clip_hf_text *hf;
    enum tokenizer_kind tokenizer;
    const struct clip_loader *loader;
    struct clip_vit_text *text;
    int dim, vocab;
    bool image_scale, text_scale; /* LayerScale */
    bool text_proj_bias, text_proj_none;
    const char *at; /* "text." when the text tower is a module of its own */
};

/* The image towers that OpenCLIP takes from timm (open_clip_timm.c). Reads vision_cfg where its
 * timm_model_name is one of them; false where it is not. */
bool clip_open_clip_read_timm(struct clip_config *g, const json_t *o, struct open_clip_cfg *c);
/* MobileCLIP2's files without config: kind and sizes from the tensors, the vectors' too; false
 * where they are none of it. */
bool clip_open_clip_guess_mobile(struct open_clip_cfg *c);
void clip_open_clip_load_timm(struct clip_loader *l, struct open_clip *d, int dim);
enum status clip_open_clip_run_timm(struct clip_run *r, const struct open_clip *d,
                                    const struct tensor *x, struct tensor *y);
/* Into d->vit.image, for preprocessing and clip_vit_describe. */
void clip_open_clip_timm_sizes(struct open_clip *d);
void clip_open_clip_describe_timm(struct clip_model *m, const struct open_clip *d);

bool clip_open_clip_is_resnet(const struct clip_source *src);
void clip_open_clip_check_resnet(struct clip_config *g, const struct clip_resnet *v);
/* Sizes, rules and preprocessing of a file without config. */
enum status clip_open_clip_guess(struct clip_model *m, const struct clip_loader *l,
                                 struct open_clip_cfg *c, struct error *err);

#endif
