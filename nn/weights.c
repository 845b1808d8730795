/* The table of named tensors that every format's reader fills. It is sorted once after reading, and
 * then i8 tensors swallow their "<name>.scale": such companions are never listed. */
#include "nn/weights.h"
#include "core/buf.h"
#include "core/bytes.h"
#include "core/mem.h"
#include "core/path.h"
#include "nn/weights_int.h"
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

/* Each file format is one entry here. */
static const struct weights_reader *const readers[] = {
    &weights_reader_safetensors, &weights_reader_torch_zip, &weights_reader_torch_legacy,
    &weights_reader_gguf,        &weights_reader_index,     NULL,
};

const char *weights_quote(char out[WEIGHTS_QUOTE], const char *s, size_t n)
{
    struct buf b;
    char *cut = mem_strndup(s, n < 80 ? n : 80);
    buf_init(&b, 80 * 8);
    if (!cut || (buf_text_safe(&b, cut), b.failed || !b.data)) {
        snprintf(out, WEIGHTS_QUOTE, "%s", cut && !*cut ? "" : "?");
    } else {
        bool whole = n <= 80 && b.len < WEIGHTS_QUOTE;
        size_t keep = utf8_whole(b.data, b.len < WEIGHTS_QUOTE - 4 ? b.len : WEIGHTS_QUOTE - 4);
        snprintf(out, WEIGHTS_QUOTE, "%.*s%s", whole ? WEIGHTS_QUOTE - 1 : (int)keep, b.data,
                 whole ? "" : "...");
    }
    buf_release(&b);
    mem_free(cut);
    return out;
}

static void set_label(struct weights *w)
{
    size_t n = strlen(w->path);
    size_t skip = n > 80 ? n - 80 : 0;
    char q[WEIGHTS_QUOTE];
    snprintf(w->label, sizeof w->label, "%s%s", skip ? "..." : "",
             weights_quote(q, w->path + skip, n - skip));
}

bool weights_shape_count(int ndim, const int64_t *dims, size_t *count)
{
    size_t nonzero = 1;
    bool zero = false;
    for (int i = 0; i < ndim; i++) {
        if (dims[i] < 0)
            return false;
        zero |= dims[i] == 0;
        if (dims[i] && mul_overflow_size(nonzero, (size_t)dims[i], &nonzero))
            return false;
    }
    *count = zero ? 0 : nonzero;
    return nonzero <= (size_t)INT64_MAX / 16;
}

static size_t dtype_align(enum dtype t)
{
    switch (t) {
    case DT_F64:
    case DT_I64:
        return 8;
    case DT_F32:
    case DT_I32:
        return 4;
    case DT_F16:
    case DT_BF16:
    case DT_Q8_0:
        return 2;
    default:
        return 1;
    }
}

void *weights_copy_space(struct weights *w, size_t bytes, struct error *err)
{
    uint64_t most = (uint64_t)w->size * 2 + ((uint64_t)1 << 20);
    if (bytes > most || w->copied > most - bytes) {
        error_set(err, ST_LIMIT, "%s: tensors repeat the file's bytes more than twice", w->label);
        return NULL;
    }
    void *p = arena_alloc(&w->mem, bytes ? bytes : 1);
    if (!p)
        error_set(err, ST_NOMEM, "%s: out of memory (%zu bytes)", w->label, bytes);
    else
        w->copied += bytes;
    return p;
}

static const char *keep_string(struct weights *w, const char *s, size_t n)
{
    char *p = n < SIZE_MAX ? arena_alloc(&w->mem, n + 1) : NULL;
    if (p) {
        memcpy(p, s, n);
        p[n] = '\0';
    }
    return p;
}

/* Doubles an array of `size`-byte elements. */
static bool grow(void **array, size_t *cap, size_t size)
{
    size_t want = *cap ? *cap * 2 : 64;
    void *p = mem_realloc_array(*array, want, size);
    if (!p)
        return false;
    *array = p;
    *cap = want;
    return true;
}

static bool inside(const struct file_map *m, const void *data)
{
    uintptr_t at = (uintptr_t)data, start = (uintptr_t)m->data;
    return m->data && at >= start && at - start < m->size;
}

enum status weights_add(struct weights *w, const char *name, size_t name_len, enum dtype dtype,
                        int ndim, const int64_t *dims, const void *data, struct error *err)
{
    char q[WEIGHTS_QUOTE];
    size_t count, bytes;
    if (name_len > WEIGHTS_NAME_MAX || memchr(name, '\0', name_len) || !utf8_valid(name, name_len))
        return error_set(err, ST_FORMAT, "%s: '%s' is no name for a tensor", w->label,
                         weights_quote(q, name, name_len));
    if (ndim > TENSOR_MAX_DIMS)
        return error_set(err, ST_UNSUPPORTED, "%s: tensor '%s' has %d dimensions, at most %d",
                         w->label, weights_quote(q, name, name_len), ndim, TENSOR_MAX_DIMS);
    if (!weights_shape_count(ndim, dims, &count) || !dtype_bytes(dtype, count, &bytes))
        return error_set(err, ST_FORMAT, "%s: tensor '%s' has an impossible shape", w->label,
                         weights_quote(q, name, name_len));
    if (bytes && (uintptr_t)data % dtype_align(dtype)) {
        void *copy = weights_copy_space(w, bytes, err);
        if (!copy)
            return err ? err->code : ST_NOMEM;
        data = memcpy(copy, data, bytes);
    }
    if (w->n == w->cap && !grow((void **)&w->e, &w->cap, sizeof *w->e))
        return error_set(err, ST_NOMEM, "%s: out of memory", w->label);
    struct weights_entry *e = &w->e[w->n];
    e->name = keep_string(w, name, name_len);
    if (!e->name)
        return error_set(err, ST_NOMEM, "%s: out of memory", w->label);
    /* Tensors are read-only by contract; the struct serves activations too, hence the cast. */
    e->t = tensor_view((void *)(uintptr_t)data, dtype, ndim, dims);
    e->t.mapped = inside(&w->map, data);
    w->n++;
    return ST_OK;
}

enum status weights_add_meta(struct weights *w, const char *key, const char *value,
                             struct error *err)
{
    if (w->nmeta == w->meta_cap && !grow((void **)&w->meta, &w->meta_cap, sizeof *w->meta))
        return error_set(err, ST_NOMEM, "%s: out of memory", w->label);
    struct weights_pair *m = &w->meta[w->nmeta];
    m->key = keep_string(w, key, strlen(key));
    m->value = keep_string(w, value, strlen(value));
    if (!m->key || !m->value)
        return error_set(err, ST_NOMEM, "%s: out of memory", w->label);
    w->nmeta++;
    return ST_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct weights_entry *)a)->name, ((const struct weights_entry *)b)->name);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct weights_pair *)a)->key, ((const struct weights_pair *)b)->key);
}

/* Shards may repeat a key; the value that sorts first stays. */
static int by_key_value(const void *a, const void *b)
{
    int c = by_key(a, b);
    return c ? c
             : strcmp(((const struct weights_pair *)a)->value,
                      ((const struct weights_pair *)b)->value);
}

static void sort_meta(struct weights *w)
{
    size_t n = 0;
    if (w->nmeta)
        qsort(w->meta, w->nmeta, sizeof *w->meta, by_key_value);
    for (size_t i = 0; i < w->nmeta; i++)
        if (!n || strcmp(w->meta[n - 1].key, w->meta[i].key))
            w->meta[n++] = w->meta[i];
    w->nmeta = n;
}

static struct weights_entry *find_entry(const struct weights *w, const char *name)
{
    struct weights_entry key = {.name = name};
    return w->n ? bsearch(&key, w->e, w->n, sizeof *w->e, by_name) : NULL;
}

/* Gives every i8 tensor its scales and takes these out of the list. */
static enum status attach_scales(struct weights *w, struct error *err)
{
    char name[WEIGHTS_NAME_MAX + sizeof ".scale"], q[WEIGHTS_QUOTE];
    bool any = false;
    for (size_t i = 0; i < w->n; i++) {
        struct weights_entry *e = &w->e[i];
        /* A shard's tensors come with their scales already. */
        if (e->t.dtype != DT_I8 || e->t.scale)
            continue;
        snprintf(name, sizeof name, "%s.scale", e->name);
        struct weights_entry *s = find_entry(w, name);
        if (!s)
            continue;
        if (s->t.dtype != DT_F32 || s->t.ndim != 1 || e->t.ndim < 1 || s->t.dim[0] != e->t.dim[0])
            return error_set(err, ST_FORMAT, "%s: tensor '%s' is not one f32 per row of its tensor",
                             w->label, weights_quote(q, name, strlen(name)));
        e->t.scale = s->t.data;
        s->t.ndim = -1; /* marks it for removal; no reader makes such a tensor */
        any = true;
    }
    if (any) {
        size_t n = 0;
        for (size_t i = 0; i < w->n; i++)
            if (w->e[i].t.ndim >= 0)
                w->e[n++] = w->e[i];
        w->n = n;
    }
    return ST_OK;
}

static enum status finish(struct weights *w, struct error *err)
{
    char q[WEIGHTS_QUOTE];
    if (w->n > INT32_MAX / 2)
        return error_set(err, ST_LIMIT, "%s: too many tensors", w->label);
    if (w->n)
        qsort(w->e, w->n, sizeof *w->e, by_name);
    for (size_t i = 1; i < w->n; i++)
        if (!strcmp(w->e[i - 1].name, w->e[i].name))
            return error_set(err, ST_FORMAT, "%s: tensor '%s' occurs twice", w->label,
                             weights_quote(q, w->e[i].name, strlen(w->e[i].name)));
    sort_meta(w);
    return attach_scales(w, err);
}

static const struct weights_reader *pick_reader(const struct weights *w)
{
    for (const struct weights_reader *const *r = readers; *r; r++)
        if ((*r)->probe(w->data, w->size))
            return *r;
    /* Too broken for its own magic: the reader that the name promises words the reason best. */
    if (path_has_ext(w->path, "safetensors"))
        return &weights_reader_safetensors;
    return NULL;
}

static enum status unknown_format(const struct weights *w, struct error *err)
{
    const char *what =
        "not a weight file that we know (safetensors, GGUF, or PyTorch's zip or pickle)";
    enum status code = ST_FORMAT;
    if (!w->size) {
        what = "the file is empty";
    } else if (w->size >= 2 && w->data[0] == 0x80 && w->data[1] <= 5) {
        what = "a pickle, but not one that torch.save writes";
        code = ST_UNSUPPORTED;
    }
    return error_set(err, code, "%s: %s", w->label, what);
}

static enum status read_all(struct weights *w, bool single, struct error *err)
{
    const struct weights_reader *r = pick_reader(w);
    if (!r)
        return unknown_format(w, err);
    if (single && r == &weights_reader_index)
        return error_set(err, ST_FORMAT, "%s: an index where a weight file is due", w->label);
    w->format = r->name;
    enum status st = r->read(w, err);
    return st ? st : finish(w, err);
}

static struct weights *new_weights(const char *path, struct error *err)
{
    struct weights *w = mem_zalloc(sizeof *w);
    if (w)
        w->path = mem_strdup(path);
    if (!w || !w->path) {
        mem_free(w);
        error_set(err, ST_NOMEM, "out of memory opening a weight file");
        return NULL;
    }
    set_label(w);
    return w;
}

static enum status open_path(struct weights **out, const char *path, bool single, struct error *err)
{
    *out = NULL;
    struct error own;
    if (!err)
        err = &own; /* weights_add returns codes through it */
    struct weights *w = new_weights(path, err);
    if (!w)
        return ST_NOMEM;
    enum status st = file_map_open(&w->map, path, err);
    if (!st) {
        w->data = w->map.data;
        w->size = w->map.size;
        st = read_all(w, single, err);
    }
    if (st)
        weights_close(w);
    else
        *out = w;
    return st;
}

enum status weights_open(struct weights **w, const char *path, struct error *err)
{
    return open_path(w, path, false, err);
}

enum status weights_open_single(struct weights **w, const char *path, struct error *err)
{
    return open_path(w, path, true, err);
}

enum status weights_open_memory(struct weights **out, const void *data, size_t size,
                                const char *name, struct error *err)
{
    *out = NULL;
    struct error own;
    if (!err)
        err = &own;
    struct weights *w = new_weights(name, err);
    if (!w)
        return ST_NOMEM;
    w->data = data;
    w->size = size;
    enum status st = read_all(w, true, err);
    if (st)
        weights_close(w);
    else
        *out = w;
    return st;
}

void weights_close(struct weights *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->nshard; i++)
        weights_close(w->shard[i]);
    mem_free(w->shard);
    mem_free(w->e);
    mem_free(w->meta);
    arena_release(&w->mem);
    file_map_close(&w->map);
    mem_free((void *)(uintptr_t)w->path);
    mem_free(w);
}

int weights_count(const struct weights *w)
{
    return (int)w->n;
}

const char *weights_name(const struct weights *w, int i)
{
    return w->e[i].name;
}

const struct tensor *weights_at(const struct weights *w, int i)
{
    return &w->e[i].t;
}

const struct tensor *weights_find(const struct weights *w, const char *name)
{
    const struct weights_entry *e = find_entry(w, name);
    return e ? &e->t : NULL;
}

static void shape_text(char *out, size_t size, int ndim, const int64_t *dims)
{
    size_t n = (size_t)snprintf(out, size, "[");
    for (int i = 0; i < ndim && n < size; i++) {
        const char *comma = i ? "," : "";
        if (dims[i] < 0)
            n += (size_t)snprintf(out + n, size - n, "%s?", comma);
        else
            n += (size_t)snprintf(out + n, size - n, "%s%lld", comma, (long long)dims[i]);
    }
    if (n < size)
        snprintf(out + n, size - n, "]");
}

enum status weights_get(const struct weights *w, const char *name, int ndim, const int64_t *dims,
                        struct tensor *t, struct error *err)
{
    char q[WEIGHTS_QUOTE], have[128], want[128];
    const struct tensor *found = weights_find(w, name);
    if (!found)
        return error_set(err, ST_NOT_FOUND, "%s: tensor '%s' is missing", w->label,
                         weights_quote(q, name, strlen(name)));
    bool fits = ndim < 0 || found->ndim == ndim;
    for (int i = 0; fits && i < ndim; i++)
        fits = dims[i] < 0 || dims[i] == found->dim[i];
    if (!fits) {
        shape_text(have, sizeof have, found->ndim, found->dim);
        shape_text(want, sizeof want, ndim, dims);
        return error_set(err, ST_FORMAT, "%s: tensor '%s' is %s, not %s", w->label,
                         weights_quote(q, name, strlen(name)), have, want);
    }
    *t = *found;
    return ST_OK;
}

const char *weights_meta(const struct weights *w, const char *key)
{
    struct weights_pair k = {.key = key};
    const struct weights_pair *m =
        w->nmeta ? bsearch(&k, w->meta, w->nmeta, sizeof *w->meta, by_key) : NULL;
    return m ? m->value : NULL;
}

int weights_meta_count(const struct weights *w)
{
    return (int)w->nmeta;
}

const char *weights_meta_at(const struct weights *w, int i, const char **value)
{
    *value = w->meta[i].value;
    return w->meta[i].key;
}

const char *weights_format(const struct weights *w)
{
    return w->format;
}

const char *weights_path(const struct weights *w)
{
    return w->path;
}

uint64_t weights_bytes(const struct weights *w)
{
    uint64_t n = w->size;
    for (size_t i = 0; i < w->nshard; i++)
        n += w->shard[i]->size;
    return n;
}

void tensor_give_back(const struct tensor *t)
{
    size_t bytes = 0;
    if (t->mapped && dtype_bytes(t->dtype, (size_t)tensor_count(t), &bytes))
        file_map_give_back(t->data, bytes);
}

void weights_give_back(const struct weights *w)
{
    for (size_t i = 0; i < w->n; i++)
        tensor_give_back(&w->e[i].t);
}

static void id_add(XXH3_state_t *h, const char *name, const struct tensor *t)
{
    const char *type = dtype_name(t->dtype);
    int64_t shape[1 + TENSOR_MAX_DIMS] = {t->ndim};
    size_t bytes = 0;
    for (int d = 0; d < TENSOR_MAX_DIMS; d++)
        shape[1 + d] = t->dim[d];
    dtype_bytes(t->dtype, (size_t)tensor_count(t), &bytes);
    XXH3_128bits_update(h, name, strlen(name) + 1);
    XXH3_128bits_update(h, type, strlen(type) + 1);
    XXH3_128bits_update(h, shape, sizeof shape);
    XXH3_128bits_update(h, t->data, bytes);
    if (t->scale)
        XXH3_128bits_update(h, t->scale, (size_t)t->dim[0] * sizeof(float));
}

static void id_end(const XXH3_state_t *h, char out[33])
{
    XXH128_hash_t d = XXH3_128bits_digest(h);
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)d.high64, (unsigned long long)d.low64);
}

void weights_id(const struct weights *w, char out[33])
{
    const char *source = weights_meta(w, WEIGHTS_ID_KEY);
    if (source && text_is_hex(source, 32)) {
        memcpy(out, source, 33);
        return;
    }
    XXH3_state_t h;
    XXH3_INITSTATE(&h);
    XXH3_128bits_reset(&h);
    for (size_t i = 0; i < w->n; i++) {
        id_add(&h, w->e[i].name, &w->e[i].t);
        tensor_give_back(&w->e[i].t);
    }
    id_end(&h, out);
}

void weights_out_id(const struct weights_out_tensor *t, int n, char out[33])
{
    XXH3_state_t h;
    XXH3_INITSTATE(&h);
    XXH3_128bits_reset(&h);
    for (int i = 0; i < n; i++)
        id_add(&h, t[i].name, &t[i].t);
    id_end(&h, out);
}
