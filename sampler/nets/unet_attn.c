/* The UNet's transformers: self-attention over pixels, attention to the prompt, GEGLU. Their group
 * norm has an epsilon of its own, 1e-6, in every file. */
#include "core/mem.h"
#include "sampler/nets/unet.h"

/* which: 1 attends to pixels, 2 to the prompt. */
static void load_attention(struct net_loader *l, struct net_attention *a, int64_t d, int64_t from,
                           const char *stem, int block, int which)
{
    static const char at[] = "%s.transformer_blocks.%d.attn%d.%s";
    a->norm = net_load_norm(l, d, "%s.transformer_blocks.%d.norm%d", stem, block, which);
    a->q = net_load_linear(l, d, d, false, at, stem, block, which, "to_q");
    a->k = net_load_linear(l, d, from, false, at, stem, block, which, "to_k");
    a->v = net_load_linear(l, d, from, false, at, stem, block, which, "to_v");
    a->o = net_load_linear(l, d, d, true, at, stem, block, which, "to_out.0");
}

static struct clip_linear half_of(const struct clip_linear *w, int64_t from, int64_t n)
{
    return (struct clip_linear){clip_tensor_rows(&w->w, from, n), clip_tensor_rows(&w->b, from, n)};
}

static void load_layer(struct net_loader *l, struct net_layer *y, int64_t d, int64_t context,
                       const char *stem, int block)
{
    load_attention(l, &y->self, d, d, stem, block, 1);
    load_attention(l, &y->cross, d, context, stem, block, 2);
    y->norm = net_load_norm(l, d, "%s.transformer_blocks.%d.norm3", stem, block);
    int64_t hidden = net_load_dim(l, 1, "%s.transformer_blocks.%d.ff.net.2", stem, block);
    struct clip_linear both = net_load_linear(
        l, 2 * hidden, d, true, "%s.transformer_blocks.%d.ff.net.0.proj", stem, block);
    y->out = net_load_linear(l, d, hidden, true, "%s.transformer_blocks.%d.ff.net.2", stem, block);
    if (l->l.status)
        return;
    y->value = half_of(&both, 0, hidden);
    y->gate = half_of(&both, hidden, hidden);
}

static int count_layers(const struct net_loader *l, const char *stem)
{
    int n = 0;
    while (n < NET_MAX_DEPTH && net_load_has(l, "%s.transformer_blocks.%d.norm1", stem, n))
        n++;
    return n;
}

void net_transformer_load(struct net_loader *l, struct net_transformer *t, int64_t width, int heads,
                          int *context, const char *stem)
{
    t->width = width;
    t->depth = count_layers(l, stem);
    t->layer = net_load_array(l, (size_t)t->depth, sizeof *t->layer);
    t->norm = net_load_norm(l, width, "%s.norm", stem);
    t->in = net_load_linear(l, width, width, true, "%s.proj_in", stem);
    t->out = net_load_linear(l, width, width, true, "%s.proj_out", stem);
    if (l->l.status)
        return;
    t->heads = heads;
    if (t->depth == 0)
        net_load_fail(l, "%s has no transformer blocks", stem);
    else if (width % heads != 0)
        net_load_fail(l, "a width of %d is not a multiple of %d attention heads", (int)width,
                      heads);
    if (*context == 0)
        *context = (int)net_load_dim(l, 1, "%s.transformer_blocks.0.attn2.to_k", stem);
    for (int i = 0; i < t->depth && !l->l.status; i++)
        load_layer(l, &t->layer[i], width, *context, stem, i);
}

struct scratch {                 /* factors, all of them */
    struct tensor n, q, k, v, a; /* normed, query, key, value, attended */
    struct tensor value, gate;   /* where q, k and v were */
};

/* The hidden layer is written when q, k and v are dead, so that they share memory. */
static bool scratch_take(struct scratch *s, struct clip_run *r, const struct net_transformer *t,
                         const struct tensor *x, const struct tensor *context)
{
    int64_t b = x->dim[0], n = x->dim[1], d = t->width, hidden = 0;
    int64_t keys = n > context->dim[1] ? n : context->dim[1];
    for (int i = 0; i < t->depth; i++)
        if (t->layer[i].value.w.dim[0] > hidden)
            hidden = t->layer[i].value.w.dim[0];
    int64_t attn = b * (n + 2 * keys) * d, mlp = 2 * b * n * hidden;
    s->n = clip_run_tensor(r, 3, x->dim);
    s->a = clip_run_tensor(r, 3, x->dim);
    float *p = clip_run_array(r, attn > mlp ? attn : mlp, sizeof *p);
    if (r->status)
        return false;
    s->q = tensor_view(p, DT_F32, 3, x->dim);
    s->k = tensor_view(p + b * n * d, DT_F32, 3, (int64_t[]){b, keys, d});
    s->v = tensor_view(p + b * (n + keys) * d, DT_F32, 3, (int64_t[]){b, keys, d});
    s->value = tensor_view(p, DT_F32, 3, (int64_t[]){b, n, hidden});
    s->gate = tensor_view(p + b * n * hidden, DT_F32, 3, (int64_t[]){b, n, hidden});
    struct tensor *all[] = {&s->n, &s->q, &s->k, &s->v, &s->a, &s->value, &s->gate};
    for (int i = 0; i < 7; i++)
        *all[i] = tensor_factor(*all[i]);
    return true;
}

/* x += o(attention(q(norm(x)), k(from), v(from))); from: the normed x itself, or the prompt. */
static void attend(struct clip_run *r, const struct net_attention *a, struct scratch *s,
                   struct tensor *x, const struct tensor *context, const int32_t *keys, int heads)
{
    const struct tensor *from = context ? context : &s->n;
    struct tensor k = s->k, v = s->v;
    k.dim[1] = v.dim[1] = from->dim[1];
    clip_norm_run(r, &s->n, x, &a->norm, 1e-5f);
    clip_linear_run(r, &s->q, &s->n, &a->q, ACT_NONE, NULL);
    clip_linear_run(r, &k, from, &a->k, ACT_NONE, NULL);
    clip_linear_run(r, &v, from, &a->v, ACT_NONE, NULL);
    op_attention(r->be, &s->a, &s->q, &k, &v, &(struct attn_opts){.heads = heads, .kv_len = keys});
    clip_linear_run(r, x, &s->a, &a->o, ACT_NONE, x);
}

static void layer_run(struct clip_run *r, const struct net_transformer *t,
                      const struct net_layer *l, struct scratch *s, struct tensor *x,
                      const struct tensor *context, const int32_t *keys)
{
    attend(r, &l->self, s, x, NULL, NULL, t->heads);
    attend(r, &l->cross, s, x, context, keys, t->heads);
    struct tensor value = s->value, gate = s->gate;
    value.dim[2] = gate.dim[2] = l->value.w.dim[0];
    clip_norm_run(r, &s->n, x, &l->norm, 1e-5f);
    clip_linear_run(r, &gate, &s->n, &l->gate, ACT_GELU, NULL);
    clip_linear_run(r, &value, &s->n, &l->value, ACT_NONE, NULL);
    op_mul(r->be, &value, &value, &gate);
    clip_linear_run(r, x, &value, &l->out, ACT_NONE, x);
}

enum status net_transformer_run(struct clip_run *r, const struct net_transformer *t,
                                struct tensor *x, const struct tensor *context, const int32_t *keys,
                                int groups)
{
    size_t mark = arena_mark(r->arena);
    int64_t dims[3] = {x->dim[0], x->dim[1] * x->dim[2], t->width};
    struct tensor h = clip_run_tensor(r, 3, dims), whole = tensor_view(x->data, DT_F32, 3, dims);
    struct scratch s;
    if (!scratch_take(&s, r, t, &h, context))
        return r->status;
    net_norm_run(r, &s.n, &whole, NULL, &t->norm, &(struct net_norm_opts){groups, 1e-6f}, ACT_NONE);
    clip_linear_run(r, &h, &s.n, &t->in, ACT_NONE, NULL);
    for (int i = 0; i < t->depth; i++)
        layer_run(r, t, &t->layer[i], &s, &h, context, keys);
    clip_linear_run(r, &whole, &h, &t->out, ACT_NONE, &whole);
    arena_rewind(r->arena, mark);
    return ST_OK;
}
