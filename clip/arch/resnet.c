/* CLIP's ResNet. Surprising: strides are never in a convolution but the first; everything else
 * shrinks by the average of two by two, which is a depthwise convolution with quarters. */
#include "clip/arch/resnet.h"
#include <math.h>

#define EXPANSION 4
#define EPS 1e-5f /* of torch.nn.BatchNorm2d */

static float *take(struct clip_loader *l, int64_t n)
{
    float *p = l->status ? NULL : arena_array(&l->m->arena, (size_t)n, sizeof *p);
    if (!p && !l->status)
        l->status = error_set(l->err, ST_NOMEM, "%s: out of memory", l->src->path);
    return p;
}

/* w * g / sqrt(var + eps), b = beta - mean * g / sqrt(var + eps); [O,C,k,k] turned to [O,k,k,C]. */
static struct clip_resnet_conv load_conv(struct clip_loader *l, int out, int in, int kernel,
                                         int stride, const char *conv, const char *norm)
{
    struct clip_resnet_conv c = {.kernel = kernel, .stride = stride, .in = in, .out = out};
    int64_t k2 = (int64_t)kernel * kernel, o = out, n = o * in * k2;
    struct tensor w =
        clip_load_small(l, 4, (int64_t[]){out, in, kernel, kernel}, "visual.%s.weight", conv);
    struct tensor g = clip_load_small(l, 1, &o, "visual.%s.weight", norm);
    struct tensor beta = clip_load_small(l, 1, &o, "visual.%s.bias", norm);
    struct tensor mean = clip_load_small(l, 1, &o, "visual.%s.running_mean", norm);
    struct tensor var = clip_load_small(l, 1, &o, "visual.%s.running_var", norm);
    float *y = take(l, n), *b = take(l, o);
    if (l->status)
        return c;
    for (int i = 0; i < out; i++) {
        float root = sqrtf(((float *)var.data)[i] + EPS);
        if (!(root > 0.0f)) {
            l->status = error_set(l->err, ST_FORMAT, "%s: visual.%s.running_var holds %g",
                                  l->src->path, norm, (double)((float *)var.data)[i]);
            return c;
        }
        float scale = ((float *)g.data)[i] / root;
        b[i] = ((float *)beta.data)[i] - ((float *)mean.data)[i] * scale;
        const float *from = (float *)w.data + (int64_t)i * in * k2;
        float *to = y + (int64_t)i * in * k2;
        for (int64_t j = 0; j < k2; j++)
            for (int64_t ch = 0; ch < in; ch++)
                to[j * in + ch] = from[ch * k2 + j] * scale;
    }
    c.w = kernel == 1 ? tensor_view(y, DT_F32, 2, (int64_t[]){out, in})
                      : tensor_view(y, DT_F32, 4, (int64_t[]){out, kernel, kernel, in});
    c.w.use = TENSOR_WEIGHT;
    c.w.packs = l->m->packs;
    c.b = tensor_view(b, DT_F32, 1, &o);
    return c;
}

static struct clip_resnet_block load_block(struct clip_loader *l, int stage, int i, int in,
                                           int planes)
{
    struct clip_resnet_block b = {.stride = stage > 0 && i == 0 ? 2 : 1};
    char conv[48], norm[48];
    const int from[] = {in, planes, planes}, to[] = {planes, planes, planes * EXPANSION};
    for (int k = 0; k < 3; k++) {
        snprintf(conv, sizeof conv, "layer%d.%d.conv%d", stage + 1, i, k + 1);
        snprintf(norm, sizeof norm, "layer%d.%d.bn%d", stage + 1, i, k + 1);
        b.conv[k] = load_conv(l, to[k], from[k], k == 1 ? 3 : 1, 1, conv, norm);
    }
    if (i == 0) {
        snprintf(conv, sizeof conv, "layer%d.0.downsample.0", stage + 1);
        snprintf(norm, sizeof norm, "layer%d.0.downsample.1", stage + 1);
        b.down = load_conv(l, planes * EXPANSION, in, 1, 1, conv, norm);
    }
    return b;
}

static void load_stages(struct clip_loader *l, struct clip_resnet *v)
{
    int in = v->width;
    for (int s = 0; s < CLIP_RESNET_STAGES && !l->status; s++) {
        int planes = v->width << s;
        v->stage[s] = arena_array(&l->m->arena, (size_t)v->layers[s], sizeof *v->stage[s]);
        if (!v->stage[s])
            l->status = error_set(l->err, ST_NOMEM, "%s: out of memory", l->src->path);
        for (int i = 0; i < v->layers[s] && !l->status; i++) {
            v->stage[s][i] = load_block(l, s, i, in, planes);
            in = planes * EXPANSION;
        }
    }
}

void clip_resnet_load(struct clip_loader *l, struct clip_resnet *v, int dim)
{
    int half = v->width / 2, side = v->size / 32;
    int64_t d = (int64_t)v->width * 32, widest = (int64_t)v->width * 16;
    const int in[] = {3, half, half}, out[] = {half, half, v->width};
    for (int i = 0; i < 3; i++) {
        char conv[16], norm[16];
        snprintf(conv, sizeof conv, "conv%d", i + 1);
        snprintf(norm, sizeof norm, "bn%d", i + 1);
        v->stem[i] = load_conv(l, out[i], in[i], 3, i ? 1 : 2, conv, norm);
    }
    load_stages(l, v);
    float *quarter = take(l, 4 * widest);
    for (int64_t i = 0; quarter && i < 4 * widest; i++)
        quarter[i] = 0.25f;
    v->quarter = tensor_view(quarter, DT_F32, 3, (int64_t[]){2, 2, widest});
    v->dim = dim;
    v->positions = clip_load_small(l, 2, (int64_t[]){1 + (int64_t)side * side, d},
                                   "visual.attnpool.positional_embedding");
    v->q = clip_load_linear(l, d, d, true, "visual.attnpool.q_proj");
    v->k = clip_load_linear(l, d, d, true, "visual.attnpool.k_proj");
    v->v = clip_load_linear(l, d, d, true, "visual.attnpool.v_proj");
    v->c = clip_load_linear(l, dim, d, true, "visual.attnpool.c_proj");
    v->c.w.use = TENSOR_WEIGHT_FINE;
}

/* Three maps of the widest step: the block's input, and two between. */
struct maps {
    float *a, *b, *c;
};

static struct tensor square(float *data, int64_t n, int64_t side, int64_t channels)
{
    return tensor_view(data, DT_F32, 4, (int64_t[]){n, side, side, channels});
}

static void run_conv(struct clip_run *r, struct tensor *y, const struct tensor *x,
                     const struct clip_resnet_conv *c, enum act act, const struct tensor *residual)
{
    struct conv_opts o = {.stride = c->stride,
                          .pad_top = 1,
                          .pad_left = 1,
                          .pad_bottom = 1,
                          .pad_right = 1,
                          .act = act};
    if (c->kernel == 1)
        op_linear(r->be, y, x, &c->w, &c->b, act, residual);
    else
        op_conv2d(r->be, y, x, &c->w, &c->b, &o);
}

/* y [B,S/2,S/2,C] = the average of each two by two. */
static void halve(struct clip_run *r, const struct clip_resnet *v, struct tensor *y,
                  const struct tensor *x)
{
    /* every element is the same, so that the first 4 C of the table serve any width */
    struct tensor w = tensor_view(v->quarter.data, DT_F32, 3, (int64_t[]){2, 2, x->dim[3]});
    op_depthwise(r->be, y, x, &w, NULL, &(struct conv_opts){.stride = 2});
}

/* *x becomes the block's output. Buffers are swapped, never copied. */
static void run_block(struct clip_run *r, const struct clip_resnet *v,
                      const struct clip_resnet_block *b, struct maps *m, struct tensor *x)
{
    int64_t n = x->dim[0], side = x->dim[1], after = side / b->stride;
    int64_t planes = b->conv[0].out, out = b->conv[2].out;
    struct tensor p = square(m->b, n, side, planes), q = square(m->c, n, side, planes);
    run_conv(r, &p, x, &b->conv[0], ACT_RELU, NULL);
    run_conv(r, &q, &p, &b->conv[1], ACT_RELU, NULL);
    struct tensor small = q;
    float *free_map = m->b;
    if (b->stride > 1) {
        small = square(m->b, n, after, planes);
        halve(r, v, &small, &q);
        free_map = m->c;
    }
    struct tensor y = square(free_map, n, after, out);
    if (!b->down.out) {
        run_conv(r, &y, &small, &b->conv[2], ACT_NONE, x);
        op_act(r->be, &y, &y, ACT_RELU);
        if (free_map == m->b)
            m->b = m->a;
        else
            m->c = m->a;
        m->a = free_map;
        *x = y;
        return;
    }
    run_conv(r, &y, &small, &b->conv[2], ACT_NONE, NULL);
    float *spare = free_map == m->b ? m->c : m->b; /* small is done with */
    struct tensor in = *x;
    if (b->stride > 1) {
        in = square(spare, n, after, x->dim[3]);
        halve(r, v, &in, x);
        spare = m->a;
    }
    struct tensor z = square(spare, n, after, out);
    run_conv(r, &z, &in, &b->down, ACT_NONE, &y);
    op_act(r->be, &z, &z, ACT_RELU);
    if (spare == m->b)
        m->b = m->a;
    else if (spare == m->c)
        m->c = m->a;
    m->a = spare;
    *x = z;
}

/* The mean goes in front, asks all places, and is what stays. */
static enum status attend(struct clip_run *r, const struct clip_resnet *v, const struct tensor *map,
                          struct tensor *y)
{
    int64_t n = map->dim[0], places = map->dim[1] * map->dim[2], d = map->dim[3];
    int64_t count = n * (places + 1);
    struct tensor table = clip_run_tensor(r, 2, (int64_t[]){n * (places + 1), d});
    struct tensor x = clip_run_tensor(r, 3, (int64_t[]){n, places + 1, d});
    struct tensor k = clip_run_tensor(r, 3, x.dim), w = clip_run_tensor(r, 3, x.dim);
    struct tensor q = clip_run_tensor(r, 3, (int64_t[]){n, 1, d});
    struct tensor z = clip_run_tensor(r, 3, (int64_t[]){n, 1, d});
    int32_t *id = clip_run_array(r, count, sizeof *id), *first = clip_run_array(r, n, sizeof *id);
    if (r->status)
        return r->status;
    float *rows = table.data;
    struct tensor flat = tensor_view(map->data, DT_F32, 3, (int64_t[]){n, places, d});
    struct tensor means = tensor_view(rows, DT_F32, 2, (int64_t[]){n, d});
    struct tensor rest = tensor_view(rows + n * d, DT_F32, 3, (int64_t[]){n, places, d});
    struct tensor ids = tensor_view(id, DT_I32, 1, &count);
    struct tensor firsts = tensor_view(first, DT_I32, 1, &n);
    for (int64_t i = 0; i < n; i++) {
        first[i] = (int32_t)(i * (places + 1));
        *id++ = (int32_t)i;
        for (int64_t j = 0; j < places; j++)
            *id++ = (int32_t)(n + i * places + j);
    }
    op_mean_tokens(r->be, &means, &flat, NULL);
    op_convert(r->be, &rest, &flat);
    op_embedding(r->be, &x, &table, &ids);
    op_add(r->be, &x, &x, &v->positions);
    clip_gather_run(r, &z, &x, &firsts);
    clip_linear_run(r, &q, &z, &v->q, ACT_NONE, NULL);
    clip_linear_run(r, &k, &x, &v->k, ACT_NONE, NULL);
    clip_linear_run(r, &w, &x, &v->v, ACT_NONE, NULL);
    op_attention(r->be, &z, &q, &k, &w, &(struct attn_opts){.heads = v->heads});
    struct tensor pooled = tensor_view(z.data, DT_F32, 2, (int64_t[]){n, d});
    clip_run_trace(r, "pooled", -1, &pooled);
    clip_linear_run(r, y, &pooled, &v->c, ACT_NONE, NULL);
    return ST_OK;
}

enum status clip_resnet_run(struct clip_run *r, const struct clip_resnet *v, const struct tensor *x,
                            struct tensor *y)
{
    int64_t n = x->dim[0], side = v->size / 2, half = v->width / 2;
    /* the first stage's output, a quarter of the side and 4 widths wide, is the largest map along
     * with the stem's */
    int64_t most = side * side * v->width;
    int64_t later = (side / 2) * (side / 2) * EXPANSION * v->width;
    most = n * (later > most ? later : most);
    struct maps m = {clip_run_array(r, most, sizeof(float)), clip_run_array(r, most, sizeof(float)),
                     clip_run_array(r, most, sizeof(float))};
    if (r->status)
        return r->status;
    struct tensor a = square(m.a, n, side, half), b = square(m.b, n, side, half);
    struct tensor c = square(m.c, n, side, v->width), now = square(m.a, n, side / 2, v->width);
    run_conv(r, &a, x, &v->stem[0], ACT_RELU, NULL);
    run_conv(r, &b, &a, &v->stem[1], ACT_RELU, NULL);
    run_conv(r, &c, &b, &v->stem[2], ACT_RELU, NULL);
    halve(r, v, &now, &c);
    clip_run_trace(r, "embed", -1, &now);
    for (int s = 0; s < CLIP_RESNET_STAGES; s++) {
        for (int i = 0; i < v->layers[s]; i++)
            run_block(r, v, &v->stage[s][i], &m, &now);
        clip_run_trace(r, "block", s, &now);
    }
    return attend(r, v, &now, y);
}
