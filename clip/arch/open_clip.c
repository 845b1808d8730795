/* OpenAI's and OpenCLIP's names (visual.transformer.resblocks...), with OpenCLIP's config or
 * without any. Surprising: nothing in a bare state dict says which GELU it was trained with, nor
 * how wide a head is; the rules for that stand in open_clip_guess.c and are repeated in clip_info's
 * note. */
#include "clip/arch/open_clip.h"
#include "clip/config.h"
#include <math.h>

static bool probe(const struct clip_source *src)
{
    struct clip_loader l = {.src = src};
    return src->open_clip || clip_load_has(&l, "visual.conv1.weight") ||
           clip_load_has(&l, "visual.trunk.head.fc.weight") ||
           clip_load_has(&l, "visual.trunk.head.weight");
}

bool clip_open_clip_is_resnet(const struct clip_source *src)
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
    clip_open_clip_check_resnet(g, v);
}

static void read_vision(struct clip_config *g, const json_t *o, bool quick, struct open_clip_cfg *c)
{
    static const char *const parts[] = {"timm_model_name", "attentional_pool", NULL};
    struct clip_vit_image *v = c->image;
    if (clip_open_clip_read_timm(g, o, c))
        return;
    refuse(g, o, "vision_cfg", parts);
    if (json_is_array(json_object_get(o, "layers"))) {
        c->model->kind = OPEN_CLIP_RESNET;
        read_resnet(g, o, c->resnet);
        return;
    }
    read_transformer(g, o, quick, &v->t, 768, &c->image_scale);
    int head = clip_config_int(g, o, "head_width", 64, 1, CLIP_MAX_WIDTH);
    v->t.heads = v->t.width / head; /* rounds down, as open_clip does */
    clip_config_heads(g, "width", v->t.width, v->t.heads);
    v->size = clip_config_side(g, o, "image_size", 224, 1, CLIP_MAX_IMAGE);
    v->patch = clip_config_side(g, o, "patch_size", 16, 1, CLIP_MAX_IMAGE);
    const char *pool = clip_config_text(g, o, "pool_type", "tok");
    v->pool = strcmp(pool, "avg") == 0 ? CLIP_POOL_MEAN : CLIP_POOL_FIRST;
    if (v->pool != CLIP_POOL_MEAN && strcmp(pool, "tok") != 0)
        clip_config_fail(g, ST_UNSUPPORTED, "vision_cfg pool_type %s is not read", pool);
    v->norm_after_pool = clip_config_bool(g, o, "final_ln_after_pool", false);
}

/* SigLIP's texts are canonicalized, for the tokenizer that lies in the folder. */
static void read_tokenizer(struct clip_config *g, const json_t *o, struct open_clip_cfg *c)
{
    const char *name = clip_config_text(g, o, "hf_tokenizer_name", "");
    const json_t *kwargs = clip_config_object(g, o, "tokenizer_kwargs");
    const char *clean = clip_config_text(g, kwargs, "clean", "");
    if (!*name && !kwargs)
        return;
    if (!*name || strcmp(clean, "canonicalize") != 0 || json_object_size(kwargs) != 1)
        clip_config_fail(g, ST_UNSUPPORTED,
                         "text_cfg hf_tokenizer_name is read with clean \"canonicalize\" only");
    c->tokenizer = strstr(name, "SigLIP2") ? TOKENIZER_GEMMA_CLEAN : TOKENIZER_T5_CLEAN;
}

static void read_text(struct clip_config *g, const json_t *o, bool quick, struct open_clip_cfg *c)
{
    static const char *const parts[] = {"embed_cls", "tokenizer_mode", NULL};
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
    read_tokenizer(g, o, c);
    read_transformer(g, o, quick, &v->t, 512, &c->text_scale);
    v->t.heads = clip_config_int(g, o, "heads", 8, 1, CLIP_MAX_WIDTH);
    clip_config_heads(g, "text width", v->t.width, v->t.heads);
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
    clip_open_clip_timm_sizes(c->model);
    return clip_preprocess_open_clip(&m->pre, src->config_path, pre,
                                     c->resnet->width ? c->resnet->size : c->image->size, err);
}

static void load_layers(struct clip_loader *l, struct clip_transformer *t, bool scaled,
                        const char *stem)
{
    static const struct clip_layer_names names = {.ln1 = "ln_1",
                                                  .qkv = "attn.in_proj_",
                                                  .o = "attn.out_proj",
                                                  .ln2 = "ln_2",
                                                  .fc1 = "mlp.c_fc",
                                                  .fc2 = "mlp.c_proj"};
    int64_t d = t->width;
    char p[64];
    snprintf(p, sizeof p, "%sresblocks.", stem);
    clip_transformer_load(t, l, p, &names);
    for (int i = 0; i < t->layers && scaled && !l->status; i++) {
        t->layer[i].ls1 = clip_load_small(l, 1, &d, "%s%d.ls_1.gamma", p, i);
        t->layer[i].ls2 = clip_load_small(l, 1, &d, "%s%d.ls_2.gamma", p, i);
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
    static const char *const pools[] = {
        [CLIP_HF_MEAN] = "", [CLIP_HF_FIRST] = " first", [CLIP_HF_POOLER] = " pooler"};
    snprintf(m->recipe + n, sizeof m->recipe - n, " hf text %d%s", t->bert.t.heads, pools[t->pool]);
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
    struct open_clip_cfg c = {.model = d,
                              .image = &v->image,
                              .text = &v->text,
                              .resnet = &d->resnet,
                              .hf = &d->hf,
                              .loader = &l,
                              .tokenizer = TOKENIZER_CLIP_OPEN};
    c.at = clip_load_has(&l, "text.token_embedding.weight") ? "text." : "";
    enum status st =
        src->config ? read_config(m, src, &c, err) : clip_open_clip_guess(m, &l, &c, err);
    if (st)
        return st;
    if (clip_open_clip_is_resnet(src) != (d->resnet.width > 0))
        return error_set(err, ST_FORMAT, "%s: the config and the tensors differ on the image tower",
                         src->path);
    bool vit = d->kind == OPEN_CLIP_VIT;
    if (d->kind == OPEN_CLIP_SIGLIP && d->siglip.vit.t.width != c.dim)
        return error_set(err, ST_FORMAT, "%s: an image tower of %d values for vectors of %d",
                         src->path, d->siglip.vit.t.width, c.dim);
    if (vit && v->image.patch > v->image.size)
        return error_set(err, ST_FORMAT, "%s: patch_size %d exceeds image_size %d", src->path,
                         v->image.patch, v->image.size);
    if (vit)
        v->image.grid = v->image.size / v->image.patch;
    if (!o->no_image && d->kind == OPEN_CLIP_RESNET)
        clip_resnet_load(&l, &d->resnet, c.dim);
    else if (!o->no_image && !vit)
        clip_open_clip_load_timm(&l, d, c.dim);
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
    m->tokenizer = c.tokenizer;
    m->tokenizer_dir = c.tokenizer == TOKENIZER_CLIP_OPEN ? NULL : src->dir;
    clip_vit_describe(m, v);
    clip_open_clip_describe_timm(m, d);
    if (d->kind == OPEN_CLIP_RESNET)
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
    .probe = clip_open_clip_is_resnet,
    .open = open_model,
    .image = run_resnet,
    .text = run_text,
    .states = run_states,
};

static enum status run_vit(const struct clip_model *m, struct clip_run *r, const struct tensor *x,
                           struct tensor *y)
{
    const struct open_clip *d = m->data;
    return d->kind == OPEN_CLIP_VIT ? clip_vit_run_image(m, r, x, y)
                                    : clip_open_clip_run_timm(r, d, x, y);
}

const struct clip_arch clip_arch_open_clip = {
    .name = "open_clip vit",
    .probe = probe,
    .open = open_model,
    .image = run_vit,
    .text = run_text,
    .states = run_states,
};
