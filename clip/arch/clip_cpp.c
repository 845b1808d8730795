/* clip.cpp's GGUF files: transformers' towers under short names, the config among the metadata.
 * Surprising: ffn_down is the layer that widens; the file's writer swapped the two names. It leaves
 * out logit_scale, which is 100 in all of OpenAI's models, and the merges of the vocabulary. */
#include "clip/arch/vit.h"
#include "clip/config.h"
#include <stdlib.h>

static bool probe(const struct clip_source *src)
{
    const char *arch = weights_meta(src->weights, "general.architecture");
    return arch && strcmp(arch, "clip") == 0;
}

/* GGUF's metadata is text; the key's own tower stands before it. */
static double real(struct clip_config *g, const struct clip_source *src, const char *tower,
                   const char *key, double lo, double hi)
{
    char name[96], *end = NULL;
    snprintf(name, sizeof name, "clip.%s.%s", tower, key);
    const char *text = weights_meta(src->weights, name);
    double v = text ? strtod(text, &end) : 0;
    if (!text)
        clip_config_fail(g, ST_FORMAT, "%s is missing", name);
    else if (end == text || *end || !(v >= lo && v <= hi))
        clip_config_fail(g, ST_FORMAT, "%s must be a number from %g to %g", name, lo, hi);
    return g->status ? lo : v;
}

static int number(struct clip_config *g, const struct clip_source *src, const char *tower,
                  const char *key, int lo, int hi)
{
    double v = real(g, src, tower, key, lo, hi);
    if (!g->status && v != (int)v)
        clip_config_fail(g, ST_FORMAT, "clip.%s.%s must be a whole number", tower, key);
    return g->status ? lo : (int)v;
}

static bool flag(const struct clip_source *src, const char *name)
{
    const char *text = weights_meta(src->weights, name);
    return text && strcmp(text, "true") == 0;
}

static void read_transformer(struct clip_config *g, const struct clip_source *src,
                             const char *tower, struct clip_transformer *t)
{
    t->width = number(g, src, tower, "embedding_length", 1, CLIP_MAX_WIDTH);
    t->hidden = number(g, src, tower, "feed_forward_length", 1, 8 * CLIP_MAX_WIDTH);
    t->heads = number(g, src, tower, "attention.head_count", 1, CLIP_MAX_WIDTH);
    t->layers = number(g, src, tower, "block_count", 1, CLIP_MAX_LAYERS);
    t->eps = (float)real(g, src, tower, "attention.layer_norm_epsilon", 0, 1);
    t->act = flag(src, "clip.use_gelu") ? ACT_GELU : ACT_QUICK_GELU;
    clip_config_heads(g, "embedding_length", t->width, t->heads);
}

static void read_three(struct clip_config *g, const struct clip_source *src, const char *name,
                       double least, float x[3])
{
    const char *s = weights_meta(src->weights, name);
    char *end = NULL;
    for (int i = 0; s && i < 3; i++) {
        double v = strtod(s, &end);
        if (end == s || *end != (i < 2 ? ',' : 0) || !(v >= least && v <= 1e3)) {
            clip_config_fail(g, ST_FORMAT, "%s must be three numbers from %g to 1000", name, least);
            return;
        }
        x[i] = (float)v;
        s = end + 1;
    }
}

static enum status read_config(struct clip_model *m, struct clip_vit *v,
                               const struct clip_source *src, struct error *err)
{
    struct clip_config g = {.file = src->path, .err = err};
    if (!flag(src, "clip.has_text_encoder") || !flag(src, "clip.has_vision_encoder"))
        return clip_config_fail(&g, ST_UNSUPPORTED, "holds one of the two towers; both are needed");
    read_transformer(&g, src, "vision", &v->image.t);
    read_transformer(&g, src, "text", &v->text.t);
    m->dim = number(&g, src, "text", "projection_dim", 1, CLIP_MAX_DIM);
    v->text.context = number(&g, src, "text", "context_length", 2, CLIP_MAX_CONTEXT);
    v->text.t.causal = true;
    v->text.pool = CLIP_POOL_ARGMAX;
    v->image.size = number(&g, src, "vision", "image_size", 1, CLIP_MAX_IMAGE);
    v->image.patch = number(&g, src, "vision", "patch_size", 1, CLIP_MAX_IMAGE);
    v->image.pool = CLIP_POOL_FIRST;
    v->image.norm_after_pool = true;
    if (v->image.patch > v->image.size)
        clip_config_fail(&g, ST_FORMAT, "patch_size %d exceeds image_size %d", v->image.patch,
                         v->image.size);
    v->image.grid = v->image.size / v->image.patch;
    clip_preprocess_default(&m->pre, v->image.size);
    m->pre.prep.crop = DECODER_CROP_FLOOR;
    read_three(&g, src, "clip.vision.image_mean", -1e3, m->pre.mean);
    read_three(&g, src, "clip.vision.image_std", 1e-6, m->pre.std);
    m->context = v->text.context;
    return g.status;
}

static const struct clip_layer_names names = {
    .ln1 = "ln1",
    .q = "attn_q",
    .k = "attn_k",
    .v = "attn_v",
    .o = "attn_out",
    .ln2 = "ln2",
    .fc1 = "ffn_down", /* sic */
    .fc2 = "ffn_up",
};

static void load_image(struct clip_loader *l, struct clip_vit_image *v, int dim)
{
    int64_t d = v->t.width, p = v->patch, tokens = 1 + (int64_t)v->grid * v->grid;
    v->class_token = clip_load_small(l, 1, &d, "v.class_embd");
    v->patches = clip_load_matrix(l, 4, (int64_t[]){d, 3, p, p}, "v.patch_embd.weight");
    v->positions = clip_load_small(l, 2, (int64_t[]){tokens, d}, "v.position_embd.weight");
    v->ln_pre = clip_load_norm(l, d, "v.pre_ln");
    clip_transformer_load(&v->t, l, "v.blk.", &names);
    v->ln_post = clip_load_norm(l, d, "v.post_ln");
    v->patches.use = TENSOR_WEIGHT_FINE;
    v->proj = clip_load_linear(l, dim, d, false, "visual_projection");
    v->proj.w.use = TENSOR_WEIGHT_FINE;
}

static void load_text(struct clip_loader *l, struct clip_vit_text *v, int vocab, int dim)
{
    int64_t d = v->t.width;
    v->tokens = clip_load_matrix(l, 2, (int64_t[]){vocab, d}, "t.token_embd.weight");
    v->positions = clip_load_small(l, 2, (int64_t[]){v->context, d}, "t.position_embd.weight");
    clip_transformer_load(&v->t, l, "t.blk.", &names);
    v->ln_final = clip_load_norm(l, d, "t.post_ln");
    v->proj = clip_load_linear(l, dim, d, false, "text_projection");
}

static enum status open_model(struct clip_model *m, const struct clip_source *src,
                              const struct clip_opts *o, struct error *err)
{
    struct clip_loader l = {.m = m, .src = src, .err = err};
    struct clip_vit *v = arena_alloc(&m->arena, sizeof *v);
    if (!v)
        return error_set(err, ST_NOMEM, "%s: out of memory", src->path);
    memset(v, 0, sizeof *v);
    m->data = v;
    m->vocab = 49408; /* OpenAI's, whose merges are compiled in */
    enum status st = read_config(m, v, src, err);
    if (st)
        return st;
    if (!o->no_image)
        load_image(&l, &v->image, m->dim);
    if (!o->no_text)
        load_text(&l, &v->text, m->vocab, m->dim);
    m->logit_scale = 100.0f;
    m->license = weights_meta(src->weights, "general.license");
    m->note = "no logit_scale in the file: 100, as in all of openai's";
    m->tokenizer = TOKENIZER_CLIP_HF;
    clip_vit_describe(m, v);
    return l.status;
}

const struct clip_arch clip_arch_clip_cpp = {
    .name = "clip.cpp vit",
    .probe = probe,
    .open = open_model,
    .image = clip_vit_run_image,
    .text = clip_vit_run_text,
    .states = clip_vit_run_states,
};
