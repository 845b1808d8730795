/* BERT as a text tower. Surprising: RoBERTa counts positions from the padding's id on, so that its
 * first two rows are never used. */
#include "clip/arch/bert.h"
#include "clip/config.h"
#include <limits.h>

static const struct {
    const char *layer;
    struct clip_layer_names in;
} names_of[] = {
    [CLIP_BERT_PLAIN] = {"encoder.layer.",
                         {.ln1 = "attention.output.LayerNorm",
                          .q = "attention.self.query",
                          .k = "attention.self.key",
                          .v = "attention.self.value",
                          .o = "attention.output.dense",
                          .ln2 = "output.LayerNorm",
                          .fc1 = "intermediate.dense",
                          .fc2 = "output.dense"}},
    [CLIP_BERT_DISTIL] = {"transformer.layer.",
                          {.ln1 = "sa_layer_norm",
                           .q = "attention.q_lin",
                           .k = "attention.k_lin",
                           .v = "attention.v_lin",
                           .o = "attention.out_lin",
                           .ln2 = "output_layer_norm",
                           .fc1 = "ffn.lin1",
                           .fc2 = "ffn.lin2"}},
};

void clip_bert_guess(const struct clip_loader *l, struct clip_bert *b, const char *stem,
                     enum clip_bert_names names, int *vocab)
{
    const char *layer = names_of[names].layer;
    const struct clip_layer_names *n = &names_of[names].in;
    static const char words[] = "%sembeddings.word_embeddings.weight";
    *vocab = clip_load_dim(l, 0, CLIP_MAX_VOCAB, words, stem);
    b->t.width = clip_load_dim(l, 1, CLIP_MAX_WIDTH, words, stem);
    b->t.hidden = clip_load_dim(l, 0, 8 * CLIP_MAX_WIDTH, "%s%s0.%s.weight", stem, layer, n->fc1);
    b->t.heads = b->t.width % 64 ? 1 : b->t.width / 64;
    int layers = 0;
    while (layers < CLIP_MAX_LAYERS &&
           clip_load_has(l, "%s%s%d.%s.weight", stem, layer, layers, n->q))
        layers++;
    b->t.layers = *vocab && b->t.width && b->t.hidden ? layers : 0;
}

/* positions[0..context) + the type of a first sentence, in the arena. */
static void load_positions(struct clip_loader *l, struct clip_bert *b, const char *stem)
{
    static const char places[] = "%sembeddings.position_embeddings.weight";
    static const char kinds[] = "%sembeddings.token_type_embeddings.weight";
    int64_t d = b->t.width, rows = clip_load_dim(l, 0, INT_MAX, places, stem);
    int64_t types = clip_load_dim(l, 0, INT_MAX, kinds, stem);
    struct tensor p = clip_load_small(l, 2, (int64_t[]){rows, d}, places, stem);
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
    struct tensor type = clip_load_small(l, 2, (int64_t[]){types, d}, kinds, stem);
    float *y = l->status ? NULL : arena_array(&l->m->arena, (size_t)(b->context * d), sizeof *y);
    if (!y && !l->status)
        l->status = error_set(l->err, ST_NOMEM, "%s: out of memory", l->src->path);
    for (int64_t i = 0; y && i < b->context * d; i++)
        y[i] = ((float *)p.data)[i] + ((float *)type.data)[i % d];
    b->positions.data = y;
    b->positions.mapped = false; /* a device would give the file's pages back, and these are none */
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
    char layers[160];
    snprintf(layers, sizeof layers, "%s%s", stem, names_of[names].layer);
    clip_transformer_load(&b->t, l, layers, &names_of[names].in);
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

enum status clip_bert_first(struct clip_run *r, const struct clip_bert *b,
                            const struct clip_tokens *t, struct tensor *y)
{
    int64_t tokens = 1, n = t->n, d = b->t.width;
    for (int i = 0; i < t->n; i++)
        tokens = t->len[i] > tokens ? t->len[i] : tokens;
    struct tensor x = clip_run_tensor(r, 3, (int64_t[]){n, tokens, d});
    int32_t *len = clip_run_array(r, n, sizeof *len), *at = clip_run_array(r, n, sizeof *at);
    if (r->status || run_tokens(r, b, t, &x, len))
        return r->status;
    for (int64_t i = 0; i < n; i++)
        at[i] = (int32_t)(i * tokens);
    struct tensor rows = tensor_view(x.data, DT_F32, 2, (int64_t[]){n * tokens, d});
    struct tensor ids = tensor_view(at, DT_I32, 1, &n);
    op_embedding(r->be, y, &rows, &ids);
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
