/* GPT-2's weights into a struct lm. Surprising: its matrices are stored as inputs x outputs
 * (Conv1D), so that each is turned when it is read. */
#include "caption/family.h"

/* Rows [from, from + n) of a product and its bias. */
static struct clip_linear part(const struct tensor *w, const struct tensor *b, int64_t from,
                               int64_t n)
{
    return (struct clip_linear){clip_tensor_rows(w, from, n), clip_tensor_rows(b, from, n)};
}

static struct clip_linear load(struct clip_loader *l, int64_t in, int64_t out, const char *stem)
{
    struct clip_linear w = {0};
    w.w = clip_load_turned(l, in, out, "%s.weight", stem);
    w.b = clip_load_small(l, 1, &out, "%s.bias", stem);
    return w;
}

static void load_layer(struct clip_loader *l, struct lm *lm, int i, const char *stem)
{
    struct lm_layer *y = &lm->layer[i];
    int64_t d = lm->width;
    char at[160], name[192];
    snprintf(at, sizeof at, "%sh.%d.", stem, i);
    y->ln1 = clip_load_norm(l, d, "%sln_1", at);
    snprintf(name, sizeof name, "%sattn.c_attn", at);
    struct clip_linear qkv = load(l, d, 3 * d, name);
    if (!l->status) {
        y->q = part(&qkv.w, &qkv.b, 0, d);
        y->k = part(&qkv.w, &qkv.b, d, d);
        y->v = part(&qkv.w, &qkv.b, 2 * d, d);
    }
    snprintf(name, sizeof name, "%sattn.c_proj", at);
    y->o = load(l, d, d, name);
    y->ln2 = clip_load_norm(l, d, "%sln_2", at);
    snprintf(name, sizeof name, "%smlp.c_fc", at);
    y->fc1 = load(l, d, lm->hidden, name);
    snprintf(name, sizeof name, "%smlp.c_proj", at);
    y->fc2 = load(l, lm->hidden, d, name);
}

static bool read_act(struct clip_config *g, const json_t *o, enum act *act)
{
    static const struct {
        const char *name;
        enum act act;
    } known[] = {{"gelu_new", ACT_GELU_TANH},
                 {"gelu_pytorch_tanh", ACT_GELU_TANH},
                 {"gelu", ACT_GELU},
                 {"relu", ACT_RELU}};
    const char *name = clip_config_text(g, o, "activation_function", "gelu_new");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(name, known[i].name)) {
            *act = known[i].act;
            return true;
        }
    clip_config_fail(g, ST_UNSUPPORTED, "activation_function %.40s is not read", name);
    return false;
}

enum status captioner_load_gpt2(struct captioner *c, struct clip_loader *l, const json_t *o,
                                const char *stem)
{
    struct clip_config g = {.file = c->at.config_path, .err = l->err};
    struct lm *lm = &c->lm;
    lm->width = clip_config_int(&g, o, "n_embd", 768, 1, CLIP_MAX_WIDTH);
    lm->heads = clip_config_int(&g, o, "n_head", 12, 1, CLIP_MAX_WIDTH);
    lm->layers = clip_config_int(&g, o, "n_layer", 12, 1, CLIP_MAX_LAYERS);
    lm->hidden = clip_config_int(&g, o, "n_inner", 4 * lm->width, 1, 4 * CLIP_MAX_WIDTH);
    lm->context = clip_config_int(&g, o, "n_positions", 1024, 1, CLIP_MAX_CONTEXT);
    lm->vocab = clip_config_int(&g, o, "vocab_size", 50257, 1, CLIP_MAX_VOCAB);
    lm->eps = (float)clip_config_real(&g, o, "layer_norm_epsilon", 1e-5, 1e-12, 1e-1);
    clip_config_heads(&g, "n_embd", lm->width, lm->heads);
    if (!g.status)
        read_act(&g, o, &lm->act);
    if (!g.status && (!clip_config_bool(&g, o, "scale_attn_weights", true) ||
                      clip_config_bool(&g, o, "scale_attn_by_inverse_layer_idx", false)))
        clip_config_fail(&g, ST_UNSUPPORTED, "attention with another scale is not read");
    if (g.status)
        return l->status = g.status;
    int64_t d = lm->width;
    lm->tokens = clip_load_matrix(l, 2, (int64_t[]){lm->vocab, d}, "%swte.weight", stem);
    lm->positions = clip_load_small(l, 2, (int64_t[]){lm->context, d}, "%swpe.weight", stem);
    lm->norm_out = clip_load_norm(l, d, "%sln_f", stem);
    lm->head.w = lm->tokens;
    if (lm_init(lm, l))
        return l->status;
    for (int i = 0; i < lm->layers && !l->status; i++)
        load_layer(l, lm, i, stem);
    return l->status;
}
