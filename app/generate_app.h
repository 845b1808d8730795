/* What `generate` writes beside the pixels. */
#ifndef EIDETIC_APP_GENERATE_APP_H
#define EIDETIC_APP_GENERATE_APP_H

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

#endif
