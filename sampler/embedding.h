/* Textual inversion (Gal et al. 2022): words of a prompt that stand for learned vectors.
 *
 *     struct embeddings *e = NULL;
 *     if (embeddings_open(&e, "embeddings", checkpoint, &err)) return err.code;
 *     struct sampler_job job = {.prompt = "a boat, easynegative", .embeddings = e};
 *     ... sampler_run ...
 *     embeddings_close(e);
 *
 * A file's name without its extension is the word, matched as AUTOMATIC1111 does: its tokens
 * anywhere in a piece of the prompt, the longest first, so that case does not count. A file is
 * opened when a prompt has its word, and then must fit: one embedding, as wide as the text tower.
 * Read are AUTOMATIC1111's (string_to_param), kohya's (emb_params), clip_l, and a single tensor of
 * any name as diffusers saves it, [width] or [vectors, width]. Thread rule: one thread at a time.
 */
#ifndef EIDETIC_SAMPLER_EMBEDDING_H
#define EIDETIC_SAMPLER_EMBEDDING_H

#include "sampler/checkpoint.h"

struct embeddings;
enum status embeddings_open(struct embeddings **e, const char *dir, const struct checkpoint *c,
                            struct error *err);
void embeddings_close(struct embeddings *e);

struct embedding_match {
    int tokens;    /* of the prompt that it takes the place of; 0 = none begins here */
    int row, rows; /* which vectors do */
};
enum status embeddings_find(struct embeddings *e, const int32_t *ids, size_t n,
                            struct embedding_match *m, struct error *err);
/* [rows, width], which moves when another embedding is found; NULL for e NULL. */
const float *embeddings_rows(const struct embeddings *e);
/* The i-th that a prompt had, its number of vectors and its file; NULL behind the last. */
const char *embeddings_used(const struct embeddings *e, int i, int *rows, const char **path);

#endif
