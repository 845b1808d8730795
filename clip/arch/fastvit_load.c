/* FastViT's weights, folded as they are read. Surprising: Apple's own files number stages,
 * downsamplings and position encodings in one row. */
#include "clip/arch/fastvit.h"
#include "clip/config.h"
#include "core/mem.h"
#include <string.h>

struct rename {
    const char *timm, *apple;
};

/* The first `from` in n by `to`. */
static void swap_part(struct clip_part *n, const char *from, const char *to)
{
    char *at = strstr(n->s, from);
    struct clip_part rest;
    if (!at)
        return;
    snprintf(rest.s, sizeof rest.s, "%s", at + strlen(from));
    snprintf(at, sizeof n->s - (size_t)(at - n->s), "%s%s", to, rest.s);
}

/* timm's name of a part as Apple has it; where downsampling squeezes, both say fc1 and fc2. A stage
 * follows as many stages and downsamplings as its
 * number says; from the fourth on a position encoding stands before each. */
static void to_apple(struct clip_part *n)
{
    static const struct rename parts[] = {{"stem.", "patch_embed."},
                                          {"conv_kxk", "rbr_conv"},
                                          {"conv_scale", "rbr_scale"},
                                          {"identity", "rbr_skip"},
                                          {"large_conv", "lkb_origin"},
                                          {"mlp.", "convffn."},
                                          {"final_conv.se.fc1", "conv_exp.se.reduce"},
                                          {"final_conv.se.fc2", "conv_exp.se.expand"},
                                          {"final_conv", "conv_exp"},
                                          {"proj.0.reparam_conv", "proj.0.lkb_reparam"},
                                          {".gamma", ""}};
    int stage = 0, end = 0;
    if (sscanf(n->s, "stages.%d.%n", &stage, &end) == 1 && end > 0) {
        struct clip_part rest;
        snprintf(rest.s, sizeof rest.s, "%s", n->s + end);
        bool down = strncmp(rest.s, "downsample.", 11) == 0;
        bool places = strncmp(rest.s, "pos_emb.", 8) == 0;
        int at = 2 * stage - (down ? 1 : 0) + (stage > 3 ? stage - 3 : 0);
        at += stage >= 3 && !places && !down ? 1 : 0;
        swap_part(&rest, "downsample.", "");
        swap_part(&rest, "pos_emb.pos_enc", "pe");
        swap_part(&rest, "pos_emb.", "");
        swap_part(&rest, "blocks.", "");
        snprintf(n->s, sizeof n->s, "network.%d.%.160s", at, rest.s);
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        swap_part(n, parts[i].timm, parts[i].apple);
}

#define HAS(...) clip_load_has(l, "%s", clip_part_name(&v->parts, __VA_ARGS__).s)
#define DIM(i, most, ...) clip_load_dim(l, i, most, "%s", clip_part_name(&v->parts, __VA_ARGS__).s)
#define SMALL(ndim, dims, ...)                                                                     \
    clip_load_small(l, ndim, dims, "%s", clip_part_name(&v->parts, __VA_ARGS__).s)

static bool guess_stage(const struct clip_loader *l, struct clip_fastvit *v, int s)
{
    struct clip_fastvit_stage *t = &v->stage[s];
    int before = s ? v->stage[s - 1].width : v->width;
    t->width = DIM(1, CLIP_MAX_WIDTH, "stages.%d.blocks.0.mlp.fc1.weight", s);
    t->hidden = DIM(0, 8 * CLIP_MAX_WIDTH, "stages.%d.blocks.0.mlp.fc1.weight", s);
    t->attends = HAS("stages.%d.blocks.0.token_mixer.qkv.weight", s);
    while (t->layers < CLIP_MAX_LAYERS && HAS("stages.%d.blocks.%d.mlp.fc1.weight", s, t->layers))
        t->layers++;
    t->down.halves = s ? t->width / before : 0;
    t->places.halves = HAS("stages.%d.pos_emb.pos_enc.weight", s) ||
                       HAS("stages.%d.pos_emb.reparam_conv.weight", s);
    return t->width && t->hidden && t->width == (s ? t->down.halves * before : before) &&
           t->down.halves <= 2 && (!t->attends || t->width % 32 == 0);
}

bool clip_fastvit_guess(const struct clip_loader *l, struct clip_fastvit *v)
{
    v->apple = clip_load_has(l, "image_encoder.model.network.0.0.convffn.fc1.weight");
    v->parts.stem = v->apple ? "image_encoder.model." : "visual.trunk.";
    v->parts.rename = v->apple ? to_apple : NULL;
    v->width = DIM(0, CLIP_MAX_WIDTH, "stem.2.conv_kxk.0.conv.weight");
    if (!v->width)
        v->width = DIM(0, CLIP_MAX_WIDTH, "stem.2.reparam_conv.weight");
    while (v->stages < CLIP_FASTVIT_STAGES && HAS("stages.%d.blocks.0.mlp.fc1.weight", v->stages)) {
        if (!guess_stage(l, v, v->stages))
            return false;
        v->stages++;
    }
    return v->width && v->stages && !HAS("stages.%d.blocks.0.mlp.fc1.weight", v->stages);
}

static struct clip_fastvit_dw end_dw(struct clip_fold *f, struct clip_loader *l, int halves,
                                     int stride)
{
    struct clip_fastvit_dw d = {
        .high = f->high, .kernel = f->kernel, .stride = stride, .halves = halves};
    int64_t n = f->out / halves, area = (int64_t)f->high * f->kernel;
    for (int h = 0; h < halves; h++) {
        float *w = clip_fold_take(l, n * area), *b = clip_fold_take(l, n);
        if (l->status)
            break;
        for (int64_t c = 0; c < n; c++) {
            int64_t o = c * halves + h;
            b[c] = (float)f->b[o];
            for (int64_t p = 0; p < area; p++)
                w[p * n + c] = (float)f->w[o * area + p];
        }
        d.w[h] = tensor_view(w, DT_F32, 3, (int64_t[]){f->high, f->kernel, n});
        d.b[h] = tensor_view(b, DT_F32, 1, &n);
        d.w[h].packs = d.b[h].packs = l->m->packs;
    }
    clip_fold_end(f);
    return d;
}

static struct clip_fastvit_dw load_one_dw(struct clip_loader *l, const struct clip_fastvit *v,
                                          int64_t in, int halves, int kernel, int stride,
                                          const char *name)
{
    struct clip_fold f;
    if (clip_fold_begin(&f, l, in * halves, 1, kernel))
        clip_fold_mobileone(&f, l, &v->parts, name, stride == 1 && halves == 1);
    return end_dw(&f, l, halves, stride);
}

static struct clip_linear load_one_dense(struct clip_loader *l, const struct clip_fastvit *v,
                                         int64_t out, int64_t in, int kernel, int halves,
                                         const char *name)
{
    struct clip_fold f;
    if (clip_fold_begin(&f, l, out, in, kernel))
        clip_fold_mobileone(&f, l, &v->parts, name, out == in);
    return clip_fold_dense(&f, l, halves);
}

/* A 1x1 convolution with bias, as a fold that may still be changed. */
static bool fold_point(struct clip_fold *f, struct clip_loader *l, const struct clip_fastvit *v,
                       int64_t out, int64_t in, const char *name)
{
    if (!clip_fold_begin(f, l, out, in, 1))
        return false;
    clip_fold_plain(f, l, &v->parts, name);
    return !l->status;
}

/* Rows times a LayerScale that there may be. */
static void scale_rows(struct clip_fold *f, struct clip_loader *l, const struct clip_fastvit *v,
                       const char *name)
{
    int64_t area = f->in * f->high * f->kernel;
    if (l->status || !HAS("%s", name))
        return;
    struct tensor g = SMALL(3, ((int64_t[]){f->out, 1, 1}), "%s", name);
    for (int64_t o = 0; o < f->out && !l->status; o++) {
        f->b[o] *= (double)((float *)g.data)[o];
        for (int64_t i = 0; i < area; i++)
            f->w[o * area + i] *= (double)((float *)g.data)[o];
    }
}

/* What blocks of one stage have in common; row: kernels are one high. */
struct shape {
    int64_t width, hidden;
    int mixer, conv;
    bool row;
};

static bool begin_dw(struct clip_fold *f, struct clip_loader *l, const struct shape *p, int kernel)
{
    return p->row ? clip_fold_begin_row(f, l, p->width, 1, kernel)
                  : clip_fold_begin(f, l, p->width, 1, kernel);
}

/* x + scale * (mixer(x) - norm(x)) */
static struct clip_fastvit_dw load_mixer(struct clip_loader *l, const struct clip_fastvit *v,
                                         const struct shape *p, const char *block)
{
    struct clip_fold f, g = {0};
    struct clip_part n;
    snprintf(n.s, sizeof n.s, "%.120s.token_mixer.reparam_conv", block);
    if (!begin_dw(&f, l, p, p->mixer) || !begin_dw(&g, l, p, p->mixer)) {
        clip_fold_end(&g);
        return end_dw(&f, l, 1, 1);
    }
    if (HAS("%s.weight", n.s)) {
        clip_fold_plain(&f, l, &v->parts, n.s);
    } else {
        snprintf(n.s, sizeof n.s, "%.120s.token_mixer.mixer", block);
        clip_fold_mobileone(&f, l, &v->parts, n.s, true);
        snprintf(n.s, sizeof n.s, "%.120s.token_mixer.norm", block);
        clip_fold_mobileone(&g, l, &v->parts, n.s, true);
        for (int64_t i = 0; i < p->width * f.high * f.kernel; i++)
            f.w[i] -= g.w[i];
        for (int64_t i = 0; i < p->width; i++)
            f.b[i] -= g.b[i];
        snprintf(n.s, sizeof n.s, "%.120s.token_mixer.layer_scale.gamma", block);
        scale_rows(&f, l, v, n.s);
        clip_fold_skip(&f);
    }
    clip_fold_end(&g);
    return end_dw(&f, l, 1, 1);
}

static void load_mlp(struct clip_loader *l, const struct clip_fastvit *v, const struct shape *p,
                     struct clip_fastvit_block *b, const char *block, const char *scale)
{
    struct clip_fold f;
    struct clip_part n, norm;
    snprintf(n.s, sizeof n.s, "%.120s.mlp.conv.conv", block);
    snprintf(norm.s, sizeof norm.s, "%.120s.mlp.conv.bn", block);
    if (begin_dw(&f, l, p, p->conv))
        clip_fold_branch(&f, l, &v->parts, n.s, norm.s, p->conv);
    b->conv = end_dw(&f, l, 1, 1);
    snprintf(n.s, sizeof n.s, "%.120s.mlp.fc1", block);
    fold_point(&f, l, v, p->hidden, p->width, n.s);
    b->fc1 = clip_fold_dense(&f, l, 1);
    snprintf(n.s, sizeof n.s, "%.120s.mlp.fc2", block);
    if (fold_point(&f, l, v, p->width, p->hidden, n.s)) {
        snprintf(n.s, sizeof n.s, "%.120s.%s.gamma", block, scale);
        scale_rows(&f, l, v, n.s);
    }
    b->fc2 = clip_fold_dense(&f, l, 1);
}

/* qkv after a batch norm: columns times its scale, and what its shift gives as a bias. */
static void load_attention(struct clip_loader *l, const struct clip_fastvit *v, int64_t d,
                           struct clip_fastvit_block *b, const char *block)
{
    struct clip_fold f;
    struct clip_part n;
    double *scale = mem_array(2 * (size_t)d, sizeof *scale);
    if (!scale && !l->status)
        l->status = error_set(l->err, ST_NOMEM, "%s: out of memory", l->src->path);
    snprintf(n.s, sizeof n.s, "%.120s.norm", block);
    bool batch = HAS("%s.running_mean", n.s);
    if (!l->status && batch)
        clip_fold_norm(l, &v->parts, n.s, d, scale, scale + d);
    else
        b->norm = clip_load_norm(l, d, "%s", clip_part_name(&v->parts, "%s", n.s).s);
    struct tensor w = SMALL(2, ((int64_t[]){3 * d, d}), "%.120s.token_mixer.qkv.weight", block);
    bool biased = HAS("%.120s.token_mixer.qkv.bias", block);
    if (clip_fold_begin(&f, l, 3 * d, d, 1)) {
        for (int64_t o = 0; o < 3 * d; o++)
            for (int64_t i = 0; i < d; i++) {
                double x = (double)((float *)w.data)[o * d + i];
                f.w[o * d + i] = batch ? x * scale[i] : x;
                f.b[o] += batch ? x * scale[d + i] : 0.0;
            }
        int64_t d3 = 3 * d;
        struct tensor bias = {0};
        if (biased)
            bias = SMALL(1, &d3, "%.120s.token_mixer.qkv.bias", block);
        for (int64_t o = 0; biased && o < d3 && !l->status; o++)
            f.b[o] += (double)((float *)bias.data)[o];
    }
    b->qkv = clip_fold_dense(&f, l, 1);
    mem_free(scale);
    w = SMALL(2, ((int64_t[]){d, d}), "%.120s.token_mixer.proj.weight", block);
    struct tensor bias = SMALL(1, &d, "%.120s.token_mixer.proj.bias", block);
    if (clip_fold_begin(&f, l, d, d, 1)) {
        for (int64_t i = 0; i < d * d; i++)
            f.w[i] = (double)((float *)w.data)[i];
        for (int64_t i = 0; i < d; i++)
            f.b[i] = (double)((float *)bias.data)[i];
        snprintf(n.s, sizeof n.s, "%.120s.layer_scale_1.gamma", block);
        scale_rows(&f, l, v, n.s);
    }
    b->o = clip_fold_dense(&f, l, 1);
}

static struct clip_fastvit_squeeze load_squeeze(struct clip_loader *l, const struct clip_fastvit *v,
                                                int64_t n, int halves, const char *stem)
{
    struct clip_fastvit_squeeze q = {0};
    struct clip_part name;
    struct clip_fold f;
    if (l->status || !HAS("%s.se.fc1.weight", stem))
        return q;
    q.width = DIM(0, CLIP_MAX_WIDTH, "%s.se.fc1.weight", stem);
    snprintf(name.s, sizeof name.s, "%.120s.se.fc1", stem);
    fold_point(&f, l, v, q.width, n, name.s);
    q.reduce = clip_fold_dense(&f, l, halves);
    snprintf(name.s, sizeof name.s, "%.120s.se.fc2", stem);
    if (fold_point(&f, l, v, n, q.width, name.s)) {
        struct clip_fold g; /* its rows in the order of halves */
        if (clip_fold_begin(&g, l, n, q.width, 1))
            for (int64_t p = 0; p < n; p++) {
                int64_t o = clip_fold_channel(p, n, halves);
                g.b[p] = f.b[o];
                memcpy(g.w + p * q.width, f.w + o * q.width, (size_t)q.width * sizeof *g.w);
            }
        clip_fold_end(&f);
        f = g;
    }
    q.expand = clip_fold_dense(&f, l, 1);
    return q;
}

static void load_down(struct clip_loader *l, const struct clip_fastvit *v, int s,
                      struct clip_fastvit_stage *t)
{
    struct clip_part n, norm, name;
    struct clip_fold f;
    int halves = t->down.halves;
    snprintf(name.s, sizeof name.s, "stages.%d.downsample.proj", s);
    snprintf(n.s, sizeof n.s, "%.100s.0.reparam_conv", name.s);
    if (clip_fold_begin(&f, l, t->width, 1, 7)) {
        if (HAS("%s.weight", n.s)) {
            clip_fold_plain(&f, l, &v->parts, n.s);
        } else {
            snprintf(n.s, sizeof n.s, "%.100s.0.large_conv.conv", name.s);
            snprintf(norm.s, sizeof norm.s, "%.100s.0.large_conv.bn", name.s);
            clip_fold_branch(&f, l, &v->parts, n.s, norm.s, 7);
            snprintf(n.s, sizeof n.s, "%.100s.0.small_conv.conv", name.s);
            snprintf(norm.s, sizeof norm.s, "%.100s.0.small_conv.bn", name.s);
            clip_fold_branch(&f, l, &v->parts, n.s, norm.s, 3);
        }
    }
    t->down = end_dw(&f, l, halves, 2);
    snprintf(n.s, sizeof n.s, "%.100s.0", name.s);
    t->squeeze = load_squeeze(l, v, t->width, halves, n.s);
    snprintf(n.s, sizeof n.s, "%.100s.1", name.s);
    t->mix = load_one_dense(l, v, t->width, t->width, 1, halves, n.s);
}

static void load_places(struct clip_loader *l, const struct clip_fastvit *v, int s,
                        struct clip_fastvit_stage *t)
{
    struct clip_part n;
    struct clip_fold f;
    snprintf(n.s, sizeof n.s, "stages.%d.pos_emb.reparam_conv", s);
    bool folded = HAS("%s.weight", n.s);
    if (!folded)
        snprintf(n.s, sizeof n.s, "stages.%d.pos_emb.pos_enc", s);
    if (clip_fold_begin(&f, l, t->width, 1, 7)) {
        clip_fold_plain(&f, l, &v->parts, n.s);
        if (!folded)
            clip_fold_skip(&f);
    }
    t->places = end_dw(&f, l, 1, 1);
}

static void load_stage(struct clip_loader *l, const struct clip_fastvit *v, int s,
                       struct clip_fastvit_stage *t)
{
    if (t->down.halves)
        load_down(l, v, s, t);
    if (t->places.halves)
        load_places(l, v, s, t);
    t->block = l->status ? NULL : arena_array(&l->m->arena, (size_t)t->layers, sizeof *t->block);
    if (!t->block && !l->status)
        l->status = error_set(l->err, ST_NOMEM, "%s: out of memory", l->src->path);
    const struct shape p = {.width = t->width, .hidden = t->hidden, .mixer = 3, .conv = 7};
    for (int i = 0; i < t->layers && !l->status; i++) {
        struct clip_part n;
        snprintf(n.s, sizeof n.s, "stages.%d.blocks.%d", s, i);
        memset(&t->block[i], 0, sizeof t->block[i]);
        if (t->attends)
            load_attention(l, v, t->width, &t->block[i], n.s);
        else
            t->block[i].mixer = load_mixer(l, v, &p, n.s);
        load_mlp(l, v, &p, &t->block[i], n.s, t->attends ? "layer_scale_2" : "layer_scale");
    }
}

/* timm's classifier, or Apple's matrix from the right; columns in the order of halves. */
static struct clip_linear load_head(struct clip_loader *l, const struct clip_fastvit *v, int64_t in)
{
    struct clip_fold f;
    if (clip_fold_begin(&f, l, v->dim, in, 1)) {
        struct tensor w = v->apple ? SMALL(2, ((int64_t[]){in, v->dim}), "head.proj")
                                   : SMALL(2, ((int64_t[]){v->dim, in}), "head.fc.weight");
        int64_t dim = v->dim;
        struct tensor b = {0};
        if (!v->apple)
            b = SMALL(1, &dim, "head.fc.bias");
        for (int64_t o = 0; o < dim && !l->status; o++) {
            f.b[o] = v->apple ? 0.0 : (double)((float *)b.data)[o];
            for (int64_t i = 0; i < in; i++)
                f.w[o * in + i] = (double)((float *)w.data)[v->apple ? i * dim + o : o * in + i];
        }
    }
    struct clip_linear y = clip_fold_dense(&f, l, v->last.halves);
    y.w.use = TENSOR_WEIGHT_FINE;
    return y;
}

void clip_fastvit_load(struct clip_loader *l, struct clip_fastvit *v, int dim)
{
    int64_t widest = v->stage[v->stages - 1].width;
    v->dim = dim;
    v->stem = load_one_dense(l, v, v->width, 3, 3, 1, "stem.0");
    v->stem.w.use = TENSOR_WEIGHT_FINE;
    v->stem_down = load_one_dw(l, v, v->width, 1, 3, 2, "stem.1");
    v->stem_mix = load_one_dense(l, v, v->width, v->width, 1, 1, "stem.2");
    for (int s = 0; s < v->stages && !l->status; s++)
        load_stage(l, v, s, &v->stage[s]);
    v->last = load_one_dw(l, v, widest, 2, 3, 1, "final_conv");
    v->squeeze = load_squeeze(l, v, 2 * widest, 2, "final_conv");
    v->head = load_head(l, v, 2 * widest);
}

struct clip_fastvit_block clip_fastvit_load_row(struct clip_loader *l, const char *stem,
                                                const char *block, int width)
{
    const struct clip_fastvit names = {.parts = {stem, to_apple}}, *v = &names;
    struct clip_fastvit_block b = {0};
    int kernel = DIM(3, 255, "%.120s.mlp.conv.conv.weight", block);
    const struct shape p = {.width = width,
                            .hidden = DIM(0, 8 * CLIP_MAX_WIDTH, "%.120s.mlp.fc1.weight", block),
                            .mixer = kernel,
                            .conv = kernel,
                            .row = true};
    if (!l->status && (kernel % 2 == 0 || !p.hidden))
        l->status = error_set(l->err, ST_FORMAT, "%s: %s%s is no block of convolutions",
                              l->src->path, stem, block);
    b.mixer = load_mixer(l, v, &p, block);
    load_mlp(l, v, &p, &b, block, "layer_scale");
    return b;
}
