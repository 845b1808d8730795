/* GGUF, read: a header of typed keys, a list of tensors, then their bytes at aligned offsets.
 * Surprising: q4_0 and q5_0 become q8_0 without loss, since their block has the same scale and
 * smaller whole numbers; q4_1 and q5_1 add a minimum and become f32, as do the k-quants (gguf_k.c).
 * docs/FILE-FORMATS.md has what is refused. */
#include "core/mem.h"
#include "core/path.h"
#include "nn/gguf_int.h"
#include "nn/weights_int.h"

enum { TENSORS_MAX = 1000000, TEXT_MAX = 1 << 16, LIST_MAX = 16, BLOCK = 32 };

enum gguf_value {
    GV_U8,
    GV_I8,
    GV_U16,
    GV_I16,
    GV_U32,
    GV_I32,
    GV_F32,
    GV_BOOL,
    GV_STRING,
    GV_ARRAY,
    GV_U64,
    GV_I64,
    GV_F64,
    GV_COUNT
};
static const unsigned char value_bytes[GV_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

/* ggml's types by number. A unit is a block of `values`, or one value; bytes 0: not read. */
static const struct gguf_type {
    const char *name;
    unsigned char bytes;
    unsigned short values;
    enum dtype becomes;
} types[] = {
    [0] = {"f32", 4, 1, DT_F32},
    [1] = {"f16", 2, 1, DT_F16},
    [2] = {"q4_0", 18, BLOCK, DT_Q8_0},
    [3] = {"q4_1", 20, BLOCK, DT_F32},
    [6] = {"q5_0", 22, BLOCK, DT_Q8_0},
    [7] = {"q5_1", 24, BLOCK, DT_F32},
    [8] = {"q8_0", 34, BLOCK, DT_Q8_0},
    [9] = {.name = "q8_1"},
    [GGUF_Q2_K] = {"q2_k", GGUF_Q2_K_BYTES, GGUF_K_BLOCK, DT_F32},
    [GGUF_Q3_K] = {"q3_k", GGUF_Q3_K_BYTES, GGUF_K_BLOCK, DT_F32},
    [GGUF_Q4_K] = {"q4_k", GGUF_Q4_K_BYTES, GGUF_K_BLOCK, DT_F32},
    [GGUF_Q5_K] = {"q5_k", GGUF_Q5_K_BYTES, GGUF_K_BLOCK, DT_F32},
    [GGUF_Q6_K] = {"q6_k", GGUF_Q6_K_BYTES, GGUF_K_BLOCK, DT_F32},
    [15] = {.name = "q8_k"},
    [16] = {.name = "iq2_xxs"},
    [17] = {.name = "iq2_xs"},
    [18] = {.name = "iq3_xxs"},
    [19] = {.name = "iq1_s"},
    [20] = {.name = "iq4_nl"},
    [21] = {.name = "iq3_s"},
    [22] = {.name = "iq2_s"},
    [23] = {.name = "iq4_xs"},
    [24] = {"i8", 1, 1, DT_I8},
    [25] = {.name = "i16"},
    [26] = {"i32", 4, 1, DT_I32},
    [27] = {"i64", 8, 1, DT_I64},
    [28] = {"f64", 8, 1, DT_F64},
    [29] = {.name = "iq1_m"},
    [30] = {"bf16", 2, 1, DT_BF16},
    [34] = {.name = "tq1_0"},
    [35] = {.name = "tq2_0"},
    [39] = {.name = "mxfp4"},
};

struct gguf_tensor {
    const char *name; /* in the file, not terminated */
    size_t name_len;
    int ndim;
    int64_t dim[TENSOR_MAX_DIMS]; /* PyTorch's order, the file has them the other way round */
    const struct gguf_type *type;
    uint64_t offset, bytes; /* behind the header; in the file's type */
    size_t count;
};

struct gguf {
    struct weights *w;
    size_t at; /* never beyond w->size */
    uint64_t alignment;
    struct gguf_tensor *t;
    size_t n;
    struct error *err;
};

static bool probe_gguf(const uint8_t *data, size_t size)
{
    return size >= 4 && !memcmp(data, "GGUF", 4);
}

static enum status bad(struct gguf *g, const char *what)
{
    return error_set(g->err, ST_FORMAT, "%s: %s", g->w->label, what);
}

static enum status cut_off(struct gguf *g)
{
    return bad(g, "ends in the middle of its header");
}

static uint64_t load_le(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = n; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static enum status take(struct gguf *g, size_t n, uint64_t *v)
{
    if (n > g->w->size - g->at)
        return cut_off(g);
    *v = load_le(g->w->data + g->at, n);
    g->at += n;
    return ST_OK;
}

static enum status take_text(struct gguf *g, const char **s, size_t *n)
{
    uint64_t len = 0;
    enum status st = take(g, 8, &len);
    if (st)
        return st;
    if (len > g->w->size - g->at)
        return cut_off(g);
    *s = (const char *)g->w->data + g->at;
    *n = (size_t)len;
    g->at += *n;
    return ST_OK;
}

/* A scalar as text. */
static void print_value(char *out, size_t size, unsigned type, uint64_t v)
{
    float f;
    double d;
    uint32_t low = (uint32_t)v;
    memcpy(&f, &low, sizeof f);
    memcpy(&d, &v, sizeof d);
    if (type == GV_F32 || type == GV_F64)
        snprintf(out, size, "%.9g", type == GV_F32 ? (double)f : d);
    else if (type == GV_BOOL)
        snprintf(out, size, "%s", v ? "true" : "false");
    else if (type == GV_I8 || type == GV_I16 || type == GV_I32 || type == GV_I64)
        snprintf(out, size, "%lld",
                 (long long)(type == GV_I8    ? (int8_t)v
                             : type == GV_I16 ? (int16_t)v
                             : type == GV_I32 ? (int32_t)v
                                              : (int64_t)v));
    else
        snprintf(out, size, "%llu", (unsigned long long)v);
}

/* Short lists of numbers become metadata "1,2,3"; long lists and those of strings (vocabularies)
 * are stepped over. */
static enum status read_list(struct gguf *g, char *out, size_t size, bool *keep)
{
    uint64_t type = 0, n = 0, v = 0;
    enum status st = take(g, 4, &type);
    if (!st)
        st = take(g, 8, &n);
    if (st)
        return st;
    if (type >= GV_COUNT || type == GV_ARRAY)
        return bad(g, "has a list of a kind that is not read");
    *keep = type != GV_STRING && n > 0 && n <= LIST_MAX;
    if (n > (g->w->size - g->at) / (type == GV_STRING ? 8 : value_bytes[type]))
        return cut_off(g);
    if (!*keep && type != GV_STRING) {
        g->at += (size_t)n * value_bytes[type];
        return ST_OK;
    }
    size_t len = 0;
    for (uint64_t i = 0; i < n && !st; i++) {
        const char *s;
        size_t k;
        if (type == GV_STRING) {
            st = take_text(g, &s, &k);
            continue;
        }
        st = take(g, value_bytes[type], &v);
        if (!st) {
            if (i)
                out[len++] = ',';
            print_value(out + len, size - len, (unsigned)type, v);
            len += strlen(out + len);
        }
    }
    return st;
}

static enum status keep_meta(struct gguf *g, const char *key, size_t n, const char *value,
                             size_t len)
{
    char name[WEIGHTS_NAME_MAX + 1];
    memcpy(name, key, n);
    name[n] = 0;
    char *text = mem_strndup(value, len);
    enum status st = text ? weights_add_meta(g->w, name, text, g->err)
                          : error_set(g->err, ST_NOMEM, "%s: out of memory", g->w->label);
    mem_free(text);
    return st;
}

static bool is_text(const char *s, size_t n, size_t most)
{
    return n <= most && !memchr(s, 0, n) && utf8_valid(s, n);
}

static enum status read_alignment(struct gguf *g, unsigned type, uint64_t v)
{
    if (type != GV_U32 || v < 8 || v > 1 << 20 || (v & (v - 1)))
        return bad(g, "general.alignment must be a power of two from 8 to 1048576");
    g->alignment = v;
    return ST_OK;
}

static enum status read_pair(struct gguf *g)
{
    const char *key = NULL, *s = NULL;
    size_t n = 0, len = 0;
    uint64_t type = 0, v = 0;
    char text[LIST_MAX * 32];
    bool keep = true;
    enum status st = take_text(g, &key, &n);
    if (!st)
        st = take(g, 4, &type);
    if (st)
        return st;
    if (!n || !is_text(key, n, WEIGHTS_NAME_MAX) || type >= GV_COUNT)
        return bad(g, "has a key of a kind that is not read");
    if (type == GV_STRING) {
        st = take_text(g, &s, &len);
        return st || !is_text(s, len, TEXT_MAX) ? st : keep_meta(g, key, n, s, len);
    }
    if (type == GV_ARRAY) {
        st = read_list(g, text, sizeof text, &keep);
    } else {
        st = take(g, value_bytes[type], &v);
        if (!st)
            print_value(text, sizeof text, (unsigned)type, v);
        if (!st && n == 17 && !memcmp(key, "general.alignment", n))
            st = read_alignment(g, (unsigned)type, v);
    }
    return st || !keep ? st : keep_meta(g, key, n, text, strlen(text));
}

static enum status bad_tensor(struct gguf *g, const struct gguf_tensor *t, enum status code,
                              const char *what)
{
    char q[WEIGHTS_QUOTE];
    return error_set(g->err, code, "%s: tensor '%s' %s", g->w->label,
                     weights_quote(q, t->name, t->name_len), what);
}

static enum status size_of(struct gguf *g, struct gguf_tensor *t, uint64_t type)
{
    char text[64];
    size_t bytes, units;
    t->type = type < sizeof types / sizeof *types ? &types[type] : NULL;
    if (!t->type || !t->type->bytes) {
        if (t->type && t->type->name)
            snprintf(text, sizeof text, "is %s, which is not read", t->type->name);
        else
            snprintf(text, sizeof text, "has the unknown type %llu", (unsigned long long)type);
        return bad_tensor(g, t, ST_UNSUPPORTED, text);
    }
    if (!weights_shape_count(t->ndim, t->dim, &t->count))
        return bad_tensor(g, t, ST_FORMAT, "has an impossible shape");
    if (t->type->values > 1 && (t->ndim < 1 || t->dim[t->ndim - 1] % t->type->values)) {
        snprintf(text, sizeof text, "has rows that its blocks of %d do not divide",
                 t->type->values);
        return bad_tensor(g, t, ST_FORMAT, text);
    }
    units = t->count / t->type->values;
    if (mul_overflow_size(units, t->type->bytes, &bytes))
        return bad_tensor(g, t, ST_FORMAT, "has an impossible shape");
    t->bytes = bytes;
    return ST_OK;
}

static enum status read_tensor(struct gguf *g, struct gguf_tensor *t)
{
    uint64_t ndim = 0, type = 0, v = 0;
    enum status st = take_text(g, &t->name, &t->name_len);
    if (!st)
        st = take(g, 4, &ndim);
    if (st)
        return st;
    if (ndim > 4)
        return bad_tensor(g, t, ST_FORMAT, "has more than 4 dimensions");
    t->ndim = (int)ndim;
    for (int i = t->ndim - 1; i >= 0; i--) {
        st = take(g, 8, &v);
        if (st)
            return st;
        if (v > INT64_MAX)
            return bad_tensor(g, t, ST_FORMAT, "has an impossible shape");
        t->dim[i] = (int64_t)v;
    }
    st = take(g, 4, &type);
    if (!st)
        st = take(g, 8, &t->offset);
    if (!st && t->offset % g->alignment)
        return bad_tensor(g, t, ST_FORMAT, "does not lie at a multiple of general.alignment");
    return st ? st : size_of(g, t, type);
}

static int by_offset(const void *a, const void *b)
{
    const struct gguf_tensor *x = a, *y = b;
    return x->offset != y->offset ? (x->offset > y->offset) - (x->offset < y->offset)
                                  : (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* Each inside the file, and no byte in two tensors: what is unpacked stays in proportion. */
static enum status check_places(struct gguf *g, uint64_t room)
{
    uint64_t end = 0;
    if (g->n)
        qsort(g->t, g->n, sizeof *g->t, by_offset);
    for (size_t i = 0; i < g->n; i++) {
        const struct gguf_tensor *t = &g->t[i];
        if (t->bytes > room || t->offset > room - t->bytes)
            return bad_tensor(g, t, ST_FORMAT, "reaches beyond the end of the file");
        if (t->offset < end)
            return bad_tensor(g, t, ST_FORMAT, "shares bytes with another tensor");
        end = t->offset + t->bytes;
    }
    return ST_OK;
}

/* The whole number of value j of a block's 4 bits (and fifth bits), as stored. */
static int quant_of(const uint8_t *qs, uint32_t high, int j)
{
    int low = j < BLOCK / 2 ? qs[j] & 15 : qs[j - BLOCK / 2] >> 4;
    return low | (int)(high >> j & 1) << 4;
}

/* To q8_0: 2 bytes of scale, 32 bytes. */
static void unpack_whole(uint8_t *y, const uint8_t *x, size_t blocks, bool five)
{
    size_t step = five ? 22 : 18;
    for (size_t i = 0; i < blocks; i++, x += step, y += 34) {
        const uint8_t *qs = x + (five ? 6 : 2);
        uint32_t high = five ? (uint32_t)load_le(x + 2, 4) : 0;
        memcpy(y, x, 2);
        for (int j = 0; j < BLOCK; j++)
            y[2 + j] = (uint8_t)(int8_t)(quant_of(qs, high, j) - (five ? 16 : 8));
    }
}

static void unpack_min(float *y, const uint8_t *x, size_t blocks, bool five)
{
    size_t step = five ? 24 : 20;
    for (size_t i = 0; i < blocks; i++, x += step, y += BLOCK) {
        const uint8_t *qs = x + (five ? 8 : 4);
        uint32_t high = five ? (uint32_t)load_le(x + 4, 4) : 0;
        float d = f16_to_f32((uint16_t)load_le(x, 2)), m = f16_to_f32((uint16_t)load_le(x + 2, 2));
        for (int j = 0; j < BLOCK; j++)
            y[j] = (float)quant_of(qs, high, j) * d + m;
    }
}

static enum status add_tensor(struct gguf *g, const struct gguf_tensor *t, const uint8_t *data)
{
    bool five = t->type->bytes == 22 || t->type->bytes == 24;
    size_t bytes, blocks = t->count / t->type->values;
    void *copy;
    if (t->type->values == 1 || t->type->bytes == 34)
        return weights_add(g->w, t->name, t->name_len, t->type->becomes, t->ndim, t->dim, data,
                           g->err);
    if (!dtype_bytes(t->type->becomes, t->count, &bytes) ||
        !(copy = arena_alloc(&g->w->mem, bytes ? bytes : 1)))
        return error_set(g->err, ST_NOMEM, "%s: out of memory", g->w->label);
    if (t->type->values == GGUF_K_BLOCK)
        gguf_unpack_k((enum gguf_k_type)(t->type - types), copy, data, blocks);
    else if (t->type->becomes == DT_Q8_0)
        unpack_whole(copy, data, blocks, five);
    else
        unpack_min(copy, data, blocks, five);
    return weights_add(g->w, t->name, t->name_len, t->type->becomes, t->ndim, t->dim, copy, g->err);
}

static enum status read_header(struct gguf *g, uint64_t *pairs)
{
    uint64_t version = 0, tensors = 0;
    g->at = 4;
    enum status st = take(g, 4, &version);
    if (!st && (version == 0x02000000 || version == 0x03000000))
        return error_set(g->err, ST_UNSUPPORTED, "%s: its numbers are not little-endian",
                         g->w->label);
    if (!st && version != 2 && version != 3)
        return error_set(g->err, ST_UNSUPPORTED, "%s: GGUF version %llu is not read", g->w->label,
                         (unsigned long long)version);
    if (!st)
        st = take(g, 8, &tensors);
    if (!st)
        st = take(g, 8, pairs);
    if (st)
        return st;
    /* a tensor takes at least 24 bytes here, a key 13 */
    if (tensors > TENSORS_MAX || tensors > (g->w->size - g->at) / 24 ||
        *pairs > (g->w->size - g->at) / 13)
        return bad(g, "says that it holds more than its size allows");
    g->n = (size_t)tensors;
    g->t = mem_zarray(g->n + 1, sizeof *g->t);
    return g->t ? ST_OK : error_set(g->err, ST_NOMEM, "%s: out of memory", g->w->label);
}

static enum status read_gguf(struct weights *w, struct error *err)
{
    struct gguf g = {.w = w, .alignment = 32, .err = err};
    uint64_t pairs = 0;
    enum status st = read_header(&g, &pairs);
    for (uint64_t i = 0; i < pairs && !st; i++)
        st = read_pair(&g);
    for (size_t i = 0; i < g.n && !st; i++)
        st = read_tensor(&g, &g.t[i]);
    uint64_t start = (g.at + g.alignment - 1) / g.alignment * g.alignment;
    if (!st)
        st = check_places(&g, start < w->size ? w->size - start : 0);
    for (size_t i = 0; i < g.n && !st; i++)
        st = add_tensor(&g, &g.t[i], g.t[i].bytes ? w->data + start + g.t[i].offset : w->data);
    mem_free(g.t);
    return st;
}

const struct weights_reader weights_reader_gguf = {"gguf", probe_gguf, read_gguf};
