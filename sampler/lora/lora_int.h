/* Between the parts of lora/: what a file holds, and what one module of it adds. */
#ifndef EIDETIC_SAMPLER_LORA_LORA_INT_H
#define EIDETIC_SAMPLER_LORA_LORA_INT_H

#include "core/path.h"
#include "sampler/lora/lora.h"
#include "sampler/nets/modules.h"

enum lora_field { /* UP to LOHA_T2 and so on are LyCORIS' names */
                  LORA_UP,
                  LORA_DOWN,
                  LORA_MID,
                  LORA_ALPHA,
                  LORA_DIFF,
                  LOHA_W1A,
                  LOHA_W1B,
                  LOHA_W2A,
                  LOHA_W2B,
                  LOHA_T1,
                  LOHA_T2,
                  LOKR_W1,
                  LOKR_W1A,
                  LOKR_W1B,
                  LOKR_W2,
                  LOKR_W2A,
                  LOKR_W2B,
                  LOKR_T2,
                  LORA_MAGNITUDE,
                  LORA_FIELDS
};

/* One matrix' change. */
struct lora_module {
    const char *key; /* one of its keys, for messages: */
    int stem;        /* as far as this */
    char *name;      /* with '_' for '.', without what stands before the network's own name */
    const struct tensor *t[LORA_FIELDS];
    int keys;
    double alpha; /* from metadata; 0 = none there */
};
struct lora_file {
    const char *path;
    struct weights *w;
    struct lora_module *module; /* by name */
    int n, cap, keys;
    const char *family; /* which it is for, as far as names tell; NULL = they do not */
    int context;        /* width of the prompt's states that it was made for; 0 = unknown */
};

/* lora_file.c */
enum { LORA_QUOTE = 88 };
/* A name for a message: printable, its end when it is long. Returns out. */
const char *lora_quote(char out[LORA_QUOTE], const char *s);
enum status lora_file_open(struct lora_file *f, const char *path, struct error *err);
enum status lora_file_read(struct lora_file *f, struct weights *w, struct error *err); /* takes w */
void lora_file_close(struct lora_file *f); /* takes a zeroed struct */
/* NULL when absent. name: with '_' for '.'. */
const struct lora_module *lora_file_find(const struct lora_file *f, const char *name);
const char *lora_family(int context); /* "Stable Diffusion 1", ... */

/* lora_list.c: the strengths of "lora:ink:0.8" and its name. What is made on failure too is the
 * caller's: *name, u->text. */
enum status lora_use_read(struct lora_use *u, char **name, const char *text, struct error *err);

/* lora_delta.c: y [out, k, k, in] = what the module adds, alpha / rank included. The run's arena is
 * left as it was. ST_FORMAT names the key where parts are missing or do not fit. */
struct lora_target {
    int64_t out, in;
    int k;
};
enum status lora_delta(struct clip_run *r, const struct lora_file *f, const struct lora_module *m,
                       const struct lora_target *to, float *y);

/* lora_meta.c: alphas from the metadata into f's modules. */
enum status lora_meta_read(struct lora_file *f, struct error *err);

#endif
