/* What `generate` writes beside the pixels. */
#ifndef EIDETIC_APP_GENERATE_APP_H
#define EIDETIC_APP_GENERATE_APP_H

#include "app/app.h"
#include "sampler/lora/lora.h"
#include "sampler/sampler.h"

/* AUTOMATIC1111's "parameters" text; mem_free, NULL = no memory. job is checked. */
char *generate_parameters(const struct sampler_job *job, const char *checkpoint,
                          enum prediction prediction);

/* The path of picture number `index` (from 1): the pattern's one %d, %3d or %03d filled in; numbers
 * whose file is there already are passed over and *index moves on. A path without one is itself,
 * and ST_USAGE when it is there. The folder must be there and writable (ST_USAGE, ST_NOSPACE).
 * mem_free it. */
enum status generate_path(char **path, const char *pattern, int *index, struct error *err);
/* Is it a file's name with at most one number in it? count: pictures to come. */
enum status generate_check_pattern(const char *pattern, int count, struct error *err);

/* What a prompt adds to the checkpoint. */
struct generate_nets {
    const char *lora_dir; /* NULL = none */
    struct lora_list loras;
    struct lora_patch *patch;
};
/* Finds and adds them, and says of each how much of it was used. Non-zero: said, a->exit is set.
 * No sampler may be open, neither here nor at close. */
int generate_nets_open(struct app *a, struct generate_nets *g, struct checkpoint *c,
                       const char *prompt);
void generate_nets_close(struct generate_nets *g); /* takes a zeroed struct */

#endif
