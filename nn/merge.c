/* Weighted sums and added differences of weight files. */
#include "nn/merge.h"
#include "core/mem.h"
#include "nn/weights_int.h"
#include <assert.h>
#include <math.h>

enum { MOST = 3 };

struct merge {
    struct weights *w[MOST];
    int files;
    const struct merge_opts *o;
    struct merge_stats *stats;
    struct weights_out_tensor *t;
    void **owned;
    int owned_n;
    float *x[MOST]; /* values of one tensor from each file */
    size_t room;
    struct error *err;
};

static bool is_real(const struct tensor *t)
{
    return t->dtype == DT_F32 || t->dtype == DT_F16 || t->dtype == DT_BF16 || t->dtype == DT_F64;
}

static enum status no_memory(struct merge *m)
{
    return error_set(m->err, ST_NOMEM, "%s: out of memory", m->w[0]->label);
}

static bool make_room(struct merge *m, size_t n)
{
    if (n <= m->room)
        return true;
    m->room = 0;
    for (int i = 0; i < m->files; i++) {
        mem_free(m->x[i]);
        m->x[i] = mem_array(n, sizeof *m->x[i]);
    }
    for (int i = 0; i < m->files; i++)
        if (!m->x[i])
            return false;
    m->room = n;
    return true;
}

/* The tensor of that name in each file; *mix: all have it, so that there is something to mix. */
static enum status find_all(struct merge *m, const char *name, const struct tensor *t[MOST],
                            bool *mix)
{
    char q[WEIGHTS_QUOTE];
    *mix = is_real(t[0]);
    for (int i = 1; i < m->files && *mix; i++) {
        t[i] = weights_find(m->w[i], name);
        if (t[i] && !tensor_same_shape(t[0], t[i]))
            return error_set(m->err, ST_FORMAT, "%s: tensor '%s' has another shape than in %s",
                             m->w[i]->label, weights_quote(q, name, strlen(name)), m->w[0]->label);
        *mix = t[i] && is_real(t[i]);
    }
    return ST_OK;
}

static void mix_values(struct merge *m, size_t n, double ratio)
{
    const float *b = m->x[1], *base = m->files == 3 ? m->x[2] : m->x[0];
    assert(m->x[0] && b && base);
    for (size_t i = 0; i < n; i++)
        m->x[0][i] = (float)((double)m->x[0][i] + ratio * ((double)b[i] - (double)base[i]));
}

/* x[0] in the type that the new tensor has. */
static enum status keep(struct merge *m, const char *name, const struct tensor *from,
                        enum dtype type, struct tensor *out)
{
    char q[WEIGHTS_QUOTE];
    size_t n = (size_t)tensor_count(from), bytes = 0;
    float top = type == DT_F16 ? 65504.0f : 3.3e38f;
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(m->x[0][i]) <= top))
            return error_set(m->err, ST_FORMAT, "tensor '%s' becomes %g, which %s does not hold",
                             weights_quote(q, name, strlen(name)), (double)m->x[0][i],
                             dtype_name(type));
    void *data = dtype_bytes(type, n, &bytes) ? mem_aligned(bytes ? bytes : 1, 64) : NULL;
    if (!data)
        return no_memory(m);
    m->owned[m->owned_n++] = data;
    tensor_from_f32(m->x[0], 1, (int64_t)n, type, data, NULL);
    *out = tensor_view(data, type, from->ndim, from->dim);
    return ST_OK;
}

static enum status merge_one(struct merge *m, const char *name, const struct tensor *from,
                             struct tensor *out)
{
    const struct tensor *t[MOST] = {from};
    size_t n = (size_t)tensor_count(from);
    bool mix = false;
    enum status st = find_all(m, name, t, &mix);
    enum dtype type = m->o->has_type ? m->o->type : from->dtype == DT_F64 ? DT_F32 : from->dtype;
    *out = *from;
    if (st || !is_real(from) || !n || (!mix && type == from->dtype))
        return st;
    if (!make_room(m, n))
        return no_memory(m);
    for (int i = 0; i < (mix ? m->files : 1); i++)
        tensor_to_f32(t[i], m->x[i]);
    if (mix)
        mix_values(m, n, m->o->ratio(m->o->ctx, name));
    m->stats->mixed += mix;
    return keep(m, name, from, type, out);
}

static enum status merge_all(struct merge *m)
{
    int n = weights_count(m->w[0]);
    m->t = mem_array((size_t)n + 1, sizeof *m->t);
    m->owned = mem_array((size_t)n + 1, sizeof *m->owned);
    if (!m->t || !m->owned)
        return no_memory(m);
    for (int i = 0; i < n; i++) {
        size_t bytes = 0;
        m->t[i].name = weights_name(m->w[0], i);
        enum status st = merge_one(m, m->t[i].name, weights_at(m->w[0], i), &m->t[i].t);
        if (st)
            return st;
        if (dtype_bytes(m->t[i].t.dtype, (size_t)tensor_count(&m->t[i].t), &bytes))
            m->stats->bytes += bytes;
    }
    m->stats->tensors = n;
    for (int i = 0; i < weights_count(m->w[1]); i++)
        m->stats->left_out += weights_find(m->w[0], weights_name(m->w[1], i)) == NULL;
    return ST_OK;
}

enum status merge_weights(const char *const *in, const char *out, const struct merge_opts *o,
                          struct merge_stats *stats, struct error *err)
{
    struct merge m = {.o = o, .stats = stats, .err = err};
    enum status st = ST_OK;
    *stats = (struct merge_stats){0};
    for (; m.files < MOST && in[m.files] && !st; m.files++)
        st = weights_open(&m.w[m.files], in[m.files], err);
    if (!st)
        st = merge_all(&m);
    if (!st)
        st = weights_write(out, m.t, m.stats->tensors, o->meta, err);
    for (int i = 0; i < m.owned_n; i++)
        mem_free(m.owned[i]);
    for (int i = 0; i < MOST; i++) {
        mem_free(m.x[i]);
        weights_close(m.w[i]);
    }
    mem_free(m.owned);
    mem_free(m.t);
    return st;
}
