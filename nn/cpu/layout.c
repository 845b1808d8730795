/* Ops that only move values of channels-last pictures: enlarging and joining. */
#include "nn/cpu/cpu_int.h"
#include <string.h>

struct move {
    float *y;
    const float *a, *b;
    int64_t ca, cb; /* floats of a and of b that stand together */
};

struct enlarge {
    const struct tensor *y, *x;
};

static void upsample_rows(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    const struct enlarge *e = ctx;
    int64_t h = e->y->dim[1], w = e->y->dim[2], c = e->y->dim[3];
    for (int64_t i = i0; i < i1; i++) {
        const float *x =
            (const float *)e->x->data + (i / h * e->x->dim[1] + i % h / 2) * e->x->dim[2] * c;
        float *y = (float *)e->y->data + i * w * c;
        for (int64_t j = 0; j < w; j++)
            memcpy(y + j * c, x + j / 2 * c, (size_t)c * sizeof *y);
    }
}

void cpu_upsample2x(struct backend *be, struct tensor *y, const struct tensor *x)
{
    struct enlarge e = {y, x};
    cpu_split((struct cpu *)be, y->dim[0] * y->dim[1], 2, upsample_rows, &e);
}

static void concat_rows(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    const struct move *m = ctx;
    for (int64_t i = i0; i < i1; i++) {
        float *y = m->y + i * (m->ca + m->cb);
        memcpy(y, m->a + i * m->ca, (size_t)m->ca * sizeof *y);
        memcpy(y + m->ca, m->b + i * m->cb, (size_t)m->cb * sizeof *y);
    }
}

void cpu_concat(struct backend *be, struct tensor *y, const struct tensor *a,
                const struct tensor *b)
{
    struct move m = {y->data, a->data, b->data, tensor_cols(a), tensor_cols(b)};
    cpu_split((struct cpu *)be, tensor_rows(y), 1 + 16384 / (m.ca + m.cb), concat_rows, &m);
}
