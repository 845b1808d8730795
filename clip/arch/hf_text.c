/* OpenCLIP's text towers out of transformers: RoBERTa and XLM-R. Surprising: the config names the
 * tower, and nothing else; its sizes are those of the tensors, its heads 64 wide as in all of them.
 */
#include "clip/arch/hf_text.h"

#define STEM "text.transformer."

static void read_pool(struct clip_config *g, const json_t *o, struct clip_hf_text *t)
{
    static const char *const names[] = {[CLIP_HF_MEAN] = "mean_pooler",
                                        [CLIP_HF_FIRST] = "cls_last_hidden_state_pooler",
                                        [CLIP_HF_POOLER] = "cls_pooler"};
    const char *pool = clip_config_text(g, o, "hf_pooler_type", "mean_pooler");
    size_t i = 0;
    while (i < sizeof names / sizeof *names && strcmp(pool, names[i]) != 0)
        i++;
    if (i == sizeof names / sizeof *names)
        clip_config_fail(g, ST_UNSUPPORTED, "hf_pooler_type %.80s is not read", pool);
    else
        t->pool = (enum clip_hf_pool)i;
}

void clip_hf_text_read(struct clip_config *g, const json_t *o, struct clip_hf_text *t)
{
    const char *name = clip_config_text(g, o, "hf_model_name", "");
    const char *proj = clip_config_text(g, o, "hf_proj_type", "mlp");
    const char *mode = clip_config_text(g, o, "tokenizer_mode", "");
    const json_t *kwargs = clip_config_object(g, o, "tokenizer_kwargs");
    t->used = true;
    t->tokenizer = strstr(name, "xlm-roberta") ? TOKENIZER_XLMR : TOKENIZER_ROBERTA;
    t->none = json_is_null(json_object_get(o, "hf_proj_type"));
    t->mlp = !t->none && strcmp(proj, "mlp") == 0;
    read_pool(g, o, t);
    t->bert.context = clip_config_int(g, o, "context_length", 77, 3, CLIP_MAX_CONTEXT);
    if (!strstr(name, "roberta"))
        clip_config_fail(g, ST_UNSUPPORTED,
                         "the text tower %.80s is not read (roberta and "
                         "xlm-roberta are)",
                         name);
    if (!t->none && !t->mlp && strcmp(proj, "linear") != 0)
        clip_config_fail(g, ST_UNSUPPORTED, "hf_proj_type %.80s is not read", proj);
    if (*mode || json_object_size(kwargs))
        clip_config_fail(g, ST_UNSUPPORTED, "text_cfg %s is not read",
                         *mode ? "tokenizer_mode" : "tokenizer_kwargs");
}

void clip_hf_text_load(struct clip_loader *l, struct clip_hf_text *t, int dim, bool load,
                       int *vocab)
{
    struct clip_bert *b = &t->bert;
    clip_bert_guess(l, b, STEM, CLIP_BERT_PLAIN, vocab);
    b->t.eps = 1e-5f;
    b->t.act = ACT_GELU;
    b->first = 2; /* behind the padding's id, which is 1 */
    b->pad = 1;
    if (!b->t.layers && !l->status)
        l->status =
            error_set(l->err, ST_FORMAT, "%s: lacks the text tower (" STEM "*)", l->src->path);
    if (!load || l->status)
        return;
    int64_t d = b->t.width, middle = (d + dim) / 2;
    clip_bert_load(l, b, *vocab, STEM, CLIP_BERT_PLAIN);
    if (t->pool == CLIP_HF_POOLER)
        t->pooler = clip_load_linear(l, d, d, true, STEM "pooler.dense");
    if (t->none && d != dim && !l->status) {
        l->status =
            error_set(l->err, ST_FORMAT,
                      "%s: no text projection, and the text tower is %d wide for vectors of %d",
                      l->src->path, (int)d, dim);
    } else if (t->none) {
        return;
    } else if (t->mlp) {
        t->first = clip_load_linear(l, middle, d, false, "text.proj.0");
        t->second = clip_load_linear(l, dim, middle, false, "text.proj.2");
    } else {
        t->first = clip_load_linear(l, dim, d, false, "text.proj");
    }
}

enum status clip_hf_text_run(struct clip_run *r, const struct clip_hf_text *t,
                             const struct clip_tokens *tokens, struct tensor *y)
{
    int64_t n = tokens->n, middle = t->mlp ? t->first.w.dim[0] : 1;
    struct tensor pooled = clip_run_tensor(r, 2, (int64_t[]){n, t->bert.t.width});
    struct tensor h = clip_run_tensor(r, 2, (int64_t[]){n, middle});
    if (r->status || (t->pool == CLIP_HF_MEAN ? clip_bert_mean(r, &t->bert, tokens, &pooled)
                                              : clip_bert_first(r, &t->bert, tokens, &pooled)))
        return r->status;
    if (t->pool == CLIP_HF_POOLER) {
        struct tensor dense = clip_run_tensor(r, 2, pooled.dim);
        if (r->status)
            return r->status;
        clip_linear_run(r, &dense, &pooled, &t->pooler, ACT_TANH, NULL);
        pooled = dense;
    }
    if (t->none) {
        op_convert(r->be, y, &pooled);
    } else if (t->mlp) {
        clip_linear_run(r, &h, &pooled, &t->first, ACT_GELU, NULL);
        clip_linear_run(r, y, &h, &t->second, ACT_NONE, NULL);
    } else {
        clip_linear_run(r, y, &pooled, &t->first, ACT_NONE, NULL);
    }
    return ST_OK;
}
