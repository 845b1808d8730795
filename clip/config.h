/* Numbers and words out of a model's JSON config, with limits.
 *
 *     struct clip_config g = {.file = path, .err = err};
 *     int width = clip_config_int(&g, vision, "hidden_size", 768, 1, CLIP_MAX_WIDTH);
 *     bool flag = clip_config_bool(&g, vision, "no_ln_pre", false);
 *     if (g.status) return g.status;             // the first bad value, by file and key
 *
 * A key that is absent or null has its default; after a failure everything returns the default. */
#ifndef EIDETIC_CLIP_CONFIG_H
#define EIDETIC_CLIP_CONFIG_H

#include "core/error.h"
#include <jansson.h>
#include <stdbool.h>

#define CLIP_MAX_WIDTH 8192
#define CLIP_MAX_LAYERS 256
#define CLIP_MAX_IMAGE 2048
#define CLIP_MAX_CONTEXT 4096
#define CLIP_MAX_VOCAB (1 << 22)

struct clip_config {
    const char *file;
    struct error *err;
    enum status status;
};

/* json_decref the root. label names the text in errors. */
enum status clip_config_parse(json_t **root, const char *text, size_t size, const char *label,
                              struct error *err);
/* json_decref the root. The file may have at most 16 MiB and must hold an object. */
enum status clip_config_read(json_t **root, const char *path, struct error *err);
int clip_config_int(struct clip_config *g, const json_t *o, const char *key, int otherwise, int lo,
                    int hi);
/* An int, or a list of two equal ones (open_clip's and transformers' image_size). */
int clip_config_side(struct clip_config *g, const json_t *o, const char *key, int otherwise, int lo,
                     int hi);
double clip_config_real(struct clip_config *g, const json_t *o, const char *key, double otherwise,
                        double lo, double hi);
bool clip_config_bool(struct clip_config *g, const json_t *o, const char *key, bool otherwise);
const char *clip_config_text(struct clip_config *g, const json_t *o, const char *key,
                             const char *otherwise);
/* Exactly three numbers, or one for all three. */
void clip_config_real3(struct clip_config *g, const json_t *o, const char *key, float x[3]);
/* Refuses heads that do not divide a width, which the file calls `key`. */
void clip_config_heads(struct clip_config *g, const char *key, int width, int heads);
/* The object at key, or NULL when absent; another type is an error. */
const json_t *clip_config_object(struct clip_config *g, const json_t *o, const char *key);
enum status clip_config_fail(struct clip_config *g, enum status code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
