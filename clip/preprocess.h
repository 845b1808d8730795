/* From any picture to the pixels and numbers that a model was trained on.
 *
 *     struct clip_preprocess p;
 *     clip_preprocess_default(&p, 224);         // OpenAI's: bicubic, shortest side, centre crop
 *     if (clip_preprocess_hf(&p, dir, 224, err)) ...
 *
 * The geometry (resize, crop) is done by image/decoder in 8 bits, as Pillow does it; the arithmetic
 * ((x / 255 - mean) / std) is done on the tower's backend. */
#ifndef EIDETIC_CLIP_PREPROCESS_H
#define EIDETIC_CLIP_PREPROCESS_H

#include "image/decoder.h"
#include <jansson.h>

struct clip_preprocess {
    struct decoder_prep prep; /* exact is left false */
    float rescale;            /* of 8-bit values, 1/255 */
    float mean[3], std[3];
};

void clip_preprocess_default(struct clip_preprocess *p, int size);
/* Reads dir's processor_config.json or preprocessor_config.json where there is one; size is what
 * the tower wants. */
enum status clip_preprocess_hf(struct clip_preprocess *p, const char *dir, int size,
                               struct error *err);
/* The same with SiglipImageProcessor's defaults: squashed, 0.5 and 0.5. */
enum status clip_preprocess_siglip(struct clip_preprocess *p, const char *dir, int size,
                                   struct error *err);
/* SigLIP 2's of any shape: lists of patches of this side (DECODER_FIT_PATCHES). */
enum status clip_preprocess_naflex(struct clip_preprocess *p, const char *dir, int patch,
                                   struct error *err);
/* From open_clip_config.json's preprocess_cfg, which may be NULL. */
enum status clip_preprocess_open_clip(struct clip_preprocess *p, const char *file,
                                      const json_t *cfg, int size, struct error *err);
/* A canonical line of all that changes a vector; part of a model's id. */
void clip_preprocess_line(const struct clip_preprocess *p, char *line, size_t size);

#endif
