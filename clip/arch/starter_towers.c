/* The starter's forward passes. Surprising: the image head's scores are computed with the picture's
 * places as the weights of a linear, so that each head's scores lie in a row, ready for softmax. */
#include "clip/arch/starter.h"

int clip_starter_side_after(int side, const struct starter_conv *c)
{
    int room = side + c->before + c->after - c->kernel;
    return room < 0 ? 0 : room / c->stride + 1;
}

static struct conv_opts conv_opts_of(const struct starter_conv *c)
{
    return (struct conv_opts){.stride = c->stride,
                              .pad_top = c->before,
                              .pad_left = c->before,
                              .pad_bottom = c->after,
                              .pad_right = c->after,
                              .act = ACT_RELU6};
}

/* Where the backend has no way of its own for a block: on a processor the wide blocks of a picture
 * run over strips of rows, so that what lies between a block's steps (6.5 MB at most in the
 * starter) stays in a core's own cache; rows that two strips need are grown twice. A device runs
 * all blocks whole. */
enum { WHOLE_FLOATS = 256 << 10, STRIP_FLOATS = 220 << 10 };

static int64_t block_wide(const struct starter_block *b)
{
    return b->expand ? b->expand : b->in;
}

/* Rows of a block's output to make at a time. */
static int64_t strip_rows(const struct clip_run *r, const struct starter_block *b)
{
    int64_t out = clip_starter_side_after(b->side, &b->dw), row = b->side * block_wide(b);
    bool odd =
        b->dw.before >= b->dw.kernel || b->dw.after >= b->dw.kernel; /* rows of zeros alone */
    if (backend_memory(r->be) || odd || b->side * row <= WHOLE_FLOATS)
        return out;
    int64_t in = STRIP_FLOATS / row, rows = (in - b->dw.kernel) / b->dw.stride + 1;
    if (in < b->dw.kernel)
        rows = 1;
    int64_t strips = (out + rows - 1) / rows;
    return (out + strips - 1) / strips;
}

/* Floats that a picture needs between the steps of a block, and behind it. */
struct room {
    int64_t grown, turned, out;
};

static struct room block_room(const struct clip_run *r, const struct starter_block *b, int64_t n)
{
    int64_t out = clip_starter_side_after(b->side, &b->dw), rows = strip_rows(r, b);
    int64_t in = (rows - 1) * b->dw.stride + b->dw.kernel;
    struct room m = {.out = n * out * out * b->out, .turned = rows * out * block_wide(b)};
    m.grown = (rows == out || in > b->side ? b->side : in) * b->side * b->expand;
    if (rows == out) {
        m.grown *= n;
        m.turned *= n;
    }
    return m;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static struct room most_room(const struct clip_run *r, const struct starter_image *v, int64_t n)
{
    int64_t side = clip_starter_side_after(v->size, &v->stem);
    struct room m = {.grown = 1, .turned = 1, .out = n * side * side * v->stem_out};
    for (int i = 0; i < v->blocks; i++) {
        struct room b = block_room(r, &v->block[i], n);
        m = (struct room){most(m.grown, b.grown), most(m.turned, b.turned), most(m.out, b.out)};
    }
    return m;
}

static struct tensor map_view(void *data, int64_t n, int64_t rows, int64_t side, int64_t channels)
{
    return tensor_view(data, DT_F32, 4, (int64_t[]){n, rows, side, channels});
}

/* Rows [row, row + rows) of the output of n pictures' block. */
static void run_strip(struct clip_run *r, const struct starter_block *b, float *y, float *x,
                      const struct tensor between[2], int64_t n, int64_t row, int64_t rows)
{
    int64_t top = row * b->dw.stride - b->dw.before, out = clip_starter_side_after(b->side, &b->dw);
    int64_t end = top + (rows - 1) * b->dw.stride + b->dw.kernel;
    int64_t in0 = most(top, 0), in1 = end > b->side ? b->side : end, wide = block_wide(b);
    struct tensor from = map_view(x + in0 * b->side * b->in, n, in1 - in0, b->side, b->in);
    struct tensor grown = map_view(between[0].data, n, in1 - in0, b->side, wide);
    struct tensor turned = map_view(between[1].data, n, rows, out, wide);
    struct tensor to = map_view(y + row * out * b->out, n, rows, out, b->out);
    struct tensor same = {0};
    struct conv_opts o = conv_opts_of(&b->dw);
    o.pad_top = (int)(in0 - top);
    o.pad_bottom = (int)(end - in1);
    if (b->residual)
        same = map_view(x + row * out * b->in, n, rows, out, b->in);
    if (b->expand)
        clip_linear_run(r, &grown, &from, &b->grow, ACT_RELU6, NULL);
    op_depthwise(r->be, &turned, b->expand ? &grown : &from, &b->dw.w, &b->dw.b, &o);
    clip_linear_run(r, &to, &turned, &b->shrink, ACT_NONE, b->residual ? &same : NULL);
}

static void run_block(struct clip_run *r, const struct starter_block *b, struct tensor *y,
                      const struct tensor *x, const struct tensor between[2])
{
    int64_t n = x->dim[0], out = y->dim[1], rows = strip_rows(r, b);
    struct conv_opts o = conv_opts_of(&b->dw);
    const struct mbconv_weights w = {.expand = b->expand ? &b->grow.w : NULL,
                                     .expand_b = b->expand ? &b->grow.b : NULL,
                                     .dw = &b->dw.w,
                                     .dw_b = &b->dw.b,
                                     .project = &b->shrink.w,
                                     .project_b = &b->shrink.b};
    if (op_mbconv(r->be, y, x, &w, &o, b->residual ? x : NULL))
        return;
    if (rows == out) {
        run_strip(r, b, y->data, x->data, between, n, 0, out);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t row = 0; row < out; row += rows)
            run_strip(r, b, (float *)y->data + i * out * out * b->out,
                      (float *)x->data + i * b->side * b->side * b->in, between, 1, row,
                      row + rows > out ? out - row : rows);
}

/* x [B,S,S,3] -> map [B,places,map_width]. */
static enum status run_map(struct clip_run *r, const struct starter_image *v,
                           const struct tensor *x, struct tensor *map)
{
    int64_t n = x->dim[0], side = clip_starter_side_after(v->size, &v->stem);
    struct room room = most_room(r, v, n);
    float *turn[2] = {clip_run_array(r, room.out, sizeof(float)),
                      clip_run_array(r, room.out, sizeof(float))};
    struct tensor between[2] = {clip_run_tensor(r, 1, &room.grown),
                                clip_run_tensor(r, 1, &room.turned)};
    if (r->status)
        return r->status;
    struct tensor now = map_view(turn[0], n, side, side, v->stem_out);
    struct conv_opts stem = conv_opts_of(&v->stem);
    op_conv2d(r->be, &now, x, &v->stem.w, &v->stem.b, &stem);
    clip_run_trace(r, "embed", -1, &now);
    for (int i = 0; i < v->blocks; i++) {
        side = clip_starter_side_after(v->block[i].side, &v->block[i].dw);
        struct tensor next = map_view(turn[(i + 1) % 2], n, side, side, v->block[i].out);
        run_block(r, &v->block[i], &next, &now, between);
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
