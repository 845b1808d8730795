/* FastViT's forward pass. Surprising: a grouped convolution to twice as many channels is two
 * depthwise ones whose outputs stand one behind the other, since whatever reads them can have its
 * columns in that order. */
#include "clip/arch/fastvit.h"

/* x and y are maps of the widest step, w another, h holds the widest hidden layer. */
struct maps {
    float *x, *y, *w, *h;
};

static struct tensor map(float *data, int64_t n, int64_t side, int64_t channels)
{
    return tensor_view(data, DT_F32, 4, (int64_t[]){n, side, side, channels});
}

static struct tensor as_tokens(const struct tensor *x)
{
    return tensor_view(x->data, DT_F32, 3,
                       (int64_t[]){x->dim[0], x->dim[1] * x->dim[2], x->dim[3]});
}

static void run_dw(struct clip_run *r, struct tensor *y, const struct tensor *x,
                   const struct clip_fastvit_dw *d, int half, enum act act)
{
    int pad = d->kernel / 2, up = d->high / 2;
    struct conv_opts o = {.stride = d->stride,
                          .pad_top = up,
                          .pad_left = pad,
                          .pad_bottom = up,
                          .pad_right = pad,
                          .act = act};
    op_depthwise(r->be, y, x, &d->w[half], &d->b[half], &o);
}

/* y of 2C channels from x by way of two maps of C, or y of C. */
static void run_wide(struct clip_run *r, struct tensor *y, const struct tensor *x,
                     const struct clip_fastvit_dw *d, float *a, float *b)
{
    if (d->halves == 1) {
        run_dw(r, y, x, d, 0, ACT_NONE);
        return;
    }
    struct tensor p = map(a, y->dim[0], y->dim[1], x->dim[3]);
    struct tensor q = map(b, y->dim[0], y->dim[1], x->dim[3]);
    run_dw(r, &p, x, d, 0, ACT_NONE);
    run_dw(r, &q, x, d, 1, ACT_NONE);
    op_concat(r->be, y, &p, &q);
}

/* Each channel of x times what all the picture's means say of it (Hu et al. 2018); then GELU. */
static enum status squeeze(struct clip_run *r, const struct clip_fastvit_squeeze *q,
                           struct tensor *x)
{
    int64_t n = x->dim[0], c = x->dim[3], one = x->dim[1] * x->dim[2] * c;
    if (q->reduce.w.data) {
        size_t mark = arena_mark(r->arena);
        struct tensor mean = clip_run_tensor(r, 2, (int64_t[]){n, c}), t = as_tokens(x);
        struct tensor few = clip_run_tensor(r, 2, (int64_t[]){n, q->width});
        if (r->status)
            return r->status;
        op_mean_tokens(r->be, &mean, &t, NULL);
        clip_linear_run(r, &few, &mean, &q->reduce, ACT_RELU, NULL);
        clip_linear_run(r, &mean, &few, &q->expand, ACT_SIGMOID, NULL);
        for (int64_t i = 0; i < n; i++) {
            struct tensor p = map((float *)x->data + i * one, 1, x->dim[1], c);
            struct tensor s = tensor_view((float *)mean.data + i * c, DT_F32, 1, &c);
            op_mul(r->be, &p, &p, &s);
        }
        arena_rewind(r->arena, mark);
    }
    op_act(r->be, x, x, ACT_GELU);
    return ST_OK;
}

/* x += fc2(gelu(fc1(conv(x)))) */
static void run_mlp(struct clip_run *r, const struct clip_fastvit_block *b, struct tensor *x,
                    struct tensor *spare, struct tensor *h)
{
    run_dw(r, spare, x, &b->conv, 0, ACT_NONE);
    clip_linear_run(r, h, spare, &b->fc1, ACT_GELU, NULL);
    clip_linear_run(r, x, h, &b->fc2, ACT_NONE, x);
}

void clip_fastvit_run_row(struct clip_run *r, const struct clip_fastvit_block *b, struct tensor *y,
                          const struct tensor *x, struct tensor *spare, struct tensor *h)
{
    run_dw(r, y, x, &b->mixer, 0, ACT_NONE);
    run_mlp(r, b, y, spare, h);
}

/* x += o(attention of all places) */
static void attend(struct clip_run *r, const struct clip_fastvit_stage *t,
                   const struct clip_fastvit_block *b, struct maps *m, struct tensor *x)
{
    int64_t d = t->width;
    struct tensor s = as_tokens(x), y = tensor_view(m->y, DT_F32, 3, s.dim);
    struct tensor all = tensor_view(m->h, DT_F32, 3, (int64_t[]){s.dim[0], s.dim[1], 3 * d});
    struct tensor q = tensor_view(m->h, DT_F32, 3, s.dim);
    struct tensor k = tensor_view(m->h + d, DT_F32, 3, s.dim);
    struct tensor v = tensor_view(m->h + 2 * d, DT_F32, 3, s.dim);
    const struct tensor *in = &s;
    if (b->norm.w.data) {
        clip_norm_run(r, &y, &s, &b->norm, 1e-5f);
        in = &y;
    }
    clip_linear_run(r, &all, in, &b->qkv, ACT_NONE, NULL);
    op_attention(
        r->be, &y, &q, &k, &v,
        &(struct attn_opts){.heads = t->width / 32, .ld_q = 3 * d, .ld_k = 3 * d, .ld_v = 3 * d});
    clip_linear_run(r, &s, &y, &b->o, ACT_NONE, &s);
}

static void swap(float **a, float **b)
{
    float *t = *a;
    *a = *b;
    *b = t;
}

/* x, in m->x, becomes the stage's output, in m->x again. */
static enum status run_stage(struct clip_run *r, const struct clip_fastvit_stage *t, struct maps *m,
                             struct tensor *x)
{
    int64_t n = x->dim[0], side = x->dim[1];
    if (t->down.halves) {
        side = (side + 1) / 2;
        struct tensor wide = map(m->h, n, side, t->width);
        run_wide(r, &wide, x, &t->down, m->y, m->w);
        if (squeeze(r, &t->squeeze, &wide))
            return r->status;
        *x = map(m->x, n, side, t->width);
        clip_linear_run(r, x, &wide, &t->mix, ACT_GELU, NULL);
    }
    if (t->places.halves) {
        struct tensor y = map(m->y, n, side, t->width);
        run_dw(r, &y, x, &t->places, 0, ACT_NONE);
        swap(&m->x, &m->y);
        *x = y;
    }
    for (int i = 0; i < t->layers; i++) {
        struct tensor y = map(m->y, n, side, t->width), h = map(m->h, n, side, t->hidden);
        if (t->attends) {
            attend(r, t, &t->block[i], m, x);
        } else {
            run_dw(r, &y, x, &t->block[i].mixer, 0, ACT_NONE);
            swap(&m->x, &m->y);
            *x = y;
            y = map(m->y, n, side, t->width);
        }
        run_mlp(r, &t->block[i], x, &y, &h);
    }
    return ST_OK;
}

/* Values of the largest map, and of the largest hidden layer. */
static void sizes(const struct clip_fastvit *v, int64_t *most, int64_t *hidden)
{
    int64_t side = v->size / 2;
    *most = side * side * v->width;
    *hidden = 0;
    side /= 2;
    for (int s = 0; s < v->stages; s++) {
        const struct clip_fastvit_stage *t = &v->stage[s];
        if (t->down.halves)
            side /= 2;
        int64_t wide = t->attends && t->hidden < 3 * t->width ? 3 * t->width : t->hidden;
        if (s == v->stages - 1 && wide < 2 * (int64_t)t->width)
            wide = 2 * (int64_t)t->width; /* the last convolution's */
        if (wide < t->width)
            wide = t->width;
        if (side * side * wide > *hidden)
            *hidden = side * side * wide;
        if (side * side * t->width > *most)
            *most = side * side * t->width;
    }
}

struct clip_transformer clip_fastvit_sizes(const struct clip_fastvit *v)
{
    const struct clip_fastvit_stage *last = &v->stage[v->stages - 1];
    return (struct clip_transformer){.width = last->width,
                                     .heads = last->width / 32,
                                     .layers = v->stages,
                                     .hidden = last->hidden,
                                     .eps = 1e-5f,
                                     .act = ACT_GELU};
}

enum status clip_fastvit_run(struct clip_run *r, const struct clip_fastvit *v,
                             const struct tensor *pixels, struct tensor *y)
{
    int64_t n = pixels->dim[0], half = v->size / 2, most, hidden;
    sizes(v, &most, &hidden);
    struct maps m = {
        clip_run_array(r, n * most, sizeof(float)), clip_run_array(r, n * most, sizeof(float)),
        clip_run_array(r, n * most, sizeof(float)), clip_run_array(r, n * hidden, sizeof(float))};
    struct conv_opts o = {
        .stride = 2, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1, .act = ACT_GELU};
    if (r->status)
        return r->status;
    struct tensor a = map(m.x, n, half, v->width), b = map(m.y, n, half / 2, v->width);
    struct tensor x = map(m.x, n, half / 2, v->width);
    op_conv2d(r->be, &a, pixels, &v->stem.w, &v->stem.b, &o);
    run_dw(r, &b, &a, &v->stem_down, 0, ACT_GELU);
    clip_linear_run(r, &x, &b, &v->stem_mix, ACT_GELU, NULL);
    clip_run_trace(r, "embed", -1, &x);
    for (int s = 0; s < v->stages; s++) {
        if (run_stage(r, &v->stage[s], &m, &x))
            return r->status;
        clip_run_trace(r, "block", s, &x);
    }
    struct tensor wide = map(m.h, n, x.dim[1], 2 * x.dim[3]), t = as_tokens(&wide);
    struct tensor pooled = clip_run_tensor(r, 2, (int64_t[]){n, 2 * x.dim[3]});
    if (r->status)
        return r->status;
    run_wide(r, &wide, &x, &v->last, m.y, m.w);
    if (squeeze(r, &v->squeeze, &wide))
        return r->status;
    op_mean_tokens(r->be, &pooled, &t, NULL);
    clip_run_trace(r, "pooled", -1, &pooled);
    clip_linear_run(r, y, &pooled, &v->head, ACT_NONE, NULL);
    return ST_OK;
}
