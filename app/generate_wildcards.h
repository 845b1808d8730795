/* Wildcards: __animal__ in a prompt becomes a line of animal.txt, another one for another seed.
 *
 *     char *words = NULL;
 *     generate_wildcards(&words, "a __colour__ __pets/dog__", "~/wildcards", seed, &err);
 *
 * Names are letters, digits, '_', '-' and '/', the file is NAME.txt below the folder: never outside
 * of it, by ".." or by a link. Lines may hold wildcards in turn. Empty lines and those that begin
 * with # are none. What is between underscores and no such file is an error that says so. */
#ifndef EIDETIC_APP_GENERATE_WILDCARDS_H
#define EIDETIC_APP_GENERATE_WILDCARDS_H

#include "core/error.h"
#include <stdint.h>

/* mem_free *words; it is the prompt itself where it has no wildcard. */
enum status generate_wildcards(char **words, const char *prompt, const char *dir, uint64_t seed,
                               struct error *err);

#endif
