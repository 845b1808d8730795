/* Loading and running what the networks share. */
#include "sampler/nets/net.h"
#include "core/file.h"
#include "core/mem.h"
#include <string.h>

void net_loader_init(struct net_loader *l, struct clip_model *m, struct weights *w,
                     const char *prefix, struct net_names names, struct error *err)
{
    *l = (struct net_loader){.src = {.path = weights_path(w), .weights = w}, .names = names};
    snprintf(l->src.prefix, sizeof l->src.prefix, "%s", prefix);
    l->l = (struct clip_loader){.m = m, .src = &l->src, .err = err};
}

/* The file's spelling of a stem; "" where there is none, which no file has. */
static void spell(const struct net_loader *l, char name[NET_NAME_MAX], const char *fmt, va_list ap)
{
    char stem[NET_NAME_MAX];
    int n = vsnprintf(stem, sizeof stem, fmt, ap);
    if (n < 0 || n >= NET_NAME_MAX || !net_name(&l->names, name, stem))
        name[0] = 0;
}

enum { FULL_NAME_MAX = NET_NAME_MAX + 80 };

/* full: the file's name of it. */
static const struct tensor *find_as(const struct net_loader *l, char full[FULL_NAME_MAX],
                                    const char *name)
{
    clip_source_name(&l->src, full, FULL_NAME_MAX, "%s.weight", name);
    return weights_find(l->src.weights, full);
}

static const struct tensor *find(const struct net_loader *l, const char *name)
{
    char full[FULL_NAME_MAX];
    return find_as(l, full, name);
}

bool net_load_has(const struct net_loader *l, const char *fmt, ...)
{
    char name[NET_NAME_MAX];
    va_list ap;
    va_start(ap, fmt);
    spell(l, name, fmt, ap);
    va_end(ap);
    return find(l, name) != NULL;
}

enum status net_load_fail(struct net_loader *l, const char *fmt, ...)
{
    char text[160];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!l->l.status)
        l->l.status = error_set(l->l.err, ST_FORMAT, "%s: %s", l->src.path, text);
    return l->l.status;
}

int64_t net_load_dim(struct net_loader *l, int i, const char *fmt, ...)
{
    char name[NET_NAME_MAX], full[FULL_NAME_MAX] = "";
    va_list ap;
    va_start(ap, fmt);
    spell(l, name, fmt, ap);
    va_end(ap);
    const struct tensor *t = l->l.status ? NULL : find_as(l, full, name);
    if (t && i < t->ndim && t->dim[i] > 0 && t->dim[i] <= NET_MAX_WIDTH)
        return t->dim[i];
    if (t)
        net_load_fail(l, "tensor %s has an unlikely shape", full);
    else if (!l->l.status)
        l->l.status = error_set(l->l.err, ST_NOT_FOUND, "%s: lacks %s", l->src.path, full);
    return 0;
}

void *net_load_array(struct net_loader *l, size_t n, size_t size)
{
    void *p = l->l.status ? NULL : arena_array(&l->l.m->arena, n, size);
    if (p)
        memset(p, 0, n * size);
    else if (!l->l.status)
        l->l.status = error_set(l->l.err, ST_NOMEM, "%s: out of memory", l->src.path);
    return p;
}

struct clip_norm net_load_norm(struct net_loader *l, int64_t c, const char *fmt, ...)
{
    char name[NET_NAME_MAX];
    va_list ap;
    va_start(ap, fmt);
    spell(l, name, fmt, ap);
    va_end(ap);
    return clip_load_norm(&l->l, c, "%s", name);
}

static enum tensor_use use_of(const struct net_loader *l)
{
    return l->wide ? TENSOR_WEIGHT_WIDE : TENSOR_WEIGHT;
}

static struct clip_linear load_linear(struct net_loader *l, int64_t n, int64_t k, bool bias,
                                      const char *name)
{
    const struct tensor *t = find(l, name);
    struct clip_linear w = {0};
    w.w = clip_load_matrix(&l->l, t && t->ndim == 4 ? 4 : 2, (int64_t[]){n, k, 1, 1}, "%s.weight",
                           name);
    w.w.use = use_of(l);
    if (bias)
        w.b = clip_load_small(&l->l, 1, &n, "%s.bias", name);
    return w;
}

struct clip_linear net_load_linear(struct net_loader *l, int64_t n, int64_t k, bool bias,
                                   const char *fmt, ...)
{
    char name[NET_NAME_MAX];
    va_list ap;
    va_start(ap, fmt);
    spell(l, name, fmt, ap);
    va_end(ap);
    return load_linear(l, n, k, bias, name);
}

/* [O, C, k*k] to [O, k*k, C], elements of `size` bytes. */
static void turn(void *to, const void *from, int64_t out, int64_t in, int64_t taps, size_t size)
{
    for (int64_t o = 0; o < out; o++) {
        const char *x = (const char *)from + (size_t)(o * in * taps) * size;
        char *y = (char *)to + (size_t)(o * in * taps) * size;
        for (int64_t c = 0; c < in; c++)
            for (int64_t p = 0; p < taps; p++)
                memcpy(y + (size_t)(p * in + c) * size, x + (size_t)(c * taps + p) * size, size);
    }
}

static void turn_weights(struct tensor *y, const struct tensor *x, int64_t out, int64_t in,
                         int64_t taps)
{
    if (x->dtype == DT_F32)
        turn(y->data, x->data, out, in, taps, 4);
    else if (x->dtype == DT_I8)
        turn(y->data, x->data, out, in, taps, 1);
    else
        turn(y->data, x->data, out, in, taps, 2);
}

static struct net_conv load_conv(struct net_loader *l, int64_t out, int64_t in, int64_t k,
                                 bool bias, const char *name)
{
    struct net_conv c = {0};
    struct tensor m = clip_load_matrix(&l->l, 4, (int64_t[]){out, in, k, k}, "%s.weight", name);
    if (bias)
        c.b = clip_load_small(&l->l, 1, &out, "%s.bias", name);
    size_t bytes = 0;
    if (l->l.status)
        return c;
    c.w = tensor_view(m.data, m.dtype, 4, (int64_t[]){out, k, k, in});
    c.w.scale = m.scale;
    c.w.use = use_of(l);
    c.w.packs = m.packs;
    if (k == 1) {
        c.w.mapped = m.mapped;
        return c;
    }
    if (m.dtype == DT_Q8_0 || !dtype_bytes(m.dtype, (size_t)tensor_count(&m), &bytes)) {
        net_load_fail(l, "%s%s.weight is %s, which no convolution is read in", l->src.prefix, name,
                      dtype_name(m.dtype));
        return c;
    }
    c.w.data = arena_alloc(&l->l.m->arena, bytes);
    if (!c.w.data)
        l->l.status = error_set(l->l.err, ST_NOMEM, "%s: out of memory for %s", l->src.path, name);
    else
        turn_weights(&c.w, &m, out, in, k * k);
    if (c.w.data && m.mapped) /* or kernels lie in memory twice */
        file_map_give_back(m.data, bytes);
    return c;
}

struct net_conv net_load_conv(struct net_loader *l, int64_t out, int64_t in, int64_t k,
                              const char *fmt, ...)
{
    char name[NET_NAME_MAX];
    va_list ap;
    va_start(ap, fmt);
    spell(l, name, fmt, ap);
    va_end(ap);
    return load_conv(l, out, in, k, true, name);
}

struct net_conv net_load_kernel(struct net_loader *l, int64_t out, int64_t in, int64_t k,
                                const char *fmt, ...)
{
    char name[NET_NAME_MAX];
    va_list ap;
    va_start(ap, fmt);
    spell(l, name, fmt, ap);
    va_end(ap);
    return load_conv(l, out, in, k, false, name);
}

struct net_resnet net_load_resnet(struct net_loader *l, int64_t in, int64_t time_width,
                                  const char *fmt, ...)
{
    char stem[NET_NAME_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(stem, sizeof stem, fmt, ap);
    va_end(ap);
    struct net_resnet b = {.in = in, .out = net_load_dim(l, 0, "%s.conv1", stem)};
    b.norm1 = net_load_norm(l, in, "%s.norm1", stem);
    b.conv1 = net_load_conv(l, b.out, in, 3, "%s.conv1", stem);
    if (time_width)
        b.time = net_load_linear(l, b.out, time_width, true, "%s.time_emb_proj", stem);
    b.norm2 = net_load_norm(l, b.out, "%s.norm2", stem);
    b.conv2 = net_load_conv(l, b.out, b.out, 3, "%s.conv2", stem);
    if (in != b.out)
        b.shortcut = net_load_linear(l, b.out, in, true, "%s.conv_shortcut", stem);
    return b;
}

void net_norm_run(struct clip_run *r, struct tensor *y, const struct tensor *x,
                  const struct tensor *e, const struct clip_norm *n, const struct net_norm_opts *o,
                  enum act act)
{
    op_groupnorm(r->be, y, x, e, &n->w, &n->b,
                 &(struct groupnorm_opts){.groups = o->groups, .eps = o->eps, .act = act});
}

void net_conv_run(struct clip_run *r, struct tensor *y, const struct tensor *x,
                  const struct net_conv *c)
{
    int p = (int)(c->w.dim[1] / 2);
    op_conv2d(r->be, y, x, &c->w, &c->b, &(struct conv_opts){1, p, p, p, p, ACT_NONE, r->circular});
}

enum status net_resnet_run(struct clip_run *r, const struct net_resnet *b, struct tensor *y,
                           const struct tensor *x, const struct tensor *e,
                           const struct net_norm_opts *o)
{
    size_t mark = arena_mark(r->arena);
    int64_t wide[4] = {x->dim[0], x->dim[1], x->dim[2], b->out};
    struct tensor time = {0};
    if (e)
        time = clip_run_tensor(r, 2, (int64_t[]){x->dim[0], b->out});
    struct tensor h = clip_run_tensor(r, 4, wide);
    /* The first norm's output is dead when the second convolution writes. */
    int64_t most = b->in > b->out ? b->in : b->out;
    struct tensor n = clip_run_tensor(r, 4, (int64_t[]){x->dim[0], x->dim[1], x->dim[2], most});
    if (r->status)
        return r->status;
    struct tensor n1 = tensor_factor(tensor_view(n.data, DT_F32, 4, x->dim));
    struct tensor n2 = tensor_factor(h);
    struct tensor sum = tensor_view(n.data, DT_F32, 4, wide);
    net_norm_run(r, &n1, x, NULL, &b->norm1, o, ACT_SILU);
    net_conv_run(r, &h, &n1, &b->conv1);
    if (e)
        clip_linear_run(r, &time, e, &b->time, ACT_NONE, NULL);
    net_norm_run(r, &n2, &h, e ? &time : NULL, &b->norm2, o, ACT_SILU);
    net_conv_run(r, &sum, &n2, &b->conv2);
    if (b->shortcut.w.data)
        clip_linear_run(r, y, x, &b->shortcut, ACT_NONE, &sum);
    else
        op_add(r->be, y, x, &sum);
    arena_rewind(r->arena, mark);
    return ST_OK;
}
