/* One text tower in memory where the library's model and a checkpoint have the same, as CLIP
 * ViT-L/14 and Stable Diffusion 1 do. Shapes are compared first, so that only such pairs pay for
 * reading both. */
#include "nn/weights.h"
#include "sampler/checkpoint.h"
#include <string.h>

enum { CHUNK = 4096 };

static const char *value_at(const struct tensor *t, int64_t i)
{
    size_t bytes = 0;
    return dtype_bytes(t->dtype, (size_t)i, &bytes) ? (const char *)t->data + bytes : NULL;
}

static bool plain(const struct tensor *t)
{
    return t->dtype == DT_F32 || t->dtype == DT_F16 || t->dtype == DT_BF16;
}

/* As many values of one-dimensional plain tensors, whatever their dtypes. */
static bool equal_values(const struct tensor *a, const struct tensor *b)
{
    float x[CHUNK], y[CHUNK];
    int64_t n = tensor_count(a);
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t some = n - i < CHUNK ? n - i : CHUNK;
        struct tensor u = *a, v = *b;
        u.ndim = v.ndim = 1;
        u.dim[0] = v.dim[0] = some;
        u.data = (void *)(uintptr_t)value_at(a, i);
        v.data = (void *)(uintptr_t)value_at(b, i);
        tensor_to_f32(&u, x);
        tensor_to_f32(&v, y);
        if (memcmp(x, y, (size_t)some * sizeof *x) != 0)
            return false;
    }
    return true;
}

/* Weights of 8 bits are never taken for equal: their owners may have rounded differently. */
static bool equal(const struct tensor *a, const struct tensor *b)
{
    size_t bytes = 0;
    if (!a->data || !b->data)
        return a->data == b->data;
    if (!plain(a) || !plain(b) || tensor_count(a) != tensor_count(b))
        return false;
    if (a->dtype == b->dtype && dtype_bytes(a->dtype, (size_t)tensor_count(a), &bytes))
        return memcmp(a->data, b->data, bytes) == 0;
    return equal_values(a, b);
}

static bool equal_linear(const struct clip_linear *a, const struct clip_linear *b)
{
    return equal(&a->w, &b->w) && equal(&a->b, &b->b);
}

static bool equal_norm(const struct clip_norm *a, const struct clip_norm *b)
{
    return equal(&a->w, &b->w) && equal(&a->b, &b->b);
}

static bool equal_layer(const struct clip_layer *a, const struct clip_layer *b)
{
    return equal_norm(&a->ln1, &b->ln1) && equal_norm(&a->ln2, &b->ln2) &&
           equal_linear(&a->q, &b->q) && equal_linear(&a->k, &b->k) && equal_linear(&a->v, &b->v) &&
           equal_linear(&a->o, &b->o) && equal_linear(&a->fc1, &b->fc1) &&
           equal_linear(&a->fc2, &b->fc2) && equal(&a->ls1, &b->ls1) && equal(&a->ls2, &b->ls2);
}

static bool equal_shape(const struct clip_vit_text *a, const struct clip_vit_text *b)
{
    const struct clip_transformer *t = &a->t, *u = &b->t;
    return a->context == b->context && tensor_same_shape(&a->tokens, &b->tokens) &&
           t->width == u->width && t->heads == u->heads && t->layers == u->layers &&
           t->hidden == u->hidden && t->eps == u->eps && t->act == u->act &&
           t->causal == u->causal && t->post_norm == u->post_norm;
}

/* *mine becomes the library's; the file's own pages need not stay in memory. */
static void take(struct tensor *mine, const struct tensor *library)
{
    tensor_give_back(mine);
    *mine = *library;
}

static void take_linear(struct clip_linear *mine, const struct clip_linear *library)
{
    take(&mine->w, &library->w);
    take(&mine->b, &library->b);
}

bool checkpoint_share_text(struct checkpoint *c, const struct clip *library)
{
    struct clip_vit_text *mine = &c->text.v;
    const struct clip_vit_text *v = clip_vit_text_of(library);
    if (!v || c->tower || c->patch || !equal_shape(mine, v) || !equal(&mine->tokens, &v->tokens) ||
        !equal(&mine->positions, &v->positions) || !equal_norm(&mine->ln_final, &v->ln_final))
        return false;
    for (int i = 0; i < v->t.layers; i++)
        if (!equal_layer(&mine->t.layer[i], &v->t.layer[i]))
            return false;
    /* its own qkv, which it has none of, stays away: LoRAs change q, k and v one by one */
    take(&mine->tokens, &v->tokens);
    for (int i = 0; i < v->t.layers; i++) {
        struct clip_layer *l = &mine->t.layer[i];
        const struct clip_layer *from = &v->t.layer[i];
        take_linear(&l->q, &from->q);
        take_linear(&l->k, &from->k);
        take_linear(&l->v, &from->v);
        take_linear(&l->o, &from->o);
        take_linear(&l->fc1, &from->fc1);
        take_linear(&l->fc2, &from->fc2);
    }
    return true;
}
