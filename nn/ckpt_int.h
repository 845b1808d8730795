/* Inside of the PyTorch readers: the zip archive, and the pickle machine that only ever builds
 * plain data.
 *
 *     struct pk *root;
 *     // the values live in the arena
 *     if (pickle_load(p, size, &used, &arena, &root, &notes, label, &err)) ...
 *     ckpt_collect(w, root, &notes, storage_bytes, ctx, &err); // tensors go to weights_add
 *
 * Nothing is executed: a global is a name. The few names that torch.save needs have a meaning here,
 * any other becomes an opaque object that holds nothing. Strings point into the file. */
#ifndef EIDETIC_NN_CKPT_INT_H
#define EIDETIC_NN_CKPT_INT_H

#include "nn/weights_int.h"

struct zip_entry {
    const char *name; /* not terminated; in the file */
    size_t name_len;
    const uint8_t *data;
    uint64_t size;
    uint32_t crc;
    int method; /* 0 = stored, the only one that zip_stored hands out */
};

struct zip {
    struct zip_entry *e; /* sorted by name */
    size_t n;
};

enum status zip_open(struct zip *z, const uint8_t *data, size_t size, const char *label,
                     struct error *err);
void zip_release(struct zip *z);
/* NULL when absent. The name is prefix + name. */
const struct zip_entry *zip_find(const struct zip *z, const char *prefix, size_t prefix_len,
                                 const char *name, size_t name_len);
/* Refuses compressed entries; check_crc reads the whole entry. */
enum status zip_stored(const struct zip_entry *e, bool check_crc, const char *label,
                       struct error *err);

enum pk_kind {
    PK_NONE,
    PK_BOOL,
    PK_INT,
    PK_FLOAT,
    PK_STR, /* and bytes */
    PK_TUPLE,
    PK_LIST, /* and sets */
    PK_DICT,
    PK_GLOBAL,
    PK_STORAGE,
    PK_TENSOR,
    PK_OBJECT, /* of an unknown class: its state may be looked at, nothing else */
};

enum pk_known { /* globals that mean something */
                PK_UNKNOWN = 0,
                PK_ORDERED_DICT,
                PK_REBUILD,      /* (storage, offset, size, stride, ...) */
                PK_REBUILD_V3,   /* ... and a dtype as seventh */
                PK_REBUILD_TYPE, /* (function, type, args, state) */
                PK_FIRST_ARG, /* parameters and TorchScript's tags: the value is the first argument
                               */
                PK_STORAGE_CLASS,
                PK_DTYPE,
};

struct pk_elem { /* of a storage class or torch dtype */
    const char *storage, *dtype, *alias;
    enum dtype type; /* DT_COUNT: sized, but not read */
    unsigned char size;
};

struct pk {
    enum pk_kind kind;
    union {
        int64_t i;
        double f;
        struct {
            const char *s;
            size_t n;
        } str;
        struct { /* a dict is key, value, key, value */
            struct pk **v;
            size_t n, cap;
        } seq;
        struct {
            const char *module, *name;
            unsigned short module_len, name_len;
            enum pk_known known;
            const struct pk_elem *elem;
        } global;
        struct {
            const char *key;
            size_t key_len;
            const struct pk_elem *elem;
            int64_t count;
        } storage;
        struct {
            const struct pk *storage, *size, *stride;
            const struct pk_elem *elem;
            int64_t offset;
        } tensor;
        struct {
            const struct pk *cls; /* PK_GLOBAL, or NULL */
            const struct pk *state;
        } object;
    };
};

struct pk_notes {
    const struct pk *called;   /* the first unknown global that the file wants called, or NULL */
    const struct pk **storage; /* every persistent id, in the arena; for the legacy format */
    size_t nstorage, storage_cap;
    bool quick_gelu; /* it names a class QuickGELU */
};

/* One pickle from the start of data; *used is its length. notes is zeroed by the caller and may be
 * carried through several. The arena's limit bounds the memory. */
enum status pickle_load(const uint8_t *data, size_t size, size_t *used, struct arena *mem,
                        struct pk **root, struct pk_notes *notes, const char *label,
                        struct error *err);
#define PICKLE_MEMORY ((size_t)64 << 20)

bool pk_is_str(const struct pk *v, const char *s);
const struct pk *pk_get(const struct pk *dict, const char *key); /* NULL: no dict or no such key */
/* The meaning of module.name; *elem for storage classes and dtypes. */
enum pk_known pk_lookup(const char *module, size_t mn, const char *name, size_t nn,
                        const struct pk_elem **elem);
/* Names that only an attack would call (os.system, builtins.eval, ...). */
bool pk_is_attack(const struct pk *global);

/* Finds the bytes of a storage. */
typedef enum status pk_storage_fn(void *ctx, const struct pk *storage, const uint8_t **data,
                                  uint64_t *size, struct error *err);
/* Adds every tensor below root: state dicts, also wrapped ("state_dict", "model"), modules, and
 * TorchScript objects. */
enum status ckpt_collect(struct weights *w, const struct pk *root, const struct pk_notes *notes,
                         pk_storage_fn *bytes, void *ctx, struct error *err);

#endif
