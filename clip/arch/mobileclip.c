/* MobileCLIP as Apple's own files have it (Vasu et al. 2024; mobileclip_s0.pt, _s1.pt, _s2.pt,
 * _b.pt): the towers that OpenCLIP reads under timm's names, and S0's text tower, which begins and
 * ends with convolutions along the text. Surprising: nothing in a file says that the texts of all
 * but B are read without a causal mask, nor that pictures are neither centred nor scaled; and B's
 * first convolution is padded and its norms have an epsilon of 1e-5, which timm's copy changed. */
#include "clip/arch/fastvit.h"
#include "clip/arch/timm_vit.h"
#include "clip/config.h"
#include <limits.h>
#include <math.h>

#define TEXT "text_encoder."
#define IMAGE "image_encoder.model."

/* vit comes first: clip_vit_run_text reads it at m->data. */
struct mobileclip {
    struct clip_vit vit;
    struct clip_fastvit fastvit;
    struct clip_timm_vit b; /* the image tower where its width is not 0 */
    bool rows;              /* S0's text tower: a block of convolutions at both ends */
    struct clip_fastvit_block first, last;
};

static bool is_b(const struct clip_loader *l)
{
    return clip_load_has(l, IMAGE "patch_emb.0.block.conv.weight");
}

static bool probe(const struct clip_source *src)
{
    struct clip_loader l = {.src = src};
    return is_b(&l) || clip_load_has(&l, IMAGE "network.0.0.convffn.fc1.weight");
}

/* Width, hidden and layers of the blocks below `stem`, from `first` on; heads are 64 wide. */
static bool guess_blocks(const struct clip_loader *l, struct clip_transformer *t, const char *stem,
                         int first)
{
    t->width = clip_load_dim(l, 0, CLIP_MAX_WIDTH, "%s%d.pre_norm_mha.0.weight", stem, first);
    t->hidden = clip_load_dim(l, 0, 8 * CLIP_MAX_WIDTH, "%s%d.pre_norm_ffn.1.weight", stem, first);
    while (t->layers < CLIP_MAX_LAYERS &&
           clip_load_has(l, "%s%d.pre_norm_mha.0.weight", stem, first + t->layers))
        t->layers++;
    t->heads = t->width / 64;
    t->act = ACT_GELU;
    return t->heads && t->width % 64 == 0 && t->hidden && t->layers;
}

static void load_blocks(struct clip_loader *l, struct clip_transformer *t, const char *stem,
                        int first)
{
    struct clip_layer_names names = {.ln1 = "pre_norm_mha.0",
                                     .qkv = "pre_norm_mha.1.qkv_proj.",
                                     .o = "pre_norm_mha.1.out_proj",
                                     .ln2 = "pre_norm_ffn.0",
                                     .fc1 = "pre_norm_ffn.1",
                                     .fc2 = "pre_norm_ffn.4",
                                     .first = first};
    clip_transformer_load(t, l, stem, &names);
}

/* Positions [1, 1, n, d] as [n, d]. */
static struct tensor load_positions(struct clip_loader *l, int64_t n, int64_t d, const char *name)
{
    struct tensor t = clip_load_small(l, 4, (int64_t[]){1, 1, n, d}, "%s", name);
    return t.data ? tensor_view(t.data, DT_F32, 2, (int64_t[]){n, d}) : t;
}

static enum status guess_text(struct clip_model *m, const struct clip_loader *l,
                              struct mobileclip *d, struct error *err)
{
    struct clip_vit_text *v = &d->vit.text;
    d->rows = clip_load_has(l, TEXT "transformer.0.convffn.fc1.weight");
    v->t.eps = 1e-5f;
    v->pool = CLIP_POOL_ARGMAX;
    v->context =
        clip_load_dim(l, 2, CLIP_MAX_CONTEXT, TEXT "positional_embedding.pos_embed.pos_embed");
    m->vocab = clip_load_dim(l, 0, CLIP_MAX_VOCAB, TEXT "embedding_layer.weight");
    m->dim = clip_load_dim(l, 1, CLIP_MAX_DIM, TEXT "projection_layer");
    m->context = v->context;
    if (!guess_blocks(l, &v->t, TEXT "transformer.", d->rows) || v->context < 2 || !m->vocab ||
        !m->dim)
        return error_set(err, ST_FORMAT, "%s: not the tensors of a MobileCLIP text tower",
                         l->src->path);
    return ST_OK;
}

static enum status guess_image(struct clip_loader *l, struct mobileclip *d, struct error *err)
{
    struct clip_vit_image *v = &d->vit.image;
    struct clip_fastvit *f = &d->fastvit;
    bool fits;
    if (is_b(l)) {
        v->t.eps = 1e-5f;
        d->b.pad = 1;
        d->b.conv_width =
            clip_load_dim(l, 0, CLIP_MAX_WIDTH, IMAGE "patch_emb.0.block.conv.weight");
        fits = guess_blocks(l, &v->t, IMAGE "transformer.", 0) && d->b.conv_width;
        int places = clip_load_dim(l, 2, 1 << 20, IMAGE "pos_embed.pos_embed.pos_embed");
        v->patch = 16;
        v->grid = (int)lround(sqrt((double)places));
        fits = fits && v->grid && (int64_t)v->grid * v->grid == places &&
               v->grid <= CLIP_MAX_IMAGE / v->patch;
        v->size = v->grid * v->patch;
        d->b.vit = *v;
    } else {
        fits = clip_fastvit_guess(l, f);
        v->patch = fits ? 4 << (f->stages - 1) : 1;
        v->size = f->size = 256;
        v->grid = f->grid = 256 / v->patch;
        if (fits)
            v->t = clip_fastvit_sizes(f);
    }
    return fits ? ST_OK
                : error_set(err, ST_FORMAT, "%s: not the tensors of a MobileCLIP image tower",
                            l->src->path);
}

static void load_b(struct clip_loader *l, struct clip_timm_vit *v, int dim)
{
    struct clip_vit_image *i = &v->vit;
    int64_t d = i->t.width;
    clip_timm_vit_load_convs(l, v, IMAGE "patch_emb.", "block.conv", "block.norm");
    struct tensor first = clip_load_small(l, 3, (int64_t[]){1, 1, d}, IMAGE "cls_token");
    i->class_token = first.data ? tensor_view(first.data, DT_F32, 1, &d) : first;
    i->positions =
        load_positions(l, (int64_t)i->grid * i->grid, d, IMAGE "pos_embed.pos_embed.pos_embed");
    load_blocks(l, &i->t, IMAGE "transformer.", 0);
    i->ln_post = clip_load_norm(l, d, IMAGE "post_transformer_norm");
    i->proj.w = clip_load_turned(l, d, dim, IMAGE "classifier.proj");
    i->proj.w.use = TENSOR_WEIGHT_FINE;
}

static void load_text(struct clip_loader *l, struct mobileclip *d, int vocab, int dim)
{
    struct clip_vit_text *v = &d->vit.text;
    int64_t w = v->t.width;
    v->tokens = clip_load_matrix(l, 2, (int64_t[]){vocab, w}, TEXT "embedding_layer.weight");
    v->positions =
        load_positions(l, v->context, w, TEXT "positional_embedding.pos_embed.pos_embed");
    load_blocks(l, &v->t, TEXT "transformer.", d->rows);
    if (d->rows) {
        char last[32];
        snprintf(last, sizeof last, "transformer.%d", v->t.layers + 1);
        d->first = clip_fastvit_load_row(l, TEXT, "transformer.0", v->t.width);
        d->last = clip_fastvit_load_row(l, TEXT, last, v->t.width);
    }
    v->ln_final = clip_load_norm(l, w, TEXT "final_layer_norm");
    v->proj.w = clip_load_turned(l, w, dim, TEXT "projection_layer");
}

static enum status open_model(struct clip_model *m, const struct clip_source *src,
                              const struct clip_opts *o, struct error *err)
{
    struct clip_loader l = {.m = m, .src = src, .err = err};
    struct mobileclip *d = arena_alloc(&m->arena, sizeof *d);
    if (!d)
        return error_set(err, ST_NOMEM, "%s: out of memory", src->path);
    memset(d, 0, sizeof *d);
    m->data = d;
    enum status st = guess_text(m, &l, d, err);
    if (!st)
        st = guess_image(&l, d, err);
    if (st)
        return st;
    bool b = d->b.conv_width > 0;
    d->vit.text.t.causal = b;
    clip_preprocess_default(&m->pre, d->vit.image.size);
    m->pre.prep.crop = DECODER_CROP_ROUND;
    m->pre.prep.filter = IMAGE_BILINEAR;
    for (int c = 0; c < 3; c++)
        m->pre.mean[c] = 0.0f, m->pre.std[c] = 1.0f;
    if (!o->no_image && b)
        load_b(&l, &d->b, m->dim);
    else if (!o->no_image)
        clip_fastvit_load(&l, &d->fastvit, m->dim);
    if (!o->no_text)
        load_text(&l, d, m->vocab, m->dim);
    m->logit_scale = expf(clip_load_number(&l, 0.0f, "logit_scale"));
    m->tokenizer = TOKENIZER_CLIP_OPEN;
    m->note = "no config: sizes from shapes, the rest as in Apple's MobileCLIP";
    clip_vit_describe(m, &d->vit);
    size_t n = strlen(m->recipe);
    snprintf(m->recipe + n, sizeof m->recipe - n, "%s%s", b ? " timm vit" : " fastvit",
             d->rows ? " rows" : "");
    m->image_alone = !b;
    return l.status;
}

static enum status run_image(const struct clip_model *m, struct clip_run *r, const struct tensor *x,
                             struct tensor *y)
{
    const struct mobileclip *d = m->data;
    return d->b.conv_width ? clip_timm_vit_run(r, &d->b, x, y)
                           : clip_fastvit_run(r, &d->fastvit, x, y);
}

/* x [n,T,D], whole texts, becomes their states behind the last norm. */
static enum status run_rows(const struct mobileclip *d, struct clip_run *r,
                            const struct clip_tokens *t, struct tensor *x)
{
    const struct clip_vit_text *v = &d->vit.text;
    int64_t n = t->n, w = v->t.width, tokens = v->context, count = n * tokens;
    int64_t hidden =
        d->first.fc1.w.dim[0] > d->last.fc1.w.dim[0] ? d->first.fc1.w.dim[0] : d->last.fc1.w.dim[0];
    size_t mark = arena_mark(r->arena);
    struct tensor y = clip_run_tensor(r, 4, (int64_t[]){n, 1, tokens, w});
    struct tensor z = clip_run_tensor(r, 4, y.dim);
    float *wide = clip_run_array(r, count * hidden, sizeof *wide);
    int32_t *id = clip_run_array(r, count, sizeof *id);
    if (r->status)
        return r->status;
    memcpy(id, t->ids, (size_t)count * sizeof *id);
    struct tensor ids = tensor_view(id, DT_I32, 1, &count);
    struct tensor row = tensor_view(x->data, DT_F32, 4, y.dim);
    struct tensor states = tensor_view(y.data, DT_F32, 3, x->dim);
    struct tensor h =
        tensor_view(wide, DT_F32, 4, (int64_t[]){n, 1, tokens, d->first.fc1.w.dim[0]});
    op_embedding(r->be, x, &v->tokens, &ids);
    op_add(r->be, x, x, &v->positions);
    clip_run_trace(r, "embed", -1, x);
    clip_fastvit_run_row(r, &d->first, &y, &row, &z, &h);
    if (clip_transformer_run(r, &v->t, &states, NULL))
        return r->status;
    h.dim[3] = d->last.fc1.w.dim[0];
    clip_fastvit_run_row(r, &d->last, &row, &y, &z, &h);
    clip_norm_run(r, x, x, &v->ln_final, v->t.eps);
    arena_rewind(r->arena, mark);
    return ST_OK;
}

static enum status run_text(const struct clip_model *m, struct clip_run *r,
                            const struct clip_tokens *t, struct tensor *y)
{
    const struct mobileclip *d = m->data;
    const struct clip_vit_text *v = &d->vit.text;
    if (!d->rows)
        return clip_vit_run_text(m, r, t, y);
    int64_t n = t->n, w = v->t.width, tokens = v->context;
    struct tensor x = clip_run_tensor(r, 3, (int64_t[]){n, tokens, w});
    struct tensor pooled = clip_run_tensor(r, 2, (int64_t[]){n, w});
    int32_t *at = clip_run_array(r, n, sizeof *at);
    if (r->status)
        return r->status;
    for (int64_t i = 0; i < n; i++) { /* the end token has the largest id */
        const int32_t *ids = t->ids + i * tokens;
        int64_t end = 0;
        for (int64_t j = 1; j < tokens; j++)
            end = ids[j] > ids[end] ? j : end;
        at[i] = (int32_t)(i * tokens + end);
    }
    struct tensor ends = tensor_view(at, DT_I32, 1, &n);
    if (run_rows(d, r, t, &x))
        return r->status;
    clip_gather_run(r, &pooled, &x, &ends);
    clip_run_trace(r, "pooled", -1, &pooled);
    clip_linear_run(r, y, &pooled, &v->proj, ACT_NONE, NULL);
    return ST_OK;
}

static enum status run_states(const struct clip_model *m, struct clip_run *r,
                              const struct clip_tokens *t, struct tensor *y, uint8_t *mask)
{
    const struct mobileclip *d = m->data;
    if (!d->rows)
        return clip_vit_run_states(m, r, t, y, mask);
    memset(mask, 1, (size_t)d->vit.text.context);
    return run_rows(d, r, t, y);
}

const struct clip_arch clip_arch_mobileclip = {
    .name = "mobileclip",
    .probe = probe,
    .open = open_model,
    .image = run_image,
    .text = run_text,
    .states = run_states,
};
