/* Conversion between weight types. Every tensor is measured against its source as it is converted,
 * since a quantised model's worst tensor, not its mean, is what spoils vectors. */
#include "nn/convert.h"
#include "core/arena.h"
#include "core/file.h"
#include "core/mem.h"
#include "nn/weights_int.h"
#include <assert.h>
#include <fnmatch.h>
#include <math.h>

#define F16_MAX 65504.0f
#define I8_ROW_MIN 16    /* below that, a scale a row weighs as much as f16 does */
#define SMALL_COUNT 1024 /* token types, stems: nothing to gain, and often the worst to round */

struct convert {
    const struct weights *w;
    const struct convert_opts *o;
    struct convert_stats *stats;
    struct weights_out_tensor *t;
    const char **meta; /* key, value, ..., NULL */
    void **owned;      /* converted data and scales */
    size_t nowned;
    float *x, *y; /* scratch: values before and after */
    size_t scratch;
    enum dtype to;
    struct error *err;
};

static bool is_real(const struct tensor *t)
{
    return t->dtype == DT_F32 || t->dtype == DT_F16 || t->dtype == DT_BF16 || t->dtype == DT_F64 ||
           t->dtype == DT_Q8_0 || (t->dtype == DT_I8 && t->scale);
}

static bool kept(const struct convert *c, const char *name)
{
    for (const char *const *p = c->o ? c->o->keep : NULL; p && *p; p++)
        if (!fnmatch(*p, name, 0))
            return true;
    return false;
}

/* Old OpenCLIP and TorchScript files carry the causal mask, half of it minus infinity. */
static bool is_mask(const char *name)
{
    static const char mask[] = "attn_mask";
    size_t n = strlen(name), k = sizeof mask - 1;
    return n >= k && !strcmp(name + n - k, mask);
}

static enum dtype wanted_type(const struct convert *c, const char *name, const struct tensor *t)
{
    if (!is_real(t))
        return t->dtype;
    if (t->ndim < 2)
        return DT_F32;
    bool small = c->to == DT_I8 || c->to == DT_Q8_0;
    if (small && (tensor_count(t) < SMALL_COUNT || is_mask(name) || kept(c, name)))
        return DT_F16;
    if (c->to == DT_Q8_0 && tensor_cols(t) % 32)
        return DT_F16;
    if (c->to == DT_I8 && tensor_count(t) < t->dim[0] * I8_ROW_MIN)
        return DT_F16;
    return c->to;
}

/* Whole numbers of bytes that a type takes; sizes were checked when the file was opened. */
static size_t bytes_of(enum dtype type, size_t count)
{
    size_t bytes = 0;
    bool ok = dtype_bytes(type, count, &bytes);
    assert(ok);
    (void)ok;
    return bytes;
}

static enum status no_memory(struct convert *c)
{
    return error_set(c->err, ST_NOMEM, "%s: out of memory", c->w->label);
}

static void *own(struct convert *c, size_t bytes)
{
    void *p = mem_aligned(bytes ? bytes : 1, 64);
    if (p)
        c->owned[c->nowned++] = p;
    return p;
}

static bool room(struct convert *c, size_t n)
{
    if (n <= c->scratch)
        return true;
    mem_free(c->x);
    mem_free(c->y);
    c->x = mem_array(n, sizeof *c->x);
    c->y = mem_array(n, sizeof *c->y);
    c->scratch = c->x && c->y ? n : 0;
    return c->scratch;
}

static float largest(const float *x, size_t n)
{
    float m = 0;
    for (size_t i = 0; i < n; i++) {
        float a = fabsf(x[i]);
        if (!(a <= m)) /* a NaN wins, and stays */
            m = a;
        if (isnan(m))
            break;
    }
    return m;
}

static void measure(struct convert *c, const char *name, const struct tensor *t, size_t n)
{
    double err = 0, all = 0;
    tensor_to_f32(t, c->y);
    for (size_t i = 0; i < n; i++) {
        double e = (double)c->y[i] - c->x[i];
        err += e * e;
        all += (double)c->x[i] * c->x[i];
    }
    double rel = all > 0 ? sqrt(err / all) : 0;
    if (rel > c->stats->worst_error) {
        c->stats->worst_error = rel;
        weights_quote(c->stats->worst_name, name, strlen(name));
    }
}

static enum status convert_tensor(struct convert *c, const char *name, const struct tensor *from,
                                  struct tensor *out)
{
    size_t n = (size_t)tensor_count(from);
    enum dtype type = wanted_type(c, name, from);
    *out = *from;
    c->stats->converted += type == c->to && is_real(from) && from->ndim >= 2;
    if (type == from->dtype || !n)
        return ST_OK; /* an empty tensor keeps its type */
    if (!room(c, n))
        return no_memory(c);
    tensor_to_f32(from, c->x);
    float top = largest(c->x, n);
    if ((type == DT_I8 || type == DT_Q8_0) && !isfinite(top)) {
        char q[WEIGHTS_QUOTE];
        return error_set(c->err, ST_FORMAT, "%s: tensor '%s' holds NaN or infinity", c->w->label,
                         weights_quote(q, name, strlen(name)));
    }
    if (type == DT_F16 && isfinite(top) && top > F16_MAX)
        type = DT_F32;
    if (type == from->dtype)
        return ST_OK;
    int64_t rows = from->ndim ? from->dim[0] : 1;
    float *scales = type == DT_I8 ? own(c, (size_t)rows * sizeof *scales) : NULL;
    void *data = own(c, bytes_of(type, n));
    if (!data || (type == DT_I8 && !scales))
        return no_memory(c);
    *out = tensor_view(data, type, from->ndim, from->dim);
    out->scale = scales;
    tensor_from_f32(c->x, rows, (int64_t)n / rows, type, data, scales);
    measure(c, name, out, n);
    return ST_OK;
}

static uint64_t size_of(const struct tensor *t)
{
    size_t scales = t->scale ? (size_t)t->dim[0] * sizeof(float) : 0;
    return bytes_of(t->dtype, (size_t)tensor_count(t)) + scales;
}

static enum status convert_all(struct convert *c)
{
    int n = weights_count(c->w);
    uint64_t total = weights_bytes(c->w), done = 0;
    c->t = mem_array((size_t)n + 1, sizeof *c->t);
    c->owned = mem_array((size_t)n * 2 + 1, sizeof *c->owned);
    if (!c->t || !c->owned)
        return no_memory(c);
    for (int i = 0; i < n; i++) {
        const char *name = weights_name(c->w, i);
        const struct tensor *t = weights_at(c->w, i);
        c->t[i].name = name;
        enum status st = convert_tensor(c, name, t, &c->t[i].t);
        if (st)
            return st;
        done += size_of(t);
        c->stats->bytes_out += size_of(&c->t[i].t);
        if (c->o && c->o->progress && c->o->progress(c->o->ctx, done < total ? done : total, total))
            return error_set(c->err, ST_INTERRUPTED, "%s: conversion stopped", c->w->label);
    }
    c->stats->tensors = n;
    c->stats->bytes_in = done;
    return ST_OK;
}

/* Sets key to value, over an earlier pair of that key. */
static void set_pair(const char **meta, size_t *n, const char *key, const char *value)
{
    size_t i = 0;
    while (i < *n && strcmp(meta[i], key))
        i += 2;
    meta[i] = key;
    meta[i + 1] = value;
    if (i == *n)
        *n += 2;
    meta[*n] = NULL;
}

static enum status make_meta(struct convert *c)
{
    size_t have = (size_t)weights_meta_count(c->w), extra = 0, n = 0;
    const char *const *add = c->o ? c->o->meta : NULL;
    while (add && add[extra])
        extra += 2;
    c->meta = mem_array(have * 2 + extra + 3, sizeof *c->meta);
    if (!c->meta)
        return no_memory(c);
    c->meta[0] = NULL;
    for (size_t i = 0; i < have; i++) { /* keys are unique already */
        c->meta[n] = weights_meta_at(c->w, (int)i, &c->meta[n + 1]);
        n += 2;
    }
    c->meta[n] = NULL;
    for (size_t i = 0; i < extra; i += 2)
        set_pair(c->meta, &n, add[i], add[i + 1]);
    weights_id(c->w, c->stats->source_id);
    set_pair(c->meta, &n, WEIGHTS_ID_KEY, c->stats->source_id);
    return ST_OK;
}

enum status convert_weights(const char *in, const char *out, enum dtype to,
                            const struct convert_opts *o, struct convert_stats *stats,
                            struct error *err)
{
    struct convert_stats unused = {0};
    struct convert c = {.o = o, .to = to, .err = err, .stats = stats ? stats : &unused};
    struct weights *w = NULL;
    *c.stats = (struct convert_stats){0};
    if (to != DT_F32 && to != DT_F16 && to != DT_BF16 && to != DT_I8 && to != DT_Q8_0)
        return error_set(err, ST_USAGE, "weights cannot be converted to %s", dtype_name(to));
    enum status st = weights_open(&w, in, err);
    c.w = w;
    if (!st)
        st = make_meta(&c);
    if (!st)
        st = convert_all(&c);
    if (!st)
        st = weights_write(out, c.t, weights_count(w), c.meta, err);
    for (size_t i = 0; i < c.nowned; i++)
        mem_free(c.owned[i]);
    mem_free(c.owned);
    mem_free(c.x);
    mem_free(c.y);
    mem_free(c.t);
    mem_free(c.meta);
    weights_close(w);
    return st;
}
