/* Named tensors from weight files, mapped and hostile until parsed.
 *
 *     struct weights *w = NULL;
 *     if (weights_open(&w, "model.safetensors", &err)) return err.code;
 *     struct tensor t;      // a wrong shape is ST_FORMAT
 *     if (weights_get(w, "visual.proj", 2, (int64_t[]){768, 512}, &t, &err)) return err.code;
 *     weights_close(w);     // tensors point into it
 *
 * Opens safetensors, GGUF, what PyTorch saves (zip, TorchScript, the older bare pickle: .pt .pth
 * .bin .ckpt) and shard indexes (*.safetensors.index.json, *.bin.index.json), chosen by content.
 * Nothing in a file is executed: pickles go through a restricted reader that knows only tensors,
 * storages, dicts, lists, tuples and numbers. Tensors are read-only, contiguous and aligned to
 * their element; i8 ones bring the scales of "<name>.scale" along. docs/FILE-FORMATS.md has the
 * formats and what is refused. A file that shrinks while it is mapped ends the process (SIGBUS), as
 * with any map. Thread rule: immutable after open, shared by threads. */
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
/* "true" also for PyTorch files with a module of a class QuickGELU (TorchScript, modules saved
 * whole), since no tensor shows it. */
#define WEIGHTS_QUICK_GELU "eidetic.quick_gelu"
int weights_meta_count(const struct weights *w);
/* Returns the i-th key; they are sorted. */
const char *weights_meta_at(const struct weights *w, int i, const char **value);
/* "safetensors", "pytorch zip", "torchscript zip", "pytorch pickle", "gguf",
 * "shard index" */
const char *weights_format(const struct weights *w);
const char *weights_path(const struct weights *w);
uint64_t weights_bytes(const struct weights *w); /* of all files */

/* Hex id of the model that these weights are: the metadata's "eidetic.source_id" where the file
 * carries one (so that a converted file keeps its source's id), otherwise XXH3-128 over the sorted
 * names, dtypes, shapes and bytes, the same for the same tensors in any file format. Reads every
 * byte: 0.05 to 0.1 s for 350 MB in the page cache, else the disk's time; a caller at start-up
 * should cache it by (path, size, mtime). */
void weights_id(const struct weights *w, char out[33]);

/* Gives the mapped pages back to the system; they are read again where something needs them. */
void weights_give_back(const struct weights *w);
void tensor_give_back(const struct tensor *t); /* of one, where it lies in a mapped file */

/* Writes a safetensors file, names sorted; metadata pairs (key, value), NULL-terminated. DT_I8
 * tensors bring their scales as "<name>.scale", DT_Q8_0 becomes marked U8. Atomic: path holds the
 * old or the new file. */
struct weights_out_tensor {
    const char *name;
    struct tensor t;
};
enum status weights_write(const char *path, const struct weights_out_tensor *t, int n,
                          const char *const *meta, struct error *err);
/* weights_id of a file of these tensors without a source's id; names sorted. */
void weights_out_id(const struct weights_out_tensor *t, int n, char out[33]);

/* Converts one tensor's values (any float or quantised dtype) to f32, n = tensor_count values. */
void tensor_to_f32(const struct tensor *t, float *out);
/* Converts f32 rows to dtype (f32, f16, bf16, i8 with scales, q8_0); out has dtype_bytes bytes,
 * scales one f32 a row. For i8, rows is dim 0; for q8_0, 32 divides the tensor's last dim. */
void tensor_from_f32(const float *x, int64_t rows, int64_t cols, enum dtype to, void *out,
                     float *scales);

#endif
