/* What open_clip.c and open_clip_guess.c share: a model of OpenCLIP's, and its config while it is
 * read.
 *
 *     struct open_clip_cfg c = {.image = &d->vit.image, .text = &d->vit.text, ...};
 *     enum status st = clip_open_clip_guess(m, &loader, &c, err);     // no config
 *     if (st) return st; */
#ifndef EIDETIC_CLIP_ARCH_OPEN_CLIP_H
#define EIDETIC_CLIP_ARCH_OPEN_CLIP_H

#include "clip/arch/eva.h"
#include "clip/arch/hf_text.h"
#include "clip/arch/resnet.h"
#include "clip/arch/siglip.h"
#include "clip/arch/vit.h"

/* vit comes first: clip_vit_run_text reads it at m->data. */
struct open_clip {
    struct clip_vit vit;
    struct clip_resnet resnet;       /* the image tower where its width is not 0 */
    struct clip_siglip_image siglip; /* the image tower where its width is not 0 */
    struct clip_eva eva;             /* the same */
    struct clip_hf_text hf;          /* the text tower where it is used */
};

struct open_clip_cfg {
    struct clip_vit_image *image;
    struct clip_resnet *resnet;
    struct clip_siglip_image *siglip;
    struct clip_eva *eva;
    struct clip_hf_text *hf;
    enum tokenizer_kind tokenizer;
    const struct clip_loader *loader;
    struct clip_vit_text *text;
    int dim, vocab;
    bool image_scale, text_scale; /* LayerScale */
    bool text_proj_bias, text_proj_none;
    const char *at; /* "text." when the text tower is a module of its own */
};

bool clip_open_clip_is_resnet(const struct clip_source *src);
void clip_open_clip_check_resnet(struct clip_config *g, const struct clip_resnet *v);
/* Sizes, rules and preprocessing of a file without config. */
enum status clip_open_clip_guess(struct clip_model *m, const struct clip_loader *l,
                                 struct open_clip_cfg *c, struct error *err);

#endif
