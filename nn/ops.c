/* The ops' front: asserts shapes and types, then calls the backend's slot. A failed assertion here
 * is a mistake in the program: shapes that come from files were checked when they were read. */
#include "nn/ops.h"
#include "nn/backend_int.h"
#include <assert.h>

const char *act_name(enum act a)
{
    static const char *const names[ACT_COUNT] = {"none", "gelu",  "gelu_tanh", "quick_gelu", "silu",
                                                 "relu", "relu6", "tanh",      "sigmoid"};
    return (unsigned)a < ACT_COUNT ? names[a] : "unknown";
}

#ifndef NDEBUG
static bool is_f32(const struct tensor *t)
{
    return t->dtype == DT_F32 && t->data;
}

static bool is_weight(const struct tensor *t)
{
    switch (t->dtype) {
    case DT_F32:
    case DT_F16:
    case DT_BF16:
        return t->data != NULL;
    case DT_I8:
        return t->data && t->scale;
    case DT_Q8_0:
        return t->data && tensor_cols(t) % 32 == 0;
    default:
        return false;
    }
}

static bool is_vector(const struct tensor *t, int64_t n)
{
    return !t || (is_f32(t) && tensor_count(t) == n);
}

static bool is_pair(const struct tensor *y, const struct tensor *x)
{
    return is_f32(y) && is_f32(x) && tensor_count(y) == tensor_count(x) &&
           tensor_cols(y) == tensor_cols(x);
}

/* Does r equal the last dims of x? */
static bool broadcasts(const struct tensor *x, const struct tensor *r)
{
    int lead = x->ndim - r->ndim;
    if (!is_f32(r) || lead < 0)
        return false;
    for (int i = 0; i < r->ndim; i++)
        if (r->dim[i] != x->dim[lead + i])
            return false;
    return true;
}

static bool conv_fits(const struct tensor *y, const struct tensor *x, int64_t kh, int64_t kw,
                      const struct conv_opts *o)
{
    return is_f32(y) && is_f32(x) && y->ndim == 4 && x->ndim == 4 && y->dim[0] == x->dim[0] &&
           o->stride > 0 && o->pad_top >= 0 && o->pad_left >= 0 && o->pad_bottom >= 0 &&
           o->pad_right >= 0 &&
           y->dim[1] == (x->dim[1] + o->pad_top + o->pad_bottom - kh) / o->stride + 1 &&
           y->dim[2] == (x->dim[2] + o->pad_left + o->pad_right - kw) / o->stride + 1;
}
#endif

void op_linear(struct backend *be, struct tensor *y, const struct tensor *x, const struct tensor *w,
               const struct tensor *b, enum act act, const struct tensor *r)
{
    assert(is_f32(y) && is_f32(x) && is_weight(w) && w->ndim >= 2);
    assert(tensor_rows(x) == tensor_rows(y));
    assert(w->dim[0] == tensor_cols(y) && tensor_count(w) == w->dim[0] * tensor_cols(x));
    assert(is_vector(b, tensor_cols(y)) && is_vector(r, tensor_count(y)));
    assert((unsigned)act < ACT_COUNT && y->data != x->data);
    be->ops->linear(be, y, x, w, b, act, r);
}

void op_matmul(struct backend *be, struct tensor *y, const struct tensor *x, const struct tensor *w)
{
    assert(is_f32(y) && is_f32(x) && is_f32(w) && w->ndim == 2);
    assert(tensor_rows(x) == tensor_rows(y) && tensor_cols(x) == w->dim[0]);
    assert(tensor_cols(y) == w->dim[1] && y->data != x->data);
    be->ops->matmul(be, y, x, w);
}

void op_layernorm(struct backend *be, struct tensor *y, const struct tensor *x,
                  const struct tensor *w, const struct tensor *b, float eps)
{
    assert(is_pair(y, x) && w && is_vector(w, tensor_cols(x)) && is_vector(b, tensor_cols(x)));
    be->ops->layernorm(be, y, x, w, b, eps);
}

void op_groupnorm(struct backend *be, struct tensor *y, const struct tensor *x,
                  const struct tensor *e, const struct tensor *w, const struct tensor *b,
                  const struct groupnorm_opts *o)
{
    int64_t c = tensor_cols(x);
    assert(is_pair(y, x) && x->ndim >= 2 && w && b && is_vector(w, c) && is_vector(b, c));
    assert(is_vector(e, x->dim[0] * c) && o->groups > 0 && c % o->groups == 0);
    assert((unsigned)o->act < ACT_COUNT);
    be->ops->groupnorm(be, y, x, e, w, b, o);
}

void op_l2norm(struct backend *be, struct tensor *y, const struct tensor *x, float eps)
{
    assert(is_pair(y, x));
    be->ops->l2norm(be, y, x, eps);
}

void op_softmax(struct backend *be, struct tensor *y, const struct tensor *x, float scale)
{
    assert(is_pair(y, x));
    be->ops->softmax(be, y, x, scale);
}

void op_act(struct backend *be, struct tensor *y, const struct tensor *x, enum act act)
{
    assert(is_pair(y, x) && (unsigned)act < ACT_COUNT);
    be->ops->act(be, y, x, act);
}

void op_add(struct backend *be, struct tensor *y, const struct tensor *x, const struct tensor *r)
{
    assert(is_pair(y, x) && broadcasts(x, r));
    be->ops->add(be, y, x, r);
}

void op_mul(struct backend *be, struct tensor *y, const struct tensor *x, const struct tensor *r)
{
    assert(is_pair(y, x) && broadcasts(x, r));
    be->ops->mul(be, y, x, r);
}

void op_scale(struct backend *be, struct tensor *y, const struct tensor *x, float s)
{
    assert(is_pair(y, x));
    be->ops->scale(be, y, x, s);
}

void op_embedding(struct backend *be, struct tensor *y, const struct tensor *table,
                  const struct tensor *ids)
{
    assert(is_f32(y) && is_weight(table) && table->ndim == 2 && ids->dtype == DT_I32);
    assert(tensor_cols(y) == table->dim[1] && tensor_rows(y) == tensor_count(ids));
    be->ops->embedding(be, y, table, ids);
}

void op_attention(struct backend *be, struct tensor *y, const struct tensor *q,
                  const struct tensor *k, const struct tensor *v, const struct attn_opts *o)
{
    assert(is_f32(y) && is_f32(q) && is_f32(k) && is_f32(v));
    assert(q->ndim == 3 && k->ndim == 3 && tensor_same_shape(y, q) && tensor_same_shape(k, v));
    assert(q->dim[0] == k->dim[0] && q->dim[2] == k->dim[2]);
    assert(o->heads > 0 && q->dim[2] % o->heads == 0 && o->scale >= 0.0f);
    assert((!o->ld_q || o->ld_q >= q->dim[2]) && (!o->ld_k || o->ld_k >= k->dim[2]) &&
           (!o->ld_v || o->ld_v >= v->dim[2]));
    be->ops->attention(be, y, q, k, v, o);
}

void op_conv2d(struct backend *be, struct tensor *y, const struct tensor *x, const struct tensor *w,
               const struct tensor *b, const struct conv_opts *o)
{
    assert(is_weight(w) && w->ndim == 4 && conv_fits(y, x, w->dim[1], w->dim[2], o));
    assert(y->dim[3] == w->dim[0] && x->dim[3] == w->dim[3] && is_vector(b, w->dim[0]));
    assert((unsigned)o->act < ACT_COUNT && y->data != x->data);
    be->ops->conv2d(be, y, x, w, b, o);
}

void op_depthwise(struct backend *be, struct tensor *y, const struct tensor *x,
                  const struct tensor *w, const struct tensor *b, const struct conv_opts *o)
{
    assert(is_f32(w) && w->ndim == 3 && conv_fits(y, x, w->dim[0], w->dim[1], o));
    assert(y->dim[3] == w->dim[2] && x->dim[3] == w->dim[2] && is_vector(b, w->dim[2]));
    assert((unsigned)o->act < ACT_COUNT && y->data != x->data);
    be->ops->depthwise(be, y, x, w, b, o);
}

bool op_mbconv(struct backend *be, struct tensor *y, const struct tensor *x,
               const struct mbconv_weights *w, const struct conv_opts *o, const struct tensor *r)
{
    assert(is_f32(w->dw) && w->dw->ndim == 3 && conv_fits(y, x, w->dw->dim[0], w->dw->dim[1], o));
    assert(w->expand ? is_weight(w->expand) && w->expand->dim[0] == w->dw->dim[2] &&
                           tensor_count(w->expand) == w->dw->dim[2] * x->dim[3]
                     : !w->expand_b && w->dw->dim[2] == x->dim[3]);
    assert(is_weight(w->project) && w->project->dim[0] == y->dim[3]);
    assert(tensor_count(w->project) == y->dim[3] * w->dw->dim[2]);
    assert(!w->expand || (w->expand_b && is_vector(w->expand_b, w->dw->dim[2])));
    assert(w->dw_b && is_vector(w->dw_b, w->dw->dim[2]));
    assert(w->project_b && is_vector(w->project_b, y->dim[3]));
    assert(is_vector(r, tensor_count(y)) && y->data != x->data);
    return be->ops->mbconv && be->ops->mbconv(be, y, x, w, o, r);
}

void op_mean_tokens(struct backend *be, struct tensor *y, const struct tensor *x,
                    const int32_t *len)
{
    assert(is_f32(y) && is_f32(x) && x->ndim == 3);
    assert(tensor_rows(y) == x->dim[0] && tensor_cols(y) == x->dim[2]);
    be->ops->mean_tokens(be, y, x, len);
}

void op_nearest(struct backend *be, struct tensor *score, struct tensor *row,
                const struct tensor *q, const struct tensor *v, const uint8_t *keep)
{
    int64_t k = tensor_cols(score);
    assert(is_f32(score) && is_f32(row) && is_f32(q) && v->ndim == 2);
    assert(v->dtype == DT_F32 || v->dtype == DT_F16);
    assert(tensor_same_shape(score, row) && tensor_rows(score) == tensor_rows(q));
    assert(k >= 1 && k <= 1024 && k <= v->dim[0] && v->dim[0] < 1 << 24);
    assert(tensor_cols(q) == v->dim[1] && v->dim[1] <= 3072);
    be->ops->nearest(be, score, row, q, v, keep);
}

void op_normalize_u8(struct backend *be, struct tensor *y, const struct tensor *x, float alpha,
                     const float mean[3], const float std[3])
{
    assert(is_f32(y) && x->dtype == DT_U8 && tensor_cols(x) == 3);
    assert(tensor_count(x) == tensor_count(y));
    be->ops->normalize_u8(be, y, x, alpha, mean, std);
}

void op_patchify(struct backend *be, struct tensor *y, const struct tensor *x, int p)
{
    assert(is_f32(y) && is_f32(x) && x->ndim == 4 && x->dim[3] == 3 && p > 0);
    assert(x->dim[1] % p == 0 && x->dim[2] % p == 0 && y->data != x->data);
    assert(tensor_count(y) == tensor_count(x) && tensor_cols(y) == 3 * (int64_t)p * p);
    be->ops->patchify(be, y, x, p);
}

void op_upsample2x(struct backend *be, struct tensor *y, const struct tensor *x)
{
    assert(is_f32(y) && is_f32(x) && x->ndim == 4 && y->ndim == 4 && y->data != x->data);
    assert(y->dim[0] == x->dim[0] && y->dim[3] == x->dim[3]);
    assert((y->dim[1] + 1) / 2 == x->dim[1] && (y->dim[2] + 1) / 2 == x->dim[2]);
    be->ops->upsample2x(be, y, x);
}

void op_concat(struct backend *be, struct tensor *y, const struct tensor *a, const struct tensor *b)
{
    assert(is_f32(y) && is_f32(a) && is_f32(b) && y->data != a->data && y->data != b->data);
    assert(tensor_rows(a) == tensor_rows(y) && tensor_rows(b) == tensor_rows(y));
    assert(tensor_cols(y) == tensor_cols(a) + tensor_cols(b));
    be->ops->concat(be, y, a, b);
}

void op_convert(struct backend *be, struct tensor *y, const struct tensor *x)
{
    assert(tensor_count(y) == tensor_count(x));
    assert((y->dtype == DT_F32 && is_weight(x)) ||
           (x->dtype == DT_F32 && (y->dtype == DT_F16 || y->dtype == DT_BF16)));
    be->ops->convert(be, y, x);
}
