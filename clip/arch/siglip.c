/* SigLIP and SigLIP 2 as transformers' SiglipModel and Siglip2Model compute them (Zhai et al. 2023,
 * Tschannen et al. 2025): no class token, no causal mask, the last token's state for the text, and
 * a learned query that asks all patches for the picture; naflex.c has pictures of any shape.
 * Surprising: texts are always padded to the whole context, and the padding is seen. */
#include "clip/arch/siglip.h"
#include "clip/arch/hf_clip.h"
#include "core/file.h"
#include <math.h>

/* vit comes first: clip_vit_run_text reads it at m->data; its image half stays empty. */
struct siglip {
    struct clip_vit vit;
    struct clip_siglip_image image;
    bool naflex; /* pictures of any shape */
};

static const struct clip_hf_defaults defaults = {768, 3072, 12, 1e-6, "gelu_pytorch_tanh"};

static bool probe(const struct clip_source *src)
{
    const char *type = json_string_value(json_object_get(src->config, "model_type"));
    struct clip_loader l = {.src = src};
    return !src->open_clip && (clip_load_has(&l, "vision_model.head.probe") ||
                               (type && strncmp(type, "siglip", 6) == 0));
}

/* A square of positions: of the pictures, or, where these have any shape, what is resized to
 * theirs. */
static void read_grid(struct clip_config *g, const json_t *vision, struct siglip *s)
{
    struct clip_vit_image *v = &s->vit.image;
    v->patch = clip_config_side(g, vision, "patch_size", 16, 1, CLIP_MAX_IMAGE);
    if (!s->naflex) {
        v->size = clip_config_side(g, vision, "image_size", 224, 1, CLIP_MAX_IMAGE);
        if (v->patch > v->size)
            clip_config_fail(g, ST_FORMAT, "patch_size %d exceeds image_size %d", v->patch,
                             v->size);
        v->grid = v->size / v->patch;
        return;
    }
    int n = clip_config_int(g, vision, "num_patches", 256, 1, CLIP_NAFLEX_GRID * CLIP_NAFLEX_GRID);
    v->grid = (int)lround(sqrt((double)n));
    if (v->grid * v->grid != n)
        clip_config_fail(g, ST_FORMAT, "num_patches %d is no square", n);
}

static enum status read_config(struct clip_model *m, struct siglip *s,
                               const struct clip_source *src, struct error *err)
{
    struct clip_vit *v = &s->vit;
    struct clip_config g = {.file = src->config_path, .err = err};
    const char *type = clip_config_text(&g, src->config, "model_type", "siglip");
    s->naflex = strcmp(type, "siglip2") == 0;
    if (!s->naflex && strcmp(type, "siglip") != 0)
        return clip_config_fail(&g, ST_UNSUPPORTED, "model_type %s is not read", type);
    const json_t *text = clip_config_object(&g, src->config, "text_config");
    const json_t *vision = clip_config_object(&g, src->config, "vision_config");
    clip_hf_read_transformer(&g, text, &defaults, &v->text.t);
    clip_hf_read_transformer(&g, vision, &defaults, &v->image.t);
    v->text.context = clip_config_int(&g, text, "max_position_embeddings", 64, 2, CLIP_MAX_CONTEXT);
    v->text.pool = CLIP_POOL_LAST;
    m->vocab = clip_config_int(&g, text, "vocab_size", 32000, 1, CLIP_MAX_VOCAB);
    m->context = v->text.context;
    m->dim = clip_config_int(&g, text, "projection_size", v->text.t.width, 1, CLIP_MAX_DIM);
    read_grid(&g, vision, s);
    if (!clip_config_bool(&g, vision, "vision_use_head", true))
        clip_config_fail(&g, ST_UNSUPPORTED, "vision_use_head false is not read");
    if (clip_config_int(&g, vision, "num_channels", 3, 1, 64) != 3)
        clip_config_fail(&g, ST_UNSUPPORTED, "only three-channel pictures are read");
    if (m->dim != v->image.t.width)
        clip_config_fail(&g, ST_FORMAT, "the towers give vectors of %d and %d values",
                         v->image.t.width, m->dim);
    return g.status;
}

static void load_image(struct clip_loader *l, struct clip_siglip_image *s, bool naflex)
{
    struct clip_vit_image *v = &s->vit;
    int64_t d = v->t.width, d3 = 3 * d, p = v->patch, tokens = (int64_t)v->grid * v->grid;
    v->patches = clip_load_matrix(l, naflex ? 2 : 4,
                                  naflex ? (int64_t[]){d, p * p * 3} : (int64_t[]){d, 3, p, p},
                                  "vision_model.embeddings.patch_embedding.weight");
    v->patches.use = TENSOR_WEIGHT_FINE;
    s->patch_bias = clip_load_small(l, 1, &d, "vision_model.embeddings.patch_embedding.bias");
    v->positions = clip_load_small(l, 2, (int64_t[]){tokens, d},
                                   "vision_model.embeddings.position_embedding.weight");
    clip_hf_load_layers(l, &v->t, "vision_model.");
    v->ln_post = clip_load_norm(l, d, "vision_model.post_layernorm");
    s->probe = clip_load_small(l, 3, (int64_t[]){1, 1, d}, "vision_model.head.probe");
    struct tensor w =
        clip_load_matrix(l, 2, (int64_t[]){d3, d}, "vision_model.head.attention.in_proj_weight");
    struct tensor b = clip_load_small(l, 1, &d3, "vision_model.head.attention.in_proj_bias");
    struct clip_linear *qkv[] = {&s->q, &s->k, &s->v};
    for (int i = 0; i < 3; i++) {
        qkv[i]->w = clip_tensor_rows(&w, i * d, d);
        qkv[i]->b = clip_tensor_rows(&b, i * d, d);
    }
    s->o = clip_load_linear(l, d, d, true, "vision_model.head.attention.out_proj");
    s->norm = clip_load_norm(l, d, "vision_model.head.layernorm");
    s->fc1 = clip_load_linear(l, v->t.hidden, d, true, "vision_model.head.mlp.fc1");
    s->fc2 = clip_load_linear(l, d, v->t.hidden, true, "vision_model.head.mlp.fc2");
    s->fc2.w.use = TENSOR_WEIGHT_FINE;
}

static enum status open_model(struct clip_model *m, const struct clip_source *src,
                              const struct clip_opts *o, struct error *err)
{
    struct clip_loader l = {.m = m, .src = src, .err = err};
    struct siglip *s = arena_alloc(&m->arena, sizeof *s);
    if (!src->config)
        return error_set(err, ST_NOT_FOUND, "%s: no config.json beside the weights", src->path);
    if (!s)
        return error_set(err, ST_NOMEM, "%s: out of memory", src->path);
    memset(s, 0, sizeof *s);
    m->data = s;
    struct clip_vit *v = &s->vit;
    enum status st = read_config(m, s, src, err);
    if (!st)
        st = s->naflex ? clip_preprocess_naflex(&m->pre, src->dir, v->image.patch, err)
                       : clip_preprocess_siglip(&m->pre, src->dir, v->image.size, err);
    if (st)
        return st;
    s->image.vit = v->image;
    if (!o->no_image)
        load_image(&l, &s->image, s->naflex);
    if (!o->no_text) {
        clip_hf_load_text(&l, &v->text, m->vocab, "text_model.");
        v->text.t.causal = false;
        v->text.proj = clip_load_linear(&l, m->dim, v->text.t.width, true, "text_model.head");
    }
    m->logit_scale = expf(clip_load_number(&l, 0.0f, "logit_scale"));
    m->logit_bias = clip_load_number(&l, 0.0f, "logit_bias");
    m->tokenizer = file_exists_in(src->dir, "spiece.model") ? TOKENIZER_SIGLIP : TOKENIZER_GEMMA;
    m->tokenizer_dir = src->dir;
    clip_vit_describe(m, v);
    size_t n = strlen(m->recipe);
    snprintf(m->recipe + n, sizeof m->recipe - n, s->naflex ? " siglip naflex" : " siglip");
    if (s->naflex) {
        m->input_side = 0; /* the list whole */
        m->image_alone = true;
    }
    return l.status;
}

static enum status run_image(const struct clip_model *m, struct clip_run *r, const struct tensor *x,
                             struct tensor *y)
{
    const struct siglip *s = m->data;
    return s->naflex ? clip_naflex_run_image(r, &s->image, x, y)
                     : clip_siglip_run_image(r, &s->image, x, y);
}

const struct clip_arch clip_arch_siglip = {
    .name = "siglip",
    .probe = probe,
    .open = open_model,
    .image = run_image,
    .text = clip_vit_run_text,
    .states = clip_vit_run_states,
};
