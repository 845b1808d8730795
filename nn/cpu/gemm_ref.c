/* The matrix product, the definition: one dot product in double a value, the act in double too. */
#include "nn/cpu/act.h"
#include "nn/cpu/elem.h"
#include "nn/cpu/gemm.h"

struct ref_ctx {
    const struct linear_args *a;
    float *row; /* k floats a thread: one row (column, when transposed) of w */
};

static void ref_columns(void *ctx, int64_t n0, int64_t n1, int thread)
{
    const struct ref_ctx *s = ctx;
    const struct linear_args *a = s->a;
    float *w = s->row + (size_t)thread * pad16((size_t)a->k);
    for (int64_t j = n0; j < n1; j++) {
        if (a->transposed)
            for (int64_t i = 0; i < a->k; i++)
                w[i] = ((const float *)a->w->data)[i * a->n + j];
        else
            widen_ref(w, a->w->dtype, weight_row(a->w, j, a->k), 0, a->k, weight_scale(a->w, j));
        for (int64_t m = 0; m < a->m; m++) {
            double sum = a->b ? a->b[j] : 0;
            for (int64_t i = 0; i < a->k; i++)
                sum += (double)a->x[m * a->ldx + i] * w[i];
            float v = act_scalar_ref((float)sum, a->act);
            a->y[m * a->ldy + j] = v + (a->r ? a->r[m * a->ldy + j] : 0.0f);
        }
    }
}

void linear_ref(struct cpu *c, const struct linear_args *a)
{
    struct ref_ctx s = {a, NULL};
    s.row = cpu_scratch(c, SCRATCH_OP, pad16((size_t)a->k) * (size_t)pool_threads(c->base.pool));
    if (s.row)
        cpu_split(c, a->n, 16, ref_columns, &s);
}
