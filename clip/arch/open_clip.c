/* OpenAI's and OpenCLIP's names (visual.transformer.resblocks...), with OpenCLIP's config or
 * without any. Surprising: nothing in a bare state dict says which GELU it was trained with, nor
 * how wide a head is; the rules for that stand at guess_config and are repeated in clip_info's
 * note. */
#include "clip/arch/hf_text.h"
#include "clip/arch/resnet.h"
#include "clip/arch/vit.h"
#include "clip/config.h"
#include "core/path.h"
#include <math.h>
#include <strings.h>

#define QUICK_TRAIT "eidetic.quick_gelu"

/* vit comes first: clip_vit_run_text reads it at m->data. */
struct open_clip {
    struct clip_vit vit;
    struct clip_resnet resnet; /* the image tower where its width is not 0 */
    struct clip_hf_text hf;    /* the text tower where it is used */
};

struct open_clip_cfg {
    struct clip_vit_image *image;
    struct clip_resnet *resnet;
    struct clip_hf_text *hf;
    struct clip_vit_text *text;
    int dim, vocab;
    bool image_scale, text_scale; /* LayerScale */
    bool text_proj_bias, text_proj_none;
    const char *at; /* "text." when the text tower is a module of its own */
};

static bool probe(const struct clip_source *src)
{
    struct clip_loader l = {.src = src};
    return src->open_clip || clip_load_has(&l, "visual.conv1.weight");
}

static bool probe_resnet(const struct clip_source *src)
{
    struct clip_loader l = {.src = src};
    return clip_load_has(&l, "visual.layer1.0.conv1.weight");
}

/* Parts of OpenCLIP that are not read, each refused by its name. */
static void refuse(struct clip_config *g, const json_t *o, const char *tower,
                   const char *const *keys)
{
    for (int i = 0; keys[i]; i++) {
        const json_t *v = json_object_get(o, keys[i]);
        bool off = !v || json_is_null(v) || json_is_false(v) ||
                   (json_is_object(v) && json_object_size(v) == 0);
        if (!off && json_is_string(v))
            clip_config_fail(g, ST_UNSUPPORTED, "%s %s \"%.80s\" is not read", tower, keys[i],
                             json_string_value(v));
        else if (!off)
            clip_config_fail(g, ST_UNSUPPORTED, "%s %s is not read", tower, keys[i]);
    }
}

static enum act act_of(struct clip_config *g, const json_t *o, bool quick)
{
    const json_t *kw = clip_config_object(g, o, "act_kwargs");
    const char *approximate = clip_config_text(g, kw, "approximate", "none");
    if (quick)
        return ACT_QUICK_GELU;
    if (strcmp(approximate, "tanh") == 0)
        return ACT_GELU_TANH;
    if (strcmp(approximate, "none") != 0)
        clip_config_fail(g, ST_UNSUPPORTED, "act_kwargs approximate %s is not read", approximate);
    return ACT_GELU;
}

static void read_transformer(struct clip_config *g, const json_t *o, bool quick,
                             struct clip_transformer *t, int width, bool *scaled)
{
    static const char *const parts[] = {
        "qk_norm",    "scaled_cosine_attn", "scale_heads", "scale_attn_inner",
        "scale_attn", "scale_fc",           NULL};
    t->width = clip_config_int(g, o, "width", width, 1, CLIP_MAX_WIDTH);
    t->layers = clip_config_int(g, o, "layers", 12, 1, CLIP_MAX_LAYERS);
    double ratio = clip_config_real(g, o, "mlp_ratio", 4.0, 0.01, 64.0);
    t->hidden = (int)((double)t->width * ratio); /* cut, as python's int() */
    if (t->hidden < 1)
        clip_config_fail(g, ST_FORMAT, "mlp_ratio leaves no hidden layer");
    const json_t *norm = clip_config_object(g, o, "norm_kwargs");
    t->eps = (float)clip_config_real(g, norm, "eps", 1e-5, 0, 1);
    t->act = act_of(g, o, quick);
    *scaled = json_is_number(json_object_get(o, "ls_init_value"));
    const char *block = clip_config_text(g, o, "block_type", "default");
    if (strcmp(block, "default") != 0)
        clip_config_fail(g, ST_UNSUPPORTED, "block_type %s is not read", block);
    refuse(g, o, "attention", parts);
}

static void check_resnet(struct clip_config *g, const struct clip_resnet *v)
{
    if (v->width % 2)
        clip_config_fail(g, ST_FORMAT, "width %d of a resnet is odd", v->width);
    else if (v->size % 32)
        clip_config_fail(g, ST_FORMAT, "image_size %d of a resnet is not a multiple of 32",
                         v->size);
    else if (v->heads < 1 || v->width * 32 % v->heads)
        clip_config_fail(g, ST_FORMAT, "%d channels of a resnet do not split into %d heads",
                         v->width * 32, v->heads);
}

static void read_resnet(struct clip_config *g, const json_t *o, struct clip_resnet *v)
{
    const json_t *layers = json_object_get(o, "layers");
    if (json_array_size(layers) != CLIP_RESNET_STAGES)
        clip_config_fail(g, ST_FORMAT, "layers of a resnet must be %d numbers", CLIP_RESNET_STAGES);
    for (int i = 0; i < CLIP_RESNET_STAGES; i++) {
        double n = json_number_value(json_array_get(layers, (size_t)i));
        v->layers[i] = n >= 1 && n <= CLIP_MAX_LAYERS ? (int)n : 0;
        if (!v->layers[i])
            clip_config_fail(g, ST_FORMAT, "layers of a resnet must be from 1 to %d",
                             CLIP_MAX_LAYERS);
    }
    v->width = clip_config_int(g, o, "width", 64, 2, CLIP_MAX_WIDTH / 32);
    v->size = clip_config_side(g, o, "image_size", 224, 32, CLIP_MAX_IMAGE);
    v->heads = v->width * 32 / clip_config_int(g, o, "head_width", 64, 1, CLIP_MAX_WIDTH);
    check_resnet(g, v);
}

static void read_vision(struct clip_config *g, const json_t *o, bool quick, struct open_clip_cfg *c)
{
    static const char *const parts[] = {"timm_model_name", "attentional_pool", NULL};
    struct clip_vit_image *v = c->image;
    refuse(g, o, "vision_cfg", parts);
    if (json_is_array(json_object_get(o, "layers"))) {
        read_resnet(g, o, c->resnet);
        return;
    }
    read_transformer(g, o, quick, &v->t, 768, &c->image_scale);
    int head = clip_config_int(g, o, "head_width", 64, 1, CLIP_MAX_WIDTH);
    v->t.heads = v->t.width / head; /* rounds down, as open_clip does */
    if (v->t.heads < 1 || v->t.width % v->t.heads != 0)
        clip_config_fail(g, ST_FORMAT, "width %d does not split into heads of %d", v->t.width,
                         head);
    v->size = clip_config_side(g, o, "image_size", 224, 1, CLIP_MAX_IMAGE);
    v->patch = clip_config_side(g, o, "patch_size", 16, 1, CLIP_MAX_IMAGE);
    const char *pool = clip_config_text(g, o, "pool_type", "tok");
    v->pool = strcmp(pool, "avg") == 0 ? CLIP_POOL_MEAN : CLIP_POOL_FIRST;
    if (v->pool != CLIP_POOL_MEAN && strcmp(pool, "tok") != 0)
        clip_config_fail(g, ST_UNSUPPORTED, "vision_cfg pool_type %s is not read", pool);
    v->norm_after_pool = clip_config_bool(g, o, "final_ln_after_pool", false);
}

static void read_text(struct clip_config *g, const json_t *o, bool quick, struct open_clip_cfg *c)
{
    static const char *const parts[] = {"hf_tokenizer_name", "embed_cls", "tokenizer_mode",
                                        "tokenizer_kwargs", NULL};
    static const struct {
        const char *name;
        enum clip_pool pool;
    } pools[] = {{"argmax", CLIP_POOL_ARGMAX},
                 {"first", CLIP_POOL_FIRST},
                 {"last", CLIP_POOL_LAST},
                 {"eos", CLIP_POOL_EOS}};
    struct clip_vit_text *v = c->text;
    if (json_is_string(json_object_get(o, "hf_model_name"))) {
        clip_hf_text_read(g, o, c->hf);
        return;
    }
    refuse(g, o, "text_cfg", parts);
    read_transformer(g, o, quick, &v->t, 512, &c->text_scale);
    v->t.heads = clip_config_int(g, o, "heads", 8, 1, CLIP_MAX_WIDTH);
    if (v->t.width % v->t.heads != 0)
        clip_config_fail(g, ST_FORMAT, "text width %d is not a multiple of %d heads", v->t.width,
                         v->t.heads);
    v->t.causal = !clip_config_bool(g, o, "no_causal_mask", false);
    v->context = clip_config_int(g, o, "context_length", 77, 2, CLIP_MAX_CONTEXT);
    v->eos = clip_config_int(g, o, "eos_id", 2, 0, CLIP_MAX_VOCAB);
    c->vocab = clip_config_int(g, o, "vocab_size", 49408, 1, CLIP_MAX_VOCAB);
    const char *pool = clip_config_text(g, o, "pool_type", "argmax");
    size_t i = 0;
    while (i < 4 && strcmp(pool, pools[i].name) != 0)
        i++;
    if (i == 4)
        clip_config_fail(g, ST_UNSUPPORTED, "text_cfg pool_type %s is not read", pool);
    else
        v->pool = pools[i].pool;
    const char *proj = clip_config_text(g, o, "proj_type", "linear");
    c->text_proj_none = strcmp(proj, "none") == 0;
    c->text_proj_bias = clip_config_bool(g, o, "proj_bias", false);
}

static enum status read_config(struct clip_model *m, const struct clip_source *src,
                               struct open_clip_cfg *c, struct error *err)
{
    struct clip_config g = {.file = src->config_path, .err = err};
    const json_t *o = clip_config_object(&g, src->config, "model_cfg");
    if (!o)
        o = src->config; /* a file of open_clip's model_configs */
    const json_t *vision = clip_config_object(&g, o, "vision_cfg");
    const json_t *text = clip_config_object(&g, o, "text_cfg");
    if (!g.status && (!vision || !text))
        return clip_config_fail(&g, ST_FORMAT, "no vision_cfg and text_cfg in it");
    if (json_object_get(o, "multimodal_cfg"))
        return clip_config_fail(&g, ST_UNSUPPORTED, "coca models (multimodal_cfg) are not read");
    c->dim = clip_config_int(&g, o, "embed_dim", 512, 1, CLIP_MAX_DIM);
    bool quick = clip_config_bool(&g, o, "quick_gelu", false);
    read_vision(&g, vision, quick, c);
    read_text(&g, text, quick, c);
    const json_t *pre = clip_config_object(&g, src->config, "preprocess_cfg");
    if (g.status)
        return g.status;
    int size = c->resnet->width ? c->resnet->size : c->image->size;
    return clip_preprocess_open_clip(&m->pre, src->config_path, pre, size, err);
}

static int64_t dim_of(const struct clip_loader *l, const char *name, int i)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s", l->src->prefix, name);
    const struct tensor *t = weights_find(l->src->weights, full);
    return t && i < t->ndim ? t->dim[i] : 0;
}

static void guess_transformer(const struct clip_loader *l, struct clip_transformer *t,
                              const char *stem, int64_t width)
{
    char name[128];
    snprintf(name, sizeof name, "%sresblocks.0.mlp.c_fc.weight", stem);
    t->width = width > 0 && width <= CLIP_MAX_WIDTH ? (int)width : 0;
    int64_t hidden = dim_of(l, name, 0);
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

static enum status guess_vit(const struct clip_loader *l, struct open_clip_cfg *c,
                             struct error *err)
{
    struct clip_vit_image *v = c->image;
    int64_t tokens = dim_of(l, "visual.positional_embedding", 0), dim = dim_of(l, "visual.proj", 1);
    int64_t patch = dim_of(l, "visual.conv1.weight", 3);
    guess_transformer(l, &v->t, "visual.transformer.", dim_of(l, "visual.conv1.weight", 0));
    if (tokens < 2 || tokens > (1 << 20) || patch < 1 || patch > CLIP_MAX_IMAGE || dim < 1 ||
        dim > CLIP_MAX_DIM || !v->t.width || !v->t.hidden || !v->t.layers)
        return error_set(err, ST_FORMAT, "%s: not the tensors of a clip vit", l->src->path);
    int grid = (int)lround(sqrt((double)(tokens - 1)));
    v->patch = (int)patch;
    if ((int64_t)grid * grid != tokens - 1 || grid * patch > CLIP_MAX_IMAGE)
        return error_set(err, ST_FORMAT, "%s: %lld positions are no square picture", l->src->path,
                         (long long)tokens);
    v->size = grid * v->patch;
    int head = v->t.width == 1280 ? 80 : v->t.width == 1408 ? 88 : v->t.width == 1664 ? 104 : 64;
    v->t.heads = v->t.width % head == 0 ? v->t.width / head : 1;
    c->dim = (int)dim;
    return ST_OK;
}

/* Heads are 64 wide in all of OpenAI's. */
static enum status guess_resnet(const struct clip_loader *l, struct open_clip_cfg *c,
                                struct error *err)
{
    struct clip_resnet *v = c->resnet;
    struct clip_config g = {.file = l->src->path, .err = err};
    int64_t width = dim_of(l, "visual.layer1.0.conv1.weight", 0);
    int64_t places = dim_of(l, "visual.attnpool.positional_embedding", 0) - 1;
    int64_t dim = dim_of(l, "visual.attnpool.c_proj.weight", 0);
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
    check_resnet(&g, v);
    return g.status;
}

/* A bare state dict. Sizes come from shapes. Heads are 64 wide but in the image towers of ViT-H, g
 * and G, whose widths nothing else has. QuickGELU when the file is OpenAI's own (its three buffers)
 * or its name says "quickgelu" or "openai"; else GELU, which all of OpenCLIP's own trainings but a
 * few use. */
static enum status guess_config(struct clip_model *m, const struct clip_loader *l,
                                struct open_clip_cfg *c, struct error *err)
{
    struct clip_vit_image *v = c->image;
    struct clip_vit_text *t = c->text;
    const char *path = l->src->path;
    char name[64];
    bool carried = weights_meta(l->src->weights, QUICK_TRAIT) != NULL;
    bool named = carried || names_say_quick(l->src);
    bool quick = l->src->openai || named;
    enum status st = probe_resnet(l->src) ? guess_resnet(l, c, err) : guess_vit(l, c, err);
    if (st)
        return st;
    snprintf(name, sizeof name, "%sln_final.weight", c->at);
    int64_t width = dim_of(l, name, 0);
    snprintf(name, sizeof name, "%stransformer.", c->at);
    guess_transformer(l, &t->t, name, width);
    snprintf(name, sizeof name, "%spositional_embedding", c->at);
    int64_t context = dim_of(l, name, 0);
    snprintf(name, sizeof name, "%stoken_embedding.weight", c->at);
    int64_t vocab = dim_of(l, name, 0);
    if (context < 2 || context > CLIP_MAX_CONTEXT || vocab < 1 || vocab > CLIP_MAX_VOCAB ||
        !t->t.width || !t->t.hidden || !t->t.layers)
        return error_set(err, ST_FORMAT, "%s: not the tensors of a clip text tower", path);
    t->t.heads = t->t.width % 64 == 0 ? t->t.width / 64 : 1;
    v->t.act = t->t.act = quick ? ACT_QUICK_GELU : ACT_GELU;
    t->t.causal = true;
    t->pool = CLIP_POOL_ARGMAX;
    t->context = (int)context;
    c->vocab = (int)vocab;
    c->image_scale = clip_load_has(l, "visual.transformer.resblocks.0.ls_1.gamma");
    c->text_scale = clip_load_has(l, "%stransformer.resblocks.0.ls_1.gamma", c->at);
    c->text_proj_bias = clip_load_has(l, "%stext_projection.bias", c->at);
    c->text_proj_none = !c->text_proj_bias && !clip_load_has(l, "%stext_projection", c->at);
    m->trait = named && !l->src->openai ? QUICK_TRAIT : NULL;
    m->note = l->src->openai
                  ? "no config: sizes from shapes, quick_gelu as in all of openai's files"
              : carried ? "no config: sizes from shapes, quick_gelu by the file's metadata"
              : named   ? "no config: sizes from shapes, quick_gelu by the file's name"
                      : "no config: sizes from shapes, gelu (a .json beside the file, or quickgelu "
                        "in its name, says otherwise)";
    return clip_preprocess_open_clip(&m->pre, path, NULL,
                                     c->resnet->width ? c->resnet->size : v->size, err);
}

static void load_layers(struct clip_loader *l, struct clip_transformer *t, bool scaled,
                        const char *stem)
{
    if (clip_transformer_init(t, l))
        return;
    int64_t d = t->width, f = t->hidden, d3 = 3 * d;
    for (int i = 0; i < t->layers && !l->status; i++) {
        struct clip_layer *y = &t->layer[i];
        char p[64];
        snprintf(p, sizeof p, "%sresblocks.%d", stem, i);
        struct tensor w = clip_load_matrix(l, 2, (int64_t[]){d3, d}, "%s.attn.in_proj_weight", p);
        struct tensor b = clip_load_small(l, 1, &d3, "%s.attn.in_proj_bias", p);
        struct clip_linear *qkv[] = {&y->q, &y->k, &y->v};
        for (int j = 0; j < 3; j++) {
            qkv[j]->w = clip_tensor_rows(&w, j * d, d);
            qkv[j]->b = clip_tensor_rows(&b, j * d, d);
        }
        y->o = clip_load_linear(l, d, d, true, "%s.attn.out_proj", p);
        y->ln1 = clip_load_norm(l, d, "%s.ln_1", p);
        y->ln2 = clip_load_norm(l, d, "%s.ln_2", p);
        y->fc1 = clip_load_linear(l, f, d, true, "%s.mlp.c_fc", p);
        y->fc2 = clip_load_linear(l, d, f, true, "%s.mlp.c_proj", p);
        if (scaled) {
            y->ls1 = clip_load_small(l, 1, &d, "%s.ls_1.gamma", p);
            y->ls2 = clip_load_small(l, 1, &d, "%s.ls_2.gamma", p);
        }
    }
}

static void load_image(struct clip_loader *l, struct open_clip_cfg *c)
{
    struct clip_vit_image *v = c->image;
    int64_t d = v->t.width, p = v->patch, tokens = 1 + (int64_t)v->grid * v->grid;
    v->patches = clip_load_matrix(l, 4, (int64_t[]){d, 3, p, p}, "visual.conv1.weight");
    v->class_token = clip_load_small(l, 1, &d, "visual.class_embedding");
    v->positions = clip_load_small(l, 2, (int64_t[]){tokens, d}, "visual.positional_embedding");
    if (clip_load_has(l, "visual.ln_pre.weight"))
        v->ln_pre = clip_load_norm(l, d, "visual.ln_pre");
    load_layers(l, &v->t, c->image_scale, "visual.transformer.");
    v->ln_post = clip_load_norm(l, d, "visual.ln_post");
    v->patches.use = TENSOR_WEIGHT_FINE;
    v->proj.w = clip_load_turned(l, d, c->dim, "visual.proj");
    v->proj.w.use = TENSOR_WEIGHT_FINE;
}

static void load_text(struct clip_loader *l, struct open_clip_cfg *c)
{
    struct clip_vit_text *v = c->text;
    int64_t d = v->t.width;
    char stem[32];
    snprintf(stem, sizeof stem, "%stransformer.", c->at);
    v->tokens = clip_load_matrix(l, 2, (int64_t[]){c->vocab, d}, "%stoken_embedding.weight", c->at);
    v->positions =
        clip_load_small(l, 2, (int64_t[]){v->context, d}, "%spositional_embedding", c->at);
    load_layers(l, &v->t, c->text_scale, stem);
    v->ln_final = clip_load_norm(l, d, "%sln_final", c->at);
    if (c->text_proj_none && d != c->dim)
        l->status =
            error_set(l->err, ST_FORMAT,
                      "%s: no text projection, and the text tower is %d wide for vectors of %d",
                      l->src->path, v->t.width, c->dim);
    else if (c->text_proj_bias)
        v->proj = clip_load_linear(l, c->dim, d, true, "%stext_projection", c->at);
    else if (!c->text_proj_none)
        v->proj.w = clip_load_turned(l, d, c->dim, "%stext_projection", c->at);
}

static void describe_resnet(struct clip_model *m, const struct clip_resnet *v)
{
    size_t n = strlen(m->recipe);
    m->image_layers = CLIP_RESNET_STAGES;
    m->image_width = v->width * 32;
    m->patch = 32;
    m->input_side = v->size;
    m->image_alone = true;
    snprintf(m->recipe + n, sizeof m->recipe - n, " resnet %d", v->heads);
}

static void describe_hf_text(struct clip_model *m, const struct clip_hf_text *t,
                             const struct clip_source *src)
{
    size_t n = strlen(m->recipe);
    m->text_layers = t->bert.t.layers;
    m->text_width = t->bert.t.width;
    m->tokenizer = t->tokenizer;
    m->tokenizer_dir = src->dir;
    snprintf(m->recipe + n, sizeof m->recipe - n, " hf text %d", t->bert.t.heads);
}

static enum status open_model(struct clip_model *m, const struct clip_source *src,
                              const struct clip_opts *o, struct error *err)
{
    struct clip_loader l = {.m = m, .src = src, .err = err};
    struct open_clip *d = arena_alloc(&m->arena, sizeof *d);
    if (!d)
        return error_set(err, ST_NOMEM, "%s: out of memory", src->path);
    memset(d, 0, sizeof *d);
    m->data = d;
    struct clip_vit *v = &d->vit;
    struct open_clip_cfg c = {
        .image = &v->image, .text = &v->text, .resnet = &d->resnet, .hf = &d->hf};
    c.at = clip_load_has(&l, "text.token_embedding.weight") ? "text." : "";
    enum status st = src->config ? read_config(m, src, &c, err) : guess_config(m, &l, &c, err);
    if (st)
        return st;
    if (probe_resnet(src) != (d->resnet.width > 0))
        return error_set(err, ST_FORMAT, "%s: the config and the tensors differ on the image tower",
                         src->path);
    if (!d->resnet.width && v->image.patch > v->image.size)
        return error_set(err, ST_FORMAT, "%s: patch_size %d exceeds image_size %d", src->path,
                         v->image.patch, v->image.size);
    if (!d->resnet.width)
        v->image.grid = v->image.size / v->image.patch;
    if (!o->no_image && d->resnet.width)
        clip_resnet_load(&l, &d->resnet, c.dim);
    else if (!o->no_image)
        load_image(&l, &c);
    if (d->hf.used)
        clip_hf_text_load(&l, &d->hf, c.dim, !o->no_text, &c.vocab);
    else if (!o->no_text)
        load_text(&l, &c);
    m->dim = c.dim;
    m->vocab = c.vocab;
    m->context = d->hf.used ? d->hf.bert.context : v->text.context;
    m->logit_scale = expf(clip_load_number(&l, 0.0f, "logit_scale"));
    m->logit_bias = clip_load_number(&l, 0.0f, "logit_bias");
    m->tokenizer = TOKENIZER_CLIP_OPEN;
    clip_vit_describe(m, v);
    if (d->resnet.width)
        describe_resnet(m, &d->resnet);
    if (d->hf.used)
        describe_hf_text(m, &d->hf, src);
    return l.status;
}

static enum status run_resnet(const struct clip_model *m, struct clip_run *r,
                              const struct tensor *x, struct tensor *y)
{
    return clip_resnet_run(r, &((const struct open_clip *)m->data)->resnet, x, y);
}

static enum status run_text(const struct clip_model *m, struct clip_run *r,
                            const struct clip_tokens *t, struct tensor *y)
{
    const struct open_clip *d = m->data;
    return d->hf.used ? clip_hf_text_run(r, &d->hf, t, y) : clip_vit_run_text(m, r, t, y);
}

static enum status run_states(const struct clip_model *m, struct clip_run *r,
                              const struct clip_tokens *t, struct tensor *y, uint8_t *mask)
{
    const struct open_clip *d = m->data;
    return d->hf.used ? clip_bert_states(r, &d->hf.bert, t, y, mask)
                      : clip_vit_run_states(m, r, t, y, mask);
}

const struct clip_arch clip_arch_open_clip_resnet = {
    .name = "open_clip resnet",
    .probe = probe_resnet,
    .open = open_model,
    .image = run_resnet,
    .text = run_text,
    .states = run_states,
};

const struct clip_arch clip_arch_open_clip = {
    .name = "open_clip vit",
    .probe = probe,
    .open = open_model,
    .image = clip_vit_run_image,
    .text = run_text,
    .states = run_states,
};
