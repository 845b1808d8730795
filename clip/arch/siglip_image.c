/* SigLIP's image tower, and how timm names its tensors (OpenCLIP's SigLIP models). */
#include "clip/arch/siglip.h"
#include "clip/arch/timm_vit.h"
#include "clip/config.h"

#define STEM "visual.trunk."

bool clip_siglip_guess_timm(const struct clip_loader *l, struct clip_siglip_image *v)
{
    struct clip_transformer *t = &v->vit.t;
    t->width = clip_load_dim(l, 0, CLIP_MAX_WIDTH, STEM "patch_embed.proj.weight");
    v->vit.patch = clip_load_dim(l, 3, CLIP_MAX_IMAGE, STEM "patch_embed.proj.weight");
    t->hidden = clip_load_dim(l, 0, 8 * CLIP_MAX_WIDTH, STEM "blocks.0.mlp.fc1.weight");
    while (t->layers < CLIP_MAX_LAYERS &&
           clip_load_has(l, STEM "blocks.%d.attn.qkv.weight", t->layers))
        t->layers++;
    /* 64 wide but in so400m and giantopt, which have 16 */
    t->heads = t->width == 1152 || t->width == 1536 ? 16 : t->width % 64 ? 1 : t->width / 64;
    t->eps = 1e-6f;
    return t->width && v->vit.patch && t->hidden && t->layers;
}

static void split(const struct tensor *w, const struct tensor *b, int64_t from, int64_t n,
                  struct clip_linear *out)
{
    out->w = clip_tensor_rows(w, from, n);
    out->b = clip_tensor_rows(b, from, n);
}

void clip_siglip_load_timm(struct clip_loader *l, struct clip_siglip_image *s)
{
    struct clip_vit_image *v = &s->vit;
    int64_t d = v->t.width, d2 = 2 * d, p = v->patch, tokens = (int64_t)v->grid * v->grid;
    v->patches = clip_load_matrix(l, 4, (int64_t[]){d, 3, p, p}, STEM "patch_embed.proj.weight");
    v->patches.use = TENSOR_WEIGHT_FINE;
    s->patch_bias = clip_load_small(l, 1, &d, STEM "patch_embed.proj.bias");
    v->positions = clip_load_small(l, 3, (int64_t[]){1, tokens, d}, STEM "pos_embed");
    if (!l->status)
        v->positions = tensor_view(v->positions.data, DT_F32, 2, (int64_t[]){tokens, d});
    clip_timm_load_blocks(l, &v->t);
    v->ln_post = clip_load_norm(l, d, STEM "norm");
    s->probe = clip_load_small(l, 3, (int64_t[]){1, 1, d}, STEM "attn_pool.latent");
    s->q = clip_load_linear(l, d, d, true, STEM "attn_pool.q");
    struct tensor w = clip_load_matrix(l, 2, (int64_t[]){d2, d}, STEM "attn_pool.kv.weight");
    struct tensor b = clip_load_small(l, 1, &d2, STEM "attn_pool.kv.bias");
    split(&w, &b, 0, d, &s->k);
    split(&w, &b, d, d, &s->v);
    s->o = clip_load_linear(l, d, d, true, STEM "attn_pool.proj");
    s->norm = clip_load_norm(l, d, STEM "attn_pool.norm");
    s->fc1 = clip_load_linear(l, v->t.hidden, d, true, STEM "attn_pool.mlp.fc1");
    s->fc2 = clip_load_linear(l, d, v->t.hidden, true, STEM "attn_pool.mlp.fc2");
    s->fc2.w.use = TENSOR_WEIGHT_FINE;
}

enum status clip_siglip_ask(struct clip_run *r, const struct clip_siglip_image *s,
                            const struct tensor *x, struct tensor *y)
{
    const struct clip_vit_image *v = &s->vit;
    int64_t b = x->dim[0], d = v->t.width;
    struct tensor k = clip_run_tensor(r, 3, x->dim), w = clip_run_tensor(r, 3, x->dim);
    struct tensor p = clip_run_tensor(r, 3, (int64_t[]){b, 1, d});
    struct tensor q = clip_run_tensor(r, 3, (int64_t[]){b, 1, d});
    struct tensor z = clip_run_tensor(r, 2, (int64_t[]){b, d});
    struct tensor h = clip_run_tensor(r, 2, (int64_t[]){b, v->t.hidden});
    int32_t *zero = clip_run_array(r, b, sizeof *zero);
    if (r->status)
        return r->status;
    memset(zero, 0, (size_t)b * sizeof *zero);
    struct tensor ids = tensor_view(zero, DT_I32, 1, &b);
    struct tensor table = tensor_view(s->probe.data, DT_F32, 2, (int64_t[]){1, d});
    struct tensor flat = tensor_view(p.data, DT_F32, 2, (int64_t[]){b, d});
    op_embedding(r->be, &p, &table, &ids);
    clip_linear_run(r, &q, &p, &s->q, ACT_NONE, NULL);
    clip_linear_run(r, &k, x, &s->k, ACT_NONE, NULL);
    clip_linear_run(r, &w, x, &s->v, ACT_NONE, NULL);
    op_attention(r->be, &p, &q, &k, &w, &(struct attn_opts){.heads = v->t.heads});
    clip_linear_run(r, &z, &flat, &s->o, ACT_NONE, NULL);
    clip_run_trace(r, "pooled", -1, &z);
    clip_norm_run(r, &flat, &z, &s->norm, v->t.eps);
    clip_linear_run(r, &h, &flat, &s->fc1, v->t.act, NULL);
    clip_linear_run(r, y, &h, &s->fc2, ACT_NONE, &z);
    return ST_OK;
}

enum status clip_siglip_run_image(struct clip_run *r, const struct clip_siglip_image *s,
                                  const struct tensor *pixels, struct tensor *y)
{
    const struct clip_vit_image *v = &s->vit;
    int64_t b = pixels->dim[0], g = (int64_t)v->grid * v->grid, d = v->t.width;
    int64_t area = 3 * (int64_t)v->patch * v->patch;
    struct tensor x = clip_run_tensor(r, 3, (int64_t[]){b, g, d});
    size_t mark = arena_mark(r->arena);
    struct tensor flat = clip_run_tensor(r, 3, (int64_t[]){b, g, area});
    if (r->status)
        return r->status;
    op_patchify(r->be, &flat, pixels, v->patch);
    op_linear(r->be, &x, &flat, &v->patches, &s->patch_bias, ACT_NONE, NULL);
    op_add(r->be, &x, &x, &v->positions);
    clip_run_trace(r, "embed", -1, &x);
    arena_rewind(r->arena, mark);
    if (clip_transformer_run(r, &v->t, &x, NULL))
        return r->status;
    arena_rewind(r->arena, mark);
    clip_norm_run(r, &x, &x, &v->ln_post, v->t.eps);
    return clip_siglip_ask(r, s, &x, y);
}
