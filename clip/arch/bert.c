/* BERT as a text tower. Surprising: RoBERTa counts positions from the padding's id on, so that its
 * first two rows are never used. */
#include "clip/arch/bert.h"
#include "clip/config.h"

struct layer_names {
    const char *layer, *q, *k, *v, *o, *ln1, *fc1, *fc2, *ln2;
};
static const struct layer_names names_of[] = {
    [CLIP_BERT_PLAIN] = {"encoder.layer", "attention.self.query", "attention.self.key",
                         "attention.self.value", "attention.output.dense",
                         "attention.output.LayerNorm", "intermediate.dense", "output.dense",
                         "output.LayerNorm"},
    [CLIP_BERT_DISTIL] = {"transformer.layer", "attention.q_lin", "attention.k_lin",
                          "attention.v_lin", "attention.out_lin", "sa_layer_norm", "ffn.lin1",
                          "ffn.lin2", "output_layer_norm"},
};

static int64_t dim_of(const struct clip_loader *l, int i, const char *stem, const char *name)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s%s", l->src->prefix, stem, name);
    const struct tensor *t = weights_find(l->src->weights, full);
    return t && i < t->ndim ? t->dim[i] : 0;
}

static int within(int64_t v, int most)
{
    return v > 0 && v <= most ? (int)v : 0;
}

void clip_bert_guess(const struct clip_loader *l, struct clip_bert *b, const char *stem,
                     enum clip_bert_names names, int *vocab)
{
    const struct layer_names *n = &names_of[names];
    char fc1[96];
    snprintf(fc1, sizeof fc1, "%s.0.%s.weight", n->layer, n->fc1);
    *vocab = within(dim_of(l, 0, stem, "embeddings.word_embeddings.weight"), CLIP_MAX_VOCAB);
    b->t.width = within(dim_of(l, 1, stem, "embeddings.word_embeddings.weight"), CLIP_MAX_WIDTH);
    b->t.hidden = within(dim_of(l, 0, stem, fc1), 8 * CLIP_MAX_WIDTH);
    b->t.heads = b->t.width % 64 ? 1 : b->t.width / 64;
    int layers = 0;
    while (layers < CLIP_MAX_LAYERS &&
           clip_load_has(l, "%s%s.%d.%s.weight", stem, n->layer, layers, n->q))
        layers++;
    b->t.layers = *vocab && b->t.width && b->t.hidden ? layers : 0;
}

static void load_layer(struct clip_loader *l, const struct clip_transformer *t, int i,
                       const char *stem, const struct layer_names *n)
{
    struct clip_layer *y = &t->layer[i];
    int64_t d = t->width, f = t->hidden;
    char p[96];
    snprintf(p, sizeof p, "%s%s.%d", stem, n->layer, i);
    y->q = clip_load_linear(l, d, d, true, "%s.%s", p, n->q);
    y->k = clip_load_linear(l, d, d, true, "%s.%s", p, n->k);
    y->v = clip_load_linear(l, d, d, true, "%s.%s", p, n->v);
    y->o = clip_load_linear(l, d, d, true, "%s.%s", p, n->o);
    y->ln1 = clip_load_norm(l, d, "%s.%s", p, n->ln1);
    y->fc1 = clip_load_linear(l, f, d, true, "%s.%s", p, n->fc1);
    y->fc2 = clip_load_linear(l, d, f, true, "%s.%s", p, n->fc2);
    y->ln2 = clip_load_norm(l, d, "%s.%s", p, n->ln2);
}

/* positions[0..context) + the type of a first sentence, in the arena. */
static void load_positions(struct clip_loader *l, struct clip_bert *b, const char *stem)
{
    int64_t d = b->t.width, rows = dim_of(l, 0, stem, "embeddings.position_embeddings.weight");
    int64_t types = dim_of(l, 0, stem, "embeddings.token_type_embeddings.weight");
    struct tensor p = clip_load_small(l, 2, (int64_t[]){rows, d},
                                      "%sembeddings.position_embeddings.weight", stem);
    if (l->status)
        return;
    if (rows < b->first + b->context) {
        l->status = error_set(l->err, ST_FORMAT, "%s: %lld positions for texts of %d tokens",
                              l->src->path, (long long)rows, b->context);
        return;
    }
    p = clip_tensor_rows(&p, b->first, b->context);
    b->positions = p;
    if (!types)
        return;
    struct tensor type = clip_load_small(l, 2, (int64_t[]){types, d},
                                         "%sembeddings.token_type_embeddings.weight", stem);
    float *y = l->status ? NULL : arena_array(&l->m->arena, (size_t)(b->context * d), sizeof *y);
    if (!y && !l->status)
        l->status = error_set(l->err, ST_NOMEM, "%s: out of memory", l->src->path);
    for (int64_t i = 0; y && i < b->context * d; i++)
        y[i] = ((float *)p.data)[i] + ((float *)type.data)[i % d];
    b->positions.data = y;
}

void clip_bert_load(struct clip_loader *l, struct clip_bert *b, int vocab, const char *stem,
                    enum clip_bert_names names)
{
    int64_t d = b->t.width;
    b->t.post_norm = true;
    b->words =
        clip_load_matrix(l, 2, (int64_t[]){vocab, d}, "%sembeddings.word_embeddings.weight", stem);
    load_positions(l, b, stem);
    b->norm = clip_load_norm(l, d, "%sembeddings.LayerNorm", stem);
    if (clip_transformer_init(&b->t, l))
        return;
    for (int i = 0; i < b->t.layers && !l->status; i++)
        load_layer(l, &b->t, i, stem, &names_of[names]);
}

/* x [n,T,D]: the last layer's states; those beyond each text's length mean nothing. len [n] comes
 * back without what was dropped. */
static enum status run_tokens(struct clip_run *r, const struct clip_bert *b,
                              const struct clip_tokens *t, struct tensor *x, int32_t *len)
{
    int64_t tokens = x->dim[1], count = t->n * tokens;
    int32_t *id = clip_run_array(r, count, sizeof *id);
    if (r->status)
        return r->status;
    for (int i = 0; i < t->n; i++) {
        const int32_t *from = t->ids + (size_t)i * (size_t)t->context;
        len[i] = 0;
        for (int64_t j = 0; j < tokens; j++)
            id[i * tokens + j] = 0;
        for (int j = 0; j < t->len[i]; j++)
            if (from[j] != b->pad)
                id[i * tokens + len[i]++] = from[j];
    }
    struct tensor ids = tensor_view(id, DT_I32, 1, &count);
    struct tensor positions = clip_tensor_rows(&b->positions, 0, tokens);
    op_embedding(r->be, x, &b->words, &ids);
    op_add(r->be, x, x, &positions);
    clip_norm_run(r, x, x, &b->norm, b->t.eps);
    clip_run_trace(r, "embed", -1, x);
    return clip_transformer_run(r, &b->t, x, len);
}

enum status clip_bert_mean(struct clip_run *r, const struct clip_bert *b,
                           const struct clip_tokens *t, struct tensor *y)
{
    int64_t tokens = 1;
    for (int i = 0; i < t->n; i++)
        tokens = t->len[i] > tokens ? t->len[i] : tokens;
    struct tensor x = clip_run_tensor(r, 3, (int64_t[]){t->n, tokens, b->t.width});
    int32_t *len = clip_run_array(r, t->n, sizeof *len);
    if (r->status || run_tokens(r, b, t, &x, len))
        return r->status;
    op_mean_tokens(r->be, y, &x, len);
    clip_run_trace(r, "pooled", -1, y);
    return ST_OK;
}

enum status clip_bert_states(struct clip_run *r, const struct clip_bert *b,
                             const struct clip_tokens *t, struct tensor *y, uint8_t *mask)
{
    int64_t len = t->len[0], d = b->t.width;
    struct tensor x = tensor_view(y->data, DT_F32, 3, (int64_t[]){1, len, d});
    int32_t *own = clip_run_array(r, 1, sizeof *own);
    memset(y->data, 0, (size_t)tensor_count(y) * sizeof(float));
    backend_upload(r->be, y);
    if (r->status || run_tokens(r, b, t, &x, own))
        return r->status;
    for (int i = 0; i < b->context; i++)
        mask[i] = i < own[0];
    return ST_OK;
}
