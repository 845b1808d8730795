/* Attention of one wide head (the autoencoder's has 512 values) as a product, a softmax and a
 * product, over as many queries at a time as have scores in 64 MiB. Factors are bf16 where the
 * backend's are, scores and sums f32. A backend in f16 has f32 factors here: an autoencoder's
 * values may be beyond f16's. */
#include "nn/cuda/cuda_int.h"
#include <cuda_runtime_api.h>

enum { NARROWEST = 160, SCORES = 64 << 20 };

bool cuda_attn_is_wide(const struct cuda_attn *a)
{
    return a->heads == 1 && a->dh > NARROWEST && a->dh % 8 == 0 && a->tk % 8 == 0 && !a->causal &&
           !a->kv_len && a->tk > 0 && a->ld_q == a->dh && a->ld_k == a->dh && a->ld_v == a->dh;
}

struct wide {
    struct cuda_op *o;
    const struct cuda_attn *a;
    enum precision type;   /* bf16 or f32 */
    const void *q, *k, *v; /* [b, t, dh] of it */
};

/* A factor as products read it. */
static const void *factor(struct wide *w, const uint16_t *low, const float *x, int64_t t)
{
    int64_t rows = w->a->b * t, dh = w->a->dh;
    if (low || w->type == PREC_F32)
        return low ? (const void *)low : x;
    void *y = cuda_temp(w->o, (size_t)(rows * dh) * 2);
    int e = y ? cuda_run_narrow(w->o->c->stream, y, DT_BF16, dh, x, dh, rows, dh) : 0;
    if (e)
        cuda_fail(w->o, e, 0);
    return y;
}

/* Row i of a factor of image b. */
static const void *row_at(const struct wide *w, const void *p, int64_t t, int64_t b, int64_t i)
{
    size_t size = w->type == PREC_F32 ? sizeof(float) : sizeof(uint16_t);
    return p ? (const char *)p + (size_t)((b * t + i) * w->a->dh) * size : NULL;
}

/* scores [n, tk] is scratch, and low of them as factors, but for f32. */
static int queries(struct wide *w, float *scores, void *low, int64_t b, int64_t i, int64_t n)
{
    const struct cuda_attn *a = w->a;
    struct CUstream_st *s = w->o->c->stream;
    cuda_multiply(w->o, &(struct cuda_product){.m = n,
                                               .n = a->tk,
                                               .k = a->dh,
                                               .ldk = a->dh,
                                               .type = w->type,
                                               .x = row_at(w, w->q, a->tq, b, i),
                                               .w = row_at(w, w->k, a->tk, b, 0),
                                               .y = scores});
    int e = w->o->ok ? cuda_run_softmax(s, scores, scores, a->scale, n, a->tk) : 0;
    if (!e && low && w->o->ok)
        e = cuda_run_narrow(s, low, DT_BF16, a->tk, scores, a->tk, n, a->tk);
    if (!e)
        cuda_multiply(w->o, &(struct cuda_product){.m = n,
                                                   .n = a->dh,
                                                   .k = a->tk,
                                                   .ldk = a->tk,
                                                   .type = w->type,
                                                   .plain = true,
                                                   .x = low ? low : scores,
                                                   .w = row_at(w, w->v, a->tk, b, 0),
                                                   .y = a->y + (b * a->tq + i) * a->dh});
    return e;
}

int cuda_attention_wide(struct cuda_op *o, const struct cuda_attn *a)
{
    struct wide w = {.o = o, .a = a};
    enum precision p = o->c->base.precision;
    int64_t most = SCORES / (int64_t)sizeof(float) / a->tk, step = most < 1 ? 1 : most;
    int e = 0;
    w.type = p == PREC_BF16 || p == PREC_INT8 ? PREC_BF16 : PREC_F32;
    w.q = factor(&w, a->low[0], a->q, a->tq);
    w.k = factor(&w, a->low[1], a->k, a->tk);
    w.v = factor(&w, a->low[2], a->v, a->tk);
    if (step > a->tq)
        step = a->tq;
    float *scores = cuda_temp(o, (size_t)(step * a->tk) * sizeof *scores);
    void *low = w.type == PREC_F32 ? NULL : cuda_temp(o, (size_t)(step * a->tk) * 2);
    for (int64_t b = 0; b < a->b && !e; b++)
        for (int64_t i = 0; i < a->tq && !e && o->ok; i += step)
            e = queries(&w, scores, low, b, i, a->tq - i < step ? a->tq - i : step);
    return e;
}
