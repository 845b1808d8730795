/* eidetic's own captioners: a small pre-norm decoder whose layers attend to the states of a CLIP's
 * places and, behind them, to its vector. A folder with config.json, vocab.txt and
 * model.safetensors, whose tensors have the names that tools/starter/captioner_net.py gives them.
 * Surprising: the vector is multiplied by the root of its length first, so that its values are as
 * large as the states'. */
#include "caption/family.h"
#include "core/bytes.h"
#include <math.h>

struct own {
    int places, width;
    struct clip_linear vector;
};

static bool probe(const struct captioner_source *s, const struct weights *w)
{
    const char *type = json_string_value(json_object_get(s->config, "model_type"));
    (void)w;
    return type && !strcmp(type, "eidetic_captioner");
}

static enum status read_config(struct captioner *c, struct own *o, struct error *err)
{
    struct clip_config g = {.file = c->at.config_path, .err = err};
    const json_t *r = c->at.config;
    struct lm *lm = &c->lm;
    const char *tower = clip_config_text(&g, r, "tower", "");
    o->places = clip_config_int(&g, r, "places", 81, 1, CLIP_MAX_CONTEXT);
    o->width = clip_config_int(&g, r, "place_width", 384, 1, CLIP_MAX_DIM);
    lm->width = clip_config_int(&g, r, "hidden_size", 256, 1, CLIP_MAX_WIDTH);
    lm->heads = clip_config_int(&g, r, "num_attention_heads", 8, 1, CLIP_MAX_WIDTH);
    lm->layers = clip_config_int(&g, r, "num_hidden_layers", 3, 1, CLIP_MAX_LAYERS);
    lm->hidden = clip_config_int(&g, r, "intermediate_size", 1024, 1, 4 * CLIP_MAX_WIDTH);
    lm->context = clip_config_int(&g, r, "max_position_embeddings", 32, 2, CLIP_MAX_CONTEXT);
    lm->vocab = clip_config_int(&g, r, "vocab_size", 3600, 1, CLIP_MAX_VOCAB);
    lm->eps = (float)clip_config_real(&g, r, "layer_norm_eps", 1e-5, 1e-12, 1e-1);
    c->first = clip_config_int(&g, r, "bos_token_id", 2, 0, CLIP_MAX_VOCAB);
    c->eos[0] = clip_config_int(&g, r, "eos_token_id", 3, 0, CLIP_MAX_VOCAB);
    clip_config_heads(&g, "hidden_size", lm->width, lm->heads);
    if (!g.status && !text_is_hex(tower, 32))
        clip_config_fail(&g, ST_FORMAT, "tower is no model's id");
    if (!g.status && c->first >= lm->vocab)
        clip_config_fail(&g, ST_FORMAT, "bos_token_id %d is beyond the vocabulary's %d", c->first,
                         lm->vocab);
    if (g.status)
        return g.status;
    snprintf(c->info.clip_id, sizeof c->info.clip_id, "%s", tower);
    return ST_OK;
}

static void load(struct clip_loader *l, struct lm *lm, struct own *o)
{
    int64_t d = lm->width, m = lm->memory_width, h = lm->hidden;
    lm->act = ACT_GELU;
    lm->cross = true;
    lm->tokens = clip_load_matrix(l, 2, (int64_t[]){lm->vocab, d}, "tokens.weight");
    lm->positions = clip_load_small(l, 2, (int64_t[]){lm->context, d}, "positions.weight");
    lm->norm_out = clip_load_norm(l, d, "norm");
    lm->head.w = lm->tokens;
    o->vector = clip_load_linear(l, m, m, true, "vector");
    if (lm_init(lm, l))
        return;
    for (int i = 0; i < lm->layers && !l->status; i++) {
        struct lm_layer *y = &lm->layer[i];
        y->ln1 = clip_load_norm(l, d, "layers.%d.ln1", i);
        y->q = clip_load_linear(l, d, d, true, "layers.%d.attn.q", i);
        y->k = clip_load_linear(l, d, d, true, "layers.%d.attn.k", i);
        y->v = clip_load_linear(l, d, d, true, "layers.%d.attn.v", i);
        y->o = clip_load_linear(l, d, d, true, "layers.%d.attn.o", i);
        y->ln_cross = clip_load_norm(l, d, "layers.%d.ln_cross", i);
        y->cross_q = clip_load_linear(l, d, d, true, "layers.%d.cross.q", i);
        y->cross_k = clip_load_linear(l, d, m, true, "layers.%d.cross.k", i);
        y->cross_v = clip_load_linear(l, d, m, true, "layers.%d.cross.v", i);
        y->cross_o = clip_load_linear(l, d, d, true, "layers.%d.cross.o", i);
        y->ln2 = clip_load_norm(l, d, "layers.%d.ln2", i);
        y->fc1 = clip_load_linear(l, h, d, true, "layers.%d.fc1", i);
        y->fc2 = clip_load_linear(l, d, h, true, "layers.%d.fc2", i);
    }
}

static enum status open_model(struct captioner *c, struct clip_loader *l, struct error *err)
{
    struct own *o = arena_array(&c->m.arena, 1, sizeof *o);
    if (!o)
        return error_set(err, ST_NOMEM, "%s: out of memory", c->at.path);
    *o = (struct own){0};
    c->data = o;
    enum status st = read_config(c, o, err);
    if (st)
        return st;
    c->lm.memory_width = o->width;
    load(l, &c->lm, o);
    if (l->status)
        return l->status;
    c->n_eos = 1;
    c->info.wants = CAPTIONER_PLACES;
    c->info.layout = "eidetic folder";
    c->info.clip_dim = c->info.place_width = o->width;
    c->info.places = o->places;
    st = tokenizer_open(&c->tokenizer, TOKENIZER_WORDPIECE, c->at.dir, err);
    if (!st && tokenizer_vocab_size(c->tokenizer) != c->lm.vocab)
        st = error_set(err, ST_FORMAT, "%s: the vocabulary has %d pieces, the decoder %d",
                       c->at.path, tokenizer_vocab_size(c->tokenizer), c->lm.vocab);
    return st;
}

static enum status begin(const struct captioner *c, struct clip_run *r,
                         const struct captioner_input *in, const int32_t *ids, int64_t n,
                         struct lm_cache *cache, float *logits)
{
    const struct own *o = c->data;
    int64_t d = o->width;
    struct tensor m = clip_run_tensor(r, 2, (int64_t[]){o->places + 1, d}), words;
    struct tensor v = clip_run_tensor(r, 2, (int64_t[]){1, d});
    if (r->status)
        return r->status;
    struct tensor last = tensor_view((float *)m.data + o->places * d, DT_F32, 2, (int64_t[]){1, d});
    float root = sqrtf((float)d), *x = v.data;
    memcpy(m.data, in->places, (size_t)(o->places * d) * sizeof *in->places);
    for (int64_t i = 0; i < d; i++)
        x[i] = in->vector[i] * root;
    backend_upload(r->be, &m);
    backend_upload(r->be, &v);
    clip_linear_run(r, &last, &v, &o->vector, ACT_NONE, NULL);
    if (lm_remember(r, &c->lm, cache, &m) || lm_embed(r, &c->lm, ids, n, &words))
        return r->status;
    return lm_prefill(r, &c->lm, cache, &words, logits);
}

const struct captioner_family captioner_family_starter = {
    .name = "starter", .probe = probe, .open = open_model, .begin = begin};
