/* timm's ViTs. Surprising: in MobileCLIP-B the class token has no position. */
#include "clip/arch/timm_vit.h"
#include "clip/config.h"

#define STEM "visual.trunk."
#define CONVS STEM "patch_embed.backbone."

static const int kernels[3] = {4, 2, 2}; /* and strides */

bool clip_timm_vit_guess(const struct clip_loader *l, struct clip_timm_vit *v)
{
    struct clip_transformer *t = &v->vit.t;
    v->conv_width = clip_load_dim(l, 0, CLIP_MAX_WIDTH, CONVS "0.conv.weight");
    v->vit.patch = v->conv_width
                       ? kernels[0] * kernels[1] * kernels[2]
                       : clip_load_dim(l, 3, CLIP_MAX_IMAGE, STEM "patch_embed.proj.weight");
    t->width = v->conv_width ? clip_load_dim(l, 0, CLIP_MAX_WIDTH, CONVS "2.conv.weight")
                             : clip_load_dim(l, 0, CLIP_MAX_WIDTH, STEM "patch_embed.proj.weight");
    t->hidden = clip_load_dim(l, 0, 8 * CLIP_MAX_WIDTH, STEM "blocks.0.mlp.fc1.weight");
    while (t->layers < CLIP_MAX_LAYERS &&
           clip_load_has(l, STEM "blocks.%d.attn.qkv.weight", t->layers))
        t->layers++;
    t->heads = t->width / 64;
    t->eps = v->conv_width ? 1e-6f : 1e-5f;
    t->act = ACT_GELU;
    v->class_has_place = !v->conv_width;
    return v->vit.patch && t->heads && t->width % 64 == 0 && t->hidden && t->layers;
}

void clip_timm_load_blocks(struct clip_loader *l, struct clip_transformer *t)
{
    static const struct clip_layer_names names = {.ln1 = "norm1",
                                                  .qkv = "attn.qkv.",
                                                  .o = "attn.proj",
                                                  .ln2 = "norm2",
                                                  .fc1 = "mlp.fc1",
                                                  .fc2 = "mlp.fc2"};
    clip_transformer_load(t, l, STEM "blocks.", &names);
}

void clip_timm_vit_load_convs(struct clip_loader *l, struct clip_timm_vit *v, const char *stem,
                              const char *conv, const char *norm)
{
    const struct clip_parts parts = {.stem = stem};
    int64_t c = v->conv_width, out[3] = {c, c, v->vit.t.width}, in[3] = {3, c, c};
    for (int i = 0; i < 3; i++) {
        struct clip_fold f;
        char w[32], n[32];
        snprintf(w, sizeof w, "%d.%s", i, conv);
        snprintf(n, sizeof n, "%d.%s", i, norm);
        if (clip_fold_begin(&f, l, out[i], in[i], kernels[i])) {
            if (i < 2)
                clip_fold_branch(&f, l, &parts, w, n, kernels[i]);
            else
                clip_fold_plain(&f, l, &parts, w);
        }
        v->conv[i] = clip_fold_dense(&f, l, 1);
        v->conv[i].w.use = TENSOR_WEIGHT_FINE;
    }
}

void clip_timm_vit_load(struct clip_loader *l, struct clip_timm_vit *v, int dim)
{
    struct clip_vit_image *i = &v->vit;
    int64_t d = i->t.width, p = i->patch;
    int64_t places = (int64_t)i->grid * i->grid + (v->class_has_place ? 1 : 0);
    if (v->conv_width)
        clip_timm_vit_load_convs(l, v, CONVS, "conv", "bn");
    else
        i->patches =
            clip_load_matrix(l, 4, (int64_t[]){d, 3, p, p}, STEM "patch_embed.proj.weight");
    i->patches.use = TENSOR_WEIGHT_FINE;
    if (clip_load_has(l, STEM "patch_embed.proj.bias"))
        v->patch_bias = clip_load_small(l, 1, &d, STEM "patch_embed.proj.bias");
    struct tensor first = clip_load_small(l, 3, (int64_t[]){1, 1, d}, STEM "cls_token");
    struct tensor at = clip_load_small(l, 3, (int64_t[]){1, places, d}, STEM "pos_embed");
    if (!l->status) {
        i->class_token = tensor_view(first.data, DT_F32, 1, &d);
        i->positions = tensor_view(at.data, DT_F32, 2, (int64_t[]){places, d});
    }
    if (clip_load_has(l, STEM "norm_pre.weight"))
        i->ln_pre = clip_load_norm(l, d, STEM "norm_pre");
    clip_timm_load_blocks(l, &i->t);
    i->ln_post = clip_load_norm(l, d, STEM "norm");
    i->proj = clip_load_linear(l, dim, d, true, STEM "head");
    i->proj.w.use = TENSOR_WEIGHT_FINE;
}

static void run_conv(struct clip_run *r, const struct clip_timm_vit *v, int i, struct tensor *y,
                     const struct tensor *x)
{
    int pad = i == 0 ? v->pad : 0;
    struct conv_opts o = {.stride = kernels[i],
                          .pad_top = pad,
                          .pad_left = pad,
                          .pad_bottom = pad,
                          .pad_right = pad,
                          .act = i < 2 ? ACT_GELU : ACT_NONE};
    op_conv2d(r->be, y, x, &v->conv[i].w, &v->conv[i].b, &o);
}

/* pixels -> rest [B, G, D] */
static enum status patches(struct clip_run *r, const struct clip_timm_vit *v,
                           const struct tensor *pixels, struct tensor *rest)
{
    int64_t n = pixels->dim[0], g = v->vit.grid, p = v->vit.patch;
    size_t mark = arena_mark(r->arena);
    if (!v->conv_width) {
        struct tensor flat = clip_run_tensor(r, 3, (int64_t[]){n, g * g, 3 * p * p});
        if (r->status)
            return r->status;
        op_patchify(r->be, &flat, pixels, v->vit.patch);
        op_linear(r->be, rest, &flat, &v->vit.patches, v->patch_bias.data ? &v->patch_bias : NULL,
                  ACT_NONE, NULL);
    } else {
        struct tensor a = clip_run_tensor(r, 4, (int64_t[]){n, 4 * g, 4 * g, v->conv_width});
        struct tensor b = clip_run_tensor(r, 4, (int64_t[]){n, 2 * g, 2 * g, v->conv_width});
        struct tensor y = tensor_view(rest->data, DT_F32, 4, (int64_t[]){n, g, g, v->vit.t.width});
        if (r->status)
            return r->status;
        run_conv(r, v, 0, &a, pixels);
        run_conv(r, v, 1, &b, &a);
        run_conv(r, v, 2, &y, &b);
    }
    arena_rewind(r->arena, mark);
    return ST_OK;
}

/* x [B, 1 + G, D]: the class token, then the patches. */
static enum status embed(struct clip_run *r, const struct clip_timm_vit *v,
                         const struct tensor *pixels, struct tensor *x)
{
    int64_t n = x->dim[0], g = x->dim[1] - 1, d = v->vit.t.width, count = n * (g + 1);
    struct tensor table = clip_run_tensor(r, 2, (int64_t[]){n * g + 1, d});
    int32_t *id = clip_run_array(r, count, sizeof *id);
    if (r->status)
        return r->status;
    struct tensor ids = tensor_view(id, DT_I32, 1, &count);
    struct tensor first = tensor_view(table.data, DT_F32, 1, &d);
    struct tensor rest = tensor_view((float *)table.data + d, DT_F32, 3, (int64_t[]){n, g, d});
    for (int64_t b = 0; b < n; b++) {
        *id++ = 0;
        for (int64_t i = 0; i < g; i++)
            *id++ = (int32_t)(1 + b * g + i);
    }
    if (patches(r, v, pixels, &rest))
        return r->status;
    if (!v->class_has_place)
        op_add(r->be, &rest, &rest, &v->vit.positions);
    op_convert(r->be, &first, &v->vit.class_token);
    op_embedding(r->be, x, &table, &ids);
    if (v->class_has_place)
        op_add(r->be, x, x, &v->vit.positions);
    if (v->vit.ln_pre.w.data)
        clip_norm_run(r, x, x, &v->vit.ln_pre, v->vit.t.eps);
    return ST_OK;
}

enum status clip_timm_vit_run(struct clip_run *r, const struct clip_timm_vit *v,
                              const struct tensor *pixels, struct tensor *y)
{
    int64_t n = pixels->dim[0], tokens = 1 + (int64_t)v->vit.grid * v->vit.grid, d = v->vit.t.width;
    struct tensor x = clip_run_tensor(r, 3, (int64_t[]){n, tokens, d});
    struct tensor pooled = clip_run_tensor(r, 2, (int64_t[]){n, d});
    int32_t *at = clip_run_array(r, n, sizeof *at);
    size_t mark = arena_mark(r->arena);
    if (r->status || embed(r, v, pixels, &x))
        return r->status;
    clip_run_trace(r, "embed", -1, &x);
    arena_rewind(r->arena, mark);
    memset(at, 0, (size_t)n * sizeof *at);
    if (clip_transformer_pick(r, &v->vit.t, &x, at, &pooled))
        return r->status;
    clip_norm_run(r, &pooled, &pooled, &v->vit.ln_post, v->vit.t.eps);
    clip_run_trace(r, "pooled", -1, &pooled);
    clip_linear_run(r, y, &pooled, &v->vit.proj, ACT_NONE, NULL);
    return ST_OK;
}
