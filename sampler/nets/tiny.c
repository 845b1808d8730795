/* TAESD. diffusers' numbers begin at the first convolution, those of the original decoder behind
 * its clamp, at 1. */
#include "sampler/nets/tiny.h"
#include "core/mem.h"
#include <string.h>

enum { POOL_GROUPS = 4 };

static bool has(const struct weights *w, const char *prefix, int i, const char *part)
{
    char name[NET_NAME_MAX];
    snprintf(name, sizeof name, "%s%d%s", prefix, i, part);
    return weights_find(w, name) != NULL;
}

/* Where the half's names begin: its prefix and first number. */
static const char *find_half(const struct weights *w, bool decoder, int *first)
{
    static const struct {
        const char *prefix;
        bool decoder;
        int first;
    } halves[] = {{"decoder.layers.", true, 0},  {"taesd_decoder.", true, 1},
                  {"decoder.", true, 1},         {"", true, 1},
                  {"encoder.layers.", false, 0}, {"taesd_encoder.", false, 0},
                  {"encoder.", false, 0},        {"", false, 0}};
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++)
        if (halves[i].decoder == decoder && has(w, halves[i].prefix, halves[i].first, ".weight") &&
            has(w, halves[i].prefix, halves[i].first + (decoder ? 2 : 1), ".conv.0.weight")) {
            *first = halves[i].first;
            return halves[i].prefix;
        }
    return NULL;
}

struct loading {
    struct net_loader l;
    struct net_tiny *t;
    int64_t width; /* of the last output */
};

static struct net_conv load_conv(struct loading *s, int64_t in, const char *stem, bool bias)
{
    int64_t out = net_load_dim(&s->l, 0, "%s", stem), k = net_load_dim(&s->l, 2, "%s", stem);
    if (!s->l.l.status && k != 3 && k != 1)
        net_load_fail(&s->l, "%s%s is a kernel of %d, not of 3", s->l.src.prefix, stem, (int)k);
    struct net_conv c = bias ? net_load_conv(&s->l, out, in, k, "%s", stem)
                             : net_load_kernel(&s->l, out, in, k, "%s", stem);
    s->width = out;
    if (out > s->t->width)
        s->t->width = out;
    return c;
}

static void load_pool(struct loading *s, struct net_tiny_stage *y, int i, int64_t in)
{
    char stem[32];
    snprintf(stem, sizeof stem, "%d.pool.0", i);
    y->pool[0] = load_conv(s, in, stem, false);
    if (!s->l.l.status && s->width % POOL_GROUPS)
        net_load_fail(&s->l, "%s%s gives %d channels, no multiple of %d", s->l.src.prefix, stem,
                      (int)s->width, (int)POOL_GROUPS);
    y->pool_norm = net_load_norm(&s->l, s->width, "%d.pool.1", i);
    snprintf(stem, sizeof stem, "%d.pool.3", i);
    y->pool[1] = load_conv(s, s->width, stem, false);
    if (!s->l.l.status && s->width != in)
        net_load_fail(&s->l, "%s%s gives %d channels for %d", s->l.src.prefix, stem, (int)s->width,
                      (int)in);
}

static void load_block(struct loading *s, struct net_tiny_stage *y, int i)
{
    char stem[32];
    int64_t in = s->width, out;
    for (int k = 0; k < 3; k++) {
        snprintf(stem, sizeof stem, "%d.conv.%d", i, 2 * k);
        y->conv[k] = load_conv(s, s->width, stem, true);
    }
    out = s->width;
    snprintf(stem, sizeof stem, "%d.skip", i);
    if (!s->l.l.status && in != out)
        y->skip = load_conv(s, in, stem, false);
    if (!s->l.l.status && net_load_has(&s->l, "%d.pool.0", i))
        load_pool(s, y, i, in);
    s->width = out;
}

static void load_stages(struct loading *s, bool decoder, int first)
{
    struct net_tiny *t = s->t;
    struct weights *w = s->l.src.weights;
    const char *prefix = s->l.src.prefix;
    char stem[32];
    for (int i = first, end = 0; !s->l.l.status && !end && t->stages < NET_TINY_MAX; i++) {
        struct net_tiny_stage *y = &t->stage[t->stages++];
        bool bias = has(w, prefix, i, ".bias");
        *y = (struct net_tiny_stage){.kind = NET_TINY_CONV};
        snprintf(stem, sizeof stem, "%d", i);
        if (has(w, prefix, i, ".conv.0.weight")) {
            y->kind = NET_TINY_BLOCK;
            load_block(s, y, i);
        } else if (has(w, prefix, i, ".weight")) {
            if (!decoder && !bias)
                y->kind = NET_TINY_DOWN;
            y->conv[0] = load_conv(s, s->width, stem, bias);
            if (y->kind == NET_TINY_DOWN)
                t->shrink *= 2;
            end = i > first && bias;
        } else if (decoder && i == first + 1) {
            t->stages--; /* the ReLU behind the first convolution */
        } else if (decoder && has(w, prefix, i + 1, ".weight")) {
            y->kind = NET_TINY_UP;
            t->shrink *= 2;
        } else {
            net_load_fail(&s->l, "the tiny autoencoder ends at %s%d without a last convolution",
                          prefix, i);
        }
        if (t->shrink > 1 << NET_MAX_LEVELS)
            net_load_fail(&s->l, "the tiny autoencoder has too many levels");
    }
}

enum status net_tiny_load(struct net_tiny *t, struct clip_model *m, struct weights *w, bool decoder,
                          struct error *err)
{
    struct loading s = {.t = t};
    int first = 0;
    const char *prefix = find_half(w, decoder, &first);
    *t = (struct net_tiny){.shrink = 1};
    if (!prefix)
        return error_set(err, ST_NOT_FOUND, "%s: not a tiny autoencoder's %s (TAESD)",
                         weights_path(w), decoder ? "decoder" : "encoder");
    net_loader_init(&s.l, m, w, prefix, (struct net_names){.kind = NET_VAE}, err);
    char stem[32];
    snprintf(stem, sizeof stem, "%d", first);
    s.width = net_load_dim(&s.l, 1, "%s", stem);
    t->latent = (int)s.width;
    t->width = s.width;
    if (!decoder && !s.l.l.status && s.width != 3)
        net_load_fail(&s.l, "the tiny encoder takes %d channels, not 3", (int)s.width);
    load_stages(&s, decoder, first);
    if (!decoder)
        t->latent = (int)s.width;
    else if (!s.l.l.status && s.width != 3)
        net_load_fail(&s.l, "the tiny decoder gives %d channels, not 3", (int)s.width);
    if (!s.l.l.status && t->stage[t->stages - 1].kind != NET_TINY_CONV)
        net_load_fail(&s.l, "the tiny autoencoder has more than %d parts", (int)NET_TINY_MAX);
    if (s.l.l.status)
        t->stages = 0;
    return s.l.l.status;
}

/* Three pictures' memory: what is there, what comes next, and a block's way between. */
struct pass {
    struct clip_run *r;
    struct tensor x;
    float *spare[2];
};

static struct tensor picture(float *data, const struct tensor *like, int64_t c)
{
    return tensor_view(data, DT_F32, 4, (int64_t[]){like->dim[0], like->dim[1], like->dim[2], c});
}

static void conv(struct pass *p, struct tensor *y, const struct tensor *x, const struct net_conv *c,
                 int stride, enum act act)
{
    int pad = (int)(c->w.dim[1] / 2);
    op_conv2d(p->r->be, y, x, &c->w, c->b.data ? &c->b : NULL,
              &(struct conv_opts){stride, pad, pad, pad, pad, act, p->r->circular});
}

/* y becomes the picture, and the old one's memory spare. */
static void turn_to(struct pass *p, const struct tensor *y, int spare)
{
    p->spare[spare] = p->x.data;
    p->x = *y;
}

/* x += conv(relu(norm(conv(x)))) */
static void pool_run(struct pass *p, const struct net_tiny_stage *s)
{
    struct tensor a = picture(p->spare[0], &p->x, s->pool[0].w.dim[0]);
    struct tensor b = picture(p->spare[1], &p->x, s->pool[1].w.dim[0]);
    conv(p, &a, &p->x, &s->pool[0], 1, ACT_NONE);
    net_norm_run(p->r, &a, &a, NULL, &s->pool_norm, &(struct net_norm_opts){POOL_GROUPS, 1e-5f},
                 ACT_RELU);
    conv(p, &b, &a, &s->pool[1], 1, ACT_NONE);
    op_add(p->r->be, &p->x, &p->x, &b);
}

/* relu(conv(relu(conv(relu(conv(x))))) + skip(x)) */
static void block_run(struct pass *p, const struct net_tiny_stage *s)
{
    if (s->pool[0].w.data)
        pool_run(p, s);
    struct tensor a = picture(p->spare[0], &p->x, s->conv[0].w.dim[0]);
    struct tensor b = picture(p->spare[1], &p->x, s->conv[1].w.dim[0]);
    struct tensor y = picture(p->spare[0], &p->x, s->conv[2].w.dim[0]);
    conv(p, &a, &p->x, &s->conv[0], 1, ACT_RELU);
    conv(p, &b, &a, &s->conv[1], 1, ACT_RELU);
    conv(p, &y, &b, &s->conv[2], 1, ACT_NONE);
    if (s->skip.w.data) {
        struct tensor other = picture(p->spare[1], &p->x, s->skip.w.dim[0]);
        conv(p, &other, &p->x, &s->skip, 1, ACT_NONE);
        op_add(p->r->be, &y, &y, &other);
    } else {
        op_add(p->r->be, &y, &y, &p->x);
    }
    op_act(p->r->be, &y, &y, ACT_RELU);
    turn_to(p, &y, 0);
}

static void stage_run(struct pass *p, const struct net_tiny_stage *s, enum act act)
{
    struct tensor y;
    if (s->kind == NET_TINY_BLOCK) {
        block_run(p, s);
        return;
    }
    if (s->kind == NET_TINY_UP) {
        y = tensor_view(p->spare[0], DT_F32, 4,
                        (int64_t[]){p->x.dim[0], 2 * p->x.dim[1], 2 * p->x.dim[2], p->x.dim[3]});
        op_upsample2x(p->r->be, &y, &p->x);
    } else {
        int stride = s->kind == NET_TINY_DOWN ? 2 : 1;
        y = tensor_view(p->spare[0], DT_F32, 4,
                        (int64_t[]){p->x.dim[0], (p->x.dim[1] + stride - 1) / stride,
                                    (p->x.dim[2] + stride - 1) / stride, s->conv[0].w.dim[0]});
        conv(p, &y, &p->x, &s->conv[0], stride, act);
    }
    turn_to(p, &y, 0);
}

/* All stages but the last, which writes y. */
static enum status run(struct clip_run *r, const struct net_tiny *t, struct tensor *y,
                       const struct tensor *x, int64_t pixels, enum act first)
{
    struct pass p = {.r = r};
    float *all = clip_run_array(r, 3 * pixels * t->width, sizeof *all);
    if (r->status)
        return r->status;
    p.x = tensor_view(all, DT_F32, 4, x->dim);
    p.spare[0] = all + pixels * t->width;
    p.spare[1] = p.spare[0] + pixels * t->width;
    op_convert(r->be, &p.x, x);
    for (int i = 0; i < t->stages - 1 && !r->status; i++) {
        stage_run(&p, &t->stage[i], i == 0 ? first : ACT_NONE);
        clip_run_trace(r, "tiny", i, &p.x);
    }
    if (!r->status)
        conv(&p, y, &p.x, &t->stage[t->stages - 1].conv[0], 1, ACT_NONE);
    return r->status;
}

/* y = x * scale + shift. */
static void shift(struct clip_run *r, struct tensor *y, const struct tensor *x, float scale,
                  float by)
{
    int64_t c = tensor_cols(x);
    struct tensor add = clip_run_tensor(r, 1, &c);
    if (r->status)
        return;
    for (int64_t i = 0; i < c; i++)
        ((float *)add.data)[i] = by;
    backend_upload(r->be, &add);
    op_scale(r->be, y, x, scale);
    op_add(r->be, y, y, &add);
}

enum status net_tiny_decode(struct clip_run *r, const struct net_tiny *t, struct tensor *y,
                            const struct tensor *z)
{
    size_t mark = arena_mark(r->arena);
    struct tensor x = clip_run_tensor(r, 4, z->dim);
    if (r->status)
        return r->status;
    op_scale(r->be, &x, z, 1.0f / 3);
    op_act(r->be, &x, &x, ACT_TANH);
    op_scale(r->be, &x, &x, 3);
    if (!run(r, t, y, &x, y->dim[0] * y->dim[1] * y->dim[2], ACT_RELU))
        shift(r, y, y, 2, -1);
    if (!r->status)
        arena_rewind(r->arena, mark);
    return r->status;
}

enum status net_tiny_encode(struct clip_run *r, const struct net_tiny *t, struct tensor *z,
                            const struct tensor *x)
{
    size_t mark = arena_mark(r->arena);
    struct tensor half = clip_run_tensor(r, 4, x->dim);
    if (!r->status)
        shift(r, &half, x, 0.5f, 0.5f);
    if (!r->status)
        run(r, t, z, &half, x->dim[0] * x->dim[1] * x->dim[2], ACT_NONE);
    if (!r->status)
        arena_rewind(r->arena, mark);
    return r->status;
}
