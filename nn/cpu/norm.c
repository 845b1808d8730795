/* Layer norm, L2 norm and softmax over the pool, by rows. */
#include "nn/cpu/norm.h"

struct norm_ctx {
    const struct cpu_kernels *k;
    float *y;
    const float *x, *w, *b;
    float p; /* eps or scale */
    int64_t d;
};

/* About 16k values a piece: some microseconds, well above what a wake-up costs. */
static int64_t row_grain(int64_t d)
{
    return 1 + 16384 / (d + 1);
}

static void layernorm_rows(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    const struct norm_ctx *n = ctx;
    n->k->layernorm(n->y + i0 * n->d, n->x + i0 * n->d, n->w, n->b, n->p, i1 - i0, n->d);
}

void cpu_layernorm(struct backend *be, struct tensor *y, const struct tensor *x,
                   const struct tensor *w, const struct tensor *b, float eps)
{
    struct cpu *c = (struct cpu *)be;
    struct norm_ctx n = {&c->k, y->data, x->data, w->data, b ? b->data : NULL, eps, tensor_cols(x)};
    cpu_split(c, tensor_rows(x), row_grain(n.d), layernorm_rows, &n);
}

static void l2norm_rows(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    const struct norm_ctx *n = ctx;
    n->k->l2norm(n->y + i0 * n->d, n->x + i0 * n->d, n->p, i1 - i0, n->d);
}

void cpu_l2norm(struct backend *be, struct tensor *y, const struct tensor *x, float eps)
{
    struct cpu *c = (struct cpu *)be;
    struct norm_ctx n = {&c->k, y->data, x->data, NULL, NULL, eps, tensor_cols(x)};
    cpu_split(c, tensor_rows(x), row_grain(n.d), l2norm_rows, &n);
}

static void softmax_rows(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    const struct norm_ctx *n = ctx;
    n->k->softmax(n->y + i0 * n->d, n->x + i0 * n->d, n->p, i1 - i0, n->d);
}

void cpu_softmax(struct backend *be, struct tensor *y, const struct tensor *x, float scale)
{
    struct cpu *c = (struct cpu *)be;
    struct norm_ctx n = {&c->k, y->data, x->data, NULL, NULL, scale, tensor_cols(x)};
    cpu_split(c, tensor_rows(x), row_grain(n.d), softmax_rows, &n);
}

void cpu_fill_norm(struct cpu_kernels *k, enum cpu_level level)
{
    k->layernorm = layernorm_ref;
    k->l2norm = l2norm_ref;
    k->softmax = softmax_ref;
    if (level >= CPU_AVX2) {
        k->layernorm = layernorm_avx2;
        k->l2norm = l2norm_avx2;
        k->softmax = softmax_avx2;
    }
    if (level >= CPU_AVX512) {
        k->layernorm = layernorm_avx512;
        k->l2norm = l2norm_avx512;
        k->softmax = softmax_avx512;
    }
}
