/* Named tensors from weight files, mapped and hostile until parsed.
 *
 *     struct weights *w = NULL;
 *     if (weights_open(&w, "model.safetensors", &err)) return err.code;
 *     struct tensor t;
 *     if (weights_get(w, "visual.proj", 2, (int64_t[]){768, 512}, &t, &err)) ...   // wrong shape:
 * ST_FORMAT
 *     weights_close(w);                        // tensors point into it
 *
 * Opens one file (.safetensors, PyTorch zip .pt/.bin/.ckpt), a shard index
 * (*.safetensors.index.json,
 * *.bin.index.json), chosen by content. Nothing in a file is executed: pickles go through a
 * restricted reader that knows only tensors, storages, dicts, lists, tuples and numbers. i8 tensors
 * find their "<name>.scale" and q8_0 its own dtype string; see docs/FILE-FORMATS.md. Thread rule:
 * immutable after open, shared by threads. */
#ifndef EIDETIC_NN_WEIGHTS_H
#define EIDETIC_NN_WEIGHTS_H

#include "core/error.h"
#include "nn/tensor.h"

struct weights;

enum status weights_open(struct weights **w, const char *path, struct error *err);
void weights_close(struct weights *w);

int weights_count(const struct weights *w); /* "<name>.scale" companions are not counted */
const char *weights_name(const struct weights *w, int i); /* sorted */
const struct tensor *weights_at(const struct weights *w, int i);
/* NULL when absent. */
const struct tensor *weights_find(const struct weights *w, const char *name);
/* ndim < 0: any shape; a dim of -1 matches any. Missing: ST_NOT_FOUND naming file and tensor. */
enum status weights_get(const struct weights *w, const char *name, int ndim, const int64_t *dims,
                        struct tensor *t, struct error *err);
const char *weights_meta(const struct weights *w, const char *key); /* NULL when absent */
int weights_meta_count(const struct weights *w);
const char *weights_meta_at(const struct weights *w, int i,
                            const char **value);     /* the key; sorted */
const char *weights_format(const struct weights *w); /* "safetensors", "pytorch zip" */
const char *weights_path(const struct weights *w);
uint64_t weights_bytes(const struct weights *w); /* of all files */

/* Hex id of the model that these weights are: the metadata's "eidetic.source_id" where the file
 * carries one (so that a converted file keeps its source's id), otherwise XXH3-128 over the sorted
 * names, dtypes, shapes and bytes, the same for the same tensors in any file format. Reads every
 * byte: about 0.1 s for 350 MB in the page cache, else the disk's time; a caller at start-up should
 * cache it by (path, size, mtime). */
void weights_id(const struct weights *w, char out[33]);

/* Writes a safetensors file by name order; metadata pairs (key, value), NULL-terminated. DT_I8
 * tensors bring their scales as
 * "<name>.scale". Atomic. */
struct weights_out_tensor {
    const char *name;
    struct tensor t;
};
enum status weights_write(const char *path, const struct weights_out_tensor *t, int n,
                          const char *const *meta, struct error *err);

/* Converts one tensor's values (any float or quantised dtype) to f32, n = tensor_count values. */
void tensor_to_f32(const struct tensor *t, float *out);
/* Converts f32 rows to dtype (f32, f16, bf16, i8 with scales, q8_0); out has dtype_bytes bytes,
 * scales dim[0]. */
void tensor_from_f32(const float *x, int64_t rows, int64_t cols, enum dtype to, void *out,
                     float *scales);

#endif
