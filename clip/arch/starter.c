/* The starter model: an EfficientNet-Lite image tower and a BERT text tower with mean pooling, each
 * with a small head. Surprising: the image head reads the softmax of the tower's old 1000-class
 * classifier, so that the model names things that no training sentence mentions.
 * models/starter/README.md has the maths. */
#include "clip/arch/starter.h"
#include "clip/config.h"
#include <math.h>

#define MAX_BLOCKS 64
#define MAX_CHANNELS 8192

static bool probe(const struct clip_source *src)
{
    const char *type = json_string_value(json_object_get(src->config, "model_type"));
    return type && strcmp(type, "eidetic_starter") == 0;
}

static void read_conv(struct clip_config *g, const json_t *o, struct starter_conv *c)
{
    const json_t *pad = json_object_get(o, "pad");
    int both[2] = {-1, -1};
    for (size_t i = 0; i < 2 && json_array_size(pad) == 2; i++) {
        double d = json_number_value(json_array_get(pad, i));
        both[i] = d >= 0 && d <= 16 && d == floor(d) ? (int)d : -1;
    }
    if (both[0] < 0 || both[1] < 0)
        clip_config_fail(g, ST_FORMAT, "pad must be two whole numbers from 0 to 16");
    c->kernel = clip_config_int(g, o, "kernel", 3, 1, 15);
    c->stride = clip_config_int(g, o, "stride", 1, 1, 8);
    c->before = both[0];
    c->after = both[1];
}

static void read_blocks(struct clip_config *g, const json_t *list, struct starter_image *v)
{
    int side = clip_starter_side_after(v->size, &v->stem), width = v->stem_out;
    for (int i = 0; i < v->blocks && !g->status; i++) {
        const json_t *o = json_array_get(list, (size_t)i);
        struct starter_block *b = &v->block[i];
        b->in = clip_config_int(g, o, "in", 0, 1, MAX_CHANNELS);
        b->out = clip_config_int(g, o, "out", 0, 1, MAX_CHANNELS);
        b->expand = clip_config_int(g, o, "expand", 0, 0, MAX_CHANNELS);
        b->residual = clip_config_bool(g, o, "residual", false);
        b->side = side;
        read_conv(g, o, &b->dw);
        side = clip_starter_side_after(side, &b->dw);
        if (side < 1 || b->in != width || (b->residual && (b->in != b->out || side != b->side)))
            clip_config_fail(g, ST_FORMAT, "block %d does not follow from the one before", i);
        width = b->out;
    }
    v->map_side = side;
}

static void read_image(struct clip_config *g, const json_t *root, struct clip_loader *l,
                       struct starter_image *v)
{
    const json_t *o = clip_config_object(g, root, "image");
    const json_t *h = clip_config_object(g, clip_config_object(g, root, "heads"), "image");
    const json_t *stem = clip_config_object(g, o, "stem"), *list = json_object_get(o, "blocks");
    const json_t *attention = clip_config_object(g, h, "attention");
    v->size = clip_config_int(g, o, "image_size", 260, 8, CLIP_MAX_IMAGE);
    read_conv(g, stem, &v->stem);
    v->stem_out = clip_config_int(g, stem, "out", 32, 1, MAX_CHANNELS);
    v->map_width = clip_config_int(g, o, "head_channels", 1280, 1, MAX_CHANNELS);
    v->classes = clip_config_int(g, o, "classes", 1000, 1, 1 << 20);
    v->mlp = clip_config_int(g, h, "mlp", 1024, 1, 1 << 16);
    v->eps = (float)clip_config_real(g, h, "layer_norm_eps", 1e-5, 0, 1);
    v->softmax_scale = (float)clip_config_real(g, h, "softmax_scale", 1, 1e-6, 1e6);
    v->heads = attention ? clip_config_int(g, attention, "heads", 1, 1, 1024) : 0;
    v->token_eps = (float)clip_config_real(g, attention, "layer_norm_eps", 1e-5, 0, 1);
    v->blocks = (int)(json_array_size(list) > MAX_BLOCKS ? 0 : json_array_size(list));
    if (v->blocks < 1)
        clip_config_fail(g, ST_FORMAT, "blocks must be a list of 1 to %d", MAX_BLOCKS);
    v->block = arena_array(&l->m->arena, (size_t)v->blocks, sizeof *v->block);
    if (g->status || !v->block) {
        if (!g->status)
            g->status = error_set(g->err, ST_NOMEM, "%s: out of memory", g->file);
        return;
    }
    memset(v->block, 0, (size_t)v->blocks * sizeof *v->block);
    read_blocks(g, list, v);
}

static void read_text(struct clip_config *g, const json_t *root, struct starter *s)
{
    struct starter_text *v = &s->text;
    const json_t *o = clip_config_object(g, root, "text");
    const json_t *h = clip_config_object(g, clip_config_object(g, root, "heads"), "text");
    v->t.width = clip_config_int(g, o, "hidden", 384, 1, CLIP_MAX_WIDTH);
    v->t.hidden = clip_config_int(g, o, "intermediate", 1536, 1, 8 * CLIP_MAX_WIDTH);
    v->t.heads = clip_config_int(g, o, "heads", 12, 1, CLIP_MAX_WIDTH);
    v->t.layers = clip_config_int(g, o, "layers", 6, 1, CLIP_MAX_LAYERS);
    v->t.eps = (float)clip_config_real(g, o, "layer_norm_eps", 1e-12, 0, 1);
    v->t.act = ACT_GELU;
    v->t.post_norm = true;
    v->context = clip_config_int(g, o, "max_tokens", 77, 2, CLIP_MAX_CONTEXT);
    v->mlp = clip_config_int(g, h, "mlp", 0, 0, 1 << 16);
    v->eps = (float)clip_config_real(g, h, "layer_norm_eps", 1e-5, 0, 1);
    s->vocab = clip_config_int(g, o, "vocab_size", 30522, 1, CLIP_MAX_VOCAB);
    clip_config_heads(g, "hidden", v->t.width, v->t.heads);
}

static void read_preprocess(struct clip_config *g, const json_t *root, int size,
                            struct clip_preprocess *p)
{
    const json_t *o = clip_config_object(g, root, "image");
    const char *fit = clip_config_text(g, o, "resize", "shortest");
    clip_preprocess_default(p, size);
    p->rescale = 1.0f;
    p->prep.crop = DECODER_CROP_FLOOR;
    clip_config_real3(g, o, "mean", p->mean);
    clip_config_real3(g, o, "std", p->std);
    if (strcmp(fit, "squash") == 0)
        p->prep.fit = DECODER_FIT_SQUASH;
    else if (strcmp(fit, "shortest") != 0)
        clip_config_fail(g, ST_UNSUPPORTED, "resize %s is not read", fit);
    for (int c = 0; c < 3; c++)
        if (!(p->std[c] > 1e-6f))
            clip_config_fail(g, ST_FORMAT, "std must be above 0");
}

/* [outer, inner, k, k] of PyTorch -> [outer, k, k, inner] for channels-last. */
static struct tensor load_kernel(struct clip_loader *l, int64_t outer, int64_t inner, int64_t k,
                                 const char *name)
{
    struct tensor t = clip_load_small(l, 4, (int64_t[]){outer, inner, k, k}, "%s.weight", name);
    float *y = t.data ? arena_array(&l->m->arena, (size_t)tensor_count(&t), sizeof *y) : NULL;
    if (!y) {
        if (!l->status)
            l->status = error_set(l->err, ST_NOMEM, "%s: out of memory", l->src->path);
        return (struct tensor){0};
    }
    const float *x = t.data;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++)
            for (int64_t p = 0; p < k * k; p++)
                y[(o * k * k + p) * inner + i] = x[(o * inner + i) * k * k + p];
    return tensor_view(y, DT_F32, 4, (int64_t[]){outer, k, k, inner});
}

/* Depthwise [C, 1, k, k] -> [k, k, C]: one filter a channel, so that turning it is all there is to
 * do. */
static struct tensor load_depthwise(struct clip_loader *l, int64_t channels, int64_t k,
                                    const char *name)
{
    struct tensor t = clip_load_small(l, 4, (int64_t[]){channels, 1, k, k}, "%s.weight", name);
    float *y = t.data ? arena_array(&l->m->arena, (size_t)tensor_count(&t), sizeof *y) : NULL;
    if (!y) {
        if (!l->status)
            l->status = error_set(l->err, ST_NOMEM, "%s: out of memory", l->src->path);
        return (struct tensor){0};
    }
    const float *x = t.data;
    for (int64_t c = 0; c < channels; c++)
        for (int64_t p = 0; p < k * k; p++)
            y[p * channels + c] = x[c * k * k + p];
    return tensor_view(y, DT_F32, 3, (int64_t[]){k, k, channels});
}

/* A 1x1 convolution is a linear over the last dim of channels-last pictures. */
static struct clip_linear load_1x1(struct clip_loader *l, int64_t out, int64_t in, const char *name)
{
    struct clip_linear w = {0};
    w.w = clip_load_matrix(l, 4, (int64_t[]){out, in, 1, 1}, "%s.weight", name);
    w.b = clip_load_small(l, 1, &out, "%s.bias", name);
    return w;
}

static struct tensor load_ones(struct clip_loader *l, int64_t n)
{
    float *x = arena_array(&l->m->arena, (size_t)n, sizeof *x);
    if (!x && !l->status)
        l->status = error_set(l->err, ST_NOMEM, "%s: out of memory", l->src->path);
    for (int64_t i = 0; x && i < n; i++)
        x[i] = 1.0f;
    return tensor_view(x, DT_F32, 1, &n);
}

static void load_block(struct clip_loader *l, struct starter_block *b, int i)
{
    char name[64];
    int64_t wide = b->expand ? b->expand : b->in;
    if (b->expand) {
        snprintf(name, sizeof name, "image.blocks.%d.expand", i);
        b->grow = load_1x1(l, b->expand, b->in, name);
    }
    snprintf(name, sizeof name, "image.blocks.%d.dw", i);
    b->dw.w = load_depthwise(l, wide, b->dw.kernel, name);
    b->dw.b = clip_load_small(l, 1, &wide, "%s.bias", name);
    snprintf(name, sizeof name, "image.blocks.%d.project", i);
    b->shrink = load_1x1(l, b->out, wide, name);
}

static void load_image(struct clip_loader *l, struct starter_image *v, int64_t dim)
{
    int64_t stem_out = v->stem_out, w = v->map_width;
    v->stem.w = load_kernel(l, stem_out, 3, v->stem.kernel, "image.stem");
    v->stem.b = clip_load_small(l, 1, &stem_out, "image.stem.bias");
    for (int i = 0; i < v->blocks && !l->status; i++)
        load_block(l, &v->block[i], i);
    v->head = load_1x1(l, w, v->block[v->blocks - 1].out, "image.head");
    v->classifier = clip_load_linear(l, v->classes, w, true, "image.classifier");
    v->inv = clip_load_small(l, 1, &w, "image_head.inv");
    v->ones = load_ones(l, w);
    struct tensor mean = clip_load_small(l, 1, &w, "image_head.mean");
    v->minus_mean = load_ones(l, w);
    for (int64_t i = 0; !l->status && i < w; i++)
        ((float *)v->minus_mean.data)[i] = -((float *)mean.data)[i];
    v->linear = clip_load_linear(l, dim, w, true, "image_head.linear");
    v->fc1 = clip_load_linear(l, v->mlp, w, true, "image_head.fc1");
    v->fc2 = clip_load_linear(l, dim, v->mlp, true, "image_head.fc2");
    v->names = clip_load_turned(l, v->classes, dim, "image_head.names.weight");
    if (!v->heads)
        return;
    v->token = clip_load_linear(l, dim, w, true, "image_head.token");
    v->token_norm = clip_load_norm(l, dim, "image_head.token_norm");
    v->query = clip_load_small(l, 2, (int64_t[]){v->heads, dim}, "image_head.query.weight");
    v->value = clip_load_linear(l, dim, dim, true, "image_head.value");
    v->out = clip_load_linear(l, dim, dim, true, "image_head.out");
    v->token.w.use = v->value.w.use = TENSOR_WEIGHT_FINE;
}

static void load_text(struct clip_loader *l, struct starter_text *v, int vocab, int64_t dim)
{
    static const struct clip_layer_names names = {.ln1 = "attn_norm",
                                                  .q = "q",
                                                  .k = "k",
                                                  .v = "v",
                                                  .o = "o",
                                                  .ln2 = "ffn_norm",
                                                  .fc1 = "fc1",
                                                  .fc2 = "fc2"};
    int64_t d = v->t.width;
    v->words = clip_load_matrix(l, 2, (int64_t[]){vocab, d}, "text.embeddings.word.weight");
    v->positions =
        clip_load_small(l, 2, (int64_t[]){v->context, d}, "text.embeddings.position.weight");
    v->norm = clip_load_norm(l, d, "text.embeddings.norm");
    v->ones = load_ones(l, d);
    clip_transformer_load(&v->t, l, "text.layers.", &names);
    v->linear = clip_load_linear(l, dim, d, true, "text_head.linear");
    if (v->mlp) {
        v->fc1 = clip_load_linear(l, v->mlp, d, true, "text_head.fc1");
        v->fc2 = clip_load_linear(l, dim, v->mlp, true, "text_head.fc2");
    }
}

static enum status open_model(struct clip_model *m, const struct clip_source *src,
                              const struct clip_opts *o, struct error *err)
{
    struct clip_loader l = {.m = m, .src = src, .err = err};
    struct clip_config g = {.file = src->config_path, .err = err};
    struct starter *s = arena_alloc(&m->arena, sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "%s: out of memory", src->path);
    memset(s, 0, sizeof *s);
    m->data = s;
    s->dim = clip_config_int(&g, src->config, "embed_dim", 384, 1, CLIP_MAX_DIM);
    read_image(&g, src->config, &l, &s->image);
    read_text(&g, src->config, s);
    read_preprocess(&g, src->config, s->image.size, &m->pre);
    m->logit_scale = (float)clip_config_real(&g, src->config, "logit_scale", 1, 1e-6, 1e6);
    m->logit_bias = (float)clip_config_real(&g, src->config, "logit_bias", 0, -1e6, 1e6);
    if (s->image.heads)
        clip_config_heads(&g, "embed_dim", s->dim, s->image.heads);
    if (g.status)
        return g.status;
    if (!o->no_image)
        load_image(&l, &s->image, s->dim);
    if (!o->no_text)
        load_text(&l, &s->text, s->vocab, s->dim);
    m->dim = s->dim;
    m->vocab = s->vocab;
    m->context = s->text.context;
    m->image_layers = s->image.blocks;
    m->image_width = s->image.map_width;
    m->text_layers = s->text.t.layers;
    m->text_width = s->text.t.width;
    m->tokenizer = TOKENIZER_WORDPIECE;
    m->tokenizer_dir = src->dir;
    m->image_alone = true;
    if (s->image.heads) {
        m->places = s->image.map_side * s->image.map_side;
        m->place_width = s->dim;
    }
    m->int8_near_f32 = true; /* the shipped one: 0.9998, and at least 0.9993, on the samples */
    snprintf(m->recipe, sizeof m->recipe, "starter heads %d softmax %g eps %g,%g", s->image.heads,
             (double)s->image.softmax_scale, (double)s->image.eps, (double)s->text.eps);
    return l.status;
}

const struct clip_arch clip_arch_starter = {
    .name = "eidetic starter",
    .probe = probe,
    .open = open_model,
    .image = clip_starter_run_image,
    .look = clip_starter_run_look,
    .text = clip_starter_run_text,
    .states = clip_starter_run_states,
};
