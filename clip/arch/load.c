/* Sticky reading of weights for model families, and a call's tensors and trace. What is small is
 * converted to f32 once, at open; matrices stay mapped in the dtype of the file. */
#include "clip/arch.h"
#include "core/mem.h"

static bool full_name(const struct clip_source *src, char *name, size_t size, const char *fmt,
                      va_list ap)
{
    int n = snprintf(name, size, "%s", src->prefix);
    int k = vsnprintf(name + n, size - (size_t)n, fmt, ap);
    bool whole = k >= 0 && (size_t)n + (size_t)k < size;
    char *to = name + n;
    for (const char *s = to; src->undotted; s++) {
        *to = *s;
        to += *s != '.';
        if (!*s)
            break;
    }
    return whole;
}

bool clip_source_name(const struct clip_source *src, char *name, size_t size, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    bool whole = full_name(src, name, size, fmt, ap);
    va_end(ap);
    return whole;
}

bool clip_load_has(const struct clip_loader *l, const char *fmt, ...)
{
    char name[256];
    va_list ap;
    va_start(ap, fmt);
    bool ok = full_name(l->src, name, sizeof name, fmt, ap);
    va_end(ap);
    return ok && weights_find(l->src->weights, name) != NULL;
}

int clip_load_dim(const struct clip_loader *l, int i, int most, const char *fmt, ...)
{
    char name[256];
    va_list ap;
    va_start(ap, fmt);
    bool ok = full_name(l->src, name, sizeof name, fmt, ap);
    va_end(ap);
    const struct tensor *t = ok ? weights_find(l->src->weights, name) : NULL;
    return t && i < t->ndim && t->dim[i] > 0 && t->dim[i] <= most ? (int)t->dim[i] : 0;
}

static bool is_float(enum dtype t)
{
    return t == DT_F32 || t == DT_F16 || t == DT_BF16;
}

static bool get(struct clip_loader *l, const char *name, int ndim, const int64_t *dims,
                struct tensor *t)
{
    if (l->status)
        return false;
    l->status = weights_get(l->src->weights, name, ndim, dims, t, l->err);
    if (!l->status && !is_float(t->dtype) && t->dtype != DT_I8 && t->dtype != DT_Q8_0)
        l->status = error_set(l->err, ST_FORMAT, "%s: tensor %s is %s, not a weight",
                              weights_path(l->src->weights), name, dtype_name(t->dtype));
    return !l->status;
}

static bool out_of_memory(struct clip_loader *l, const char *name)
{
    l->status = error_set(l->err, ST_NOMEM, "%s: out of memory for %s",
                          weights_path(l->src->weights), name);
    return false;
}

static bool to_f32(struct clip_loader *l, const char *name, struct tensor *t)
{
    if (t->dtype == DT_F32)
        return true;
    float *x = arena_array(&l->m->arena, (size_t)tensor_count(t), sizeof *x);
    if (!x)
        return out_of_memory(l, name);
    tensor_to_f32(t, x);
    *t = tensor_view(x, DT_F32, t->ndim, t->dim);
    return true;
}

/* Lists the tensor for half.c, which must know what the towers that were opened read, and takes it
 * from half.c's copy, where there is one. */
static void from_copy(struct clip_loader *l, const char *name, bool small, struct tensor *t)
{
    size_t n = strlen(name) + 1;
    struct clip_taken *p = arena_alloc(&l->m->arena, sizeof *p + n);
    if (!p) {
        out_of_memory(l, name);
        return;
    }
    *p = (struct clip_taken){.next = l->m->parts, .t = *t, .small = small};
    memcpy(p->name, name, n);
    l->m->parts = p;
    const struct tensor *h = l->src->half ? weights_find(l->src->half, name) : NULL;
    if (h && h->dtype == (small ? DT_F32 : DT_F16) && tensor_same_shape(h, t))
        *t = *h;
}

struct tensor clip_load_matrix(struct clip_loader *l, int ndim, const int64_t *dims,
                               const char *fmt, ...)
{
    char name[256];
    struct tensor t = {0};
    va_list ap;
    va_start(ap, fmt);
    full_name(l->src, name, sizeof name, fmt, ap);
    va_end(ap);
    if (!get(l, name, ndim, dims, &t))
        return (struct tensor){0};
    from_copy(l, name, false, &t);
    struct tensor m =
        tensor_view(t.data, t.dtype, 2, (int64_t[]){t.dim[0], tensor_count(&t) / t.dim[0]});
    m.scale = t.scale;
    m.mapped = t.mapped;
    m.use = TENSOR_WEIGHT;
    m.packs = l->m->packs;
    return m;
}

struct tensor clip_load_small(struct clip_loader *l, int ndim, const int64_t *dims, const char *fmt,
                              ...)
{
    char name[256];
    struct tensor t = {0};
    va_list ap;
    va_start(ap, fmt);
    full_name(l->src, name, sizeof name, fmt, ap);
    va_end(ap);
    if (!get(l, name, ndim, dims, &t))
        return (struct tensor){0};
    from_copy(l, name, true, &t);
    if (!to_f32(l, name, &t))
        return (struct tensor){0};
    t.packs = l->m->packs; /* a device keeps its copy */
    return t;
}

struct tensor clip_load_turned(struct clip_loader *l, int64_t rows, int64_t cols, const char *fmt,
                               ...)
{
    char name[256];
    struct tensor t = {0};
    va_list ap;
    va_start(ap, fmt);
    full_name(l->src, name, sizeof name, fmt, ap);
    va_end(ap);
    if (!get(l, name, 2, (int64_t[]){rows, cols}, &t) || !to_f32(l, name, &t))
        return (struct tensor){0};
    float *y = arena_array(&l->m->arena, (size_t)tensor_count(&t), sizeof *y);
    if (!y) {
        out_of_memory(l, name);
        return (struct tensor){0};
    }
    const float *x = t.data;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            y[j * rows + i] = x[i * cols + j];
    t = tensor_view(y, DT_F32, 2, (int64_t[]){cols, rows});
    t.use = TENSOR_WEIGHT;
    t.packs = l->m->packs;
    return t;
}

float clip_load_number(struct clip_loader *l, float otherwise, const char *fmt, ...)
{
    char name[256];
    va_list ap;
    va_start(ap, fmt);
    full_name(l->src, name, sizeof name, fmt, ap);
    va_end(ap);
    const struct tensor *t = l->status ? NULL : weights_find(l->src->weights, name);
    float x = otherwise;
    if (!t)
        return otherwise;
    if (tensor_count(t) == 1 && is_float(t->dtype))
        tensor_to_f32(t, &x);
    else
        l->status = error_set(l->err, ST_FORMAT, "%s: %s must be one number",
                              weights_path(l->src->weights), name);
    return x;
}

struct tensor clip_tensor_rows(const struct tensor *t, int64_t from, int64_t n)
{
    if (!t->data)
        return *t;
    int64_t row = tensor_count(t) / t->dim[0];
    size_t skip = 0;
    bool ok = dtype_bytes(t->dtype, (size_t)(from * row), &skip);
    struct tensor r = *t;
    r.data = ok ? (char *)t->data + skip : NULL;
    r.dim[0] = n;
    if (t->scale)
        r.scale = t->scale + from;
    return r;
}

void *clip_run_array(struct clip_run *r, int64_t n, size_t size)
{
    void *p = r->status || n < 0 ? NULL : arena_array(r->arena, (size_t)n, size);
    if (!p && !r->status)
        r->status = error_set(r->err, ST_NOMEM, "out of memory in the %s tower (%lld values)",
                              r->tower, (long long)n);
    return p;
}

struct tensor clip_run_tensor(struct clip_run *r, int ndim, const int64_t *dims)
{
    int64_t n = 1;
    for (int i = 0; i < ndim; i++)
        if (__builtin_mul_overflow(n, dims[i], &n))
            n = -1;
    return tensor_view(clip_run_array(r, n, sizeof(float)), DT_F32, ndim, dims);
}

void clip_run_trace(struct clip_run *r, const char *what, int i, const struct tensor *t)
{
    char name[64];
    if (r->passed)
        r->passed(r->passed_ctx);
    if (!r->trace)
        return;
    if (i >= 0)
        snprintf(name, sizeof name, "%s.%s.%d", r->tower, what, i);
    else
        snprintf(name, sizeof name, "%s.%s", r->tower, what);
    backend_download(r->be, t);
    r->trace(r->trace_ctx, name, t);
}
