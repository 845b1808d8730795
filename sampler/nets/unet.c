/* The UNet: what the file holds, and one run of it. On the way up a block's input is the last
 * output joined with the one that the way down left at that point, last in, first out. */
#include "sampler/nets/unet.h"
#include "core/mem.h"
#include <math.h>
#include <string.h>

struct walk { /* while loading */
    struct net_loader *l;
    struct net_unet *u;
    const struct net_unet_config *c;
    int64_t skip[NET_MAX_LEVELS * (NET_MAX_BLOCKS + 1) + 1]; /* channels left on the way down */
    int skips;
    int64_t width; /* of the last output */
};

/* LDM numbers all blocks in one row: the first that only shrinks tells how many a level has. */
static int ldm_per_level(const struct net_loader *l)
{
    char name[NET_NAME_MAX];
    for (int n = 1; n <= NET_MAX_BLOCKS + 1; n++) {
        clip_source_name(&l->src, name, sizeof name, "input_blocks.%d.0.in_layers.0.weight", n);
        if (!weights_find(l->src.weights, name))
            return n - 1;
    }
    return NET_MAX_BLOCKS;
}

static int count_blocks(struct net_loader *l, const char *level)
{
    int n = 0;
    while (n <= NET_MAX_BLOCKS && net_load_has(l, "%s.resnets.%d.norm1", level, n))
        n++;
    if (n > NET_MAX_BLOCKS)
        net_load_fail(l, "%s has more than %d blocks", level, NET_MAX_BLOCKS);
    return n;
}

static int heads_of(const struct walk *w, int level, int64_t width, const char *stem)
{
    if (w->c->heads[level])
        return w->c->heads[level];
    char name[NET_NAME_MAX], full[NET_NAME_MAX + 80];
    snprintf(full, sizeof full, "%s.proj_in", stem);
    if (!net_name(&w->l->names, name, full))
        return 8;
    clip_source_name(&w->l->src, full, sizeof full, "%s.weight", name);
    const struct tensor *t = weights_find(w->l->src.weights, full);
    return t && t->ndim == 2 && width >= 64 ? (int)(width / 64) : 8;
}

static void load_attention(struct walk *w, struct net_transformer *t, int level, const char *stem)
{
    if (!net_load_has(w->l, "%s.norm", stem))
        return;
    net_transformer_load(w->l, t, w->width, heads_of(w, level, w->width, stem), &w->u->context,
                         stem);
}

static void check_groups(struct walk *w, int64_t width)
{
    if (!w->l->l.status && width % w->u->norm.groups != 0)
        net_load_fail(w->l, "a width of %d is not a multiple of %d norm groups", (int)width,
                      w->u->norm.groups);
}

static void push(struct walk *w)
{
    w->skip[w->skips++] = w->width;
}

static void load_stage(struct walk *w, struct net_stage *s, int level, const char *stem, int block,
                       int64_t in)
{
    char attn[NET_NAME_MAX];
    check_groups(w, in);
    s->res = net_load_resnet(w->l, in, w->u->time_width, "%s.resnets.%d", stem, block);
    w->width = s->res.out;
    check_groups(w, w->width);
    snprintf(attn, sizeof attn, "%s.attentions.%d", stem, block);
    load_attention(w, &s->attn, level, attn);
}

static void load_down(struct walk *w, int level)
{
    char stem[64];
    struct net_level *v = &w->u->down[level];
    snprintf(stem, sizeof stem, "down_blocks.%d", level);
    v->blocks = w->l->names.ldm ? w->l->names.per_level : count_blocks(w->l, stem);
    v->block = net_load_array(w->l, (size_t)v->blocks, sizeof *v->block);
    for (int i = 0; i < v->blocks && !w->l->l.status; i++) {
        load_stage(w, &v->block[i], level, stem, i, w->width);
        push(w);
    }
    if (!net_load_has(w->l, "%s.downsamplers.0.conv", stem))
        return;
    v->resample = net_load_conv(w->l, w->width, w->width, 3, "%s.downsamplers.0.conv", stem);
    push(w);
}

static void load_up(struct walk *w, int i)
{
    char stem[64];
    int level = w->u->levels - 1 - i;
    struct net_level *v = &w->u->up[i];
    snprintf(stem, sizeof stem, "up_blocks.%d", i);
    v->blocks = w->l->names.ldm ? w->l->names.per_level + 1 : count_blocks(w->l, stem);
    v->block = net_load_array(w->l, (size_t)v->blocks, sizeof *v->block);
    /* each takes one of what its level left on the way down, and the last what led there */
    if (v->blocks != w->u->down[level].blocks + 1)
        net_load_fail(w->l, "%s has %d blocks where %d must be", stem, v->blocks,
                      w->u->down[level].blocks + 1);
    for (int k = 0; k < v->blocks && !w->l->l.status; k++)
        load_stage(w, &v->block[k], level, stem, k, w->width + w->skip[--w->skips]);
    if (w->l->l.status || level == 0)
        return;
    w->l->names.up_slot = v->blocks > 0 && v->block[v->blocks - 1].attn.depth ? 2 : 1;
    v->resample = net_load_conv(w->l, w->width, w->width, 3, "%s.upsamplers.0.conv", stem);
}

static void load_mid(struct walk *w)
{
    int last = w->u->levels - 1;
    w->u->mid1 = net_load_resnet(w->l, w->width, w->u->time_width, "mid_block.resnets.0");
    load_attention(w, &w->u->mid_attn, last, "mid_block.attentions.0");
    w->u->mid2 = net_load_resnet(w->l, w->width, w->u->time_width, "mid_block.resnets.1");
    if (!w->l->l.status && (w->u->mid1.out != w->width || w->u->mid2.out != w->width))
        net_load_fail(w->l, "the middle block changes its width");
}

static bool has_level(const struct net_loader *l, int level)
{
    return net_load_has(l, "down_blocks.%d.resnets.0.norm1", level);
}

static void load_ends(struct walk *w)
{
    struct net_unet *u = w->u;
    u->width = net_load_dim(w->l, 0, "conv_in");
    u->in = (int)net_load_dim(w->l, 1, "conv_in");
    u->out = (int)net_load_dim(w->l, 0, "conv_out");
    u->time_width = net_load_dim(w->l, 0, "time_embedding.linear_1");
    u->conv_in = net_load_conv(w->l, u->width, u->in, 3, "conv_in");
    u->time1 = net_load_linear(w->l, u->time_width, u->width, true, "time_embedding.linear_1");
    u->time2 = net_load_linear(w->l, u->time_width, u->time_width, true, "time_embedding.linear_2");
    w->width = u->width;
    if (!w->l->l.status && u->width % 2)
        net_load_fail(w->l, "a width of %d is odd", (int)u->width);
}

enum status net_unet_load(struct net_unet *u, struct net_loader *l, const struct net_unet_config *c)
{
    struct walk w = {.l = l, .u = u, .c = c};
    memset(u, 0, sizeof *u);
    u->norm.groups = c->norm.groups ? c->norm.groups : 32;
    u->norm.eps = c->norm.eps > 0 ? c->norm.eps : 1e-5f;
    l->names.per_level = ldm_per_level(l);
    load_ends(&w);
    push(&w);
    while (u->levels < NET_MAX_LEVELS && !l->l.status && has_level(l, u->levels))
        load_down(&w, u->levels++);
    if (u->levels == 0)
        net_load_fail(l, "the unet has no blocks");
    for (int i = 0; i + 1 < u->levels && !l->l.status; i++)
        if (!u->down[i].resample.w.data)
            net_load_fail(l, "level %d does not lead to the next", i);
    if (l->l.status)
        return l->l.status;
    load_mid(&w);
    for (int i = 0; i < u->levels && !l->l.status; i++)
        load_up(&w, i);
    if (!l->l.status && w.skips != 0)
        net_load_fail(l, "the last level leads to another, which is missing");
    if (!l->l.status && !u->context)
        net_load_fail(l, "the unet attends to no prompt");
    check_groups(&w, w.width);
    u->norm_out = net_load_norm(l, w.width, "conv_norm_out");
    u->conv_out = net_load_conv(l, u->out, w.width, 3, "conv_out");
    return l->l.status;
}

/* [cos, sin] of t / 10000^(i / half), in floats as torch has it. */
static void embed_time(float *y, float t, int64_t width)
{
    int64_t half = width / 2;
    for (int64_t i = 0; i < half; i++) {
        float f = expf(-logf(10000.0f) * (float)i / (float)half) * t;
        y[i] = cosf(f);
        y[half + i] = sinf(f);
    }
}

void net_unet_embed(const struct net_unet *u, struct tensor *y, const float *times)
{
    for (int64_t i = 0; i < y->dim[0]; i++)
        embed_time((float *)y->data + i * u->width, times[i], u->width);
}

/* y [B, time width] = silu(linear_2(silu(linear_1(embedding)))). */
static enum status time_run(struct clip_run *r, const struct net_unet *u, struct tensor *y,
                            const struct tensor *x)
{
    struct tensor h = clip_run_tensor(r, 2, y->dim);
    if (r->status)
        return r->status;
    clip_linear_run(r, &h, x, &u->time1, ACT_SILU, NULL);
    clip_linear_run(r, y, &h, &u->time2, ACT_SILU, NULL); /* every user wants it behind a SiLU */
    return ST_OK;
}

struct pass { /* one run */
    struct clip_run *r;
    const struct net_unet *u;
    const struct tensor *context;
    const int32_t *keys;
    struct tensor time;
    struct tensor skip[NET_MAX_LEVELS * (NET_MAX_BLOCKS + 1) + 1];
    int skips;
    struct tensor h;
};

/* A picture like p->h with other sides and width, for good: it lies below all later scratch. */
static struct tensor like(struct pass *p, int64_t h, int64_t w, int64_t c)
{
    return clip_run_tensor(p->r, 4, (int64_t[]){p->h.dim[0], h, w, c});
}

static void stage_run(struct pass *p, const struct net_stage *s, const struct tensor *x)
{
    struct tensor y = like(p, x->dim[1], x->dim[2], s->res.out);
    if (p->r->status || net_resnet_run(p->r, &s->res, &y, x, &p->time, &p->u->norm))
        return;
    if (s->attn.depth)
        net_transformer_run(p->r, &s->attn, &y, p->context, p->keys, p->u->norm.groups);
    p->h = y;
}

static void down_run(struct pass *p, int level)
{
    const struct net_level *v = &p->u->down[level];
    for (int i = 0; i < v->blocks && !p->r->status; i++) {
        stage_run(p, &v->block[i], &p->h);
        p->skip[p->skips++] = p->h;
    }
    if (v->resample.w.data) {
        struct tensor y = like(p, (p->h.dim[1] + 1) / 2, (p->h.dim[2] + 1) / 2, p->h.dim[3]);
        if (p->r->status)
            return;
        op_conv2d(p->r->be, &y, &p->h, &v->resample.w, &v->resample.b,
                  &(struct conv_opts){2, 1, 1, 1, 1, ACT_NONE, p->r->circular});
        p->skip[p->skips++] = p->h = y;
    }
    clip_run_trace(p->r, "down", level, &p->h);
}

static void up_run(struct pass *p, int level)
{
    const struct net_level *v = &p->u->up[level];
    for (int i = 0; i < v->blocks && !p->r->status; i++) {
        const struct tensor *s = &p->skip[--p->skips];
        struct tensor x = like(p, s->dim[1], s->dim[2], p->h.dim[3] + s->dim[3]);
        if (p->r->status)
            return;
        op_concat(p->r->be, &x, &p->h, s);
        stage_run(p, &v->block[i], &x);
    }
    if (v->resample.w.data && !p->r->status) {
        const struct tensor *s = &p->skip[p->skips - 1]; /* odd sides: as the way down had them */
        struct tensor y = like(p, s->dim[1], s->dim[2], p->h.dim[3]);
        struct tensor x = tensor_factor(like(p, s->dim[1], s->dim[2], p->h.dim[3]));
        if (p->r->status)
            return;
        op_upsample2x(p->r->be, &x, &p->h);
        net_conv_run(p->r, &y, &x, &v->resample);
        p->h = y;
    }
    clip_run_trace(p->r, "up", level, &p->h);
}

static void mid_run(struct pass *p)
{
    struct net_stage first = {p->u->mid1, p->u->mid_attn}, second = {.res = p->u->mid2};
    stage_run(p, &first, &p->h);
    if (!p->r->status)
        stage_run(p, &second, &p->h);
    clip_run_trace(p->r, "mid", -1, &p->h);
}

enum status net_unet_run(struct clip_run *r, const struct net_unet *u, struct tensor *y,
                         const struct tensor *x, const float *times, const struct tensor *context,
                         const int32_t *keys)
{
    size_t mark = arena_mark(r->arena);
    struct tensor at = clip_run_tensor(r, 2, (int64_t[]){x->dim[0], u->width});
    if (r->status)
        return r->status;
    net_unet_embed(u, &at, times);
    backend_upload(r->be, &at);
    enum status st = net_unet_step(r, u, y, x, &at, context, keys);
    if (!st)
        arena_rewind(r->arena, mark);
    return st;
}

enum status net_unet_step(struct clip_run *r, const struct net_unet *u, struct tensor *y,
                          const struct tensor *x, const struct tensor *times,
                          const struct tensor *context, const int32_t *keys)
{
    struct pass p = {.r = r, .u = u, .context = context, .keys = keys};
    size_t mark = arena_mark(r->arena);
    p.time = clip_run_tensor(r, 2, (int64_t[]){x->dim[0], u->time_width});
    p.h = clip_run_tensor(r, 4, (int64_t[]){x->dim[0], x->dim[1], x->dim[2], u->width});
    if (r->status || time_run(r, u, &p.time, times))
        return r->status;
    net_conv_run(r, &p.h, x, &u->conv_in);
    clip_run_trace(r, "conv_in", -1, &p.h);
    p.skip[p.skips++] = p.h;
    for (int i = 0; i < u->levels && !r->status; i++)
        down_run(&p, i);
    if (!r->status)
        mid_run(&p);
    for (int i = 0; i < u->levels && !r->status; i++)
        up_run(&p, i);
    struct tensor n = tensor_factor(like(&p, p.h.dim[1], p.h.dim[2], p.h.dim[3]));
    if (r->status)
        return r->status;
    net_norm_run(r, &n, &p.h, NULL, &u->norm_out, &u->norm, ACT_SILU);
    net_conv_run(r, y, &n, &u->conv_out);
    clip_run_trace(r, "out", -1, y);
    arena_rewind(r->arena, mark);
    return ST_OK;
}
