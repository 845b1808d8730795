/* BLIP's captioner (Li et al. 2022): a ViT whose states BERT's decoder attends to. Two spellings of
 * the same network: transformers' BlipForConditionalGeneration, and the authors' own files (LAVIS),
 * which have no config: sizes come from their tensors. Surprising: the decoder begins with [DEC], a
 * token behind the vocabulary, and ends with [SEP]. */
#include "caption/family.h"
#include "clip/preprocess.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include <math.h>

struct blip {
    int size, patch, grid;
    struct tensor patches, patch_bias;    /* [D, 3 p p] in (c, y, x) order, [D] */
    struct tensor class_token, positions; /* [D], [1 + grid * grid, D] */
    struct clip_transformer t;
    struct clip_norm norm;
};

/* The two spellings. */
struct spelling {
    const char *class_token, *positions, *patches;
    const char *layer; /* "%d" and what follows it below */
    const char *norm1, *qkv, *out, *norm2, *norm;
};
static const struct spelling hugging_face = {"vision_model.embeddings.class_embedding",
                                             "vision_model.embeddings.position_embedding",
                                             "vision_model.embeddings.patch_embedding",
                                             "vision_model.encoder.layers",
                                             "layer_norm1",
                                             "self_attn.qkv",
                                             "self_attn.projection",
                                             "layer_norm2",
                                             "vision_model.post_layernorm"};
static const struct spelling lavis = {"visual_encoder.cls_token",
                                      "visual_encoder.pos_embed",
                                      "visual_encoder.patch_embed.proj",
                                      "visual_encoder.blocks",
                                      "norm1",
                                      "attn.qkv",
                                      "attn.proj",
                                      "norm2",
                                      "visual_encoder.norm"};

static bool is_hf(const struct captioner_source *s)
{
    const char *type = json_string_value(json_object_get(s->config, "model_type"));
    return type && !strcmp(type, "blip");
}

/* "model." and the like before every name; false where no name ends so. */
static bool find_prefix(const struct weights *w, const char *name, char *prefix, size_t size)
{
    size_t k = strlen(name);
    for (int i = 0; i < weights_count(w); i++) {
        const char *full = weights_name(w, i);
        size_t n = strlen(full);
        if (n < k || strcmp(full + n - k, name) != 0 || n - k >= size)
            continue;
        memcpy(prefix, full, n - k);
        prefix[n - k] = 0;
        return true;
    }
    return false;
}

static bool probe(const struct captioner_source *s, const struct weights *w)
{
    char prefix[64];
    if (!w)
        return is_hf(s);
    return find_prefix(w, "text_decoder.bert.encoder.layer.0.crossattention.self.query.weight",
                       prefix, sizeof prefix);
}

static int64_t dim_of(struct clip_loader *l, int i, const char *name)
{
    char full[160];
    snprintf(full, sizeof full, "%s%s", l->src->prefix, name);
    const struct tensor *t = l->status ? NULL : weights_find(l->src->weights, full);
    if (t && i < t->ndim && t->dim[i] > 0 && t->dim[i] <= CLIP_MAX_VOCAB)
        return t->dim[i];
    if (!l->status)
        l->status = error_set(l->err, t ? ST_FORMAT : ST_NOT_FOUND, "%s: %s %s", l->src->path,
                              t ? "unlikely shape of" : "lacks", full);
    return 1;
}

static int count_layers(const struct clip_loader *l, const char *stem, const char *tail)
{
    int n = 0;
    while (n < CLIP_MAX_LAYERS && clip_load_has(l, "%s.%d.%s", stem, n, tail))
        n++;
    return n;
}

/* What the tensors say; config.json may say otherwise, which their shapes then contradict. */
static void measure(struct captioner *c, struct clip_loader *l, struct blip *b,
                    const struct spelling *n)
{
    char name[128];
    struct lm *lm = &c->lm;
    snprintf(name, sizeof name, "%s.weight", n->patches);
    b->t.width = (int)dim_of(l, 0, name);
    b->patch = (int)dim_of(l, 2, name);
    b->grid = (int)lround(sqrt((double)(dim_of(l, 1, n->positions) - 1)));
    b->size = b->grid * b->patch;
    snprintf(name, sizeof name, "%s.weight", n->norm1);
    b->t.layers = count_layers(l, n->layer, name);
    snprintf(name, sizeof name, "%s.0.mlp.fc1.weight", n->layer);
    b->t.hidden = (int)dim_of(l, 0, name);
    lm->vocab = (int)dim_of(l, 0, "text_decoder.bert.embeddings.word_embeddings.weight");
    lm->width = (int)dim_of(l, 1, "text_decoder.bert.embeddings.word_embeddings.weight");
    lm->context = (int)dim_of(l, 0, "text_decoder.bert.embeddings.position_embeddings.weight");
    lm->layers = count_layers(l, "text_decoder.bert.encoder.layer",
                              "crossattention.self.query."
                              "weight");
    lm->hidden = (int)dim_of(l, 0, "text_decoder.bert.encoder.layer.0.intermediate.dense.weight");
    lm->memory_width = b->t.width;
}

static void read_act(struct clip_config *g, const json_t *o, enum act *act)
{
    const char *name = clip_config_text(g, o, "hidden_act", "gelu");
    *act = ACT_GELU;
    if (!strcmp(name, "quick_gelu"))
        *act = ACT_QUICK_GELU;
    else if (!strcmp(name, "gelu_new") || !strcmp(name, "gelu_pytorch_tanh"))
        *act = ACT_GELU_TANH;
    else if (strcmp(name, "gelu") != 0)
        clip_config_fail(g, ST_UNSUPPORTED, "hidden_act %.40s is not read", name);
}

/* What tensors do not say. */
static enum status read_config(struct captioner *c, struct blip *b, bool hf, struct error *err)
{
    struct clip_config g = {.file = c->at.config_path, .err = err};
    const json_t *v = hf ? clip_config_object(&g, c->at.config, "vision_config") : NULL;
    const json_t *t = hf ? clip_config_object(&g, c->at.config, "text_config") : NULL;
    struct lm *lm = &c->lm;
    /* ViT-B/16 has 12 heads of 64, ViT-L/16 16; BERT-base 12 of 64. */
    b->t.heads = clip_config_int(&g, v, "num_attention_heads",
                                 hf                 ? 12
                                 : b->t.width >= 64 ? b->t.width / 64
                                                    : 1,
                                 1, CLIP_MAX_WIDTH);
    b->t.eps = (float)clip_config_real(&g, v, "layer_norm_eps", hf ? 1e-5 : 1e-6, 1e-12, 1e-1);
    lm->heads = clip_config_int(&g, t, "num_attention_heads",
                                hf                ? 8
                                : lm->width >= 64 ? lm->width / 64
                                                  : 1,
                                1, CLIP_MAX_WIDTH);
    lm->eps = (float)clip_config_real(&g, t, "layer_norm_eps", 1e-12, 1e-14, 1e-1);
    c->first = clip_config_int(&g, t, "bos_token_id", 30522, 0, CLIP_MAX_VOCAB);
    c->eos[0] = clip_config_int(&g, t, "sep_token_id", 102, 0, CLIP_MAX_VOCAB);
    c->n_eos = 1;
    read_act(&g, v, &b->t.act);
    read_act(&g, t, &lm->act);
    clip_config_heads(&g, "the pictures' width", b->t.width, b->t.heads);
    clip_config_heads(&g, "the words' width", lm->width, lm->heads);
    return g.status;
}

static void load_image(struct clip_loader *l, struct blip *b, const struct spelling *n)
{
    int64_t d = b->t.width, p = b->patch, places = 1 + (int64_t)b->grid * b->grid;
    b->patches = clip_load_matrix(l, 4, (int64_t[]){d, 3, p, p}, "%s.weight", n->patches);
    b->patch_bias = clip_load_small(l, 1, &d, "%s.bias", n->patches);
    b->class_token = clip_load_small(l, 3, (int64_t[]){1, 1, d}, "%s", n->class_token);
    b->positions = clip_load_small(l, 3, (int64_t[]){1, places, d}, "%s", n->positions);
    b->norm = clip_load_norm(l, d, "%s", n->norm);
    if (clip_transformer_init(&b->t, l))
        return;
    b->class_token = tensor_view(b->class_token.data, DT_F32, 1, &d);
    b->positions = tensor_view(b->positions.data, DT_F32, 2, (int64_t[]){places, d});
    for (int i = 0; i < b->t.layers && !l->status; i++) {
        struct clip_layer *y = &b->t.layer[i];
        y->ln1 = clip_load_norm(l, d, "%s.%d.%s", n->layer, i, n->norm1);
        struct clip_linear qkv =
            clip_load_linear(l, 3 * d, d, true, "%s.%d.%s", n->layer, i, n->qkv);
        struct clip_linear *part[] = {&y->q, &y->k, &y->v};
        for (int k = 0; k < 3 && !l->status; k++) {
            part[k]->w = clip_tensor_rows(&qkv.w, k * d, d);
            part[k]->b = clip_tensor_rows(&qkv.b, k * d, d);
        }
        y->o = clip_load_linear(l, d, d, true, "%s.%d.%s", n->layer, i, n->out);
        y->ln2 = clip_load_norm(l, d, "%s.%d.%s", n->layer, i, n->norm2);
        y->fc1 = clip_load_linear(l, b->t.hidden, d, true, "%s.%d.mlp.fc1", n->layer, i);
        y->fc2 = clip_load_linear(l, d, b->t.hidden, true, "%s.%d.mlp.fc2", n->layer, i);
    }
}

static void load_text(struct clip_loader *l, struct lm *lm)
{
    static const char *const bert = "text_decoder.bert";
    int64_t d = lm->width, m = lm->memory_width, v = lm->vocab;
    static const char *const head = "text_decoder.cls.predictions";
    lm->post_norm = lm->cross = true;
    lm->tokens =
        clip_load_matrix(l, 2, (int64_t[]){v, d}, "%s.embeddings.word_embeddings.weight", bert);
    lm->positions = clip_load_small(l, 2, (int64_t[]){lm->context, d},
                                    "%s.embeddings.position_embeddings.weight", bert);
    lm->norm_in = clip_load_norm(l, d, "%s.embeddings.LayerNorm", bert);
    lm->head_dense = clip_load_linear(l, d, d, true, "%s.transform.dense", head);
    lm->head_norm = clip_load_norm(l, d, "%s.transform.LayerNorm", head);
    lm->head.w = lm->tokens; /* tied; newer files leave the copy out */
    if (clip_load_has(l, "%s.decoder.weight", head))
        lm->head.w = clip_load_matrix(l, 2, (int64_t[]){v, d}, "%s.decoder.weight", head);
    lm->head.b = clip_load_has(l, "%s.decoder.bias", head)
                     ? clip_load_small(l, 1, &v, "%s.decoder.bias", head)
                     : clip_load_small(l, 1, &v, "%s.bias", head);
    if (lm_init(lm, l))
        return;
    for (int i = 0; i < lm->layers && !l->status; i++) {
        struct lm_layer *y = &lm->layer[i];
        char at[64];
        snprintf(at, sizeof at, "%s.encoder.layer.%d", bert, i);
        y->q = clip_load_linear(l, d, d, true, "%s.attention.self.query", at);
        y->k = clip_load_linear(l, d, d, true, "%s.attention.self.key", at);
        y->v = clip_load_linear(l, d, d, true, "%s.attention.self.value", at);
        y->o = clip_load_linear(l, d, d, true, "%s.attention.output.dense", at);
        y->ln1 = clip_load_norm(l, d, "%s.attention.output.LayerNorm", at);
        y->cross_q = clip_load_linear(l, d, d, true, "%s.crossattention.self.query", at);
        y->cross_k = clip_load_linear(l, d, m, true, "%s.crossattention.self.key", at);
        y->cross_v = clip_load_linear(l, d, m, true, "%s.crossattention.self.value", at);
        y->cross_o = clip_load_linear(l, d, d, true, "%s.crossattention.output.dense", at);
        y->ln_cross = clip_load_norm(l, d, "%s.crossattention.output.LayerNorm", at);
        y->fc1 = clip_load_linear(l, lm->hidden, d, true, "%s.intermediate.dense", at);
        y->fc2 = clip_load_linear(l, d, lm->hidden, true, "%s.output.dense", at);
        y->ln2 = clip_load_norm(l, d, "%s.output.LayerNorm", at);
    }
}

/* As BlipImageProcessor: squashed, not cropped. */
static enum status read_processor(struct captioner *c, int size, struct error *err)
{
    static const char *const names[] = {"processor_config.json", "preprocessor_config.json"};
    struct clip_preprocess *p = &c->m.pre;
    json_t *root = NULL;
    char *path = NULL;
    enum status st = ST_OK;
    for (int i = 0; i < 2 && !root && !st; i++) {
        mem_free(path);
        path = path_join(c->at.dir, names[i]);
        if (!path)
            return error_set(err, ST_NOMEM, "%s: out of memory", c->at.dir);
        if (file_exists(path))
            st = clip_config_read(&root, path, err);
    }
    const json_t *inner = json_object_get(root, "image_processor"), *o = inner ? inner : root;
    struct clip_config g = {.file = path, .err = err, .status = st};
    const json_t *side = json_object_get(o, "size");
    int wide = clip_config_int(&g, side, "width", size, 1, CLIP_MAX_IMAGE);
    int high = clip_config_int(&g, side, "height", size, 1, CLIP_MAX_IMAGE);
    int filter = clip_config_int(&g, o, "resample", 3, 2, 3);
    p->prep.filter = filter == 3 ? IMAGE_BICUBIC : IMAGE_BILINEAR;
    p->rescale = (float)clip_config_real(&g, o, "rescale_factor", 1.0 / 255.0, 1e-6, 1e3);
    clip_config_real3(&g, o, "image_mean", p->mean);
    clip_config_real3(&g, o, "image_std", p->std);
    for (int k = 0; k < 3 && !g.status; k++)
        if (!(p->std[k] > 1e-6f))
            clip_config_fail(&g, ST_FORMAT, "the deviation of channel %d must be above 0", k);
    if (!g.status && (wide != size || high != size))
        clip_config_fail(&g, ST_FORMAT, "makes pictures of %d x %d, the image tower takes %d", wide,
                         high, size);
    json_decref(root);
    mem_free(path);
    return g.status;
}

static enum status open_model(struct captioner *c, struct clip_loader *l, struct error *err)
{
    struct blip *b = arena_array(&c->m.arena, 1, sizeof *b);
    if (!b)
        return error_set(err, ST_NOMEM, "%s: out of memory", c->at.path);
    *b = (struct blip){0};
    c->data = b;
    find_prefix(c->weights, "text_decoder.bert.encoder.layer.0.crossattention.self.query.weight",
                c->src.prefix, sizeof c->src.prefix);
    bool hf = clip_load_has(l, "%s", hugging_face.class_token);
    const struct spelling *n = hf ? &hugging_face : &lavis;
    measure(c, l, b, n);
    if (!l->status && (b->grid < 1 || b->size > CLIP_MAX_IMAGE || b->t.width > CLIP_MAX_WIDTH ||
                       c->lm.width > CLIP_MAX_WIDTH || c->lm.context > CLIP_MAX_CONTEXT))
        l->status = error_set(err, ST_FORMAT, "%s: unlikely sizes (pictures of %d pixels)",
                              c->at.path, b->size);
    if (l->status)
        return l->status;
    if (hf && !c->at.config)
        return error_set(err, ST_NOT_FOUND, "%s: no config.json in this folder", c->at.dir);
    enum status st = read_config(c, b, hf, err);
    if (st)
        return st;
    load_image(l, b, n);
    load_text(l, &c->lm);
    if (l->status)
        return l->status;
    clip_preprocess_default(&c->m.pre, b->size);
    c->m.pre.prep.fit = DECODER_FIT_SQUASH;
    if (hf)
        st = read_processor(c, b->size, err);
    if (!st)
        st = tokenizer_open(&c->tokenizer, TOKENIZER_WORDPIECE, hf ? c->at.dir : NULL, err);
    c->prompt = hf ? NULL : "a picture of ";
    c->info.wants = CAPTIONER_PIXELS;
    c->info.layout = hf ? "hugging face folder" : "lavis state dict";
    return st;
}

/* x [1, 1 + g, D]: class token and patches, with positions. */
static void embed(struct clip_run *r, const struct blip *b, const struct tensor *pixels,
                  struct tensor *flat, struct tensor *x)
{
    int64_t d = b->t.width, g = (int64_t)b->grid * b->grid;
    float *rows = x->data;
    struct tensor first = tensor_view(rows, DT_F32, 1, &d);
    struct tensor rest = tensor_view(rows + d, DT_F32, 2, (int64_t[]){g, d});
    op_patchify(r->be, flat, pixels, b->patch);
    op_convert(r->be, &first, &b->class_token);
    op_linear(r->be, &rest, flat, &b->patches, &b->patch_bias, ACT_NONE, NULL);
    op_add(r->be, x, x, &b->positions);
}

static enum status begin(const struct captioner *c, struct clip_run *r,
                         const struct captioner_input *in, const int32_t *ids, int64_t n,
                         struct lm_cache *cache, float *logits)
{
    const struct blip *b = c->data;
    int64_t s = b->size, d = b->t.width, g = (int64_t)b->grid * b->grid;
    struct tensor x = clip_run_tensor(r, 3, (int64_t[]){1, 1 + g, d}), words;
    size_t mark = arena_mark(r->arena);
    struct tensor px = clip_run_tensor(r, 4, (int64_t[]){1, s, s, 3});
    struct tensor u8 = tensor_view(clip_run_array(r, s * s * 3, 1), DT_U8, 4, px.dim);
    struct tensor flat = clip_run_tensor(r, 3, (int64_t[]){1, g, 3 * (int64_t)b->patch * b->patch});
    if (r->status)
        return r->status;
    memcpy(u8.data, in->pixels, (size_t)(s * s * 3));
    backend_upload(r->be, &u8);
    op_normalize_u8(r->be, &px, &u8, c->m.pre.rescale, c->m.pre.mean, c->m.pre.std);
    embed(r, b, &px, &flat, &x);
    arena_rewind(r->arena, mark);
    if (clip_transformer_run(r, &b->t, &x, NULL))
        return r->status;
    clip_norm_run(r, &x, &x, &b->norm, b->t.eps);
    struct tensor memory = tensor_view(x.data, DT_F32, 2, (int64_t[]){1 + g, d});
    if (lm_remember(r, &c->lm, cache, &memory) || lm_embed(r, &c->lm, ids, n, &words))
        return r->status;
    return lm_prefill(r, &c->lm, cache, &words, logits);
}

const struct captioner_family captioner_family_blip = {
    .name = "blip", .probe = probe, .open = open_model, .begin = begin};
