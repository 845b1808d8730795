/* ClipCap (Mokady et al. 2021): a CLIP vector is mapped to a prefix of embeddings that GPT-2 goes
 * on from. The mapper is an MLP or a transformer; which, and its sizes, is told by the tensors.
 * Surprising: the MLP was trained on vectors as CLIP's tower gives them, the transformer on
 * unit vectors, and no file says so but train.py's own <name>.json, which counts where it lies
 * beside. */
#include "caption/family.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"

enum { MAPPER_HEADS = 8 }; /* of train.py; no file says it */

struct clipcap {
    int prefix, clip_length; /* embeddings that GPT-2 gets; the transformer's own besides */
    int hidden;              /* of the MLP */
    struct clip_linear fc1, fc2;
    struct clip_linear linear; /* the transformer's */
    struct tensor constant;    /* [prefix, D] */
    struct clip_transformer t;
};

static bool probe(const struct captioner_source *s, const struct weights *w)
{
    char *merges = path_join(s->dir, "merges.txt"), *full = path_join(s->dir, "tokenizer.json");
    bool text = (merges && file_exists(merges)) || (full && file_exists(full));
    mem_free(merges);
    mem_free(full);
    if (!w)
        return text && (path_has_ext(s->file, "pt") || strstr(s->file, "clipcap"));
    return weights_find(w, "clip_project.model.0.weight") ||
           weights_find(w, "clip_project.linear.weight");
}

static const struct tensor *shape_of(struct clip_loader *l, const char *name, int ndim)
{
    const struct tensor *t = l->status ? NULL : weights_find(l->src->weights, name);
    if (t && t->ndim == ndim && t->dim[0] > 0 && t->dim[ndim - 1] > 0 && t->dim[0] <= (1 << 24) &&
        t->dim[ndim - 1] <= (1 << 24))
        return t;
    if (!l->status)
        l->status = error_set(l->err, t ? ST_FORMAT : ST_NOT_FOUND, "%s: %s %s", l->src->path,
                              t ? "unlikely shape of" : "lacks", name);
    return NULL;
}

/* What `what` divides by the decoder's width, or 0. */
static int count_of(struct clip_loader *l, int64_t n, int width, const char *what)
{
    if (n % width == 0 && n / width > 0 && n / width <= CLIP_MAX_CONTEXT)
        return (int)(n / width);
    if (!l->status)
        l->status = error_set(l->err, ST_FORMAT,
                              "%s: %s has %lld values, no multiple of the "
                              "decoder's width %d",
                              l->src->path, what, (long long)n, width);
    return 0;
}

static void load_mlp(struct captioner *c, struct clip_loader *l, struct clipcap *p)
{
    const struct tensor *a = shape_of(l, "clip_project.model.0.weight", 2);
    const struct tensor *b = shape_of(l, "clip_project.model.2.weight", 2);
    if (!a || !b)
        return;
    p->hidden = (int)a->dim[0];
    c->info.clip_dim = (int)a->dim[1];
    c->info.wants = CAPTIONER_EMBEDDING;
    p->prefix = count_of(l, b->dim[0], c->lm.width, "clip_project.model.2.weight");
    if (l->status)
        return;
    p->fc1 = clip_load_linear(l, a->dim[0], a->dim[1], true, "clip_project.model.0");
    p->fc2 = clip_load_linear(l, b->dim[0], a->dim[0], true, "clip_project.model.2");
}

static void load_layer(struct clip_loader *l, struct clipcap *p, int i)
{
    struct clip_layer *y = &p->t.layer[i];
    int64_t d = p->t.width;
    char at[64];
    snprintf(at, sizeof at, "clip_project.transformer.layers.%d", i);
    y->ln1 = clip_load_norm(l, d, "%s.norm1", at);
    y->q = clip_load_linear(l, d, d, false, "%s.attn.to_queries", at);
    struct clip_linear kv = clip_load_linear(l, 2 * d, d, false, "%s.attn.to_keys_values", at);
    if (!l->status) {
        y->k.w = clip_tensor_rows(&kv.w, 0, d);
        y->v.w = clip_tensor_rows(&kv.w, d, d);
    }
    y->o = clip_load_linear(l, d, d, true, "%s.attn.project", at);
    y->ln2 = clip_load_norm(l, d, "%s.norm2", at);
    y->fc1 = clip_load_linear(l, p->t.hidden, d, true, "%s.mlp.fc1", at);
    y->fc2 = clip_load_linear(l, d, p->t.hidden, true, "%s.mlp.fc2", at);
}

static void load_transformer(struct captioner *c, struct clip_loader *l, struct clipcap *p)
{
    const struct tensor *w = shape_of(l, "clip_project.linear.weight", 2);
    const struct tensor *k = shape_of(l, "clip_project.prefix_const", 2);
    const struct tensor *h = shape_of(l, "clip_project.transformer.layers.0.mlp.fc1.weight", 2);
    int64_t d = c->lm.width;
    if (!w || !k || !h)
        return;
    p->clip_length = count_of(l, w->dim[0], c->lm.width, "clip_project.linear.weight");
    p->prefix = (int)k->dim[0];
    p->t = (struct clip_transformer){.width = c->lm.width,
                                     .heads = MAPPER_HEADS,
                                     .hidden = (int)h->dim[0],
                                     .eps = 1e-5f,
                                     .act = ACT_RELU};
    while (p->t.layers < CLIP_MAX_LAYERS &&
           clip_load_has(l, "clip_project.transformer.layers.%d.norm1.weight", p->t.layers))
        p->t.layers++;
    c->info.clip_dim = (int)w->dim[1];
    c->info.wants = CAPTIONER_VECTOR;
    if (!l->status && (p->prefix > CLIP_MAX_CONTEXT || d % MAPPER_HEADS))
        l->status = error_set(l->err, ST_UNSUPPORTED,
                              "%s: a mapper of %d places and a width of "
                              "%lld is not read",
                              l->src->path, p->prefix, (long long)d);
    p->linear = clip_load_linear(l, w->dim[0], w->dim[1], true, "clip_project.linear");
    p->constant = clip_load_small(l, 2, (int64_t[]){p->prefix, d}, "clip_project.prefix_const");
    if (clip_transformer_init(&p->t, l))
        return;
    for (int i = 0; i < p->t.layers && !l->status; i++)
        load_layer(l, p, i);
}

/* "coco_prefix-009.pt" was trained with what "coco_prefix.json" says. */
static enum status read_training(struct captioner *c, struct error *err)
{
    const char *ext = path_ext(c->at.file);
    int n = (int)(ext - c->at.file) - 1;
    json_t *o = NULL;
    enum status st = ST_OK;
    for (int k = 0; k < 2 && !st && !o && n > 4; k++) {
        if (k && (c->at.file[n - 4] != '-'))
            break;
        char *path = mem_printf("%.*s.json", k ? n - 4 : n, c->at.file);
        if (!path)
            return error_set(err, ST_NOMEM, "%s: out of memory", c->at.file);
        if (file_exists(path))
            st = clip_config_read(&o, path, err);
        const json_t *unit = json_object_get(o, "normalize_prefix");
        if (json_is_boolean(unit))
            c->info.wants = json_is_true(unit) ? CAPTIONER_VECTOR : CAPTIONER_EMBEDDING;
        mem_free(path);
    }
    json_decref(o);
    return st;
}

/* GPT-2 as it was trained along, else (mapper alone) the folder's own. */
static enum status load_decoder(struct captioner *c, struct clip_loader *l, struct error *err)
{
    static const char *const names[] = {"model.safetensors", "pytorch_model.bin"};
    if (clip_load_has(l, "gpt.transformer.wte.weight"))
        return captioner_load_gpt2(c, l, c->at.config, "gpt.transformer.");
    char *path = NULL;
    for (int i = 0; i < 2 && !path; i++) {
        path = path_join(c->at.dir, names[i]);
        if (path && !file_exists(path)) {
            mem_free(path);
            path = NULL;
        }
    }
    enum status st = path ? weights_open(&c->more, path, err)
                          : error_set(err, ST_NOT_FOUND,
                                      "%s: holds no GPT-2, and there is none "
                                      "in %s",
                                      c->at.file, c->at.dir);
    mem_free(path);
    if (st)
        return st;
    struct clip_source src = {.path = weights_path(c->more), .weights = c->more};
    struct clip_loader own = {.m = &c->m, .src = &src, .err = err};
    return captioner_load_gpt2(c, &own, c->at.config,
                               weights_find(c->more, "transformer.wte.weight") ? "transformer."
                                                                               : "");
}

static enum status open_model(struct captioner *c, struct clip_loader *l, struct error *err)
{
    struct clipcap *p = arena_array(&c->m.arena, 1, sizeof *p);
    if (!p)
        return error_set(err, ST_NOMEM, "%s: out of memory", c->at.path);
    *p = (struct clipcap){0};
    c->data = p;
    if (!c->at.config)
        return error_set(err, ST_NOT_FOUND, "%s: no config.json of GPT-2 in this folder",
                         c->at.dir);
    enum status st = load_decoder(c, l, err);
    if (st)
        return st;
    if (clip_load_has(l, "clip_project.model.0.weight"))
        load_mlp(c, l, p);
    else
        load_transformer(c, l, p);
    if (l->status)
        return l->status;
    if ((st = read_training(c, err)))
        return st;
    if ((st = tokenizer_open(&c->tokenizer, TOKENIZER_GPT2, c->at.dir, err)))
        return st;
    /* The authors stop at a full stop, which stays in the text. */
    struct token_list stop = {0};
    st = tokenizer_encode(c->tokenizer, ".", 1, &stop, err);
    c->n_eos = 2;
    c->eos[0] = tokenizer_eos(c->tokenizer);
    c->eos[1] = stop.n == 3 ? stop.id[1] : c->eos[0];
    token_list_release(&stop);
    if (st)
        return st;
    c->first = -1;
    c->prefix = p->prefix;
    c->info.layout = c->more ? "clipcap mapper beside a gpt-2 folder" : "clipcap state dict";
    return ST_OK;
}

/* x [prefix, D] from the vector. */
static enum status map_vector(const struct clipcap *p, struct clip_run *r, const float *vector,
                              int clip_dim, struct tensor *x)
{
    int64_t d = x->dim[1];
    struct tensor v = clip_run_tensor(r, 2, (int64_t[]){1, clip_dim});
    if (r->status)
        return r->status;
    memcpy(v.data, vector, (size_t)clip_dim * sizeof *vector);
    backend_upload(r->be, &v);
    if (p->hidden) {
        struct tensor h = clip_run_tensor(r, 2, (int64_t[]){1, p->hidden});
        struct tensor y = tensor_view(x->data, DT_F32, 2, (int64_t[]){1, p->prefix * d});
        if (r->status)
            return r->status;
        clip_linear_run(r, &h, &v, &p->fc1, ACT_TANH, NULL);
        clip_linear_run(r, &y, &h, &p->fc2, ACT_NONE, NULL);
        return ST_OK;
    }
    int64_t n = p->clip_length + p->prefix;
    struct tensor all = clip_run_tensor(r, 3, (int64_t[]){1, n, d});
    if (r->status)
        return r->status;
    float *own = (float *)all.data + p->clip_length * d;
    struct tensor y = tensor_view(all.data, DT_F32, 2, (int64_t[]){1, p->clip_length * d});
    struct tensor tail = tensor_view(own, DT_F32, 2, (int64_t[]){p->prefix, d});
    clip_linear_run(r, &y, &v, &p->linear, ACT_NONE, NULL);
    op_convert(r->be, &tail, &p->constant);
    if (clip_transformer_run(r, &p->t, &all, NULL))
        return r->status;
    op_convert(r->be, x, &tail);
    return ST_OK;
}

static enum status begin(const struct captioner *c, struct clip_run *r,
                         const struct captioner_input *in, const int32_t *ids, int64_t n,
                         struct lm_cache *cache, float *logits)
{
    const struct clipcap *p = c->data;
    int64_t d = c->lm.width;
    struct tensor x = clip_run_tensor(r, 2, (int64_t[]){p->prefix + n, d});
    struct tensor head = x, words;
    head.dim[0] = p->prefix;
    if (r->status || map_vector(p, r, in->vector, c->info.clip_dim, &head))
        return r->status;
    if (n) {
        struct tensor tail =
            tensor_view((float *)x.data + p->prefix * d, DT_F32, 2, (int64_t[]){n, d});
        if (lm_embed(r, &c->lm, ids, n, &words))
            return r->status;
        op_convert(r->be, &tail, &words);
    }
    return lm_prefill(r, &c->lm, cache, &x, logits);
}

const struct captioner_family captioner_family_clipcap = {
    .name = "clipcap", .probe = probe, .open = open_model, .begin = begin};
