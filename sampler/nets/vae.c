/* The autoencoder. Its pictures are large (268 MB at 512 x 512 and 256 channels), so that a run
 * holds two of them, which take turns, and what one block needs beside. */
#include "sampler/nets/vae.h"
#include "core/mem.h"
#include <string.h>

/* Before 0.18 diffusers called the projections query, key, value and proj_attn. */
static void load_attention(struct net_loader *l, struct net_vae_attention *a, int64_t c,
                           const char *stem)
{
    static const char *const names[2][4] = {{"to_q", "to_k", "to_v", "to_out.0"},
                                            {"query", "key", "value", "proj_attn"}};
    const char *const *n = names[net_load_has(l, "%s.query", stem)];
    a->norm = net_load_norm(l, c, "%s.group_norm", stem);
    a->q = net_load_linear(l, c, c, true, "%s.%s", stem, n[0]);
    a->k = net_load_linear(l, c, c, true, "%s.%s", stem, n[1]);
    a->v = net_load_linear(l, c, c, true, "%s.%s", stem, n[2]);
    a->o = net_load_linear(l, c, c, true, "%s.%s", stem, n[3]);
}

static int64_t load_mid(struct net_loader *l, struct net_vae_half *h, int64_t c, const char *half)
{
    char stem[64];
    snprintf(stem, sizeof stem, "%s.mid_block.attentions.0", half);
    h->mid1 = net_load_resnet(l, c, 0, "%s.mid_block.resnets.0", half);
    load_attention(l, &h->attn, c, stem);
    h->mid2 = net_load_resnet(l, c, 0, "%s.mid_block.resnets.1", half);
    if (!l->l.status && (h->mid1.out != c || h->mid2.out != c))
        net_load_fail(l, "the autoencoder's middle block changes its width");
    return c;
}

static int count_blocks(struct net_loader *l, const char *level)
{
    int n = 0;
    while (n <= NET_MAX_BLOCKS && net_load_has(l, "%s.resnets.%d.norm1", level, n))
        n++;
    if (n == 0 || n > NET_MAX_BLOCKS)
        net_load_fail(l, "%s has %d blocks", level, n);
    return n;
}

/* Returns the channels behind the level. */
static int64_t load_level(struct net_loader *l, const struct net_vae *v, struct net_vae_level *y,
                          int64_t c, const char *stem, const char *resample, bool last)
{
    y->blocks = count_blocks(l, stem);
    y->block = net_load_array(l, (size_t)y->blocks, sizeof *y->block);
    for (int i = 0; i < y->blocks && !l->l.status; i++) {
        if (c % v->norm.groups != 0)
            net_load_fail(l, "a width of %d is not a multiple of %d norm groups", (int)c,
                          v->norm.groups);
        y->block[i] = net_load_resnet(l, c, 0, "%s.resnets.%d", stem, i);
        c = y->block[i].out;
    }
    if (!last)
        y->resample = net_load_conv(l, c, c, 3, "%s.%s.0.conv", stem, resample);
    return c;
}

static void load_end(struct net_loader *l, const struct net_vae *v, struct net_vae_half *h,
                     int64_t out, int64_t c, const char *half)
{
    if (!l->l.status && c % v->norm.groups != 0)
        net_load_fail(l, "a width of %d is not a multiple of %d norm groups", (int)c,
                      v->norm.groups);
    h->norm_out = net_load_norm(l, c, "%s.conv_norm_out", half);
    h->conv_out = net_load_conv(l, out, c, 3, "%s.conv_out", half);
    h->there = !l->l.status;
}

static void load_encoder(struct net_loader *l, struct net_vae *v)
{
    struct net_vae_half *h = &v->encoder;
    char stem[64];
    int64_t c = net_load_dim(l, 0, "encoder.conv_in");
    h->conv_in = net_load_conv(l, c, 3, 3, "encoder.conv_in");
    for (int i = 0; i < v->levels && !l->l.status; i++) {
        snprintf(stem, sizeof stem, "encoder.down_blocks.%d", i);
        c = load_level(l, v, &h->level[i], c, stem, "downsamplers", i == v->levels - 1);
    }
    if (!l->l.status)
        load_mid(l, h, c, "encoder");
    if (!l->l.status)
        load_end(l, v, h, 2 * (int64_t)v->latent, c, "encoder");
    if (net_load_has(l, "quant_conv"))
        v->quant = net_load_linear(l, 2 * v->latent, 2 * v->latent, true, "quant_conv");
}

static void load_decoder(struct net_loader *l, struct net_vae *v)
{
    struct net_vae_half *h = &v->decoder;
    char stem[64];
    int64_t c = net_load_dim(l, 0, "decoder.conv_in");
    h->conv_in = net_load_conv(l, c, v->latent, 3, "decoder.conv_in");
    if (net_load_has(l, "post_quant_conv"))
        v->post_quant = net_load_linear(l, v->latent, v->latent, true, "post_quant_conv");
    if (!l->l.status)
        load_mid(l, h, c, "decoder");
    for (int i = 0; i < v->levels && !l->l.status; i++) {
        snprintf(stem, sizeof stem, "decoder.up_blocks.%d", i);
        c = load_level(l, v, &h->level[i], c, stem, "upsamplers", i == v->levels - 1);
    }
    if (!l->l.status)
        load_end(l, v, h, 3, c, "decoder");
}

static int count_levels(struct net_loader *l)
{
    int n = 0;
    l->names.levels = 1; /* LDM's decoder counts downwards: with one level more each, 0 is first */
    while (n < NET_MAX_LEVELS &&
           net_load_has(l, "decoder.up_blocks.%d.resnets.0.norm1", l->names.ldm ? 0 : n)) {
        n++;
        l->names.levels = n + 1;
    }
    return n;
}

enum status net_vae_load(struct net_vae *v, struct net_loader *l, const struct net_vae_config *c)
{
    memset(v, 0, sizeof *v);
    l->wide = true; /* of fine-tuned ones in f16 it is known that values grow beyond it */
    v->norm = (struct net_norm_opts){.groups = c->groups ? c->groups : 32, .eps = 1e-6f};
    v->latent = (int)net_load_dim(l, 1, "decoder.conv_in");
    v->levels = l->names.levels = count_levels(l);
    if (!l->l.status && v->levels == 0)
        net_load_fail(l, "the autoencoder has no levels");
    v->shrink = v->levels > 0 ? 1 << (v->levels - 1) : 1;
    if (!l->l.status)
        load_decoder(l, v);
    if (!l->l.status && net_load_has(l, "encoder.conv_in"))
        load_encoder(l, v);
    return l->l.status;
}

/* The picture of the moment and the memory of the next. */
struct turns {
    struct clip_run *r;
    const struct net_vae *v;
    struct tensor x;
    float *other;
};

static bool turns_take(struct turns *t, struct clip_run *r, const struct net_vae *v, int64_t most)
{
    float *p = clip_run_array(r, most, sizeof *p);
    *t = (struct turns){.r = r, .v = v, .x.data = p, .other = clip_run_array(r, most, sizeof *p)};
    return !r->status;
}

static struct tensor next_picture(const struct turns *t, int64_t h, int64_t w, int64_t c)
{
    return tensor_view(t->other, DT_F32, 4, (int64_t[]){t->x.dim[0], h, w, c});
}

static void turn_to(struct turns *t, const struct tensor *y)
{
    if (y->data == t->other)
        t->other = t->x.data;
    t->x = *y;
}

static void resnet_turn(struct turns *t, const struct net_resnet *b)
{
    struct tensor y = t->x;
    if (t->r->status)
        return;
    if (b->in != b->out)
        y = next_picture(t, t->x.dim[1], t->x.dim[2], b->out);
    if (!net_resnet_run(t->r, b, &y, &t->x, NULL, &t->v->norm))
        turn_to(t, &y);
}

static void attention_turn(struct turns *t, const struct net_vae_attention *a)
{
    struct clip_run *r = t->r;
    size_t mark = arena_mark(r->arena);
    int64_t dims[3] = {t->x.dim[0], t->x.dim[1] * t->x.dim[2], t->x.dim[3]};
    struct tensor x = tensor_view(t->x.data, DT_F32, 3, dims);
    struct tensor n = clip_run_tensor(r, 3, dims), q = clip_run_tensor(r, 3, dims);
    struct tensor k = clip_run_tensor(r, 3, dims), v = clip_run_tensor(r, 3, dims);
    if (r->status)
        return;
    n = tensor_factor(n), q = tensor_factor(q), k = tensor_factor(k), v = tensor_factor(v);
    net_norm_run(r, &n, &x, NULL, &a->norm, &t->v->norm, ACT_NONE);
    clip_linear_run(r, &q, &n, &a->q, ACT_NONE, NULL);
    clip_linear_run(r, &k, &n, &a->k, ACT_NONE, NULL);
    clip_linear_run(r, &v, &n, &a->v, ACT_NONE, NULL);
    op_attention(r->be, &n, &q, &k, &v, &(struct attn_opts){.heads = 1});
    clip_linear_run(r, &x, &n, &a->o, ACT_NONE, &x);
    arena_rewind(r->arena, mark);
}

static void mid_turn(struct turns *t, const struct net_vae_half *h)
{
    resnet_turn(t, &h->mid1);
    if (!t->r->status)
        attention_turn(t, &h->attn);
    resnet_turn(t, &h->mid2);
    if (!t->r->status)
        clip_run_trace(t->r, "mid", -1, &t->x);
}

static void conv_turn(struct turns *t, const struct net_conv *c, const struct conv_opts *o,
                      int64_t h, int64_t w)
{
    struct tensor y = next_picture(t, h, w, c->w.dim[0]);
    if (t->r->status)
        return;
    op_conv2d(t->r->be, &y, &t->x, &c->w, &c->b, o);
    turn_to(t, &y);
}

static void enlarge_turn(struct turns *t, const struct net_conv *c)
{
    struct tensor y = next_picture(t, 2 * t->x.dim[1], 2 * t->x.dim[2], t->x.dim[3]);
    if (t->r->status)
        return;
    y = tensor_factor(y);
    op_upsample2x(t->r->be, &y, &t->x);
    turn_to(t, &y);
    conv_turn(t, c, &(struct conv_opts){1, 1, 1, 1, 1, ACT_NONE, t->r->circular}, y.dim[1],
              y.dim[2]);
}

static void end_turn(struct turns *t, const struct net_vae_half *h, struct tensor *y)
{
    if (t->r->status)
        return;
    struct tensor x = tensor_factor(t->x);
    net_norm_run(t->r, &x, &t->x, NULL, &h->norm_out, &t->v->norm, ACT_SILU);
    net_conv_run(t->r, y, &x, &h->conv_out);
}

/* Floats of the largest picture on the way through the levels. */
static int64_t largest(const struct net_vae *v, const struct net_vae_half *h, int64_t pixels,
                       bool down)
{
    int64_t most = pixels * h->conv_in.w.dim[0];
    for (int i = 0; i < v->levels; i++) {
        const struct net_vae_level *y = &h->level[i];
        for (int k = 0; k < y->blocks; k++)
            if (pixels * y->block[k].out > most)
                most = pixels * y->block[k].out;
        if (i == v->levels - 1)
            break;
        pixels = down ? pixels / 4 : pixels * 4;
        if (pixels * y->block[y->blocks - 1].out > most)
            most = pixels * y->block[y->blocks - 1].out;
    }
    return most;
}

static enum status tiny_decode(struct clip_run *r, const struct net_vae *v, struct tensor *y,
                               const struct tensor *z)
{
    size_t mark = arena_mark(r->arena);
    struct tensor x = clip_run_tensor(r, 4, z->dim);
    if (!r->status) {
        op_scale(r->be, &x, z, v->tiny_scale);
        net_tiny_decode(r, v->tiny_decoder, y, &x);
    }
    if (!r->status)
        arena_rewind(r->arena, mark);
    return r->status;
}

static enum status tiny_encode(struct clip_run *r, const struct net_vae *v, struct tensor *moments,
                               const struct tensor *x)
{
    size_t mark = arena_mark(r->arena);
    int64_t dims[4] = {moments->dim[0], moments->dim[1], moments->dim[2], v->latent};
    struct tensor mean = clip_run_tensor(r, 4, dims), logvar = clip_run_tensor(r, 4, dims);
    if (r->status || net_tiny_encode(r, v->tiny_encoder, &mean, x))
        return r->status;
    for (int64_t i = 0; i < tensor_count(&logvar); i++)
        ((float *)logvar.data)[i] = -30;
    backend_upload(r->be, &logvar);
    op_scale(r->be, &mean, &mean, 1 / v->tiny_scale);
    op_concat(r->be, moments, &mean, &logvar);
    arena_rewind(r->arena, mark);
    return ST_OK;
}

enum status net_vae_decode(struct clip_run *r, const struct net_vae *v, struct tensor *y,
                           const struct tensor *z)
{
    if (v->tiny_decoder)
        return tiny_decode(r, v, y, z);
    const struct net_vae_half *h = &v->decoder;
    size_t mark = arena_mark(r->arena);
    struct turns t;
    struct tensor x = clip_run_tensor(r, 4, z->dim);
    if (r->status || !turns_take(&t, r, v, largest(v, h, z->dim[0] * z->dim[1] * z->dim[2], false)))
        return r->status;
    if (v->post_quant.w.data)
        clip_linear_run(r, &x, z, &v->post_quant, ACT_NONE, NULL);
    else
        x = *z;
    t.x = tensor_view(t.x.data, DT_F32, 4,
                      (int64_t[]){z->dim[0], z->dim[1], z->dim[2], h->conv_in.w.dim[0]});
    net_conv_run(r, &t.x, &x, &h->conv_in);
    mid_turn(&t, h);
    for (int i = 0; i < v->levels && !r->status; i++) {
        for (int k = 0; k < h->level[i].blocks; k++)
            resnet_turn(&t, &h->level[i].block[k]);
        if (h->level[i].resample.w.data)
            enlarge_turn(&t, &h->level[i].resample);
        if (!r->status)
            clip_run_trace(r, "up", i, &t.x);
    }
    end_turn(&t, h, y);
    if (r->status)
        return r->status;
    clip_run_trace(r, "out", -1, y);
    arena_rewind(r->arena, mark);
    return ST_OK;
}

enum status net_vae_encode(struct clip_run *r, const struct net_vae *v, struct tensor *moments,
                           const struct tensor *x)
{
    if (v->tiny_encoder)
        return tiny_encode(r, v, moments, x);
    const struct net_vae_half *h = &v->encoder;
    size_t mark = arena_mark(r->arena);
    struct turns t;
    struct tensor raw = clip_run_tensor(r, 4, moments->dim);
    if (r->status || !turns_take(&t, r, v, largest(v, h, x->dim[0] * x->dim[1] * x->dim[2], true)))
        return r->status;
    t.x = tensor_view(t.x.data, DT_F32, 4,
                      (int64_t[]){x->dim[0], x->dim[1], x->dim[2], h->conv_in.w.dim[0]});
    net_conv_run(r, &t.x, x, &h->conv_in);
    for (int i = 0; i < v->levels && !r->status; i++) {
        for (int k = 0; k < h->level[i].blocks; k++)
            resnet_turn(&t, &h->level[i].block[k]);
        /* a row below and a column to the right, none above and to the left; zeros also where all
         * else wraps round, since in torch this padding is no convolution's */
        if (h->level[i].resample.w.data)
            conv_turn(&t, &h->level[i].resample,
                      &(struct conv_opts){2, 0, 0, 1, 1, ACT_NONE, false}, t.x.dim[1] / 2,
                      t.x.dim[2] / 2);
        if (!r->status)
            clip_run_trace(r, "down", i, &t.x);
    }
    mid_turn(&t, h);
    if (r->status)
        return r->status;
    end_turn(&t, h, v->quant.w.data ? &raw : moments);
    if (v->quant.w.data)
        clip_linear_run(r, moments, &raw, &v->quant, ACT_NONE, NULL);
    clip_run_trace(r, "out", -1, moments);
    arena_rewind(r->arena, mark);
    return ST_OK;
}
