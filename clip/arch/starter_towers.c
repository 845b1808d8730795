/* The starter's forward passes. Surprising: the image head's scores are computed with the picture's
 * places as the weights of a linear, so that each head's scores lie in a row, ready for softmax. */
#include "clip/arch/starter.h"

int clip_starter_side_after(int side, const struct starter_conv *c)
{
    int room = side + c->before + c->after - c->kernel;
    return room < 0 ? 0 : room / c->stride + 1;
}

static void run_conv(struct clip_run *r, struct tensor *y, const struct tensor *x,
                     const struct starter_conv *c, bool depthwise)
{
    struct conv_opts o = {.stride = c->stride,
                          .pad_top = c->before,
                          .pad_left = c->before,
                          .pad_bottom = c->after,
                          .pad_right = c->after,
                          .act = ACT_RELU6};
    if (depthwise)
        op_depthwise(r->be, y, x, &c->w, &c->b, &o);
    else
        op_conv2d(r->be, y, x, &c->w, &c->b, &o);
}

/* The most floats a picture needs before, between and behind the steps of any block. */
struct room {
    int64_t io, grown, turned;
};

static struct room room_for(const struct starter_image *v)
{
    int64_t side = clip_starter_side_after(v->size, &v->stem);
    struct room m = {.io = side * side * v->stem_out, .grown = 1, .turned = 1};
    for (int i = 0; i < v->blocks; i++) {
        const struct starter_block *b = &v->block[i];
        int64_t in = b->side, out = clip_starter_side_after(b->side, &b->dw);
        int64_t wide = b->expand ? b->expand : b->in;
        m.grown = in * in * b->expand > m.grown ? in * in * b->expand : m.grown;
        m.turned = out * out * wide > m.turned ? out * out * wide : m.turned;
        m.io = out * out * b->out > m.io ? out * out * b->out : m.io;
    }
    return m;
}

static struct tensor square(void *data, int64_t n, int64_t side, int64_t channels)
{
    return tensor_view(data, DT_F32, 4, (int64_t[]){n, side, side, channels});
}

/* x [B,S,S,3] -> map [B,places,map_width]. */
static enum status run_map(struct clip_run *r, const struct starter_image *v,
                           const struct tensor *x, struct tensor *map)
{
    int64_t n = x->dim[0], side = clip_starter_side_after(v->size, &v->stem);
    struct room room = room_for(v);
    float *a = clip_run_array(r, n * room.io, sizeof *a);
    float *b = clip_run_array(r, n * room.io, sizeof *b);
    float *grown = clip_run_array(r, n * room.grown, sizeof *grown);
    float *turned = clip_run_array(r, n * room.turned, sizeof *turned);
    if (r->status)
        return r->status;
    struct tensor now = square(a, n, side, v->stem_out);
    run_conv(r, &now, x, &v->stem, false);
    clip_run_trace(r, "embed", -1, &now);
    for (int i = 0; i < v->blocks; i++) {
        const struct starter_block *k = &v->block[i];
        int64_t side_out = clip_starter_side_after(k->side, &k->dw),
                channels = k->expand ? k->expand : k->in;
        struct tensor g = square(grown, n, k->side, channels),
                      t = square(turned, n, side_out, channels);
        struct tensor next = square(now.data == a ? b : a, n, side_out, k->out);
        if (k->expand)
            clip_linear_run(r, &g, &now, &k->grow, ACT_RELU6, NULL);
        run_conv(r, &t, k->expand ? &g : &now, &k->dw, true);
        clip_linear_run(r, &next, &t, &k->shrink, ACT_NONE, k->residual ? &now : NULL);
        now = next;
        clip_run_trace(r, "block", i, &now);
    }
    clip_linear_run(r, map, &now, &v->head, ACT_RELU6, NULL);
    return ST_OK;
}

/* z += out(each head's slice of its weighted mean of values). The scores of a head are its query
 * with every place, so that a product of the queries with one picture's places as "weights" has
 * them as rows, ready for softmax; weighing gives all slices for all heads, of which the diagonal
 * is kept. */
static enum status run_places(struct clip_run *r, const struct starter *s, const struct tensor *map,
                              struct tensor *z, struct tensor *p)
{
    const struct starter_image *v = &s->image;
    int64_t n = map->dim[0], places = map->dim[1], d = s->dim, h = v->heads;
    struct tensor t = p ? *p : clip_run_tensor(r, 3, (int64_t[]){n, places, d});
    struct tensor val = clip_run_tensor(r, 3, (int64_t[]){n, places, d});
    struct tensor score = clip_run_tensor(r, 2, (int64_t[]){h, places});
    struct tensor all = clip_run_tensor(r, 2, (int64_t[]){h, d});
    struct tensor mean = clip_run_tensor(r, 2, (int64_t[]){n, d});
    int32_t *id = clip_run_array(r, h, sizeof *id);
    if (r->status)
        return r->status;
    struct tensor ids = tensor_view(id, DT_I32, 1, &h);
    struct tensor slices = tensor_view(all.data, DT_F32, 2, (int64_t[]){h * h, d / h});
    for (int64_t i = 0; i < h; i++)
        id[i] = (int32_t)(i * h + i);
    clip_linear_run(r, &t, map, &v->token, ACT_NONE, NULL);
    clip_norm_run(r, &t, &t, &v->token_norm, v->token_eps);
    clip_linear_run(r, &val, &t, &v->value, ACT_NONE, NULL);
    for (int64_t i = 0; i < n; i++) {
        struct tensor ti =
            tensor_view((float *)t.data + i * places * d, DT_F32, 2, (int64_t[]){places, d});
        struct tensor vi =
            tensor_view((float *)val.data + i * places * d, DT_F32, 2, (int64_t[]){places, d});
        struct tensor row =
            tensor_view((float *)mean.data + i * d, DT_F32, 2, (int64_t[]){h, d / h});
        op_linear(r->be, &score, &v->query, &ti, NULL, ACT_NONE, NULL);
        op_softmax(r->be, &score, &score, 1.0f);
        op_matmul(r->be, &all, &score, &vi);
        op_embedding(r->be, &row, &slices, &ids);
    }
    clip_linear_run(r, z, &mean, &v->out, ACT_NONE, z);
    return ST_OK;
}

enum status clip_starter_run_look(const struct clip_model *m, struct clip_run *r,
                                  const struct tensor *x, struct tensor *z, struct tensor *states)
{
    const struct starter *s = m->data;
    const struct starter_image *v = &s->image;
    int64_t n = x->dim[0], places = (int64_t)v->map_side * v->map_side;
    struct tensor map = clip_run_tensor(r, 3, (int64_t[]){n, places, v->map_width});
    struct tensor f = clip_run_tensor(r, 2, (int64_t[]){n, v->map_width});
    struct tensor p = clip_run_tensor(r, 2, (int64_t[]){n, v->classes});
    struct tensor h = clip_run_tensor(r, 2, (int64_t[]){n, v->mlp});
    size_t mark = arena_mark(r->arena);
    if (r->status || run_map(r, v, x, &map))
        return r->status;
    arena_rewind(r->arena, mark);
    op_mean_tokens(r->be, &f, &map, NULL);
    clip_run_trace(r, "pooled", -1, &f);
    clip_linear_run(r, &p, &f, &v->classifier, ACT_NONE, NULL);
    op_softmax(r->be, &p, &p, v->softmax_scale);
    op_add(r->be, &f, &f, &v->minus_mean);
    op_mul(r->be, &f, &f, &v->inv);
    op_layernorm(r->be, &f, &f, &v->ones, NULL, v->eps);
    clip_linear_run(r, z, &f, &v->linear, ACT_NONE, NULL);
    clip_linear_run(r, &h, &f, &v->fc1, ACT_GELU, NULL);
    clip_linear_run(r, z, &h, &v->fc2, ACT_NONE, z);
    op_linear(r->be, z, &p, &v->names, NULL, ACT_NONE, z);
    return v->heads ? run_places(r, s, &map, z, states) : ST_OK;
}

enum status clip_starter_run_image(const struct clip_model *m, struct clip_run *r,
                                   const struct tensor *x, struct tensor *z)
{
    return clip_starter_run_look(m, r, x, z, NULL);
}

/* x [n,T,D]: the last layer's states; padding beyond each text's length is computed but never
 * looked at. */
static enum status token_states(struct clip_run *r, const struct starter_text *v,
                                const struct clip_tokens *t, struct tensor *x)
{
    int64_t tokens = x->dim[1], count = t->n * tokens;
    struct tensor ids = tensor_view(clip_run_array(r, count, 4), DT_I32, 1, &count);
    if (r->status)
        return r->status;
    for (int i = 0; i < t->n; i++)
        memcpy((int32_t *)ids.data + i * tokens, t->ids + (size_t)i * (size_t)t->context,
               (size_t)tokens * sizeof(int32_t));
    struct tensor positions = clip_tensor_rows(&v->positions, 0, tokens);
    op_embedding(r->be, x, &v->words, &ids);
    op_add(r->be, x, x, &positions);
    clip_norm_run(r, x, x, &v->norm, v->t.eps);
    clip_run_trace(r, "embed", -1, x);
    return clip_transformer_run(r, &v->t, x, t->len);
}

enum status clip_starter_run_text(const struct clip_model *m, struct clip_run *r,
                                  const struct clip_tokens *t, struct tensor *z)
{
    const struct starter_text *v = &((const struct starter *)m->data)->text;
    int64_t n = t->n, tokens = 1;
    for (int i = 0; i < t->n; i++)
        tokens = t->len[i] > tokens ? t->len[i] : tokens;
    struct tensor x = clip_run_tensor(r, 3, (int64_t[]){n, tokens, v->t.width});
    struct tensor u = clip_run_tensor(r, 2, (int64_t[]){n, v->t.width});
    struct tensor h = clip_run_tensor(r, 2, (int64_t[]){n, v->mlp ? v->mlp : 1});
    if (r->status || token_states(r, v, t, &x))
        return r->status;
    op_mean_tokens(r->be, &u, &x, t->len);
    clip_run_trace(r, "pooled", -1, &u);
    op_layernorm(r->be, &u, &u, &v->ones, NULL, v->eps);
    clip_linear_run(r, z, &u, &v->linear, ACT_NONE, NULL);
    if (v->mlp) {
        clip_linear_run(r, &h, &u, &v->fc1, ACT_GELU, NULL);
        clip_linear_run(r, z, &h, &v->fc2, ACT_NONE, z);
    }
    return ST_OK;
}

enum status clip_starter_run_states(const struct clip_model *m, struct clip_run *r,
                                    const struct clip_tokens *t, struct tensor *y, uint8_t *mask)
{
    const struct starter_text *v = &((const struct starter *)m->data)->text;
    int64_t len = t->len[0], d = v->t.width;
    struct tensor x = tensor_view(y->data, DT_F32, 3, (int64_t[]){1, len, d});
    memset(y->data, 0, (size_t)tensor_count(y) * sizeof(float));
    backend_upload(r->be, y);
    for (int i = 0; i < v->context; i++)
        mask[i] = i < len;
    return token_states(r, v, t, &x);
}
