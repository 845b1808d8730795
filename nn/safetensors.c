/* Safetensors, read: 8 bytes of header length, a JSON header, then the tensors' bytes back to back.
 * Every rule of the format is checked, so no byte of a file is left unexplained; the surprise is
 * that a tensor may still lie unaligned, and then it is copied once (weights_add).
 * docs/FILE-FORMATS.md has our additions. */
#include "core/bytes.h"
#include "core/mem.h"
#include "nn/weights_int.h"

#define HEADER_MAX 100000000u

struct span {
    uint64_t begin, end;
};

struct st_reader {
    struct weights *w;
    const uint8_t *base; /* where offset 0 lies */
    uint64_t size;       /* bytes behind the header */
    json_t *meta;        /* "__metadata__", or NULL */
    struct span *span;
    size_t nspan, marks; /* marks: q8_0 marks that found their tensor */
    struct error *err;
};

/* The same in any file, and 0x7b as ninth byte; text cannot have the zero bytes of a sane length.
 */
static bool probe_safetensors(const uint8_t *data, size_t size)
{
    return size > 8 && data[8] == '{' && !data[4] && !data[5] && !data[6] && !data[7];
}

json_t *weights_json(const uint8_t *data, size_t size, const char *label, struct error *err)
{
    size_t values = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '"')
            in_string = !in_string;
        else if (in_string)
            i += data[i] == '\\';
        else
            values += data[i] == ',' || data[i] == '[' || data[i] == '{';
    }
    if (values > WEIGHTS_JSON_VALUES) {
        error_set(err, ST_LIMIT, "%s: a header of more than %d values", label, WEIGHTS_JSON_VALUES);
        return NULL;
    }
    json_error_t why;
    json_t *root = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, &why);
    if (!root && !why.text[0]) { /* jansson often has no words when memory runs out */
        error_set(err, ST_NOMEM, "%s: out of memory", label);
    } else if (!root) {
        char q[WEIGHTS_QUOTE];
        error_set(err, ST_FORMAT, "%s: bad JSON: %s", label,
                  weights_quote(q, why.text, strlen(why.text)));
    } else if (!json_is_object(root)) {
        error_set(err, ST_FORMAT, "%s: the JSON is not an object", label);
        json_decref(root);
        root = NULL;
    }
    return root;
}

static const struct {
    const char *name;
    enum dtype dtype; /* DT_COUNT: of the format, but not read here */
} dtypes[] = {
    {"F32", DT_F32},       {"F16", DT_F16},       {"BF16", DT_BF16},     {"I8", DT_I8},
    {"U8", DT_U8},         {"I32", DT_I32},       {"I64", DT_I64},       {"F64", DT_F64},
    {"BOOL", DT_BOOL},     {"I16", DT_COUNT},     {"U16", DT_COUNT},     {"U32", DT_COUNT},
    {"U64", DT_COUNT},     {"C64", DT_COUNT},     {"F4", DT_COUNT},      {"F8_E4M3", DT_COUNT},
    {"F8_E5M2", DT_COUNT}, {"F8_E8M0", DT_COUNT}, {"F6_E2M3", DT_COUNT}, {"F6_E3M2", DT_COUNT},
};

static enum status bad(struct st_reader *r, const char *name, const char *what)
{
    char q[WEIGHTS_QUOTE];
    return error_set(r->err, ST_FORMAT, "%s: tensor '%s' has %s", r->w->label,
                     weights_quote(q, name, strlen(name)), what);
}

static enum status parse_dtype(struct st_reader *r, const char *name, json_t *j, enum dtype *out)
{
    const char *s = json_string_value(j);
    char q[WEIGHTS_QUOTE], qt[WEIGHTS_QUOTE];
    if (!s)
        return bad(r, name, "no dtype");
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (strcmp(dtypes[i].name, s))
            continue;
        *out = dtypes[i].dtype;
        if (*out != DT_COUNT)
            return ST_OK;
        return error_set(r->err, ST_UNSUPPORTED, "%s: tensor '%s' is %s, which is not read",
                         r->w->label, weights_quote(q, name, strlen(name)), s);
    }
    return error_set(r->err, ST_FORMAT, "%s: tensor '%s' has the unknown dtype '%.40s'",
                     r->w->label, weights_quote(q, name, strlen(name)),
                     weights_quote(qt, s, strlen(s)));
}

/* "768,512": the logical shape that a q8_0 mark gives; checked against the stored one. */
static bool parse_mark(const char *s, int ndim, const int64_t *stored, int64_t *dims)
{
    for (int i = 0; i < ndim; i++) {
        int64_t v = 0;
        if (*s < '0' || *s > '9')
            return false;
        for (; *s >= '0' && *s <= '9'; s++)
            if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *s - '0', &v))
                return false;
        if (*s++ != (i == ndim - 1 ? '\0' : ','))
            return false;
        dims[i] = v;
        if (i < ndim - 1 ? v != stored[i] : v % 32 || stored[i] % 34 || v / 32 != stored[i] / 34)
            return false;
    }
    return ndim > 0;
}

/* A u8 tensor that the metadata marks is q8_0 blocks; puts dtype and shape right. */
static enum status apply_mark(struct st_reader *r, const char *name, enum dtype *dtype, int ndim,
                              int64_t *dims)
{
    if (!json_object_size(r->meta))
        return ST_OK;
    char *key = mem_printf(WEIGHTS_Q8_KEY "%s", name);
    if (!key)
        return error_set(r->err, ST_NOMEM, "%s: out of memory", r->w->label);
    const char *mark = json_string_value(json_object_get(r->meta, key));
    mem_free(key);
    if (!mark)
        return ST_OK;
    int64_t stored[TENSOR_MAX_DIMS];
    memcpy(stored, dims, sizeof stored);
    if (*dtype != DT_U8 || !parse_mark(mark, ndim, stored, dims))
        return bad(r, name, "a q8_0 mark that does not fit its shape");
    *dtype = DT_Q8_0;
    r->marks++;
    return ST_OK;
}

static enum status parse_shape(struct st_reader *r, const char *name, json_t *shape, int *ndim,
                               int64_t *dims)
{
    char q[WEIGHTS_QUOTE];
    if (!json_is_array(shape))
        return bad(r, name, "no shape");
    size_t n = json_array_size(shape);
    if (n > TENSOR_MAX_DIMS)
        return error_set(r->err, ST_UNSUPPORTED, "%s: tensor '%s' has %zu dimensions, at most %d",
                         r->w->label, weights_quote(q, name, strlen(name)), n, TENSOR_MAX_DIMS);
    for (size_t i = 0; i < n; i++) {
        json_t *d = json_array_get(shape, i);
        dims[i] = json_integer_value(d);
        if (!json_is_integer(d) || dims[i] < 0)
            return bad(r, name, "a dimension that is no natural number");
    }
    *ndim = (int)n;
    return ST_OK;
}

static enum status parse_tensor(struct st_reader *r, const char *name, json_t *info)
{
    enum dtype dtype = DT_COUNT;
    int ndim = 0;
    int64_t dims[TENSOR_MAX_DIMS] = {0};
    size_t count, bytes;
    enum status st = parse_dtype(r, name, json_object_get(info, "dtype"), &dtype);
    if (!st)
        st = parse_shape(r, name, json_object_get(info, "shape"), &ndim, dims);
    if (st)
        return st;
    json_t *off = json_object_get(info, "data_offsets");
    json_t *jb = json_array_get(off, 0), *je = json_array_get(off, 1);
    if (json_array_size(off) != 2 || !json_is_integer(jb) || !json_is_integer(je))
        return bad(r, name, "no pair of data_offsets");
    int64_t begin = json_integer_value(jb), end = json_integer_value(je);
    if (begin < 0 || end < begin || (uint64_t)end > r->size)
        return bad(r, name, "data outside the file");
    if (!weights_shape_count(ndim, dims, &count) || !dtype_bytes(dtype, count, &bytes))
        return bad(r, name, "an impossible shape");
    if (bytes != (uint64_t)(end - begin))
        return bad(r, name, "a shape that does not match its bytes");
    st = apply_mark(r, name, &dtype, ndim, dims);
    if (!st)
        st = weights_add(r->w, name, strlen(name), dtype, ndim, dims, r->base + begin, r->err);
    r->span[r->nspan++] = (struct span){(uint64_t)begin, (uint64_t)end};
    return st;
}

static int by_begin(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static enum status check_spans(struct st_reader *r)
{
    uint64_t at = 0;
    qsort(r->span, r->nspan, sizeof *r->span, by_begin);
    for (size_t i = 0; i < r->nspan; i++) {
        if (r->span[i].begin != at)
            return error_set(r->err, ST_FORMAT, "%s: tensors %s at byte %llu of the data",
                             r->w->label, r->span[i].begin < at ? "overlap" : "leave a hole",
                             (unsigned long long)(r->span[i].begin < at ? r->span[i].begin : at));
        at = r->span[i].end;
    }
    if (at != r->size)
        return error_set(r->err, ST_FORMAT, "%s: %llu bytes behind the last tensor", r->w->label,
                         (unsigned long long)(r->size - at));
    return ST_OK;
}

/* Copies the metadata but for the q8_0 marks, which all must have been used. */
static enum status read_meta(struct st_reader *r)
{
    const char *key;
    json_t *value;
    size_t marks = 0;
    json_object_foreach(r->meta, key, value)
    {
        bool mark = !strncmp(key, WEIGHTS_Q8_KEY, sizeof WEIGHTS_Q8_KEY - 1);
        enum status st = ST_OK;
        marks += mark;
        if (!json_is_string(value))
            st = error_set(r->err, ST_FORMAT, "%s: a metadata value is not a string", r->w->label);
        else if (!mark)
            st = weights_add_meta(r->w, key, json_string_value(value), r->err);
        if (st)
            return st;
    }
    if (marks != r->marks)
        return error_set(r->err, ST_FORMAT, "%s: a q8_0 mark without its tensor", r->w->label);
    return ST_OK;
}

static enum status read_header(struct st_reader *r, json_t *root)
{
    const char *name;
    json_t *info;
    r->meta = json_object_get(root, "__metadata__");
    if (r->meta && !json_is_object(r->meta))
        return error_set(r->err, ST_FORMAT, "%s: __metadata__ is not an object", r->w->label);
    r->span = mem_array(json_object_size(root) + 1, sizeof *r->span);
    if (!r->span)
        return error_set(r->err, ST_NOMEM, "%s: out of memory", r->w->label);
    json_object_foreach(root, name, info)
    {
        enum status st = info == r->meta ? ST_OK : parse_tensor(r, name, info);
        if (st)
            return st;
    }
    enum status st = check_spans(r);
    return st ? st : read_meta(r);
}

static enum status read_safetensors(struct weights *w, struct error *err)
{
    if (w->size < 10)
        return error_set(err, ST_FORMAT, "%s: too short for a safetensors file (%zu bytes)",
                         w->label, w->size);
    uint64_t n = bytes_le64(w->data);
    if (n > HEADER_MAX)
        return error_set(err, ST_LIMIT, "%s: a header of %llu bytes, at most %u", w->label,
                         (unsigned long long)n, HEADER_MAX);
    if (n > w->size - 8)
        return error_set(err, ST_FORMAT, "%s: a header of %llu bytes in a file of %zu (cut short?)",
                         w->label, (unsigned long long)n, w->size);
    if (n < 2 || w->data[8] != '{')
        return error_set(err, ST_FORMAT, "%s: the header is not a JSON object", w->label);
    json_t *root = weights_json(w->data + 8, (size_t)n, w->label, err);
    if (!root)
        return err->code;
    struct st_reader r = {.w = w, .base = w->data + 8 + n, .size = w->size - 8 - n, .err = err};
    enum status st = read_header(&r, root);
    mem_free(r.span);
    json_decref(root);
    return st;
}

const struct weights_reader weights_reader_safetensors = {"safetensors", probe_safetensors,
                                                          read_safetensors};
