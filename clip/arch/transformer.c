/* Transformer layers over nn's ops. The three projections are one product where the file holds them
 * as consecutive rows, and three elsewhere: both layouts are views of the mapped file, and nothing
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

/* Queries, keys and values from one matrix of their rows; p: what stands before the names. */
static void load_fused(struct clip_loader *l, struct clip_layer *y, int64_t d, const char *p,
                       const char *qkv)
{
    int64_t d3 = 3 * d;
    struct clip_linear *part[] = {&y->q, &y->k, &y->v};
    struct tensor w = clip_load_matrix(l, 2, (int64_t[]){d3, d}, "%s.%sweight", p, qkv);
    struct tensor b = clip_load_small(l, 1, &d3, "%s.%sbias", p, qkv);
    for (int i = 0; i < 3; i++) {
        part[i]->w = clip_tensor_rows(&w, i * d, d);
        part[i]->b = clip_tensor_rows(&b, i * d, d);
    }
    y->qkv = (struct clip_linear){w, b};
}

void clip_transformer_load(struct clip_transformer *t, struct clip_loader *l, const char *stem,
                           const struct clip_layer_names *n)
{
    if (clip_transformer_init(t, l))
        return;
    int64_t d = t->width, f = t->hidden;
    for (int i = 0; i < t->layers && !l->status; i++) {
        struct clip_layer *y = &t->layer[i];
        char p[128];
        snprintf(p, sizeof p, "%s%d", stem, n->first + i);
        if (n->qkv) {
            load_fused(l, y, d, p, n->qkv);
        } else {
            y->q = clip_load_linear(l, d, d, true, "%s.%s", p, n->q);
            y->k = clip_load_linear(l, d, d, true, "%s.%s", p, n->k);
            y->v = clip_load_linear(l, d, d, true, "%s.%s", p, n->v);
        }
        y->o = clip_load_linear(l, d, d, true, "%s.%s", p, n->o);
        y->ln1 = clip_load_norm(l, d, "%s.%s", p, n->ln1);
        y->ln2 = clip_load_norm(l, d, "%s.%s", p, n->ln2);
        y->fc1 = clip_load_linear(l, f, d, true, "%s.%s", p, n->fc1);
        y->fc2 = clip_load_linear(l, d, f, true, "%s.%s", p, n->fc2);
    }
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

/* y = attention over x's q, k and v, all of them factors, as is what it writes. */
static void attend(struct clip_run *r, const struct clip_transformer *t, const struct clip_layer *l,
                   struct scratch *s, const struct tensor *x, const int32_t *kv_len)
{
    struct tensor y = tensor_factor(s->y), q = tensor_factor(s->q);
    struct attn_opts o = {.heads = t->heads, .causal = t->causal, .kv_len = kv_len};
    if (l->qkv.w.data) { /* in the memory of the three */
        int64_t d = t->width;
        float *p = s->q.data;
        struct tensor all = tensor_view(p, DT_F32, 3, (int64_t[]){x->dim[0], x->dim[1], 3 * d});
        struct tensor k = tensor_factor(tensor_view(p + d, DT_F32, 3, x->dim));
        struct tensor v = tensor_factor(tensor_view(p + 2 * d, DT_F32, 3, x->dim));
        all = tensor_factor(all);
        o.ld_q = o.ld_k = o.ld_v = 3 * d;
        clip_linear_run(r, &all, x, &l->qkv, ACT_NONE, NULL);
        op_attention(r->be, &y, &q, &k, &v, &o);
        return;
    }
    struct tensor k = tensor_factor(s->k), v = tensor_factor(s->v);
    clip_linear_run(r, &q, x, &l->q, ACT_NONE, NULL);
    clip_linear_run(r, &k, x, &l->k, ACT_NONE, NULL);
    clip_linear_run(r, &v, x, &l->v, ACT_NONE, NULL);
    op_attention(r->be, &y, &q, &k, &v, &o);
}

static void layer_pre(struct clip_run *r, const struct clip_transformer *t,
                      const struct clip_layer *l, struct scratch *s, struct tensor *x,
                      const int32_t *kv_len)
{
    struct tensor y = tensor_factor(s->y), h = tensor_factor(s->h);
    clip_norm_run(r, &y, x, &l->ln1, t->eps);
    attend(r, t, l, s, &y, kv_len);
    add_back(r, x, &y, &l->o, &l->ls1, &s->q);
    clip_norm_run(r, &y, x, &l->ln2, t->eps);
    clip_linear_run(r, &h, &y, &l->fc1, t->act, NULL);
    add_back(r, x, &h, &l->fc2, &l->ls2, &s->y);
}

static void layer_post(struct clip_run *r, const struct clip_transformer *t,
                       const struct clip_layer *l, struct scratch *s, struct tensor *x,
                       const int32_t *kv_len)
{
    struct tensor y = tensor_factor(s->y), h = tensor_factor(s->h);
    attend(r, t, l, s, x, kv_len);
    clip_linear_run(r, x, &y, &l->o, ACT_NONE, x);
    clip_norm_run(r, x, x, &l->ln1, t->eps);
    clip_linear_run(r, &h, x, &l->fc1, t->act, NULL);
    clip_linear_run(r, x, &h, &l->fc2, ACT_NONE, x);
    clip_norm_run(r, x, x, &l->ln2, t->eps);
}

static void run_layers(struct clip_run *r, const struct clip_transformer *t, int layers,
                       struct scratch *s, struct tensor *x, const int32_t *kv_len)
{
    for (int i = 0; i < layers; i++) {
        if (t->post_norm)
            layer_post(r, t, &t->layer[i], s, x, kv_len);
        else
            layer_pre(r, t, &t->layer[i], s, x, kv_len);
        clip_run_trace(r, "block", i, x);
    }
}

enum status clip_transformer_run(struct clip_run *r, const struct clip_transformer *t,
                                 struct tensor *x, const int32_t *kv_len)
{
    struct scratch s;
    if (!scratch_take(&s, r, t, x))
        return r->status;
    run_layers(r, t, t->layers, &s, x, kv_len);
    return ST_OK;
}

void clip_gather_run(struct clip_run *r, struct tensor *y, const struct tensor *x,
                     const struct tensor *ids)
{
    struct tensor table =
        tensor_view(x->data, DT_F32, 2, (int64_t[]){x->dim[0] * x->dim[1], x->dim[2]});
    op_embedding(r->be, y, &table, ids);
}

/* layer_pre for the tokens ids [B] alone, one of each sequence; all others only lend their keys and
 * values. kv_len: how many of them each may see. */
static void layer_last(struct clip_run *r, const struct clip_transformer *t,
                       const struct clip_layer *l, struct scratch *s, struct tensor *x,
                       const struct tensor *ids, const int32_t *kv_len, struct tensor *y)
{
    int64_t b = x->dim[0], d = t->width;
    struct tensor q = tensor_view(s->q.data, DT_F32, 2, (int64_t[]){b, d});
    struct tensor q3 = tensor_view(s->q.data, DT_F32, 3, (int64_t[]){b, 1, d});
    struct tensor y3 = tensor_view(y->data, DT_F32, 3, (int64_t[]){b, 1, d});
    struct tensor sum = tensor_view(s->y.data, DT_F32, 2, (int64_t[]){b, d});
    struct tensor h = tensor_view(s->h.data, DT_F32, 2, (int64_t[]){b, t->hidden});
    struct attn_opts o = {.heads = t->heads, .kv_len = kv_len};
    clip_norm_run(r, &s->y, x, &l->ln1, t->eps);
    clip_linear_run(r, &s->k, &s->y, &l->k, ACT_NONE, NULL);
    clip_linear_run(r, &s->v, &s->y, &l->v, ACT_NONE, NULL);
    clip_gather_run(r, y, &s->y, ids);
    clip_linear_run(r, &q, y, &l->q, ACT_NONE, NULL);
    op_attention(r->be, &y3, &q3, &s->k, &s->v, &o);
    clip_gather_run(r, &sum, x, ids);
    add_back(r, &sum, y, &l->o, &l->ls1, &q);
    clip_norm_run(r, y, &sum, &l->ln2, t->eps);
    clip_linear_run(r, &h, y, &l->fc1, t->act, NULL);
    add_back(r, &sum, &h, &l->fc2, &l->ls2, y);
    op_convert(r->be, y, &sum);
}

enum status clip_transformer_pick(struct clip_run *r, const struct clip_transformer *t,
                                  struct tensor *x, const int32_t *at, struct tensor *y)
{
    bool whole = r->trace || t->post_norm || t->layers == 0;
    int64_t b = x->dim[0];
    struct scratch s;
    int32_t *flat = clip_run_array(r, b, sizeof *flat), *len = clip_run_array(r, b, sizeof *len);
    if (r->status || !scratch_take(&s, r, t, x))
        return r->status;
    for (int64_t i = 0; i < b; i++) {
        flat[i] = (int32_t)(i * x->dim[1]) + at[i];
        len[i] = at[i] + 1;
    }
    struct tensor ids = tensor_view(flat, DT_I32, 1, &b);
    run_layers(r, t, t->layers - !whole, &s, x, NULL);
    if (whole)
        clip_gather_run(r, y, x, &ids);
    else
        layer_last(r, t, &t->layer[t->layers - 1], &s, x, &ids, t->causal ? len : NULL, y);
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
