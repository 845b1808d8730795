/* sentence-transformers' clip-ViT-B-32-multilingual-v1: DistilBERT and a dense layer that put
 * sentences of fifty languages where CLIP ViT-B/32 puts English ones. Surprising: the folder has no
 * image tower, so that the pictures' half is another model, found beside it and opened with it. */
#include "clip/arch/bert.h"
#include "clip/clip_int.h"
#include "clip/config.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"

struct multilingual {
    struct clip_bert bert;
    struct clip_linear dense;
};

static bool probe(const struct clip_source *src)
{
    const char *type = json_string_value(json_object_get(src->config, "model_type"));
    return type && strcmp(type, "distilbert") == 0 && !src->open_clip;
}

/* Where the image tower may be, from the model's own folder. */
static enum status find_image(const struct clip_source *src, char **path, struct error *err)
{
    static const char *const places[] = {"image",
                                         "image.safetensors",
                                         "image.pt",
                                         "../clip-ViT-B-32/0_CLIPModel",
                                         "../clip-ViT-B-32",
                                         "../clip-vit-base-patch32"};
    *path = NULL;
    for (size_t i = 0; i < sizeof places / sizeof *places && !*path; i++) {
        char *p = path_join(src->dir, places[i]);
        if (!p)
            return error_set(err, ST_NOMEM, "%s: out of memory", src->path);
        if (file_exists(p))
            *path = p;
        else
            mem_free(p);
    }
    return *path ? ST_OK
                 : error_set(err, ST_NOT_FOUND,
                             "%s: a text tower only; put CLIP ViT-B/32, or a link to it, into "
                             "the folder as \"image\"",
                             src->path);
}

static enum status open_image(struct clip_model *m, const struct clip_source *src,
                              const struct clip_opts *o, struct error *err)
{
    char *path = NULL;
    struct clip_opts opts = {.no_image = o->no_image, .no_text = 1};
    enum status st = find_image(src, &path, err);
    if (!st)
        st = clip_open(&m->image, path, &opts, err);
    mem_free(path);
    if (!st && m->image->model.image)
        st = error_set(err, ST_UNSUPPORTED, "%s: its image tower is borrowed itself", src->path);
    return st;
}

static enum status read_config(struct clip_bert *b, const struct clip_source *src, int *vocab,
                               struct error *err)
{
    struct clip_config g = {.file = src->config_path, .err = err};
    const char *act = clip_config_text(&g, src->config, "activation", "gelu");
    *vocab = clip_config_int(&g, src->config, "vocab_size", 30522, 1, CLIP_MAX_VOCAB);
    b->t.width = clip_config_int(&g, src->config, "dim", 768, 1, CLIP_MAX_WIDTH);
    b->t.hidden = clip_config_int(&g, src->config, "hidden_dim", 3072, 1, 8 * CLIP_MAX_WIDTH);
    b->t.heads = clip_config_int(&g, src->config, "n_heads", 12, 1, CLIP_MAX_WIDTH);
    b->t.layers = clip_config_int(&g, src->config, "n_layers", 6, 1, CLIP_MAX_LAYERS);
    b->context =
        clip_config_int(&g, src->config, "max_position_embeddings", 512, 3, CLIP_MAX_CONTEXT);
    b->t.eps = 1e-12f;
    b->t.act = ACT_GELU;
    b->pad = 0;
    if (strcmp(act, "gelu") != 0)
        clip_config_fail(&g, ST_UNSUPPORTED, "activation %.80s is not read", act);
    clip_config_heads(&g, "dim", b->t.width, b->t.heads);
    return g.status;
}

/* *json stays NULL where there is no such file. */
static enum status read_json(const struct clip_source *src, const char *file, json_t **json,
                             struct error *err)
{
    char *path = path_join(src->dir, file);
    enum status st = !path               ? error_set(err, ST_NOMEM, "%s: out of memory", src->path)
                     : file_exists(path) ? clip_config_read(json, path, err)
                                         : ST_OK;
    mem_free(path);
    return st;
}

/* How sentence-transformers cuts and pools. Since its version 6 it leaves max_seq_length out, and
 * the tokenizer's own length counts. */
static enum status read_modules(struct clip_bert *b, const struct clip_source *src,
                                struct error *err)
{
    json_t *cut = NULL, *pool = NULL, *words = NULL;
    struct clip_config g = {.file = src->dir, .err = err};
    enum status st = read_json(src, "sentence_bert_config.json", &cut, err);
    if (!st)
        st = read_json(src, "1_Pooling/config.json", &pool, err);
    if (!st)
        st = read_json(src, "tokenizer_config.json", &words, err);
    if (!st) {
        int most = b->context;
        double own = clip_config_real(&g, words, "model_max_length", most, 3, 1e40);
        b->context =
            clip_config_int(&g, cut, "max_seq_length", own < most ? (int)own : most, 3, most);
        const char *mode = clip_config_text(&g, pool, "pooling_mode", "mean");
        if (!clip_config_bool(&g, pool, "pooling_mode_mean_tokens", true) ||
            strcmp(mode, "mean") != 0)
            clip_config_fail(&g, ST_UNSUPPORTED, "1_Pooling: only the mean of tokens is read");
        if (clip_config_bool(&g, cut, "do_lower_case", false))
            clip_config_fail(&g, ST_UNSUPPORTED, "do_lower_case is not read");
        st = g.status;
    }
    json_decref(cut);
    json_decref(pool);
    json_decref(words);
    return st;
}

/* 2_Dense's matrix lies in a file of its own; it is small and is copied. */
static enum status load_dense(struct clip_model *m, struct multilingual *s,
                              const struct clip_source *src, struct error *err)
{
    static const char *const files[] = {"2_Dense/model.safetensors", "2_Dense/pytorch_model.bin"};
    struct clip_source dense = {.path = src->path};
    struct clip_loader l = {.m = m, .src = &dense, .err = err};
    json_t *config = NULL;
    char *path = NULL;
    enum status st = read_json(src, "2_Dense/config.json", &config, err);
    for (int i = 0; i < 2 && !st && !path; i++) {
        path = path_join(src->dir, files[i]);
        if (path && i == 0 && !file_exists(path)) {
            mem_free(path);
            path = NULL;
        }
    }
    if (!st)
        st = path ? weights_open(&dense.weights, path, err)
                  : error_set(err, ST_NOMEM, "%s: out of memory", src->path);
    const char *act = json_string_value(json_object_get(config, "activation_function"));
    if (!st && act && !strstr(act, "Identity"))
        st = error_set(err, ST_UNSUPPORTED, "%s: 2_Dense's %.80s is not read", src->path, act);
    int64_t d = s->bert.t.width, n = m->dim;
    if (!st) {
        struct tensor w = clip_load_small(&l, 2, (int64_t[]){n, d}, "linear.weight");
        struct tensor b = {0};
        if (clip_load_has(&l, "linear.bias"))
            b = clip_load_small(&l, 1, &n, "linear.bias");
        float *y = arena_array(&m->arena, (size_t)(n * (d + 1)), sizeof *y);
        st = l.status ? l.status
             : y      ? ST_OK
                      : error_set(err, ST_NOMEM, "%s: out of memory", src->path);
        if (!st) {
            memcpy(y, w.data, (size_t)(n * d) * sizeof *y);
            s->dense.w = tensor_view(y, DT_F32, 2, (int64_t[]){n, d});
            s->dense.w.use = TENSOR_WEIGHT_FINE;
            s->dense.w.packs = m->packs;
        }
        if (!st && b.data) {
            memcpy(y + n * d, b.data, (size_t)n * sizeof *y);
            s->dense.b = tensor_view(y + n * d, DT_F32, 1, &n);
        }
    }
    weights_close(dense.weights);
    json_decref(config);
    mem_free(path);
    return st;
}

/* All that the session asks of an image tower. */
static void borrow(struct clip_model *m)
{
    const struct clip_model *i = &m->image->model;
    m->pre = i->pre;
    m->dim = i->dim;
    m->image_layers = i->image_layers;
    m->image_width = i->image_width;
    m->patch = i->patch;
    m->input_side = i->input_side;
    m->image_batch = i->image_batch;
    m->image_alone = i->image_alone;
    m->int8_near_f32 = i->int8_near_f32;
    m->logit_scale = i->logit_scale;
    snprintf(m->recipe, sizeof m->recipe, "multilingual, pictures by %s", m->image->info.id);
}

static enum status open_model(struct clip_model *m, const struct clip_source *src,
                              const struct clip_opts *o, struct error *err)
{
    struct clip_loader l = {.m = m, .src = src, .err = err};
    struct multilingual *s = arena_alloc(&m->arena, sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "%s: out of memory", src->path);
    memset(s, 0, sizeof *s);
    m->data = s;
    enum status st = read_config(&s->bert, src, &m->vocab, err);
    if (!st)
        st = read_modules(&s->bert, src, err);
    if (!st)
        st = open_image(m, src, o, err);
    if (st)
        return st;
    borrow(m);
    m->context = s->bert.context;
    m->text_layers = s->bert.t.layers;
    m->text_width = s->bert.t.width;
    m->tokenizer = TOKENIZER_WORDPIECE;
    m->tokenizer_dir = src->dir;
    m->note = "sentences by this model, pictures by the CLIP model beside it";
    if (o->no_text)
        return ST_OK;
    clip_bert_load(&l, &s->bert, m->vocab, "", CLIP_BERT_DISTIL);
    return l.status ? l.status : load_dense(m, s, src, err);
}

static enum status run_image(const struct clip_model *m, struct clip_run *r, const struct tensor *x,
                             struct tensor *y)
{
    return m->image->arch->image(&m->image->model, r, x, y);
}

static enum status run_text(const struct clip_model *m, struct clip_run *r,
                            const struct clip_tokens *t, struct tensor *y)
{
    const struct multilingual *s = m->data;
    struct tensor pooled = clip_run_tensor(r, 2, (int64_t[]){t->n, s->bert.t.width});
    if (r->status || clip_bert_mean(r, &s->bert, t, &pooled))
        return r->status;
    clip_linear_run(r, y, &pooled, &s->dense, ACT_NONE, NULL);
    return ST_OK;
}

static enum status run_states(const struct clip_model *m, struct clip_run *r,
                              const struct clip_tokens *t, struct tensor *y, uint8_t *mask)
{
    return clip_bert_states(r, &((const struct multilingual *)m->data)->bert, t, y, mask);
}

const struct clip_arch clip_arch_multilingual = {
    .name = "multilingual distilbert",
    .probe = probe,
    .open = open_model,
    .image = run_image,
    .text = run_text,
    .states = run_states,
};
