/* Convolutions, channels last: every version that exists. Contract: struct dw_args. */
#ifndef EIDETIC_NN_CPU_CONV_H
#define EIDETIC_NN_CPU_CONV_H

#include "nn/cpu/cpu_int.h"

void dw_row_ref(const struct dw_args *a);
void dw_row_avx2(const struct dw_args *a);
void dw_row_avx512(const struct dw_args *a);

/* Where i lies on an axis of n that goes round. */
static inline int64_t conv_wrap(int64_t i, int64_t n)
{
    return (i % n + n) % n;
}

/* Whether the product with these weights is in bf16. */
static inline bool conv_in_bf16(const struct cpu *c, const struct tensor *w)
{
    return c->base.precision == PREC_BF16 && w->use != TENSOR_VALUES && w->packs;
}

/* conv_low.c: the whole convolution in bf16, where it takes it; a: as for the product over patches,
 * but x and m. */
bool conv_low_takes(const struct cpu *c, const struct linear_args *a, const struct tensor *y,
                    int64_t channels);
void conv_low(struct cpu *c, const struct linear_args *a, const struct tensor *y,
              const struct tensor *x, const struct conv_opts *o);

#endif
