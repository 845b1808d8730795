/* Attention over one head: every version that exists. Contract: struct attn_args. */
#ifndef EIDETIC_NN_CPU_ATTN_H
#define EIDETIC_NN_CPU_ATTN_H

#include "nn/cpu/cpu_int.h"

void attn_ref(const struct attn_args *a);

#endif
