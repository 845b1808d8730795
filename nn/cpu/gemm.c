/* Matrix products: from tensors to struct linear_args. */
#include "nn/cpu/gemm.h"

void cpu_linear(struct backend *be, struct tensor *y, const struct tensor *x,
                const struct tensor *w, const struct tensor *b, enum act act,
                const struct tensor *r)
{
    struct cpu *c = (struct cpu *)be;
    struct linear_args a = {
        .m = tensor_rows(x),
        .n = tensor_cols(y),
        .k = tensor_cols(x),
        .x = x->data,
        .ldx = tensor_cols(x),
        .w = w,
        .b = b ? b->data : NULL,
        .act = act,
        .r = r ? r->data : NULL,
        .y = y->data,
        .ldy = tensor_cols(y),
    };
    c->k.linear(c, &a);
}

void cpu_matmul(struct backend *be, struct tensor *y, const struct tensor *x,
                const struct tensor *w)
{
    struct cpu *c = (struct cpu *)be;
    struct linear_args a = {
        .m = tensor_rows(x),
        .n = tensor_cols(y),
        .k = tensor_cols(x),
        .x = x->data,
        .ldx = tensor_cols(x),
        .w = w,
        .transposed = true,
        .y = y->data,
        .ldy = tensor_cols(y),
    };
    c->k.linear(c, &a);
}

void cpu_fill_gemm(struct cpu_kernels *k, enum cpu_level level)
{
    (void)level;
    k->linear = linear_ref;
}
