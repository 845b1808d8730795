/* Names of generated pictures in the library, by AUTOMATIC1111's patterns.
 *
 *     struct generate_name_facts f = {.job = &job, .checkpoint = c, .number = 3};
 *     if (generate_name(&name, "[model_name]/[seed]-[prompt_words]", &f, &err)) return err.code;
 *     // "v1-5/42-a red boat.png"; mem_free(name)
 *
 * Marks: [seed] [steps] [cfg] [width] [height] [sampler] [scheduler] [model_name] [model_hash]
 * [vae_filename] [clip_skip] [denoising] [date] [datetime] [datetime<%Y-%m>] [prompt]
 * [prompt_spaces] [prompt_words] [prompt_hash] [negative_prompt_hash] [full_prompt_hash]
 * [batch_number] [generation_number] [none], and [words], the first words with dashes between. A
 * mark that is none of these is refused. '/' in the pattern makes folders; what a mark stands for
 * never does, nor anything that other systems forbid in names. No part is hidden or leads out of
 * where it is put. Without .png, .jpg or .webp at its end the pattern gets a .png. */
#ifndef EIDETIC_APP_GENERATE_NAME_H
#define EIDETIC_APP_GENERATE_NAME_H

#include "sampler/sampler.h"

#define GENERATE_NAME "[datetime<%Y>]/[datetime<%m>]/[seed]-[words]"

struct generate_name_facts {
    const struct sampler_job *job; /* checked */
    const struct checkpoint *checkpoint;
    const char *model_hash, *words; /* words: the prompt without its grammar; NULL = "" */
    int number;                     /* of the picture in this run, from 1 */
};
/* facts NULL: only whether the pattern can be used, *name stays NULL. ST_USAGE says why not. */
enum status generate_name(char **name, const char *pattern, const struct generate_name_facts *f,
                          struct error *err);

#endif
