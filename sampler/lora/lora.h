/* LoRA and its relatives: small files that change a checkpoint's weights.
 *
 *     struct lora_list l = {0};
 *     if (lora_list_read(&l, "a dog <lora:ink:0.8>", "loras", &err)) return err.code;
 *     struct lora_patch *p = NULL;
 *     if (lora_apply(&p, checkpoint, &l, 0, &err)) return err.code;   // l.item[0].applied of .keys
 *     ... sampler_new, sampler_run, sampler_free ...
 *     lora_patch_free(p);                                          // the checkpoint is as before
 *     lora_list_release(&l);
 *
 * Reads kohya's names (lora_unet_*, lora_te_*), diffusers' (unet.*, text_encoder.*, with lora.down,
 * lora_linear_layer or lora_A, and peft's bare ones) and LDM's, as LoRA (Hu et al. 2021), LoCon
 * with or without a middle (Tucker) kernel, LoHa, LoKr (Yeh et al. 2023, LyCORIS) and full
 * differences, scaled by alpha / rank; without alpha by 1, which is diffusers' and kohya's rule.
 *
 * The changes are added to f32 copies of the matrices that they touch, several LoRAs into one copy;
 * the file's own weights stay as they are mapped, and their pages are no longer needed where a copy
 * stands for them. Beside the network was the other way: it spares the copies for plain LoRA, but
 * LoHa and LoKr have no small form, so that two ways would have had to give the same.
 * Thread rule: a checkpoint is changed while no sampler of it is open. */
#ifndef EIDETIC_SAMPLER_LORA_LORA_H
#define EIDETIC_SAMPLER_LORA_LORA_H

#include "sampler/checkpoint.h"

struct lora_use {
    char *text; /* as in the prompt, without brackets: "lora:ink:0.8" */
    char *path;
    double unet, tower; /* strengths in the denoiser and in the text tower */
    int keys, applied;  /* tensors in the file, and of those that changed something: lora_apply */
};
struct lora_list {
    struct lora_use *item;
    int n;
};

/* The prompt's <lora:NAME>, <lora:NAME:0.8>, <lora:NAME:TOWER:UNET>, <lora:NAME:te=0.5:unet=1>,
 * which are AUTOMATIC1111's forms ("lyco" for "lora" is the same). dir: where files are looked for
 * by name, or by the one that they were trained under (ss_output_name), NULL = nowhere. Other
 * <kind:...> are refused. ST_USAGE names what is wrong. */
enum status lora_list_read(struct lora_list *l, const char *prompt, const char *dir,
                           struct error *err);
void lora_list_release(struct lora_list *l);

struct lora_patch;
/* Adds all of them to c, which must not carry a patch yet. On failure c is as it was. A file of
 * which nothing fits, or one for another family of models, is ST_UNSUPPORTED. */
enum status lora_apply(struct lora_patch **p, struct checkpoint *c, struct lora_list *l,
                       int threads, struct error *err);
void lora_patch_free(struct lora_patch *p);
/* Is "lora:ink:0.8" in it? p may be NULL. */
bool lora_patch_has(const struct lora_patch *p, const char *text);

#endif
