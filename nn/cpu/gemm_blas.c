/* The matrix product by OpenBLAS, one thread a call, split by columns over the pool. The weights of
 * a block are widened to f32 first, and the product lands in scratch: y may be r, which the product
 * would overwrite before it is added. */
#include "nn/cpu/gemm.h"
#include <assert.h>
#include <cblas.h>

enum { COLS = 256, ROWS = 256 };

struct blas_ctx {
    const struct cpu_kernels *k;
    const struct linear_args *a;
    float *scratch;
    size_t each, w_floats; /* floats a thread; of them the weights */
};

static void finish_row(const struct blas_ctx *s, float *out, int64_t m, int64_t n0, int64_t nn)
{
    const struct linear_args *a = s->a;
    int64_t at = m * a->ldy + n0;
    if (a->b)
        s->k->add(out, out, a->b + n0, nn);
    if (!a->r) {
        s->k->act(a->y + at, out, nn, a->act);
        return;
    }
    s->k->act(out, out, nn, a->act);
    s->k->add(a->y + at, out, a->r + at, nn);
}

static void blas_columns(void *ctx, int64_t n0, int64_t n1, int thread)
{
    const struct blas_ctx *s = ctx;
    const struct linear_args *a = s->a;
    /* One level of threads at a time. OpenMP keeps the number a thread: said anywhere else, it
     * would not hold here, and two threads share a product out in other ways than one. */
    openblas_set_num_threads(1);
    float *own = s->scratch + s->each * (size_t)thread, *out = own + s->w_floats;
    const float *w = (const float *)a->w->data + (a->transposed ? n0 : n0 * a->k);
    if (a->w->dtype != DT_F32) {
        for (int64_t i = n0; i < n1; i++)
            s->k->widen(own + (i - n0) * a->k, a->w->dtype, weight_row(a->w, i, a->k), 0, a->k,
                        weight_scale(a->w, i));
        w = own;
    }
    for (int64_t m = 0; m < a->m; m += ROWS) {
        int64_t rows = min_i64(ROWS, a->m - m);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, a->transposed ? CblasNoTrans : CblasTrans,
                    (blasint)rows, (blasint)(n1 - n0), (blasint)a->k, 1.0f, a->x + m * a->ldx,
                    (blasint)a->ldx, w, (blasint)(a->transposed ? a->n : a->k), 0.0f, out, COLS);
        for (int64_t i = 0; i < rows; i++)
            finish_row(s, out + i * COLS, m + i, n0, n1 - n0);
    }
}

void linear_blas(struct cpu *c, const struct linear_args *a)
{
    assert(a->n < INT32_MAX && a->k < INT32_MAX && a->ldx < INT32_MAX);
    struct blas_ctx s = {.k = &c->k, .a = a};
    s.w_floats = a->w->dtype == DT_F32 ? 0 : pad16((size_t)(COLS * a->k));
    s.each = s.w_floats + ROWS * COLS;
    s.scratch = cpu_scratch(c, SCRATCH_OP, s.each * (size_t)pool_threads(c->base.pool));
    if (s.scratch)
        cpu_split(c, a->n, COLS, blas_columns, &s);
}
