/* Transformer layers over nn's ops. The three projections stay separate products: files that fuse
 * them hold them as consecutive rows, so that both layouts are views of the mapped file and nothing
 * is copied. */
#include "clip/arch/transformer.h"

enum status clip_transformer_init(struct clip_transformer *t, struct clip_loader *l)
{
    if (l->status)
        return l->status;
    t->layer = arena_array(&l->m->arena, (size_t)t->layers, sizeof *t->layer);
    if (!t->layer)
        return l->status = error_set(l->err, ST_NOMEM, "%s: out of memory for %d layers",
                                     l->src->path, t->layers);
    memset(t->layer, 0, (size_t)t->layers * sizeof *t->layer);
    return ST_OK;
}

void clip_linear_run(struct clip_run *r, struct tensor *y, const struct tensor *x,
                     const struct clip_linear *w, enum act act, const struct tensor *residual)
{
    op_linear(r->be, y, x, &w->w, w->b.data ? &w->b : NULL, act, residual);
}

void clip_norm_run(struct clip_run *r, struct tensor *y, const struct tensor *x,
                   const struct clip_norm *n, float eps)
{
    op_layernorm(r->be, y, x, &n->w, n->b.data ? &n->b : NULL, eps);
}

struct scratch {
    struct tensor y, q, k, v, h;
};

/* q, k and v are dead when the hidden layer is written, so that they share its memory. */
static bool scratch_take(struct scratch *s, struct clip_run *r, const struct clip_transformer *t,
                         const struct tensor *x)
{
    int64_t n = tensor_count(x);
    int64_t widest = t->hidden > 3 * t->width ? t->hidden : 3 * (int64_t)t->width;
    s->y = clip_run_tensor(r, 3, x->dim);
    s->h = clip_run_tensor(r, 3, (int64_t[]){x->dim[0], x->dim[1], widest});
    if (r->status)
        return false;
    float *p = s->h.data;
    s->q = tensor_view(p, DT_F32, 3, x->dim);
    s->k = tensor_view(p + n, DT_F32, 3, x->dim);
    s->v = tensor_view(p + 2 * n, DT_F32, 3, x->dim);
    s->h.dim[2] = t->hidden;
    return true;
}

/* y += or = w(x), with LayerScale between when there is one. tmp has x's rows of width D. */
static void add_back(struct clip_run *r, struct tensor *y, const struct tensor *x,
                     const struct clip_linear *w, const struct tensor *scale, struct tensor *tmp)
{
    if (!scale->data) {
        clip_linear_run(r, y, x, w, ACT_NONE, y);
        return;
    }
    clip_linear_run(r, tmp, x, w, ACT_NONE, NULL);
    op_mul(r->be, tmp, tmp, scale);
    op_add(r->be, y, y, tmp);
}

static void attend(struct clip_run *r, const struct clip_transformer *t, const struct clip_layer *l,
                   struct scratch *s, const struct tensor *x, const int32_t *kv_len)
{
    struct attn_opts o = {.heads = t->heads, .causal = t->causal, .kv_len = kv_len};
    clip_linear_run(r, &s->q, x, &l->q, ACT_NONE, NULL);
    clip_linear_run(r, &s->k, x, &l->k, ACT_NONE, NULL);
    clip_linear_run(r, &s->v, x, &l->v, ACT_NONE, NULL);
    op_attention(r->be, &s->y, &s->q, &s->k, &s->v, &o);
}

static void layer_pre(struct clip_run *r, const struct clip_transformer *t,
                      const struct clip_layer *l, struct scratch *s, struct tensor *x,
                      const int32_t *kv_len)
{
    clip_norm_run(r, &s->y, x, &l->ln1, t->eps);
    attend(r, t, l, s, &s->y, kv_len);
    add_back(r, x, &s->y, &l->o, &l->ls1, &s->q);
    clip_norm_run(r, &s->y, x, &l->ln2, t->eps);
    clip_linear_run(r, &s->h, &s->y, &l->fc1, t->act, NULL);
    add_back(r, x, &s->h, &l->fc2, &l->ls2, &s->y);
}

static void layer_post(struct clip_run *r, const struct clip_transformer *t,
                       const struct clip_layer *l, struct scratch *s, struct tensor *x,
                       const int32_t *kv_len)
{
    attend(r, t, l, s, x, kv_len);
    clip_linear_run(r, x, &s->y, &l->o, ACT_NONE, x);
    clip_norm_run(r, x, x, &l->ln1, t->eps);
    clip_linear_run(r, &s->h, x, &l->fc1, t->act, NULL);
    clip_linear_run(r, x, &s->h, &l->fc2, ACT_NONE, x);
    clip_norm_run(r, x, x, &l->ln2, t->eps);
}

enum status clip_transformer_run(struct clip_run *r, const struct clip_transformer *t,
                                 struct tensor *x, const int32_t *kv_len)
{
    struct scratch s;
    if (!scratch_take(&s, r, t, x))
        return r->status;
    for (int i = 0; i < t->layers; i++) {
        if (t->post_norm)
            layer_post(r, t, &t->layer[i], &s, x, kv_len);
        else
            layer_pre(r, t, &t->layer[i], &s, x, kv_len);
        clip_run_trace(r, "block", i, x);
    }
    return ST_OK;
}

struct clip_linear clip_load_linear(struct clip_loader *l, int64_t n, int64_t k, bool bias,
                                    const char *fmt, ...)
{
    char stem[192];
    struct clip_linear w = {0};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(stem, sizeof stem, fmt, ap);
    va_end(ap);
    w.w = clip_load_matrix(l, 2, (int64_t[]){n, k}, "%s.weight", stem);
    if (bias)
        w.b = clip_load_small(l, 1, &n, "%s.bias", stem);
    return w;
}

struct clip_norm clip_load_norm(struct clip_loader *l, int64_t d, const char *fmt, ...)
{
    char stem[192];
    struct clip_norm n = {0};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(stem, sizeof stem, fmt, ap);
    va_end(ap);
    n.w = clip_load_small(l, 1, &d, "%s.weight", stem);
    n.b = clip_load_small(l, 1, &d, "%s.bias", stem);
    return n;
}
