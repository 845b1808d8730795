/* Elementwise ops over the pool, and the ops that only move or look up values. */
#include "nn/cpu/elem.h"
#include <assert.h>
#include <string.h>

enum { GRAIN = 32768 };

typedef void binary_fn(float *y, const float *x, const float *r, int64_t n);

struct binary_ctx {
    binary_fn *fn;
    float *y;
    const float *x, *r;
    int64_t period; /* values of r; x is whole periods */
};

static void binary_piece(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    const struct binary_ctx *b = ctx;
    while (i0 < i1) {
        int64_t j = i0 % b->period, n = min_i64(b->period - j, i1 - i0);
        b->fn(b->y + i0, b->x + i0, b->r + j, n);
        i0 += n;
    }
}

static void binary(struct cpu *c, binary_fn *fn, struct tensor *y, const struct tensor *x,
                   const struct tensor *r)
{
    struct binary_ctx b = {fn, y->data, x->data, r->data, tensor_count(r)};
    cpu_split(c, tensor_count(x), GRAIN, binary_piece, &b);
}

void cpu_add(struct backend *be, struct tensor *y, const struct tensor *x, const struct tensor *r)
{
    struct cpu *c = (struct cpu *)be;
    binary(c, c->k.add, y, x, r);
}

void cpu_mul(struct backend *be, struct tensor *y, const struct tensor *x, const struct tensor *r)
{
    struct cpu *c = (struct cpu *)be;
    binary(c, c->k.mul, y, x, r);
}

struct scale_ctx {
    const struct cpu_kernels *k;
    float *y;
    const float *x;
    float s;
};

static void scale_piece(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    const struct scale_ctx *s = ctx;
    s->k->scale(s->y + i0, s->x + i0, s->s, i1 - i0);
}

void cpu_scale(struct backend *be, struct tensor *y, const struct tensor *x, float s)
{
    struct cpu *c = (struct cpu *)be;
    struct scale_ctx ctx = {&c->k, y->data, x->data, s};
    cpu_split(c, tensor_count(x), GRAIN, scale_piece, &ctx);
}

void cpu_embedding(struct backend *be, struct tensor *y, const struct tensor *table,
                   const struct tensor *ids)
{
    struct cpu *c = (struct cpu *)be;
    const int32_t *id = ids->data;
    float *out = y->data;
    int64_t n = tensor_count(ids), d = table->dim[1];
    for (int64_t i = 0; i < n; i++) {
        assert(id[i] >= 0 && id[i] < table->dim[0]);
        c->k.widen(out + i * d, table->dtype, weight_row(table, id[i], d), 0, d,
                   weight_scale(table, id[i]));
    }
}

struct mean_ctx {
    const struct cpu_kernels *k;
    float *y;
    const float *x;
    const int32_t *len;
    int64_t t, d;
};

static void mean_piece(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    const struct mean_ctx *m = ctx;
    for (int64_t i = i0; i < i1; i++) {
        int64_t len = m->len ? m->len[i] : m->t;
        assert(len >= 0 && len <= m->t);
        m->k->mean_tokens(m->y + i * m->d, m->x + i * m->t * m->d, len, m->d);
    }
}

void cpu_mean_tokens(struct backend *be, struct tensor *y, const struct tensor *x,
                     const int32_t *len)
{
    struct cpu *c = (struct cpu *)be;
    struct mean_ctx m = {&c->k, y->data, x->data, len, x->dim[1], x->dim[2]};
    cpu_split(c, x->dim[0], 1 + GRAIN / (m.t * m.d + 1), mean_piece, &m);
}

struct pixel_ctx {
    float table[3][256];
    float *y;
    const uint8_t *x;
};

static void pixel_piece(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    const struct pixel_ctx *p = ctx;
    for (int64_t i = i0; i < i1; i++)
        for (int k = 0; k < 3; k++)
            p->y[3 * i + k] = p->table[k][p->x[3 * i + k]];
}

/* A byte has 256 values: a table gives exactly the bits of the formula at the price of a load. */
void cpu_normalize_u8(struct backend *be, struct tensor *y, const struct tensor *x, float alpha,
                      const float mean[3], const float std[3])
{
    struct pixel_ctx p = {.y = y->data, .x = x->data};
    for (int k = 0; k < 3; k++)
        for (int v = 0; v < 256; v++)
            p.table[k][v] = ((float)v * alpha - mean[k]) / std[k];
    cpu_split((struct cpu *)be, tensor_count(x) / 3, GRAIN, pixel_piece, &p);
}

struct patch_ctx {
    float *y;
    const float *x;
    int64_t h, w;
    int p;
};

/* One row of patches. */
static void patch_piece(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    const struct patch_ctx *a = ctx;
    const int p = a->p;
    for (int64_t i = i0; i < i1; i++) {
        const float *x = a->x + i * p * a->w * 3;
        float *y = a->y + i * p * a->w * 3;
        for (int64_t j = 0; j < a->w / p; j++)
            for (int k = 0; k < 3; k++)
                for (int py = 0; py < p; py++)
                    for (int px = 0; px < p; px++)
                        *y++ = x[(py * a->w + j * p + px) * 3 + k];
    }
}

void cpu_patchify(struct backend *be, struct tensor *y, const struct tensor *x, int p)
{
    struct patch_ctx a = {y->data, x->data, x->dim[1], x->dim[2], p};
    cpu_split((struct cpu *)be, x->dim[0] * (x->dim[1] / p), 1, patch_piece, &a);
}

struct convert_ctx {
    const struct cpu_kernels *k;
    const struct tensor *x;
    struct tensor *y;
    int64_t row; /* values that share a scale */
};

static void widen_piece(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    const struct convert_ctx *a = ctx;
    for (int64_t i = i0; i < i1; i++)
        a->k->widen((float *)a->y->data + i * a->row, a->x->dtype, weight_row(a->x, i, a->row), 0,
                    a->row, weight_scale(a->x, i));
}

static void narrow_piece(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    const struct convert_ctx *a = ctx;
    a->k->narrow((char *)a->y->data + 2 * i0, a->y->dtype, (const float *)a->x->data + i0, i1 - i0);
}

void cpu_convert(struct backend *be, struct tensor *y, const struct tensor *x)
{
    struct cpu *c = (struct cpu *)be;
    struct convert_ctx a = {&c->k, x, y, 0};
    if (y->dtype != DT_F32) {
        cpu_split(c, tensor_count(x), GRAIN, narrow_piece, &a);
        return;
    }
    int64_t rows = x->ndim > 0 ? x->dim[0] : 1;
    if (rows == 0)
        return;
    a.row = tensor_count(x) / rows;
    cpu_split(c, rows, 1 + GRAIN / (a.row + 1), widen_piece, &a);
}

void cpu_fill_elem(struct cpu_kernels *k, enum cpu_level level)
{
    k->add = add_ref;
    k->mul = mul_ref;
    k->scale = scale_ref;
    k->mean_tokens = mean_tokens_ref;
    k->widen = widen_ref;
    k->narrow = narrow_ref;
    if (level >= CPU_AVX2) {
        k->add = add_avx2;
        k->mul = mul_avx2;
        k->scale = scale_avx2;
        k->mean_tokens = mean_tokens_avx2;
        k->widen = widen_avx2;
        k->narrow = narrow_avx2;
    }
    if (level >= CPU_AVX512) {
        k->add = add_avx512;
        k->mul = mul_avx512;
        k->scale = scale_avx512;
        k->mean_tokens = mean_tokens_avx512;
        k->widen = widen_avx512;
        k->narrow = narrow_avx512;
    }
}
