/* A block of EfficientNet-Lite in int8, without its wide map: every version that exists. Contract:
 * op_mbconv in nn/ops.h. */
#ifndef EIDETIC_NN_CPU_MBCONV_H
#define EIDETIC_NN_CPU_MBCONV_H

#include "nn/cpu/gemm_low.h"

#define MB_MOST 6.0f          /* ReLU6 */
#define MB_STEPS (255 / 6.0f) /* of a byte, in 1 */

struct mbconv_args {
    int64_t batch, h, w, k, c, n, ho, wo; /* k channels in, c between, n out */
    const float *x, *r;                   /* r: NULL = none; may be y */
    float *y;
    const struct mbconv_weights *weights;
    const struct conv_opts *o;
};

/* The definition. */
void mbconv_ref(struct cpu *c, const struct mbconv_args *a);
void mbconv_low(struct cpu *c, const struct mbconv_args *a);

void mb_row_vnni(const struct mb_row_args *a);

#endif
