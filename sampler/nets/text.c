/* A checkpoint's text tower. Single files bring no config, so its sizes are those of its tensors;
 * only heads (64 wide) and the activation (quick GELU) are ViT-L/14's by rule. */
#include "sampler/nets/text.h"
#include "core/mem.h"
#include <string.h>

static const struct tensor *find(const struct clip_source *src, const char *stem, const char *name)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s%s", src->prefix, stem, name);
    return weights_find(src->weights, full);
}

static int count_layers(const struct clip_source *src, const char *stem)
{
    char name[64];
    int n = 0;
    do
        snprintf(name, sizeof name, "encoder.layers.%d.layer_norm1.weight", n);
    while (n < CLIP_MAX_LAYERS && find(src, stem, name) && ++n);
    return n;
}

static enum status sizes_from_tensors(struct net_text *t, const struct clip_source *src,
                                      const char *stem, struct error *err)
{
    const struct tensor *tokens = find(src, stem, "embeddings.token_embedding.weight");
    const struct tensor *at = find(src, stem, "embeddings.position_embedding.weight");
    const struct tensor *fc1 = find(src, stem, "encoder.layers.0.mlp.fc1.weight");
    struct clip_vit_text *v = &t->v;
    if (!at || at->ndim != 2 || !fc1 || fc1->ndim != 2 || tokens->dim[1] > CLIP_MAX_WIDTH ||
        fc1->dim[0] > 8 * CLIP_MAX_WIDTH || at->dim[0] > CLIP_MAX_CONTEXT || at->dim[0] < 2 ||
        tokens->dim[1] < 1)
        return error_set(err, ST_FORMAT, "%s: the text tower's tables have unlikely shapes",
                         src->path);
    v->context = (int)at->dim[0];
    v->t.width = (int)tokens->dim[1];
    v->t.hidden = (int)fc1->dim[0];
    v->t.heads = v->t.width % 64 == 0 ? v->t.width / 64 : 1;
    v->t.layers = count_layers(src, stem);
    v->t.eps = 1e-5f;
    v->t.act = ACT_QUICK_GELU;
    v->t.causal = true;
    return ST_OK;
}

enum status net_text_load(struct net_text *t, struct clip_model *m, struct weights *w,
                          const char *prefix, const json_t *config, const char *config_path,
                          struct error *err)
{
    struct clip_source src = {.path = weights_path(w), .weights = w};
    struct clip_loader l = {.m = m, .src = &src, .err = err};
    *t = (struct net_text){0};
    snprintf(src.prefix, sizeof src.prefix, "%s", prefix);
    /* transformers 5 writes CLIPTextModel's names without the stem */
    const char *stem = find(&src, "", "embeddings.token_embedding.weight") ? "" : "text_model.";
    const struct tensor *tokens = find(&src, stem, "embeddings.token_embedding.weight");
    if (!tokens || tokens->ndim != 2 || tokens->dim[0] < 1 || tokens->dim[0] > CLIP_MAX_VOCAB)
        return error_set(err, ST_NOT_FOUND, "%s: lacks %s%sembeddings.token_embedding.weight",
                         src.path, prefix, stem);
    t->vocab = (int)tokens->dim[0];
    struct clip_config g = {.file = config_path, .err = err};
    if (config)
        clip_hf_read_text(&g, config, &t->v);
    enum status st = config ? g.status : sizes_from_tensors(t, &src, stem, err);
    if (st)
        return st;
    clip_hf_load_text(&l, &t->v, t->vocab, stem);
    return l.status;
}

enum status net_text_run(struct clip_run *r, const struct net_text *t, struct tensor *y,
                         const int32_t *ids, int n, int skip)
{
    struct clip_transformer layers = t->v.t;
    size_t mark = arena_mark(r->arena);
    int64_t count = (int64_t)n * t->v.context, width = t->v.t.width;
    struct tensor i = tensor_view(clip_run_array(r, count, sizeof *ids), DT_I32, 1, &count);
    if (r->status)
        return r->status;
    for (int64_t k = 0; k < count; k++)
        ((int32_t *)i.data)[k] = ids[k] < t->vocab ? ids[k] : 0;
    layers.layers -= skip - 1;
    if (layers.layers < 0)
        layers.layers = 0;
    op_embedding(r->be, y, &t->v.tokens, &i);
    for (int64_t k = 0; k < count; k++)
        if (ids[k] >= t->vocab) {
            struct tensor row = tensor_view((float *)y->data + k * width, DT_F32, 1, &width);
            memcpy(row.data, t->extra + (ids[k] - t->vocab) * width, (size_t)width * sizeof(float));
            backend_upload(r->be, &row);
        }
    op_add(r->be, y, y, &t->v.positions);
    clip_run_trace(r, "embed", -1, y);
    if (clip_transformer_run(r, &layers, y, NULL))
        return r->status;
    clip_norm_run(r, y, y, &t->v.ln_final, t->v.t.eps);
    clip_run_trace(r, "final", -1, y);
    arena_rewind(r->arena, mark);
    return ST_OK;
}
