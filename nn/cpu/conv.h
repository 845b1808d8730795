/* Convolutions, channels last: every version that exists. Contract: struct dw_args. */
#ifndef EIDETIC_NN_CPU_CONV_H
#define EIDETIC_NN_CPU_CONV_H

#include "nn/cpu/cpu_int.h"

void dw_row_ref(const struct dw_args *a);
void dw_row_avx2(const struct dw_args *a);
void dw_row_avx512(const struct dw_args *a);

#endif
