/* Ops that only move values of channels-last pictures: enlarging and joining. */
#include "nn/cpu/cpu_int.h"
#include <string.h>

struct move {
    float *y;
    const float *a, *b;
    int64_t ca, cb; /* floats of a and of b that stand together */
};

/* One row of the picture becomes two. */
static void upsample_rows(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    const struct move *m = ctx;
    int64_t width = m->cb, c = m->ca;
    for (int64_t i = i0; i < i1; i++) {
        const float *x = m->a + i * width * c;
        float *y = m->y + i * 4 * width * c;
        for (int64_t j = 0; j < width; j++) {
            memcpy(y + 2 * j * c, x + j * c, (size_t)c * sizeof *y);
            memcpy(y + (2 * j + 1) * c, x + j * c, (size_t)c * sizeof *y);
        }
        memcpy(y + 2 * width * c, y, (size_t)(2 * width * c) * sizeof *y);
    }
}

void cpu_upsample2x(struct backend *be, struct tensor *y, const struct tensor *x)
{
    struct move m = {.y = y->data, .a = x->data, .ca = x->dim[3], .cb = x->dim[2]};
    cpu_split((struct cpu *)be, x->dim[0] * x->dim[1], 1, upsample_rows, &m);
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
