/* What a generator says of a picture that it made: AUTOMATIC1111's "parameters" text.
 *
 *     struct parameters p = {0};
 *     if (!parameters_parse(&p, meta.parameters, NULL))      // ST_FORMAT: not such a text
 *         printf("%s, seed %s\n", p.prompt, parameters_get(&p, "Seed"));
 *     parameters_release(&p);
 *
 * The text is the prompt (any lines), optional lines that begin with "Negative prompt: ", and one
 * last line of "Key: value" pairs with commas between, values with commas quoted as in JSON. It
 * stands in a PNG's text chunk of that name, or in EXIF's UserComment. Thread rule: any thread. */
#ifndef EIDETIC_IMAGE_PARAMETERS_H
#define EIDETIC_IMAGE_PARAMETERS_H

#include "core/buf.h"
#include "core/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PARAMETERS_MAX 8192 /* bytes with the NUL; a longer text is left out, never cut */
#define PARAMETERS_KEYS 64

struct parameter {
    const char *key, *value; /* unquoted, UTF-8 */
};
struct parameters {
    const char *prompt, *negative; /* "" where there is none */
    struct parameter item[PARAMETERS_KEYS];
    int n;
    char *memory;
};

/* ST_FORMAT where the last line does not begin with Steps, as no photograph's comment does. */
enum status parameters_parse(struct parameters *p, const char *text, struct error *err);
const char *parameters_get(const struct parameters *p, const char *key); /* NULL: not there */
/* A whole number; false where it is not there, not one, or beyond 64 bits with a sign. */
bool parameters_whole(const struct parameters *p, const char *key, int64_t *value);
void parameters_release(struct parameters *p); /* takes zeroed */
/* Appends ", Key: value", the value in quotes where it holds what would end it. */
void parameters_put(struct buf *b, const char *key, const char *value);

/* The text of an EXIF UserComment (n bytes, its character code in front); a comment that is no such
 * text gives "". */
void exif_read_parameters(char out[PARAMETERS_MAX], const uint8_t *p, size_t n);

/* The same from the record of another generator in a text chunk called key: ComfyUI's graph
 * ("prompt"), InvokeAI's ("invokeai_metadata", "sd-metadata"). False, and "", where it is none. */
bool parameters_record(char out[PARAMETERS_MAX], const char *key, const char *text, size_t n);

#endif
