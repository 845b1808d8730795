/* A folder of small files that prompts name: LoRAs, embeddings.
 *
 *     struct shelf s = {0};
 *     if (shelf_open(&s, "loras", &err)) return err.code;
 *     const char *path = NULL;
 *     if (shelf_find(&s, "ink", "LoRA", &path, &err)) return err.code;   // loras/styles/ink.pt
 *     shelf_close(&s);
 *
 * A name is a file's without its extension (.safetensors, .pt, .bin, .ckpt), with the folders
 * before it where they are needed to tell two apart ("styles/ink"). Names are compared with what
 * was found below the folder and never joined to a path, so that none leads out of it. Folders are
 * searched to a depth of 8, linked ones are not entered. */
#ifndef EIDETIC_SAMPLER_SHELF_H
#define EIDETIC_SAMPLER_SHELF_H

#include "core/error.h"
#include <stddef.h>

struct shelf_item {
    char *path; /* with the folder */
    char *name; /* below it, without extension */
};
struct shelf {
    char *dir;
    struct shelf_item *item; /* by name */
    size_t n, cap;
};

enum status shelf_open(struct shelf *s, const char *dir, struct error *err);
void shelf_close(struct shelf *s); /* takes a zeroed struct */
/* *path is the shelf's. ST_NOT_FOUND lists the names most like it, ST_USAGE two that fit; kind is
 * what the sentence calls it. */
enum status shelf_find(const struct shelf *s, const char *name, const char *kind, const char **path,
                       struct error *err);

#endif
