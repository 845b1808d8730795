/* The decoder's forward pass. Surprising: when sentences change places, whole rows of the cache are
 * gathered by op_embedding, a table whose rows are sentences. */
#include "caption/lm.h"
#include "core/mem.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

enum status lm_init(struct lm *lm, struct clip_loader *l)
{
    if (l->status)
        return l->status;
    lm->layer = arena_array(&l->m->arena, (size_t)lm->layers, sizeof *lm->layer);
    if (!lm->layer)
        return l->status = error_set(l->err, ST_NOMEM, "%s: out of memory for %d layers",
                                     l->src->path, lm->layers);
    memset(lm->layer, 0, (size_t)lm->layers * sizeof *lm->layer);
    return ST_OK;
}

enum status lm_cache_init(struct lm_cache *c, struct backend *be, const struct lm *lm, int64_t rows,
                          int64_t cap, struct error *err)
{
    size_t n = 0;
    struct arena arena = c->arena; /* of the last sentence, or none yet */
    arena.memory = backend_memory(be);
    arena_rewind(&arena, 0);
    *c = (struct lm_cache){.rows = rows, .cap = cap, .arena = arena};
    bool ok = !mul_overflow_size((size_t)rows, (size_t)cap, &n) &&
              !mul_overflow_size(n, (size_t)lm->width, &n) &&
              !mul_overflow_size(n, 4 * (size_t)lm->layers, &n);
    c->data = ok ? arena_array(&c->arena, n, sizeof *c->data) : NULL;
    if (c->data) {
        struct tensor all = tensor_view(c->data, DT_F32, 1, (int64_t[]){(int64_t)n});
        c->spare = c->data + n / 2;
        memset(c->data, 0, n * sizeof *c->data); /* what no key counts must be a number */
        backend_upload(be, &all);
        return ST_OK;
    }
    lm_cache_release(c);
    return error_set(err, ST_NOMEM, "out of memory for %lld sentences of %lld tokens",
                     (long long)rows, (long long)cap);
}

void lm_cache_release(struct lm_cache *c)
{
    arena_release(&c->arena);
    *c = (struct lm_cache){0};
}

enum status lm_embed(struct clip_run *r, const struct lm *lm, const int32_t *ids, int64_t n,
                     struct tensor *y)
{
    struct tensor t = tensor_view(clip_run_array(r, n, sizeof *ids), DT_I32, 1, &n);
    *y = clip_run_tensor(r, 2, (int64_t[]){n, lm->width});
    if (r->status)
        return r->status;
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= lm->vocab)
            return r->status =
                       error_set(r->err, ST_FORMAT, "token %d is beyond the decoder's %d rows",
                                 ids[i], lm->vocab);
    memcpy(t.data, ids, (size_t)n * sizeof *ids);
    op_embedding(r->be, y, &lm->tokens, &t);
    return ST_OK;
}

/* Keys (what 0) or values (1) of all rows of layer i. */
static float *cached(const struct lm *lm, const struct lm_cache *c, int i, int what)
{
    return c->data + (2 * i + what) * c->rows * c->cap * lm->width;
}

enum status lm_remember(struct clip_run *r, const struct lm *lm, struct lm_cache *c,
                        const struct tensor *m)
{
    int64_t n = m->dim[0], d = lm->width;
    size_t count = 0;
    bool ok = !mul_overflow_size((size_t)n, (size_t)d * 2 * (size_t)lm->layers, &count);
    c->memory = ok ? arena_array(&c->arena, count, sizeof *c->memory) : NULL;
    if (!c->memory)
        return r->status = error_set(r->err, ST_NOMEM, "out of memory for a picture's states");
    c->memory_len = n;
    for (int i = 0; i < lm->layers; i++) {
        const struct lm_layer *l = &lm->layer[i];
        struct tensor k = tensor_view(c->memory + 2 * i * n * d, DT_F32, 2, (int64_t[]){n, d});
        struct tensor v =
            tensor_view(c->memory + (2 * i + 1) * n * d, DT_F32, 2, (int64_t[]){n, d});
        clip_linear_run(r, &k, m, &l->cross_k, ACT_NONE, NULL);
        clip_linear_run(r, &v, m, &l->cross_v, ACT_NONE, NULL);
    }
    return ST_OK;
}

/* One pass over rows [b, t] of new tokens that stand behind c->len others. */
struct pass {
    struct clip_run *r;
    const struct lm *lm;
    struct lm_cache *c;
    int64_t b, t;
    struct tensor from, logits;     /* [b * t, D] embeddings without positions, [b, vocab] */
    struct tensor x, y, q, k, v, h; /* [b * t, D], h [b * t, hidden] */
    int32_t *len;                   /* [b] keys that count */
};

static struct tensor in_rows(const struct tensor *x, int64_t b, int64_t t)
{
    return tensor_view(x->data, DT_F32, 3, (int64_t[]){b, t, x->dim[1]});
}

static void keep(const struct pass *p, const struct tensor *x, float *to)
{
    int64_t d = p->lm->width, size = p->t * d;
    for (int64_t i = 0; i < p->b; i++) {
        struct tensor from = tensor_view((float *)x->data + i * size, DT_F32, 1, &size);
        struct tensor at = tensor_view(to + (i * p->c->cap + p->c->len) * d, DT_F32, 1, &size);
        op_convert(p->r->be, &at, &from);
    }
}

/* y = attention of x over the row's own tokens so far. */
static void attend_self(const struct pass *p, int i, const struct tensor *x)
{
    const struct lm_layer *l = &p->lm->layer[i];
    int64_t kv[3] = {p->b, p->c->cap, p->lm->width};
    float *keys = cached(p->lm, p->c, i, 0), *values = cached(p->lm, p->c, i, 1);
    struct tensor q = in_rows(&p->q, p->b, p->t), y = in_rows(&p->y, p->b, p->t);
    struct tensor k = tensor_view(keys, DT_F32, 3, kv), v = tensor_view(values, DT_F32, 3, kv);
    struct attn_opts o = {.heads = p->lm->heads, .causal = p->t > 1, .kv_len = p->len};
    struct tensor q2 = p->q, k2 = p->k, v2 = p->v;
    clip_linear_run(p->r, &q2, x, &l->q, ACT_NONE, NULL);
    clip_linear_run(p->r, &k2, x, &l->k, ACT_NONE, NULL);
    clip_linear_run(p->r, &v2, x, &l->v, ACT_NONE, NULL);
    keep(p, &p->k, keys);
    keep(p, &p->v, values);
    op_attention(p->r->be, &y, &q, &k, &v, &o);
}

/* y = attention of x over the memory: all rows are queries of one sequence, since they share it. */
static void attend_memory(const struct pass *p, int i, const struct tensor *x)
{
    const struct lm_layer *l = &p->lm->layer[i];
    int64_t n = p->c->memory_len, d = p->lm->width, kv[3] = {1, n, d};
    struct tensor q = in_rows(&p->q, 1, p->b * p->t), y = in_rows(&p->y, 1, p->b * p->t);
    struct tensor k = tensor_view(p->c->memory + 2 * i * n * d, DT_F32, 3, kv);
    struct tensor v = tensor_view(p->c->memory + (2 * i + 1) * n * d, DT_F32, 3, kv);
    struct tensor q2 = p->q;
    clip_linear_run(p->r, &q2, x, &l->cross_q, ACT_NONE, NULL);
    op_attention(p->r->be, &y, &q, &k, &v, &(struct attn_opts){.heads = p->lm->heads});
}

static void layer_pre(struct pass *p, int i)
{
    const struct lm_layer *l = &p->lm->layer[i];
    float eps = p->lm->eps;
    struct tensor in = p->h; /* all else is written while it is read */
    in.dim[1] = p->lm->width;
    clip_norm_run(p->r, &in, &p->x, &l->ln1, eps);
    attend_self(p, i, &in);
    clip_linear_run(p->r, &p->x, &p->y, &l->o, ACT_NONE, &p->x);
    if (p->lm->cross) {
        clip_norm_run(p->r, &p->k, &p->x, &l->ln_cross, eps);
        attend_memory(p, i, &p->k);
        clip_linear_run(p->r, &p->x, &p->y, &l->cross_o, ACT_NONE, &p->x);
    }
    clip_norm_run(p->r, &p->y, &p->x, &l->ln2, eps);
    clip_linear_run(p->r, &p->h, &p->y, &l->fc1, p->lm->act, NULL);
    clip_linear_run(p->r, &p->x, &p->h, &l->fc2, ACT_NONE, &p->x);
}

static void layer_post(struct pass *p, int i)
{
    const struct lm_layer *l = &p->lm->layer[i];
    float eps = p->lm->eps;
    attend_self(p, i, &p->x);
    clip_linear_run(p->r, &p->x, &p->y, &l->o, ACT_NONE, &p->x);
    clip_norm_run(p->r, &p->x, &p->x, &l->ln1, eps);
    if (p->lm->cross) {
        attend_memory(p, i, &p->x);
        clip_linear_run(p->r, &p->x, &p->y, &l->cross_o, ACT_NONE, &p->x);
        clip_norm_run(p->r, &p->x, &p->x, &l->ln_cross, eps);
    }
    clip_linear_run(p->r, &p->h, &p->x, &l->fc1, p->lm->act, NULL);
    clip_linear_run(p->r, &p->x, &p->h, &l->fc2, ACT_NONE, &p->x);
    clip_norm_run(p->r, &p->x, &p->x, &l->ln2, eps);
}

/* p->logits of each row's last token, whose states are x [b, D]. */
static enum status say(struct pass *p, struct tensor *x)
{
    const struct lm *lm = p->lm;
    struct tensor h = clip_run_tensor(p->r, 2, x->dim);
    if (p->r->status)
        return p->r->status;
    if (lm->norm_out.w.data)
        clip_norm_run(p->r, x, x, &lm->norm_out, lm->eps);
    if (lm->head_dense.w.data) {
        clip_linear_run(p->r, &h, x, &lm->head_dense, lm->act, NULL);
        clip_norm_run(p->r, x, &h, &lm->head_norm, lm->eps);
    }
    clip_linear_run(p->r, &p->logits, x, &lm->head, ACT_NONE, NULL);
    return p->r->status;
}

/* What is queued depends on shapes and lengths, not on which tokens they are. */
static enum status pass_ops(void *ctx)
{
    struct pass *p = ctx;
    struct clip_run *r = p->r;
    const struct lm *lm = p->lm;
    int64_t b = p->b, t = p->t, n = b * t, d = lm->width;
    int64_t widest = lm->hidden > lm->width ? lm->hidden : lm->width;
    struct tensor *all[] = {&p->x, &p->y, &p->q, &p->k, &p->v};
    for (size_t i = 0; i < sizeof all / sizeof(void *); i++)
        *all[i] = clip_run_tensor(r, 2, (int64_t[]){n, d});
    p->h = clip_run_tensor(r, 2, (int64_t[]){n, widest});
    p->h.dim[1] = lm->hidden;
    p->len = clip_run_array(r, b, sizeof *p->len);
    struct tensor last = clip_run_tensor(r, 2, (int64_t[]){b, d});
    struct tensor ids = tensor_view(clip_run_array(r, b, sizeof(int32_t)), DT_I32, 1, &b);
    if (r->status)
        return r->status;
    struct tensor positions = clip_tensor_rows(&lm->positions, p->c->len, t);
    struct tensor x3 = in_rows(&p->x, b, t);
    for (int64_t i = 0; i < b; i++) {
        p->len[i] = (int32_t)(p->c->len + t);
        ((int32_t *)ids.data)[i] = (int32_t)(i * t + t - 1);
    }
    op_convert(r->be, &p->x, &p->from);
    op_add(r->be, &x3, &x3, &positions);
    if (lm->norm_in.w.data)
        clip_norm_run(r, &p->x, &p->x, &lm->norm_in, lm->eps);
    for (int i = 0; i < lm->layers; i++) {
        if (lm->post_norm)
            layer_post(p, i);
        else
            layer_pre(p, i);
    }
    op_embedding(r->be, &last, &p->x, &ids);
    return say(p, &last);
}

/* x [b * t, D]: embeddings without positions. */
static enum status run_pass(struct clip_run *r, const struct lm *lm, struct lm_cache *c,
                            const struct tensor *x, int64_t b, int64_t t, float *logits)
{
    struct pass p = {.r = r, .lm = lm, .c = c, .b = b, .t = t, .from = *x};
    char key[64];
    p.logits = clip_run_tensor(r, 2, (int64_t[]){b, lm->vocab});
    if (r->status)
        return r->status;
    assert(c->len + t <= c->cap && c->len + t <= lm->context && b <= c->rows);
    snprintf(key, sizeof key, "lm %d %d %d %d %d %d %d", (int)b, (int)t, (int)c->len,
             c->data < c->spare, (int)c->rows, (int)c->cap, (int)c->memory_len);
    enum status st = backend_repeat(r->be, r->arena, key, pass_ops, &p);
    c->len += t;
    backend_download(r->be, &p.logits);
    if (!st)
        st = backend_sync(r->be, r->err);
    if (!st)
        memcpy(logits, p.logits.data, (size_t)tensor_count(&p.logits) * sizeof *logits);
    return r->status = st;
}

enum status lm_prefill(struct clip_run *r, const struct lm *lm, struct lm_cache *c,
                       const struct tensor *x, float *logits)
{
    c->len = 0;
    return run_pass(r, lm, c, x, 1, x->dim[0], logits);
}

/* Rows of the cache to where their sentences stand from now on. */
static enum status move_rows(struct clip_run *r, const struct lm *lm, struct lm_cache *c, int64_t n,
                             const int32_t *parent)
{
    int64_t row = c->cap * lm->width;
    size_t mark = arena_mark(r->arena); /* what follows lies at the same place, moved or not */
    bool same = true;
    for (int64_t i = 0; i < n; i++)
        same &= parent[i] == i;
    if (same)
        return ST_OK;
    struct tensor ids = tensor_view(clip_run_array(r, n, sizeof *parent), DT_I32, 1, &n);
    if (r->status)
        return r->status;
    memcpy(ids.data, parent, (size_t)n * sizeof *parent);
    for (int i = 0; i < 2 * lm->layers; i++) {
        float *from = c->data + i * c->rows * row, *to = c->spare + i * c->rows * row;
        struct tensor table = tensor_view(from, DT_F32, 2, (int64_t[]){c->rows, row});
        struct tensor y = tensor_view(to, DT_F32, 2, (int64_t[]){n, row});
        op_embedding(r->be, &y, &table, &ids);
    }
    float *swap = c->data;
    c->data = c->spare;
    c->spare = swap;
    arena_rewind(r->arena, mark);
    return ST_OK;
}

enum status lm_step(struct clip_run *r, const struct lm *lm, struct lm_cache *c, int64_t n,
                    const int32_t *token, const int32_t *parent, float *logits)
{
    struct tensor x;
    if (move_rows(r, lm, c, n, parent) || lm_embed(r, lm, token, n, &x))
        return r->status;
    return run_pass(r, lm, c, &x, n, 1, logits);
}
