/* EVA-02. Surprising: turning by RoPE needs each pair of values as (-b, a), which is what the same
 * projection with its rows swapped in pairs and every first one negated gives: two products and
 * two elementwise ops instead of an op of its own. */
#include "clip/arch/eva.h"
#include "clip/config.h"
#include <math.h>

#define STEM "visual.trunk."
#define REFERENCE_SIDE 16 /* the grid at 224 pixels of 14, for every size */

bool clip_eva_guess(const struct clip_loader *l, struct clip_eva *v)
{
    v->width = clip_load_dim(l, 0, CLIP_MAX_WIDTH, STEM "patch_embed.proj.weight");
    v->patch = clip_load_dim(l, 3, CLIP_MAX_IMAGE, STEM "patch_embed.proj.weight");
    v->hidden = clip_load_dim(l, 0, 8 * CLIP_MAX_WIDTH, STEM "blocks.0.mlp.fc1_g.weight");
    while (v->layers < CLIP_MAX_LAYERS &&
           clip_load_has(l, STEM "blocks.%d.attn.q_proj.weight", v->layers))
        v->layers++;
    v->heads = v->width / 64;
    v->eps = 1e-6f;
    return v->width && v->width % 64 == 0 && v->patch && v->hidden && v->layers;
}

static void *take(struct clip_loader *l, int64_t n, size_t size)
{
    void *p = l->status ? NULL : arena_array(&l->m->arena, (size_t)n, size);
    if (!p && !l->status)
        l->status = error_set(l->err, ST_NOMEM, "%s: out of memory", l->src->path);
    return p;
}

/* Rows 2i and 2i+1 become minus row 2i+1 and row 2i, in the file's own dtype. */
static struct tensor turned(struct clip_loader *l, const struct tensor *w)
{
    size_t row = 0;
    int64_t cols = tensor_count(w) / (w->dim[0] ? w->dim[0] : 1);
    struct tensor t = *w;
    if (l->status || !w->data)
        return (struct tensor){0};
    if (w->dtype != DT_F32 && w->dtype != DT_F16 && w->dtype != DT_BF16) {
        l->status = error_set(l->err, ST_UNSUPPORTED, "%s: EVA in %s is not read", l->src->path,
                              dtype_name(w->dtype));
        return (struct tensor){0};
    }
    size_t size = w->dtype == DT_F32 ? 4 : 2;
    row = (size_t)cols * size;
    unsigned char *y = take(l, w->dim[0], row);
    for (int64_t i = 0; y && i < w->dim[0]; i++) {
        unsigned char *to = y + (size_t)i * row;
        memcpy(to, (unsigned char *)w->data + (size_t)(i ^ 1) * row, row);
        for (int64_t j = 0; i % 2 == 0 && j < cols; j++)
            to[(size_t)j * size + size - 1] ^= 0x80; /* the sign */
    }
    t.data = y;
    t.mapped = false;
    return t;
}

/* timm's build_rotary_pos_embed: frequencies of the row, then of the column, each for a pair. */
static void make_angles(struct clip_loader *l, struct clip_eva *v)
{
    int64_t d = v->width, tokens = 1 + (int64_t)v->grid * v->grid;
    float *c = take(l, tokens * d, sizeof *c), *s = take(l, tokens * d, sizeof *s);
    for (int64_t t = 0; s && t < tokens; t++) {
        int64_t row = (t - 1) / v->grid, column = (t - 1) % v->grid;
        float at[2] = {(float)row, (float)column};
        for (int64_t i = 0; i < d; i++) {
            int64_t k = i % 64 / 2; /* of 32 angles, 16 an axis */
            float band = 1.0f / powf(10000.0f, (float)(k % 16) / 16.0f);
            float angle = at[k / 16] / (float)v->grid * REFERENCE_SIDE * band;
            c[t * d + i] = t ? cosf(angle) : 1.0f;
            s[t * d + i] = t ? sinf(angle) : 0.0f;
        }
    }
    v->cosine = tensor_view(c, DT_F32, 2, (int64_t[]){tokens, d});
    v->sine = tensor_view(s, DT_F32, 2, (int64_t[]){tokens, d});
}

static void load_block(struct clip_loader *l, const struct clip_eva *v, int i)
{
    struct clip_eva_block *b = &v->block[i];
    int64_t d = v->width, f = v->hidden;
    char p[64];
    snprintf(p, sizeof p, STEM "blocks.%d", i);
    b->ln1 = clip_load_norm(l, d, "%s.norm1", p);
    b->ln2 = clip_load_norm(l, d, "%s.norm2", p);
    b->q = clip_load_linear(l, d, d, true, "%s.attn.q_proj", p);
    b->k = clip_load_linear(l, d, d, false, "%s.attn.k_proj", p);
    b->v = clip_load_linear(l, d, d, true, "%s.attn.v_proj", p);
    b->o = clip_load_linear(l, d, d, true, "%s.attn.proj", p);
    b->q_turned.w = turned(l, &b->q.w);
    b->q_turned.b = turned(l, &b->q.b);
    b->k_turned.w = turned(l, &b->k.w);
    if (clip_load_has(l, "%s.attn.norm.weight", p))
        b->inner = clip_load_norm(l, d, "%s.attn.norm", p);
    b->gate = clip_load_linear(l, f, d, true, "%s.mlp.fc1_g", p);
    b->up = clip_load_linear(l, f, d, true, "%s.mlp.fc1_x", p);
    b->down = clip_load_linear(l, d, f, true, "%s.mlp.fc2", p);
    if (clip_load_has(l, "%s.mlp.norm.weight", p))
        b->middle = clip_load_norm(l, f, "%s.mlp.norm", p);
}

void clip_eva_load(struct clip_loader *l, struct clip_eva *v, int dim)
{
    int64_t d = v->width, p = v->patch, tokens = 1 + (int64_t)v->grid * v->grid;
    v->patches = clip_load_matrix(l, 4, (int64_t[]){d, 3, p, p}, STEM "patch_embed.proj.weight");
    v->patches.use = TENSOR_WEIGHT_FINE;
    v->patch_bias = clip_load_small(l, 1, &d, STEM "patch_embed.proj.bias");
    v->class_token = clip_load_small(l, 3, (int64_t[]){1, 1, d}, STEM "cls_token");
    v->positions = clip_load_small(l, 3, (int64_t[]){1, tokens, d}, STEM "pos_embed");
    v->norm = clip_load_norm(l, d, STEM "norm");
    v->head = clip_load_linear(l, dim, d, true, STEM "head");
    v->head.w.use = TENSOR_WEIGHT_FINE;
    make_angles(l, v);
    v->block = take(l, v->layers, sizeof *v->block);
    if (l->status)
        return;
    memset(v->block, 0, (size_t)v->layers * sizeof *v->block);
    v->class_token = tensor_view(v->class_token.data, DT_F32, 1, &d);
    v->positions = tensor_view(v->positions.data, DT_F32, 2, (int64_t[]){tokens, d});
    for (int i = 0; i < v->layers && !l->status; i++)
        load_block(l, v, i);
}

struct scratch {
    struct tensor y, q, k, v, t, gate, up;
};

/* q = w(y) * cos + turned(y) * sin */
static void project(struct clip_run *r, const struct clip_eva *v, struct scratch *s,
                    struct tensor *q, const struct clip_linear *w, const struct clip_linear *turn)
{
    clip_linear_run(r, q, &s->y, w, ACT_NONE, NULL);
    clip_linear_run(r, &s->t, &s->y, turn, ACT_NONE, NULL);
    op_mul(r->be, q, q, &v->cosine);
    op_mul(r->be, &s->t, &s->t, &v->sine);
    op_add(r->be, q, q, &s->t);
}

static void run_block(struct clip_run *r, const struct clip_eva *v, const struct clip_eva_block *b,
                      struct scratch *s, struct tensor *x)
{
    clip_norm_run(r, &s->y, x, &b->ln1, v->eps);
    project(r, v, s, &s->q, &b->q, &b->q_turned);
    project(r, v, s, &s->k, &b->k, &b->k_turned);
    clip_linear_run(r, &s->v, &s->y, &b->v, ACT_NONE, NULL);
    op_attention(r->be, &s->t, &s->q, &s->k, &s->v, &(struct attn_opts){.heads = v->heads});
    if (b->inner.w.data)
        clip_norm_run(r, &s->t, &s->t, &b->inner, v->eps);
    clip_linear_run(r, x, &s->t, &b->o, ACT_NONE, x);
    clip_norm_run(r, &s->y, x, &b->ln2, v->eps);
    clip_linear_run(r, &s->gate, &s->y, &b->gate, ACT_SILU, NULL);
    clip_linear_run(r, &s->up, &s->y, &b->up, ACT_NONE, NULL);
    op_mul(r->be, &s->gate, &s->gate, &s->up);
    if (b->middle.w.data)
        clip_norm_run(r, &s->gate, &s->gate, &b->middle, v->eps);
    clip_linear_run(r, x, &s->gate, &b->down, ACT_NONE, x);
}

/* x [B, 1 + G, D]: the class token, then the patches. */
static enum status embed(struct clip_run *r, const struct clip_eva *v, const struct tensor *pixels,
                         struct tensor *x)
{
    int64_t n = x->dim[0], g = x->dim[1] - 1, d = v->width, count = n * (g + 1);
    int64_t area = 3 * (int64_t)v->patch * v->patch;
    struct tensor flat = clip_run_tensor(r, 3, (int64_t[]){n, g, area});
    struct tensor table = clip_run_tensor(r, 2, (int64_t[]){n * g + 1, d});
    int32_t *id = clip_run_array(r, count, sizeof *id);
    if (r->status)
        return r->status;
    struct tensor ids = tensor_view(id, DT_I32, 1, &count);
    struct tensor first = tensor_view(table.data, DT_F32, 1, &d);
    struct tensor rest = tensor_view((float *)table.data + d, DT_F32, 2, (int64_t[]){n * g, d});
    for (int64_t b = 0; b < n; b++) {
        *id++ = 0;
        for (int64_t i = 0; i < g; i++)
            *id++ = (int32_t)(1 + b * g + i);
    }
    op_patchify(r->be, &flat, pixels, v->patch);
    op_convert(r->be, &first, &v->class_token);
    op_linear(r->be, &rest, &flat, &v->patches, &v->patch_bias, ACT_NONE, NULL);
    op_embedding(r->be, x, &table, &ids);
    op_add(r->be, x, x, &v->positions);
    return ST_OK;
}

enum status clip_eva_run(struct clip_run *r, const struct clip_eva *v, const struct tensor *pixels,
                         struct tensor *y)
{
    int64_t n = pixels->dim[0], t = 1 + (int64_t)v->grid * v->grid, d = v->width, f = v->hidden;
    struct tensor x = clip_run_tensor(r, 3, (int64_t[]){n, t, d});
    struct tensor pooled = clip_run_tensor(r, 2, (int64_t[]){n, d});
    int32_t *first = clip_run_array(r, n, sizeof *first);
    size_t mark = arena_mark(r->arena);
    if (r->status || embed(r, v, pixels, &x))
        return r->status;
    clip_run_trace(r, "embed", -1, &x);
    arena_rewind(r->arena, mark);
    struct scratch s = {clip_run_tensor(r, 3, x.dim),
                        clip_run_tensor(r, 3, x.dim),
                        clip_run_tensor(r, 3, x.dim),
                        clip_run_tensor(r, 3, x.dim),
                        clip_run_tensor(r, 3, x.dim),
                        clip_run_tensor(r, 3, (int64_t[]){n, t, f}),
                        clip_run_tensor(r, 3, (int64_t[]){n, t, f})};
    if (r->status)
        return r->status;
    for (int i = 0; i < v->layers; i++) {
        run_block(r, v, &v->block[i], &s, &x);
        clip_run_trace(r, "block", i, &x);
    }
    for (int64_t i = 0; i < n; i++)
        first[i] = (int32_t)(i * t);
    struct tensor ids = tensor_view(first, DT_I32, 1, &n);
    clip_gather_run(r, &pooled, &x, &ids);
    clip_norm_run(r, &pooled, &pooled, &v->norm, v->eps);
    clip_run_trace(r, "pooled", -1, &pooled);
    clip_linear_run(r, y, &pooled, &v->head, ACT_NONE, NULL);
    return ST_OK;
}
