/* Hugging Face CLIPModel folders: config.json and transformers' names. Surprising: configs from
 * before transformers 4.30 say eos_token_id 2, and then the end token is found as the largest id.
 */
#include "clip/arch/hf_clip.h"
#include "core/file.h"
#include <math.h>

static bool probe(const struct clip_source *src)
{
    struct clip_loader l = {.src = src};
    return !src->open_clip && (clip_load_has(&l, "vision_model.embeddings.class_embedding") ||
                               clip_load_has(&l, "vision_model.embeddings.patch_embedding.weight"));
}

static enum act act_of(struct clip_config *g, const json_t *o, const char *otherwise)
{
    static const struct {
        const char *name;
        enum act act;
    } known[] = {{"quick_gelu", ACT_QUICK_GELU},
                 {"gelu", ACT_GELU},
                 {"gelu_python", ACT_GELU},
                 {"gelu_new", ACT_GELU_TANH},
                 {"gelu_fast", ACT_GELU_TANH},
                 {"gelu_pytorch_tanh", ACT_GELU_TANH},
                 {"silu", ACT_SILU},
                 {"swish", ACT_SILU},
                 {"relu", ACT_RELU}};
    const char *name = clip_config_text(g, o, "hidden_act", otherwise);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(name, known[i].name) == 0)
            return known[i].act;
    clip_config_fail(g, ST_UNSUPPORTED, "hidden_act %s is not read", name);
    return ACT_NONE;
}

void clip_hf_read_transformer(struct clip_config *g, const json_t *o,
                              const struct clip_hf_defaults *d, struct clip_transformer *t)
{
    t->width = clip_config_int(g, o, "hidden_size", d->width, 1, CLIP_MAX_WIDTH);
    t->hidden = clip_config_int(g, o, "intermediate_size", d->hidden, 1, 8 * CLIP_MAX_WIDTH);
    t->heads = clip_config_int(g, o, "num_attention_heads", d->heads, 1, CLIP_MAX_WIDTH);
    t->layers = clip_config_int(g, o, "num_hidden_layers", 12, 1, CLIP_MAX_LAYERS);
    t->eps = (float)clip_config_real(g, o, "layer_norm_eps", d->eps, 0, 1);
    t->act = act_of(g, o, d->act);
    clip_config_heads(g, "hidden_size", t->width, t->heads);
}

/* transformers lets "text_config_dict", where present, win over "text_config". */
static const json_t *section(struct clip_config *g, const json_t *root, const char *name)
{
    char dict[32];
    snprintf(dict, sizeof dict, "%s_dict", name);
    const json_t *o = clip_config_object(g, root, dict);
    return o ? o : clip_config_object(g, root, name);
}

static enum status read_config(struct clip_model *m, struct clip_vit *v,
                               const struct clip_source *src, struct error *err)
{
    struct clip_config g = {.file = src->config_path, .err = err};
    const char *type = clip_config_text(&g, src->config, "model_type", "clip");
    if (strcmp(type, "clip") != 0)
        return clip_config_fail(&g, ST_UNSUPPORTED, "model_type %s is not read", type);
    const json_t *text = section(&g, src->config, "text_config");
    const json_t *vision = section(&g, src->config, "vision_config");
    m->dim = clip_config_int(&g, src->config, "projection_dim", 512, 1, CLIP_MAX_DIM);
    m->vocab = clip_config_int(&g, text, "vocab_size", 49408, 1, CLIP_MAX_VOCAB);
    clip_hf_read_text(&g, text, &v->text);
    clip_hf_read_transformer(
        &g, vision, &(struct clip_hf_defaults){768, 3072, 12, 1e-5, "quick_gelu"}, &v->image.t);
    m->context = v->text.context;
    v->text.eos = clip_config_int(&g, text, "eos_token_id", 49407, 0, CLIP_MAX_VOCAB);
    v->text.pool = v->text.eos == 2 ? CLIP_POOL_ARGMAX : CLIP_POOL_EOS;
    v->image.pool = CLIP_POOL_FIRST;
    v->image.norm_after_pool = true; /* the same as before it, and over one token only */
    v->image.size = clip_config_side(&g, vision, "image_size", 224, 1, CLIP_MAX_IMAGE);
    v->image.patch = clip_config_side(&g, vision, "patch_size", 32, 1, CLIP_MAX_IMAGE);
    if (clip_config_int(&g, vision, "num_channels", 3, 1, 64) != 3)
        clip_config_fail(&g, ST_UNSUPPORTED, "only three-channel pictures are read");
    if (v->image.patch > v->image.size)
        clip_config_fail(&g, ST_FORMAT, "patch_size %d exceeds image_size %d", v->image.patch,
                         v->image.size);
    v->image.grid = v->image.size / v->image.patch;
    return g.status;
}

void clip_hf_read_text(struct clip_config *g, const json_t *o, struct clip_vit_text *v)
{
    clip_hf_read_transformer(g, o, &(struct clip_hf_defaults){512, 2048, 8, 1e-5, "quick_gelu"},
                             &v->t);
    v->t.causal = true;
    v->context = clip_config_int(g, o, "max_position_embeddings", 77, 2, CLIP_MAX_CONTEXT);
}

void clip_hf_load_layers(struct clip_loader *l, struct clip_transformer *t, const char *tower)
{
    static const struct clip_layer_names names = {
        .ln1 = "layer_norm1",
        .q = "self_attn.q_proj",
        .k = "self_attn.k_proj",
        .v = "self_attn.v_proj",
        .o = "self_attn.out_proj",
        .ln2 = "layer_norm2",
        .fc1 = "mlp.fc1",
        .fc2 = "mlp.fc2",
    };
    char stem[80];
    snprintf(stem, sizeof stem, "%sencoder.layers.", tower);
    clip_transformer_load(t, l, stem, &names);
}

static void load_image(struct clip_loader *l, struct clip_vit_image *v, int dim)
{
    int64_t d = v->t.width, p = v->patch, tokens = 1 + (int64_t)v->grid * v->grid;
    v->class_token = clip_load_small(l, 1, &d, "vision_model.embeddings.class_embedding");
    v->patches = clip_load_matrix(l, 4, (int64_t[]){d, 3, p, p},
                                  "vision_model.embeddings.patch_embedding.weight");
    v->positions = clip_load_small(l, 2, (int64_t[]){tokens, d},
                                   "vision_model.embeddings.position_embedding.weight");
    v->ln_pre = clip_load_norm(l, d, "vision_model.pre_layrnorm"); /* sic */
    clip_hf_load_layers(l, &v->t, "vision_model.");
    v->ln_post = clip_load_norm(l, d, "vision_model.post_layernorm");
    v->patches.use = TENSOR_WEIGHT_FINE;
    v->proj = clip_load_linear(l, dim, d, false, "visual_projection");
    v->proj.w.use = TENSOR_WEIGHT_FINE;
}

void clip_hf_load_text(struct clip_loader *l, struct clip_vit_text *v, int vocab, const char *stem)
{
    int64_t d = v->t.width;
    v->tokens =
        clip_load_matrix(l, 2, (int64_t[]){vocab, d}, "%sembeddings.token_embedding.weight", stem);
    v->positions = clip_load_small(l, 2, (int64_t[]){v->context, d},
                                   "%sembeddings.position_embedding.weight", stem);
    clip_hf_load_layers(l, &v->t, stem);
    v->ln_final = clip_load_norm(l, d, "%sfinal_layer_norm", stem);
}

/* Every CLIPModel so far has OpenAI's vocabulary, so that a folder without tokenizer files is still
 * of use. */
static bool has_tokenizer(const char *dir)
{
    return file_exists_in(dir, "tokenizer.json") || file_exists_in(dir, "vocab.json");
}

static enum status open_model(struct clip_model *m, const struct clip_source *src,
                              const struct clip_opts *o, struct error *err)
{
    struct clip_loader l = {.m = m, .src = src, .err = err};
    struct clip_vit *v = arena_alloc(&m->arena, sizeof *v);
    if (!src->config)
        return error_set(err, ST_NOT_FOUND, "%s: no config.json beside the weights", src->path);
    if (!v)
        return error_set(err, ST_NOMEM, "%s: out of memory", src->path);
    memset(v, 0, sizeof *v);
    m->data = v;
    enum status st = read_config(m, v, src, err);
    if (!st)
        st = clip_preprocess_hf(&m->pre, src->dir, v->image.size, err);
    if (st)
        return st;
    if (!o->no_image)
        load_image(&l, &v->image, m->dim);
    if (!o->no_text) {
        clip_hf_load_text(&l, &v->text, m->vocab, "text_model.");
        v->text.proj = clip_load_linear(&l, m->dim, v->text.t.width, false, "text_projection");
    }
    m->logit_scale = expf(clip_load_number(&l, 0.0f, "logit_scale"));
    m->tokenizer = TOKENIZER_CLIP_HF;
    m->tokenizer_dir = has_tokenizer(src->dir) ? src->dir : NULL;
    clip_vit_describe(m, v);
    return l.status;
}

const struct clip_arch clip_arch_hf_clip = {
    .name = "hf clip vit",
    .probe = probe,
    .open = open_model,
    .image = clip_vit_run_image,
    .text = clip_vit_run_text,
    .states = clip_vit_run_states,
};
