/* OpenCLIP's and OpenAI's bare state dicts, which have no config: sizes from shapes, and rules for
 * what no shape shows. */
#include "clip/arch/open_clip.h"
#include "clip/config.h"
#include "core/path.h"
#include <limits.h>
#include <math.h>
#include <strings.h>

void clip_open_clip_check_resnet(struct clip_config *g, const struct clip_resnet *v)
{
    if (v->width % 2)
        clip_config_fail(g, ST_FORMAT, "width %d of a resnet is odd", v->width);
    else if (v->size % 32)
        clip_config_fail(g, ST_FORMAT, "image_size %d of a resnet is not a multiple of 32",
                         v->size);
    else
        clip_config_heads(g, "the resnet's last width", v->width * 32, v->heads);
}

static void guess_transformer(const struct clip_loader *l, struct clip_transformer *t,
                              const char *stem, int64_t width)
{
    char name[128];
    snprintf(name, sizeof name, "%sresblocks.0.mlp.c_fc.weight", stem);
    t->width = width > 0 && width <= CLIP_MAX_WIDTH ? (int)width : 0;
    int64_t hidden = clip_load_dim(l, 0, INT_MAX, "%s", name);
    t->hidden = hidden > 0 && hidden <= 8 * CLIP_MAX_WIDTH ? (int)hidden : 0;
    while (t->layers < CLIP_MAX_LAYERS &&
           clip_load_has(l, "%sresblocks.%d.ln_1.weight", stem, t->layers))
        t->layers++;
    t->eps = 1e-5f;
}

static bool name_says(const char *path, const char *word)
{
    const char *base = path_base(path);
    for (size_t n = strlen(word); strlen(base) >= n; base++)
        if (strncasecmp(base, word, n) == 0)
            return true;
    return false;
}

static bool names_say_quick(const struct clip_source *src)
{
    const char *file = weights_path(src->weights); /* the path may be its folder */
    return name_says(src->path, "quickgelu") || name_says(src->path, "openai") ||
           name_says(file, "quickgelu") || name_says(file, "openai");
}

/* OpenAI's own loader rounds down. */
static int heads_of(int width, int head)
{
    int n = width / head;
    return n > 0 && width % n == 0 ? n : 1;
}

static enum status guess_vit(const struct clip_loader *l, struct open_clip_cfg *c,
                             struct error *err)
{
    struct clip_vit_image *v = c->image;
    int64_t tokens = clip_load_dim(l, 0, INT_MAX, "visual.positional_embedding"),
            dim = clip_load_dim(l, 1, INT_MAX, "visual.proj");
    int64_t patch = clip_load_dim(l, 3, INT_MAX, "visual.conv1.weight");
    guess_transformer(l, &v->t, "visual.transformer.",
                      clip_load_dim(l, 0, INT_MAX, "visual.conv1.weight"));
    if (tokens < 2 || tokens > (1 << 20) || patch < 1 || patch > CLIP_MAX_IMAGE || dim < 1 ||
        dim > CLIP_MAX_DIM || !v->t.width || !v->t.hidden || !v->t.layers)
        return error_set(err, ST_FORMAT, "%s: not the tensors of a clip vit", l->src->path);
    int grid = (int)lround(sqrt((double)(tokens - 1)));
    v->patch = (int)patch;
    if ((int64_t)grid * grid != tokens - 1 || grid * patch > CLIP_MAX_IMAGE)
        return error_set(err, ST_FORMAT, "%s: %lld positions are no square picture", l->src->path,
                         (long long)tokens);
    v->size = grid * v->patch;
    int head = l->src->openai       ? 64
               : v->t.width == 1280 ? 80
               : v->t.width == 1408 ? 88
               : v->t.width == 1664 ? 104
                                    : 64;
    v->t.heads = heads_of(v->t.width, head);
    c->dim = (int)dim;
    return ST_OK;
}

/* Heads are 64 wide in all of OpenAI's. */
static enum status guess_resnet(const struct clip_loader *l, struct open_clip_cfg *c,
                                struct error *err)
{
    struct clip_resnet *v = c->resnet;
    struct clip_config g = {.file = l->src->path, .err = err};
    int64_t width = clip_load_dim(l, 0, INT_MAX, "visual.layer1.0.conv1.weight");
    int64_t places = clip_load_dim(l, 0, INT_MAX, "visual.attnpool.positional_embedding") - 1;
    int64_t dim = clip_load_dim(l, 0, INT_MAX, "visual.attnpool.c_proj.weight");
    for (int s = 0; s < CLIP_RESNET_STAGES; s++)
        while (v->layers[s] < CLIP_MAX_LAYERS &&
               clip_load_has(l, "visual.layer%d.%d.conv1.weight", s + 1, v->layers[s]))
            v->layers[s]++;
    int side = places > 0 && places <= CLIP_MAX_IMAGE ? (int)lround(sqrt((double)places)) : 0;
    if (width < 2 || width > CLIP_MAX_WIDTH / 32 || dim < 1 || dim > CLIP_MAX_DIM || !side ||
        side > CLIP_MAX_IMAGE / 32 || (int64_t)side * side != places || !v->layers[0] ||
        !v->layers[1] || !v->layers[2] || !v->layers[3])
        return error_set(err, ST_FORMAT, "%s: not the tensors of a clip resnet", l->src->path);
    v->width = (int)width;
    v->size = side * 32;
    v->heads = v->width * 32 / 64;
    c->dim = (int)dim;
    clip_open_clip_check_resnet(&g, v);
    return g.status;
}

/* What a config would have named, and what changes every vector. */
static enum status refuse_parts(const struct clip_loader *l, const char *at, struct error *err)
{
    static const char *const parts[] = {"attn.ln_q.weight", "attn.logit_scale",
                                        "attn.head_scale",  "attn.ln_inner.weight",
                                        "ln_attn.weight",   "mlp.ln.weight"};
    char name[128];
    for (size_t i = 0; i < 2 * (sizeof parts / sizeof *parts) + 2; i++) {
        if (i / 2 < sizeof parts / sizeof *parts)
            snprintf(name, sizeof name, "%stransformer.resblocks.0.%s", i % 2 ? at : "visual.",
                     parts[i / 2]);
        else
            snprintf(name, sizeof name, "%s%s", i % 2 ? at : "visual.",
                     i % 2 ? "cls_emb" : "attn_pool.query");
        if (clip_load_has(l, "%s", name))
            return error_set(err, ST_UNSUPPORTED, "%s: %s is of a part that is not read",
                             l->src->path, name);
    }
    return ST_OK;
}

static bool has_trunk(const struct clip_loader *l)
{
    return clip_load_has(l, "visual.trunk.head.weight") ||
           clip_load_has(l, "visual.trunk.head.fc.weight");
}

/* All but B read texts without a causal mask; S3, S4 and L/14 take OpenAI's mean and deviation. */
static enum status guess_mobile(struct clip_model *m, const struct clip_loader *l,
                                struct open_clip_cfg *c, struct error *err)
{
    struct open_clip *d = c->model;
    if (!clip_open_clip_guess_mobile(c))
        return error_set(err, ST_FORMAT, "%s: not the tensors of a MobileCLIP", l->src->path);
    bool b = d->kind == OPEN_CLIP_TIMM_VIT && d->timm.conv_width;
    bool plain = b || (d->kind == OPEN_CLIP_FASTVIT && d->fastvit.stages < CLIP_FASTVIT_STAGES);
    c->text->t.causal = b;
    m->note = "no config: sizes from shapes, the rest as in MobileCLIP2";
    enum status st = clip_preprocess_open_clip(&m->pre, l->src->path, NULL, c->image->size, err);
    m->pre.prep.filter = d->timm.class_has_place ? IMAGE_BICUBIC : IMAGE_BILINEAR;
    for (int i = 0; plain && i < 3; i++)
        m->pre.mean[i] = 0.0f, m->pre.std[i] = 1.0f;
    return st;
}

/* A bare state dict. Sizes come from shapes. Heads are 64 wide but in the image towers of ViT-H, g
 * and G, whose widths nothing else has. QuickGELU when the file is OpenAI's own (its three
 * buffers), has a module of that class (TorchScript, modules saved whole) or a name that says
 * "quickgelu" or "openai"; else GELU, which all of OpenCLIP's own trainings but a few use. */
enum status clip_open_clip_guess(struct clip_model *m, const struct clip_loader *l,
                                 struct open_clip_cfg *c, struct error *err)
{
    struct clip_vit_image *v = c->image;
    struct clip_vit_text *t = c->text;
    const char *path = l->src->path;
    char name[64];
    bool carried = weights_meta(l->src->weights, WEIGHTS_QUICK_GELU) != NULL;
    bool mobile = has_trunk(l), named = !mobile && (carried || names_say_quick(l->src));
    bool quick = l->src->openai || named;
    c->model->kind = clip_open_clip_is_resnet(l->src) ? OPEN_CLIP_RESNET : OPEN_CLIP_VIT;
    enum status st = refuse_parts(l, c->at, err);
    if (!st)
        st = mobile                               ? ST_OK
             : c->model->kind == OPEN_CLIP_RESNET ? guess_resnet(l, c, err)
                                                  : guess_vit(l, c, err);
    if (st)
        return st;
    snprintf(name, sizeof name, "%sln_final.weight", c->at);
    int64_t width = clip_load_dim(l, 0, INT_MAX, "%s", name);
    snprintf(name, sizeof name, "%stransformer.", c->at);
    guess_transformer(l, &t->t, name, width);
    snprintf(name, sizeof name, "%spositional_embedding", c->at);
    int64_t context = clip_load_dim(l, 0, INT_MAX, "%s", name);
    snprintf(name, sizeof name, "%stoken_embedding.weight", c->at);
    int64_t vocab = clip_load_dim(l, 0, INT_MAX, "%s", name);
    if (context < 2 || context > CLIP_MAX_CONTEXT || vocab < 1 || vocab > CLIP_MAX_VOCAB ||
        !t->t.width || !t->t.hidden || !t->t.layers)
        return error_set(err, ST_FORMAT, "%s: not the tensors of a clip text tower", path);
    t->t.heads = heads_of(t->t.width, 64);
    v->t.act = t->t.act = quick ? ACT_QUICK_GELU : ACT_GELU;
    t->t.causal = true;
    t->pool = CLIP_POOL_ARGMAX;
    t->context = (int)context;
    c->vocab = (int)vocab;
    c->image_scale = clip_load_has(l, "visual.transformer.resblocks.0.ls_1.gamma");
    c->text_scale = clip_load_has(l, "%stransformer.resblocks.0.ls_1.gamma", c->at);
    c->text_proj_bias = clip_load_has(l, "%stext_projection.bias", c->at);
    c->text_proj_none = !c->text_proj_bias && !clip_load_has(l, "%stext_projection", c->at);
    if (mobile)
        return guess_mobile(m, l, c, err);
    m->trait = named && !l->src->openai ? WEIGHTS_QUICK_GELU : NULL;
    m->note = l->src->openai
                  ? "no config: sizes from shapes, quick_gelu as in all of openai's files"
              : carried ? "no config: sizes from shapes, quick_gelu by the file itself"
              : named   ? "no config: sizes from shapes, quick_gelu by the file's name"
                      : "no config: sizes from shapes, gelu (a .json beside the file, or quickgelu "
                        "in its name, says otherwise)";
    return clip_preprocess_open_clip(&m->pre, path, NULL,
                                     c->resnet->width ? c->resnet->size : v->size, err);
}
