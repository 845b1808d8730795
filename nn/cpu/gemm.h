/* Matrix products: every version that exists. Contract: struct linear_args. */
#ifndef EIDETIC_NN_CPU_GEMM_H
#define EIDETIC_NN_CPU_GEMM_H

#include "nn/cpu/cpu_int.h"

void linear_ref(struct cpu *c, const struct linear_args *a);

#endif
