/* Between weights.c and the readers of each file format; nobody else includes it but nn/ and its
 * tests.
 *
 *     // the last line of the format's file
 *     const struct weights_reader weights_reader_x = {"x", probe_x, read_x};
 *
 * A reader finds the bytes in w->data and hands each tensor to weights_add, which checks name,
 * shape and alignment once for all formats. Whatever a reader adds must stay inside w->data or
 * w->mem. */
#ifndef EIDETIC_NN_WEIGHTS_INT_H
#define EIDETIC_NN_WEIGHTS_INT_H

#include "core/arena.h"
#include "core/file.h"
#include "nn/weights.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define WEIGHTS_NAME_MAX 1024       /* bytes of a tensor's name */
#define WEIGHTS_JSON_VALUES 1000000 /* jansson takes 50 to 200 bytes a value */
#define WEIGHTS_Q8_KEY                                                                             \
    "eidetic.q8_0:" /* metadata key prefix; persisted, see docs/FILE-FORMATS.md */
#define WEIGHTS_ID_KEY "eidetic.source_id"

struct weights_entry {
    const char *name;
    struct tensor t;
};

struct weights_pair {
    const char *key, *value;
};

struct weights {
    const char *path;
    char label[128]; /* path for messages: escaped, its end when long */
    const char *format;
    /* names, metadata, copies of tensors that the file holds unaligned or strided */
    struct arena mem;
    struct weights_entry *e;
    size_t n, cap;
    struct weights_pair *meta;
    size_t nmeta, meta_cap;
    struct file_map map;
    const uint8_t *data; /* the map's, or a caller's memory */
    size_t size;
    uint64_t copied;
    struct weights **shard;
    size_t nshard;
};

struct weights_reader {
    const char *name;
    bool (*probe)(const uint8_t *data, size_t size);
    enum status (*read)(struct weights *w, struct error *err);
};
extern const struct weights_reader weights_reader_safetensors, weights_reader_torch_zip,
    weights_reader_torch_legacy, weights_reader_gguf, weights_reader_index;

/* One file that is not an index. */
enum status weights_open_single(struct weights **w, const char *path, struct error *err);
/* The same over memory that outlives w; `name` stands for the path. For tests and fuzzers. */
enum status weights_open_memory(struct weights **w, const void *data, size_t size, const char *name,
                                struct error *err);

/* Adds a tensor whose dtype_bytes bytes at `data` the reader has checked; copies it when its
 * address does not suit the type. */
enum status weights_add(struct weights *w, const char *name, size_t name_len, enum dtype dtype,
                        int ndim, const int64_t *dims, const void *data, struct error *err);
enum status weights_add_meta(struct weights *w, const char *key, const char *value,
                             struct error *err);
/* 64-byte aligned memory that lives as long as w. Copies may add up to twice the file and no more,
 * so that a small file cannot ask for much. NULL with *err set. */
void *weights_copy_space(struct weights *w, size_t bytes, struct error *err);

/* Product of dims with every step checked, zero dims counted as 1 on the way so that no partial
 * product overflows later on; false on a negative dim or overflow. */
bool weights_shape_count(int ndim, const int64_t *dims, size_t *count);

/* A name for a message: escaped, cut at 80 bytes. Returns out. */
#define WEIGHTS_QUOTE 96
const char *weights_quote(char out[WEIGHTS_QUOTE], const char *s, size_t n);

/* Parses a JSON object of bounded size; duplicates refused. NULL with *err set. */
json_t *weights_json(const uint8_t *data, size_t size, const char *label, struct error *err);

#endif
