/* PyTorch checkpoints: torch.save's zip, torch.jit.save's zip (OpenAI's CLIP files are such) and
 * the older bare pickle. A pickle describes tensors as (storage, offset, sizes, strides); each
 * description is checked against its storage's bytes, and what is not contiguous is copied into
 * PyTorch order. */
#include "core/mem.h"
#include "nn/ckpt_int.h"

#define PICKLE_SIZE_MAX ((uint64_t)64 << 20)
enum { DEPTH_MAX = 64, VISITS_MAX = 2000000, TENSORS_MAX = 1000000 };

struct walk {
    struct weights *w;
    pk_storage_fn *bytes;
    void *ctx;
    char name[WEIGHTS_NAME_MAX + 1];
    size_t len;
    int depth;
    size_t visits; /* memo references can make a small file walk for ever */
    struct error *err;
};

static enum status bad(struct walk *k, enum status st, const char *what)
{
    char q[WEIGHTS_QUOTE];
    return error_set(k->err, st, "%s: tensor '%s' %s", k->w->label,
                     weights_quote(q, k->name, k->len), what);
}

static bool ints_of(const struct pk *tuple, int64_t *out, bool *negative)
{
    for (size_t i = 0; i < tuple->seq.n; i++) {
        if (tuple->seq.v[i]->kind != PK_INT)
            return false;
        out[i] = tuple->seq.v[i]->i;
        *negative |= out[i] < 0;
    }
    return true;
}

/* The highest index that a strided view touches must lie inside its storage. */
static bool view_inside(int ndim, const int64_t *dim, const int64_t *stride, int64_t offset,
                        int64_t count)
{
    int64_t last = offset;
    for (int i = 0; i < ndim; i++) {
        int64_t step;
        if (__builtin_mul_overflow(dim[i] - 1, stride[i], &step) ||
            __builtin_add_overflow(last, step, &last))
            return false;
    }
    return last < count;
}

static bool contiguous(int ndim, const int64_t *dim, const int64_t *stride)
{
    int64_t want = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        if (dim[i] != 1 && stride[i] != want)
            return false;
        want *= dim[i];
    }
    return true;
}

/* src and dst in elements of `size` bytes; an odometer over the outer dims. */
static void copy_strided(uint8_t *dst, const uint8_t *src, size_t size, int ndim,
                         const int64_t *dim, const int64_t *stride)
{
    int64_t at[TENSOR_MAX_DIMS] = {0};
    int inner = ndim - 1;
    for (;;) {
        const uint8_t *s = src;
        for (int i = 0; i < inner; i++)
            s += (size_t)(at[i] * stride[i]) * size;
        for (int64_t i = 0; i < dim[inner]; i++, dst += size)
            memcpy(dst, s + (size_t)(i * stride[inner]) * size, size);
        int d = inner - 1;
        while (d >= 0 && ++at[d] == dim[d])
            at[d--] = 0;
        if (d < 0)
            return;
    }
}

static enum status emit(struct walk *k, const struct pk *v)
{
    const struct pk_elem *elem = v->tensor.elem;
    const uint8_t *data = NULL;
    uint64_t size = 0;
    int64_t dim[TENSOR_MAX_DIMS], stride[TENSOR_MAX_DIMS];
    size_t ndim = v->tensor.size->seq.n, count;
    bool negative = v->tensor.offset < 0;
    if (k->w->n >= TENSORS_MAX)
        return error_set(k->err, ST_LIMIT, "%s: more than %d tensors", k->w->label, TENSORS_MAX);
    if (elem->type == DT_COUNT)
        return bad(k, ST_UNSUPPORTED, "has a dtype that is not read");
    if (ndim > TENSOR_MAX_DIMS)
        return bad(k, ST_UNSUPPORTED, "has more than 5 dimensions");
    if (v->tensor.stride->seq.n != ndim || !ints_of(v->tensor.size, dim, &negative) ||
        !ints_of(v->tensor.stride, stride, &negative) || negative ||
        !weights_shape_count((int)ndim, dim, &count))
        return bad(k, ST_FORMAT, "has an impossible shape");
    enum status st = k->bytes(k->ctx, v->tensor.storage, &data, &size, k->err);
    if (st)
        return error_prefix(k->err, st, "%s", k->w->label);
    int64_t held = (int64_t)(size / elem->size); /* files are below 2^63 bytes */
    if (count && !view_inside((int)ndim, dim, stride, v->tensor.offset, held))
        return bad(k, ST_FORMAT, "reaches beyond its storage");
    if (count > (size_t)held)
        return bad(k, ST_UNSUPPORTED, "repeats its storage (an expanded tensor)");
    const uint8_t *from = count ? data + (size_t)v->tensor.offset * elem->size : data;
    if (count && !contiguous((int)ndim, dim, stride)) {
        uint8_t *copy = weights_copy_space(k->w, count * elem->size, k->err);
        if (!copy)
            return k->err->code;
        copy_strided(copy, from, elem->size, (int)ndim, dim, stride);
        from = copy;
    }
    return weights_add(k->w, k->name, k->len, elem->type, (int)ndim, dim, from, k->err);
}

static enum status walk_value(struct walk *k, const struct pk *v);

/* Below `word`, joined with a dot. */
static enum status walk_child(struct walk *k, const char *word, size_t n, const struct pk *v)
{
    size_t before = k->len;
    if (n >= WEIGHTS_NAME_MAX - k->len) /* the dot counts; len is never more than the most */
        return error_set(k->err, ST_FORMAT, "%s: a tensor's name of more than %d bytes",
                         k->w->label, WEIGHTS_NAME_MAX);
    if (k->len)
        k->name[k->len++] = '.';
    memcpy(k->name + k->len, word, n);
    k->len += n;
    enum status st = walk_value(k, v);
    k->len = before;
    return st;
}

static enum status walk_index(struct walk *k, int64_t i, const struct pk *v)
{
    char word[24];
    int n = snprintf(word, sizeof word, "%lld", (long long)i);
    return walk_child(k, word, (size_t)n, v);
}

static bool holds_something(const struct pk *v)
{
    return v->kind == PK_TENSOR || v->kind == PK_DICT || v->kind == PK_LIST ||
           v->kind == PK_TUPLE || v->kind == PK_OBJECT;
}

static enum status walk_dict(struct walk *k, const struct pk *v)
{
    enum status st = ST_OK;
    for (size_t i = 0; i + 1 < v->seq.n && !st; i += 2) {
        const struct pk *key = v->seq.v[i], *value = v->seq.v[i + 1];
        if (!holds_something(value))
            continue;
        if (key->kind == PK_STR)
            st = walk_child(k, key->str.s, key->str.n, value);
        else if (key->kind == PK_INT)
            st = walk_index(k, key->i, value);
    }
    return st;
}

static bool is_script(const struct pk *cls)
{
    return cls && cls->global.module_len >= 9 && !memcmp(cls->global.module, "__torch__", 9);
}

/* A module saved whole, by torch.jit.save (attributes are members) or by torch.save. */
static enum status walk_object(struct walk *k, const struct pk *v)
{
    static const char *const parts[] = {"_parameters", "_buffers", "_modules"};
    const struct pk *state = v->object.state;
    if (!state || state->kind != PK_DICT)
        return ST_OK;
    if (is_script(v->object.cls))
        return walk_dict(k, state);
    enum status st = ST_OK;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !st; i++) {
        const struct pk *d = pk_get(state, parts[i]);
        st = d && d->kind == PK_DICT ? walk_dict(k, d) : ST_OK;
    }
    return st;
}

static enum status walk_value(struct walk *k, const struct pk *v)
{
    enum status st = ST_OK;
    if (++k->visits > VISITS_MAX || ++k->depth > DEPTH_MAX)
        return error_set(k->err, ST_LIMIT, "%s: nested too deeply, or in a circle", k->w->label);
    switch (v->kind) {
    case PK_TENSOR:
        st = emit(k, v);
        break;
    case PK_DICT:
        st = walk_dict(k, v);
        break;
    case PK_LIST:
    case PK_TUPLE:
        for (size_t i = 0; i < v->seq.n && !st; i++)
            if (++k->visits <= VISITS_MAX && holds_something(v->seq.v[i]))
                st = walk_index(k, (int64_t)i, v->seq.v[i]);
        break;
    case PK_OBJECT:
        st = walk_object(k, v);
        break;
    default:
        break;
    }
    k->depth--;
    return st;
}

static bool has_tensor(const struct pk *dict)
{
    for (size_t i = 1; i < dict->seq.n; i += 2)
        if (dict->seq.v[i]->kind == PK_TENSOR)
            return true;
    return false;
}

/* What training scripts wrap around a state dict. */
static const struct pk *unwrap(const struct pk *root)
{
    static const char *const keys[] = {"state_dict", "model_state_dict", "model"};
    for (int level = 0; level < 3 && root->kind == PK_DICT && !has_tensor(root); level++) {
        const struct pk *inner = NULL;
        for (size_t i = 0; i < sizeof keys / sizeof *keys && !inner; i++) {
            inner = pk_get(root, keys[i]);
            bool module = inner && inner->kind == PK_OBJECT && inner->object.state;
            if (inner && inner->kind != PK_DICT && !module)
                inner = NULL; /* the name of a model, its settings, ... */
        }
        if (!inner)
            break;
        root = inner;
    }
    return root;
}

enum status ckpt_collect(struct weights *w, const struct pk *root, const struct pk_notes *notes,
                         pk_storage_fn *bytes, void *ctx, struct error *err)
{
    struct walk k = {.w = w, .bytes = bytes, .ctx = ctx, .err = err};
    root = unwrap(root);
    if (root->kind == PK_TENSOR)
        return error_set(err, ST_FORMAT, "%s: a single tensor without a name", w->label);
    enum status st = walk_value(&k, root);
    if (!st && w->n && notes->quick_gelu)
        st = weights_add_meta(w, WEIGHTS_QUICK_GELU, "true", err);
    if (st || w->n)
        return st;
    char q[WEIGHTS_QUOTE], q2[WEIGHTS_QUOTE];
    const struct pk *c = notes->called;
    if (!c)
        return error_set(err, ST_FORMAT, "%s: holds no tensors", w->label);
    return error_set(err, ST_UNSUPPORTED,
                     "%s: holds no tensors but needs %.60s.%.40s, which is not run", w->label,
                     weights_quote(q, c->global.module, c->global.module_len),
                     weights_quote(q2, c->global.name, c->global.name_len));
}

struct archive {
    struct zip zip;
    const char *prefix; /* "archive/", in the file */
    size_t prefix_len;
    const char *label;
};

static const struct zip_entry *entry(const struct archive *a, const char *name)
{
    return zip_find(&a->zip, a->prefix, a->prefix_len, name, strlen(name));
}

/* The one data.pkl that lies a folder deep. */
static enum status find_prefix(struct archive *a, struct error *err)
{
    static const char tail[] = "/data.pkl";
    const size_t tail_len = sizeof tail - 1;
    for (size_t i = 0; i < a->zip.n; i++) {
        const struct zip_entry *e = &a->zip.e[i];
        if (e->name_len <= tail_len || memcmp(e->name + e->name_len - tail_len, tail, tail_len) ||
            memchr(e->name, '/', e->name_len - tail_len))
            continue;
        if (a->prefix)
            return error_set(err, ST_FORMAT, "%s: two data.pkl in one archive", a->label);
        a->prefix = e->name;
        a->prefix_len = e->name_len - tail_len + 1;
    }
    if (!a->prefix)
        return error_set(err, ST_FORMAT,
                         "%s: a zip archive, but not one of torch.save (no data.pkl)", a->label);
    return ST_OK;
}

static enum status zip_storage(void *ctx, const struct pk *s, const uint8_t **data, uint64_t *size,
                               struct error *err)
{
    struct archive *a = ctx;
    char q[WEIGHTS_QUOTE], key[WEIGHTS_NAME_MAX];
    if (s->storage.key_len > sizeof key - 5)
        return error_set(err, ST_FORMAT, "a storage's key is too long");
    int dir = snprintf(key, sizeof key, "data/");
    memcpy(key + dir, s->storage.key, s->storage.key_len); /* counted, so not terminated */
    const struct zip_entry *e =
        zip_find(&a->zip, a->prefix, a->prefix_len, key, (size_t)dir + s->storage.key_len);
    if (!e)
        return error_set(err, ST_FORMAT, "storage '%s' is missing",
                         weights_quote(q, s->storage.key, s->storage.key_len));
    enum status st = zip_stored(e, false, a->label, err);
    if (st)
        return st;
    if ((uint64_t)s->storage.count > e->size / s->storage.elem->size)
        return error_set(err, ST_FORMAT, "storage '%s' is shorter than it says",
                         weights_quote(q, s->storage.key, s->storage.key_len));
    *data = e->data;
    *size = (uint64_t)s->storage.count * s->storage.elem->size;
    return ST_OK;
}

static enum status check_byte_order(const struct archive *a, struct error *err)
{
    const struct zip_entry *e = entry(a, "byteorder");
    enum status st = e ? zip_stored(e, false, a->label, err) : ST_OK;
    if (st || !e || (e->size == 6 && !memcmp(e->data, "little", 6)))
        return st;
    return error_set(err, ST_UNSUPPORTED, "%s: its numbers are not little-endian", a->label);
}

static enum status read_archive(struct weights *w, struct archive *a, struct error *err)
{
    enum status st = find_prefix(a, err);
    if (!st)
        st = check_byte_order(a, err);
    const struct zip_entry *e = st ? NULL : entry(a, "data.pkl");
    if (!st)
        st = zip_stored(e, true, w->label, err);
    if (!st && e->size > PICKLE_SIZE_MAX)
        st = error_set(err, ST_LIMIT, "%s: data.pkl is larger than 64 MB", w->label);
    if (st)
        return st;
    struct arena mem = {.limit = PICKLE_MEMORY};
    struct pk_notes notes = {0};
    struct pk *root;
    size_t used;
    st = pickle_load(e->data, (size_t)e->size, &used, &mem, &root, &notes, w->label, err);
    if (!st)
        st = ckpt_collect(w, root, &notes, zip_storage, a, err);
    arena_release(&mem);
    if (entry(a, "constants.pkl"))
        w->format = "torchscript zip";
    return st;
}

static bool probe_zip(const uint8_t *data, size_t size)
{
    return size >= 4 && !memcmp(data, "PK\3\4", 4);
}

static enum status read_zip(struct weights *w, struct error *err)
{
    struct archive a = {.label = w->label};
    enum status st = zip_open(&a.zip, w->data, w->size, w->label, err);
    if (st)
        return st;
    st = read_archive(w, &a, err);
    zip_release(&a.zip);
    return st;
}

const struct weights_reader weights_reader_torch_zip = {"pytorch zip", probe_zip, read_zip};
