/* The op slots: from tensors to the kernels' pointers. */
#include "nn/cuda/cuda_int.h"
#include <assert.h>
#include <math.h>
#include <string.h>

static void layernorm(struct backend *be, struct tensor *y, const struct tensor *x,
                      const struct tensor *w, const struct tensor *b, float eps)
{
    struct cuda_op o;
    int64_t rows = tensor_rows(x), d = tensor_cols(x);
    cuda_begin(&o, be, "layernorm");
    const float *px = cuda_in(&o, x), *pw = cuda_in(&o, w), *pb = cuda_in(&o, b);
    bool fits = d % 8 == 0 && d <= CUDA_LAYERNORM_LOW && cuda_aligned(px) && cuda_aligned(pw) &&
                cuda_aligned(pb);
    uint16_t *low = fits ? cuda_factor(&o, y) : NULL;
    float *py = low ? NULL : cuda_out(&o, y);
    cuda_end(&o, o.ok ? cuda_run_layernorm(o.c->stream, py, low, px, pw, pb, eps, rows, d) : 0);
}

static void groupnorm(struct backend *be, struct tensor *y, const struct tensor *x,
                      const struct tensor *e, const struct tensor *w, const struct tensor *b,
                      const struct groupnorm_opts *opts)
{
    struct cuda_op o;
    int64_t count = tensor_count(x), c = tensor_cols(x);
    if (count == 0)
        return;
    cuda_begin(&o, be, "groupnorm");
    struct cuda_gnorm g = {.x = cuda_in(&o, x),
                           .e = cuda_in(&o, e),
                           .w = cuda_in(&o, w),
                           .b = cuda_in(&o, b),
                           .images = x->dim[0],
                           .rows = count / x->dim[0] / c,
                           .c = c,
                           .groups = opts->groups,
                           .eps = opts->eps,
                           .act = opts->act};
    bool fits = c % 8 == 0 && g.rows * c <= INT32_MAX && cuda_aligned(g.x) &&
                (g.act == ACT_NONE || g.act == ACT_SILU);
    g.low = fits ? cuda_factor(&o, y) : NULL;
    g.y = g.low ? NULL : cuda_out(&o, y);
    g.sums = cuda_temp(&o, (size_t)cuda_gnorm_floats(&g) * sizeof(float));
    cuda_end(&o, o.ok ? cuda_run_groupnorm(o.c->stream, &g) : 0);
}

static void l2norm(struct backend *be, struct tensor *y, const struct tensor *x, float eps)
{
    struct cuda_op o;
    cuda_begin(&o, be, "l2norm");
    const float *px = cuda_in(&o, x);
    float *py = cuda_out(&o, y);
    cuda_end(&o,
             o.ok ? cuda_run_l2norm(o.c->stream, py, px, eps, tensor_rows(x), tensor_cols(x)) : 0);
}

static void softmax(struct backend *be, struct tensor *y, const struct tensor *x, float scale)
{
    struct cuda_op o;
    cuda_begin(&o, be, "softmax");
    const float *px = cuda_in(&o, x);
    float *py = cuda_out(&o, y);
    cuda_end(&o, o.ok ? cuda_run_softmax(o.c->stream, py, px, scale, tensor_rows(x), tensor_cols(x))
                      : 0);
}

static void act_op(struct backend *be, struct tensor *y, const struct tensor *x, enum act act)
{
    struct cuda_op o;
    cuda_begin(&o, be, act_name(act));
    const float *px = cuda_in(&o, x);
    float *py = cuda_out(&o, y);
    cuda_end(&o, o.ok ? cuda_run_act(o.c->stream, py, px, NULL, tensor_count(x), act) : 0);
}

static void binary(struct backend *be, const char *name, struct tensor *y, const struct tensor *x,
                   const struct tensor *r, enum cuda_binary op)
{
    struct cuda_op o;
    cuda_begin(&o, be, name);
    const float *px = cuda_in(&o, x), *pr = cuda_in(&o, r);
    float *py = cuda_out(&o, y);
    cuda_end(&o,
             o.ok ? cuda_run_binary(o.c->stream, py, px, pr, tensor_count(x), tensor_count(r), op)
                  : 0);
}

static void add(struct backend *be, struct tensor *y, const struct tensor *x,
                const struct tensor *r)
{
    binary(be, "add", y, x, r, CUDA_ADD);
}

static void mul(struct backend *be, struct tensor *y, const struct tensor *x,
                const struct tensor *r)
{
    struct cuda_op o;
    int64_t n = tensor_count(x);
    cuda_begin(&o, be, "mul");
    const uint16_t *px = cuda_factor(&o, x), *pr = cuda_factor(&o, r);
    uint16_t *py = cuda_factor(&o, y);
    bool fits = px && pr && py && n == tensor_count(r) && n % 8 == 0 && cuda_aligned(px) &&
                cuda_aligned(pr) && cuda_aligned(py);
    cuda_end(&o, fits && o.ok ? cuda_run_mul_low(o.c->stream, py, px, pr, n) : 0);
    if (!fits)
        binary(be, "mul", y, x, r, CUDA_MUL);
}

static void scale(struct backend *be, struct tensor *y, const struct tensor *x, float s)
{
    struct cuda_op o;
    cuda_begin(&o, be, "scale");
    const float *px = cuda_in(&o, x);
    float *py = cuda_out(&o, y);
    cuda_end(&o, o.ok ? cuda_run_scale(o.c->stream, py, px, s, tensor_count(x)) : 0);
}

static void embedding(struct backend *be, struct tensor *y, const struct tensor *table,
                      const struct tensor *ids)
{
    struct cuda_op o;
    int64_t n = tensor_count(ids);
    const int32_t *id = ids->data; /* the host's: no op makes ids */
    const float *factor = NULL;
    for (int64_t i = 0; i < n; i++)
        assert(id[i] >= 0 && id[i] < table->dim[0]);
    cuda_begin(&o, be, "embedding");
    const void *pt = cuda_weight_raw(&o, table, &factor);
    const int32_t *pi = cuda_in_bytes(&o, id, (size_t)n * sizeof *id);
    float *py = cuda_out(&o, y);
    cuda_end(&o,
             o.ok ? cuda_run_widen(o.c->stream, py, pt, table->dtype, factor, pi, n, table->dim[1])
                  : 0);
}

/* Floats from a tensor's first to its last, rows ld apart. */
static struct tensor strided(const struct tensor *t, int64_t ld)
{
    int64_t rows = tensor_rows(t), n = rows > 0 ? (rows - 1) * ld + tensor_cols(t) : 0;
    struct tensor y = tensor_view(t->data, DT_F32, 1, &n);
    y.use = t->use == TENSOR_FACTOR ? TENSOR_FACTOR : TENSOR_VALUES;
    return y;
}

static void attention(struct backend *be, struct tensor *y, const struct tensor *q,
                      const struct tensor *k, const struct tensor *v, const struct attn_opts *opts)
{
    struct cuda_op o;
    int64_t d = q->dim[2], b = q->dim[0];
    struct cuda_attn a = {.b = b, .tq = q->dim[1], .tk = k->dim[1], .heads = opts->heads};
    a.dh = (int)(d / opts->heads);
    a.scale = opts->scale > 0 ? opts->scale : 1.0f / sqrtf((float)a.dh);
    a.causal = opts->causal;
    a.f16 = be->precision == PREC_F16;
    a.ld_q = opts->ld_q ? opts->ld_q : d;
    a.ld_k = opts->ld_k ? opts->ld_k : d;
    a.ld_v = opts->ld_v ? opts->ld_v : d;
    if (a.dh > CUDA_MAX_HEAD) {
        backend_fail(be, ST_UNSUPPORTED, "attention on %s: heads of %d values, at most %d",
                     be->name, a.dh, CUDA_MAX_HEAD);
        return;
    }
    struct tensor tq = strided(q, a.ld_q), tk = strided(k, a.ld_k), tv = strided(v, a.ld_v);
    cuda_begin(&o, be, "attention");
    if (opts->kv_len)
        a.kv_len = cuda_in_bytes(&o, opts->kv_len, (size_t)b * sizeof *opts->kv_len);
    const struct tensor *all[] = {&tq, &tk, &tv};
    for (int i = 0; i < 3; i++)
        a.low[i] = cuda_factor(&o, all[i]);
    bool wide = cuda_attn_is_wide(&a);
    if (!a.low[0] || !a.low[1] || !a.low[2] || !(wide || cuda_attn_reads_low(&a))) {
        a.low[0] = a.low[1] = a.low[2] = NULL;
        a.q = cuda_in(&o, &tq);
        a.k = cuda_in(&o, &tk);
        a.v = cuda_in(&o, &tv);
    }
    size_t low = be->precision != PREC_F32 ? (size_t)cuda_attn_low_bytes(&a) : 0;
    a.low_y = low && a.dh % 2 == 0 ? cuda_factor(&o, y) : NULL;
    a.y = a.low_y ? NULL : cuda_out(&o, y);
    if (wide) {
        cuda_end(&o, cuda_attention_wide(&o, &a));
        return;
    }
    void *scratch = low && !a.low[0] ? cuda_temp(&o, low) : NULL;
    int e = 0;
    if (o.ok && low)
        e = cuda_run_attention_low(o.c->stream, &a, scratch);
    else if (o.ok)
        e = cuda_run_attention(o.c->stream, &a);
    cuda_end(&o, e);
}

static struct cuda_conv conv_shape(const struct tensor *y, const struct tensor *x, int64_t kh,
                                   int64_t kw, const struct conv_opts *o)
{
    return (struct cuda_conv){.b = (int)x->dim[0],
                              .h = (int)x->dim[1],
                              .width = (int)x->dim[2],
                              .c = (int)x->dim[3],
                              .n = (int)y->dim[3],
                              .kh = (int)kh,
                              .kw = (int)kw,
                              .ho = (int)y->dim[1],
                              .wo = (int)y->dim[2],
                              .stride = o->stride,
                              .top = o->pad_top,
                              .left = o->pad_left,
                              .circular = o->circular,
                              .act = o->act};
}

static void conv2d(struct backend *be, struct tensor *y, const struct tensor *x,
                   const struct tensor *w, const struct tensor *b, const struct conv_opts *opts)
{
    struct cuda_op o;
    int64_t n = w->dim[0], c = x->dim[3];
    bool padded = opts->pad_top || opts->pad_left || opts->pad_bottom || opts->pad_right;
    if (w->dim[1] == 1 && w->dim[2] == 1 && opts->stride == 1 && !padded) { /* a product */
        struct tensor wide = *w;
        wide.ndim = 2;
        wide.dim[1] = c;
        wide.dim[2] = wide.dim[3] = 1;
        cuda_linear(be, y, x, &wide, b, opts->act, NULL);
        return;
    }
    struct cuda_conv a = conv_shape(y, x, w->dim[1], w->dim[2], opts);
    assert(n * w->dim[1] * w->dim[2] * c <= INT32_MAX);
    cuda_begin(&o, be, "conv2d");
    a.bias = cuda_in(&o, b);
    a.y = cuda_out(&o, y);
    int64_t rows = tensor_rows(x);
    int e = 0;
    enum precision p = cuda_precision(o.c, w, tensor_rows(y));
    if (p != PREC_F32 && c % 8 == 0) {
        enum dtype type = p == PREC_F16 ? DT_F16 : DT_BF16; /* 8 bits are for products alone */
        const void *pw = cuda_weight_half(&o, w, type);
        const void *px = p == PREC_BF16 ? cuda_factor(&o, x) : NULL;
        void *low = px ? NULL : cuda_temp(&o, (size_t)(rows * c) * 2);
        a.x = px ? NULL : cuda_in(&o, x);
        if (o.ok && !px)
            e = cuda_run_narrow(o.c->stream, low, type, c, a.x, c, rows, c);
        px = px ? px : low;
        a.f16 = p == PREC_F16;
        if (!e && !cuda_dnn_conv(&o, &a, px, pw) && o.ok)
            e = cuda_run_conv_low(o.c->stream, &a, px, pw);
    } else {
        a.x = cuda_in(&o, x);
        a.w = cuda_weight_f32(&o, w);
        if (o.ok)
            e = cuda_run_conv(o.c->stream, &a);
    }
    cuda_end(&o, e);
}

static void depthwise(struct backend *be, struct tensor *y, const struct tensor *x,
                      const struct tensor *w, const struct tensor *b, const struct conv_opts *opts)
{
    struct cuda_op o;
    struct cuda_conv a = conv_shape(y, x, w->dim[0], w->dim[1], opts);
    cuda_begin(&o, be, "depthwise");
    a.x = cuda_in(&o, x);
    a.bias = cuda_in(&o, b);
    a.w = cuda_in(&o, w);
    a.y = cuda_out(&o, y);
    cuda_end(&o, o.ok ? cuda_run_depthwise(o.c->stream, &a) : 0);
}

static void mean_tokens(struct backend *be, struct tensor *y, const struct tensor *x,
                        const int32_t *len)
{
    struct cuda_op o;
    int64_t b = x->dim[0], t = x->dim[1];
    for (int64_t i = 0; len && i < b; i++)
        assert(len[i] >= 0 && len[i] <= t);
    cuda_begin(&o, be, "mean_tokens");
    const float *px = cuda_in(&o, x);
    const int32_t *pl = len ? cuda_in_bytes(&o, len, (size_t)b * sizeof *len) : NULL;
    float *py = cuda_out(&o, y);
    cuda_end(&o, o.ok ? cuda_run_mean_tokens(o.c->stream, py, px, pl, b, t, x->dim[2]) : 0);
}

static void nearest(struct backend *be, struct tensor *score, struct tensor *row,
                    const struct tensor *q, const struct tensor *v, const uint8_t *keep)
{
    enum { TOGETHER = 64 }; /* queries whose scores are kept at a time */
    int64_t m = tensor_rows(q), k = tensor_cols(score);
    for (int64_t i = 0; i < m; i += TOGETHER) {
        struct cuda_op o;
        const float *factor;
        int64_t n = m - i < TOGETHER ? m - i : TOGETHER;
        struct tensor part =
            tensor_view((float *)q->data + i * v->dim[1], DT_F32, 2, (int64_t[]){n, v->dim[1]});
        struct tensor best =
            tensor_view((float *)score->data + i * k, DT_F32, 2, (int64_t[]){n, k});
        struct tensor at = best;
        at.data = (float *)row->data + i * k;
        cuda_begin(&o, be, "nearest");
        struct cuda_nearest a = {.m = n, .n = v->dim[0], .d = v->dim[1], .k = k};
        a.half = v->dtype == DT_F16;
        a.q = cuda_in(&o, &part);
        a.rows = cuda_weight_raw(&o, v, &factor);
        if (keep)
            a.keep = cuda_in_bytes(&o, keep, (size_t)(a.n + 7) / 8);
        a.score = cuda_out(&o, &best);
        a.row = cuda_out(&o, &at);
        void *scratch = cuda_temp(&o, (size_t)cuda_nearest_bytes(n, a.n, k));
        cuda_end(&o, o.ok ? cuda_run_nearest(o.c->stream, &a, scratch) : 0);
    }
}

static void normalize_u8(struct backend *be, struct tensor *y, const struct tensor *x, float alpha,
                         const float mean[3], const float std[3])
{
    struct cuda_op o;
    struct cuda_pixels p = {.alpha = alpha};
    int64_t n = tensor_count(x);
    memcpy(p.mean, mean, sizeof p.mean);
    memcpy(p.std, std, sizeof p.std);
    cuda_begin(&o, be, "normalize_u8");
    const uint8_t *px = cuda_mirror(o.c, x->data, (size_t)n);
    if (!px && o.c->recording)
        cuda_refuse(&o);
    else if (!px)
        px = cuda_in_bytes(&o, x->data, (size_t)n);
    float *py = cuda_out(&o, y);
    cuda_end(&o, o.ok ? cuda_run_normalize(o.c->stream, py, px, n, &p) : 0);
}

static void patchify(struct backend *be, struct tensor *y, const struct tensor *x, int p)
{
    struct cuda_op o;
    cuda_begin(&o, be, "patchify");
    const float *px = cuda_in(&o, x);
    float *py = cuda_out(&o, y);
    cuda_end(&o,
             o.ok ? cuda_run_patchify(o.c->stream, py, px, x->dim[0], x->dim[1], x->dim[2], p) : 0);
}

static void upsample2x(struct backend *be, struct tensor *y, const struct tensor *x)
{
    struct cuda_op o;
    cuda_begin(&o, be, "upsample2x");
    const float *px = cuda_in(&o, x);
    bool fits = y->dim[3] % 8 == 0 && tensor_count(y) <= INT32_MAX && cuda_aligned(px);
    uint16_t *low = fits ? cuda_factor(&o, y) : NULL;
    float *py = low ? NULL : cuda_out(&o, y);
    cuda_end(&o, o.ok ? cuda_run_upsample(o.c->stream, py, low, px, y->dim[0], y->dim[1], y->dim[2],
                                          y->dim[3])
                      : 0);
}

static void concat(struct backend *be, struct tensor *y, const struct tensor *a,
                   const struct tensor *b)
{
    struct cuda_op o;
    cuda_begin(&o, be, "concat");
    const float *pa = cuda_in(&o, a), *pb = cuda_in(&o, b);
    float *py = cuda_out(&o, y);
    cuda_end(&o, o.ok ? cuda_run_concat(o.c->stream, py, pa, pb, tensor_rows(y), tensor_cols(a),
                                        tensor_cols(b))
                      : 0);
}

static void convert(struct backend *be, struct tensor *y, const struct tensor *x)
{
    struct cuda_op o;
    int64_t n = tensor_count(x), rows = x->ndim > 0 ? x->dim[0] : 1;
    const float *factor = NULL;
    int e = 0;
    if (n == 0)
        return;
    cuda_begin(&o, be, "convert");
    const void *px = cuda_weight_raw(&o, x, &factor);
    if (y->dtype == DT_F32) {
        float *py = cuda_out(&o, y);
        if (o.ok)
            e = cuda_run_widen(o.c->stream, py, px, x->dtype, factor, NULL, rows, n / rows);
    } else if (o.c->recording) {
        cuda_refuse(&o);
    } else { /* halves are the host's: no op reads them as values */
        void *py = cuda_to_host(&o, y->data, (size_t)n * 2);
        if (o.ok)
            e = cuda_run_narrow(o.c->stream, py, y->dtype, n, px, n, 1, n);
    }
    cuda_end(&o, e);
}

const struct op_table cuda_ops = {
    .linear = cuda_linear,
    .matmul = cuda_matmul,
    .layernorm = layernorm,
    .groupnorm = groupnorm,
    .l2norm = l2norm,
    .softmax = softmax,
    .act = act_op,
    .add = add,
    .mul = mul,
    .scale = scale,
    .embedding = embedding,
    .attention = attention,
    .conv2d = conv2d,
    .depthwise = depthwise,
    .mean_tokens = mean_tokens,
    .nearest = nearest,
    .normalize_u8 = normalize_u8,
    .patchify = patchify,
    .upsample2x = upsample2x,
    .concat = concat,
    .convert = convert,
};
