/* The forward passes of CLIP's towers. Surprising: tokens are gathered and class tokens put in
 * front by op_embedding over the activations themselves, so that every step is an op and runs on
 * any backend. */
#include "clip/arch/vit.h"

/* x [B,S,S,3] -> y [B, 1 + G, D]: rows of one table, class token first. */
static void embed_patches(struct clip_run *r, const struct clip_vit_image *v,
                          const struct tensor *x, struct tensor *flat, struct tensor *table,
                          struct tensor *ids, struct tensor *y)
{
    int64_t d = v->t.width, n = tensor_rows(flat);
    float *rows = table->data;
    int32_t *id = ids->data;
    struct tensor first = tensor_view(rows, DT_F32, 1, &d);
    struct tensor rest = tensor_view(rows + d, DT_F32, 2, (int64_t[]){n, d});
    op_patchify(r->be, flat, x, v->patch);
    op_convert(r->be, &first, &v->class_token);
    op_linear(r->be, &rest, flat, &v->patches, NULL, ACT_NONE, NULL);
    int64_t grid = y->dim[1] - 1;
    for (int64_t b = 0; b < y->dim[0]; b++) {
        *id++ = 0;
        for (int64_t i = 0; i < grid; i++)
            *id++ = (int32_t)(1 + b * grid + i);
    }
    op_embedding(r->be, y, table, ids);
    op_add(r->be, y, y, &v->positions);
}

/* The mean of all but the class token. */
static enum status pool_mean(struct clip_run *r, const struct clip_vit_image *v, struct tensor *x,
                             struct tensor *pooled)
{
    int64_t b = x->dim[0], t = x->dim[1], d = x->dim[2], count = b * (t - 1);
    size_t mark = arena_mark(r->arena);
    if (clip_transformer_run(r, &v->t, x, NULL))
        return r->status;
    arena_rewind(r->arena, mark);
    struct tensor rest = clip_run_tensor(r, 3, (int64_t[]){b, t - 1, d});
    struct tensor ids = tensor_view(clip_run_array(r, count, 4), DT_I32, 1, &count);
    int32_t *id = ids.data;
    if (r->status)
        return r->status;
    if (!v->norm_after_pool)
        clip_norm_run(r, x, x, &v->ln_post, v->t.eps);
    for (int64_t i = 0; i < b; i++)
        for (int64_t j = 1; j < t; j++)
            *id++ = (int32_t)(i * t + j);
    clip_gather_run(r, &rest, x, &ids);
    op_mean_tokens(r->be, pooled, &rest, NULL);
    if (v->norm_after_pool)
        clip_norm_run(r, pooled, pooled, &v->ln_post, v->t.eps);
    return ST_OK;
}

/* The class token's state. */
static enum status pool_first(struct clip_run *r, const struct clip_vit_image *v, struct tensor *x,
                              struct tensor *pooled)
{
    int32_t *at = clip_run_array(r, x->dim[0], sizeof *at);
    if (r->status)
        return r->status;
    memset(at, 0, (size_t)x->dim[0] * sizeof *at);
    if (clip_transformer_pick(r, &v->t, x, at, pooled))
        return r->status;
    clip_norm_run(r, pooled, pooled, &v->ln_post, v->t.eps);
    return ST_OK;
}

enum status clip_vit_run_image(const struct clip_model *m, struct clip_run *r,
                               const struct tensor *pixels, struct tensor *y)
{
    const struct clip_vit_image *v = &((const struct clip_vit *)m->data)->image;
    int64_t b = pixels->dim[0], g = (int64_t)v->grid * v->grid, d = v->t.width;
    int64_t area = 3 * (int64_t)v->patch * v->patch;
    struct tensor x = clip_run_tensor(r, 3, (int64_t[]){b, g + 1, d});
    struct tensor pooled = clip_run_tensor(r, 2, (int64_t[]){b, d});
    int64_t count = b * (g + 1);
    struct tensor ids = tensor_view(clip_run_array(r, count, 4), DT_I32, 1, &count);
    size_t mark = arena_mark(r->arena);
    struct tensor flat = clip_run_tensor(r, 3, (int64_t[]){b, g, area});
    struct tensor table = clip_run_tensor(r, 2, (int64_t[]){b * g + 1, d});
    if (r->status)
        return r->status;
    embed_patches(r, v, pixels, &flat, &table, &ids, &x);
    if (v->ln_pre.w.data)
        clip_norm_run(r, &x, &x, &v->ln_pre, v->t.eps);
    clip_run_trace(r, "embed", -1, &x);
    arena_rewind(r->arena, mark);
    if (v->pool == CLIP_POOL_MEAN ? pool_mean(r, v, &x, &pooled) : pool_first(r, v, &x, &pooled))
        return r->status;
    clip_run_trace(r, "pooled", -1, &pooled);
    clip_linear_run(r, y, &pooled, &v->proj, ACT_NONE, NULL);
    return ST_OK;
}

/* Which token's state stands for the text; ids is one padded row. */
static int pool_position(const struct clip_vit_text *v, const int32_t *ids)
{
    int at = 0;
    switch (v->pool) {
    case CLIP_POOL_LAST:
        return v->context - 1;
    case CLIP_POOL_ARGMAX:
        for (int i = 1; i < v->context; i++)
            if (ids[i] > ids[at])
                at = i;
        return at;
    case CLIP_POOL_EOS:
        for (int i = 0; i < v->context; i++)
            if (ids[i] == v->eos)
                return i;
        return 0;
    default:
        return 0;
    }
}

/* x [n,T,D]: the first T tokens, embedded. */
static enum status embed_tokens(struct clip_run *r, const struct clip_vit_text *v,
                                const struct clip_tokens *t, int64_t tokens, struct tensor *x)
{
    int64_t count = t->n * tokens;
    struct tensor ids = tensor_view(clip_run_array(r, count, 4), DT_I32, 1, &count);
    if (r->status)
        return r->status;
    for (int i = 0; i < t->n; i++)
        memcpy((int32_t *)ids.data + i * tokens, t->ids + (size_t)i * (size_t)t->context,
               (size_t)tokens * sizeof(int32_t));
    struct tensor positions = clip_tensor_rows(&v->positions, 0, tokens);
    op_embedding(r->be, x, &v->tokens, &ids);
    op_add(r->be, x, x, &positions);
    clip_run_trace(r, "embed", -1, x);
    return ST_OK;
}

enum status clip_vit_run_text(const struct clip_model *m, struct clip_run *r,
                              const struct clip_tokens *t, struct tensor *y)
{
    const struct clip_vit_text *v = &((const struct clip_vit *)m->data)->text;
    int64_t n = t->n, d = v->t.width, tokens = 1;
    int32_t *at = clip_run_array(r, n, sizeof *at);
    if (r->status)
        return r->status;
    for (int i = 0; i < t->n; i++) {
        at[i] = pool_position(v, t->ids + (size_t)i * (size_t)t->context);
        tokens = at[i] + 1 > tokens ? at[i] + 1 : tokens;
    }
    if (!v->t.causal) /* otherwise no token sees those behind it: what is not pooled is not computed
                       */
        tokens = v->context;
    struct tensor x = clip_run_tensor(r, 3, (int64_t[]){n, tokens, d});
    struct tensor pooled = clip_run_tensor(r, 2, (int64_t[]){n, d});
    if (!v->proj.w.data)
        pooled.data = y->data;
    if (r->status || embed_tokens(r, v, t, tokens, &x) ||
        clip_transformer_pick(r, &v->t, &x, at, &pooled))
        return r->status;
    clip_norm_run(r, &pooled, &pooled, &v->ln_final, v->t.eps);
    clip_run_trace(r, "pooled", -1, &pooled);
    if (v->proj.w.data)
        clip_linear_run(r, y, &pooled, &v->proj, ACT_NONE, NULL);
    return ST_OK;
}

/* Stable Diffusion reads all states, padding's too: the mask is all ones. */
enum status clip_vit_run_states(const struct clip_model *m, struct clip_run *r,
                                const struct clip_tokens *t, struct tensor *y, uint8_t *mask)
{
    const struct clip_vit_text *v = &((const struct clip_vit *)m->data)->text;
    memset(mask, 1, (size_t)v->context);
    if (embed_tokens(r, v, t, v->context, y) || clip_transformer_run(r, &v->t, y, NULL))
        return r->status;
    clip_norm_run(r, y, y, &v->ln_final, v->t.eps);
    return ST_OK;
}

static int batch_for(int64_t tokens, const struct clip_transformer *t, int most)
{
    int64_t bytes = 4 * tokens * ((int64_t)t->hidden + 2 * (int64_t)t->width);
    int64_t n = bytes > 0 ? (INT64_C(48) << 20) / bytes : most;
    return (int)(n < 1 ? 1 : n > most ? most : n);
}

void clip_vit_describe(struct clip_model *m, const struct clip_vit *v)
{
    m->image_layers = v->image.t.layers;
    m->image_width = v->image.t.width;
    m->patch = v->image.patch;
    m->input_side = v->image.grid * v->image.patch; /* a convolution leaves the rest out, too */
    m->text_layers = v->text.t.layers;
    m->text_width = v->text.t.width;
    m->vit_text = v->text.tokens.data ? &v->text : NULL;
    snprintf(m->recipe, sizeof m->recipe, "vit %s,%s heads %d,%d eps %g,%g pool %d,%d,%d",
             act_name(v->image.t.act), act_name(v->text.t.act), v->image.t.heads, v->text.t.heads,
             (double)v->image.t.eps, (double)v->text.t.eps, (int)v->image.pool,
             (int)v->image.norm_after_pool, (int)v->text.pool);
    m->image_batch = batch_for(1 + (int64_t)v->image.grid * v->image.grid, &v->image.t, 16);
    m->text_batch = batch_for(v->text.context, &v->text.t, 32);
}
