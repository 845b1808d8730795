/* Attention over one head: every version that exists. Contract: struct attn_args. */
#ifndef EIDETIC_NN_CPU_ATTN_H
#define EIDETIC_NN_CPU_ATTN_H

#include "nn/cpu/cpu_int.h"

enum {
    ATTN_QUERIES = 128, /* of one call, at most */
    ATTN_KEYS = 128,    /* of one block: 32 KiB of keys and of values at 64 values a head */
};

void attn_ref(const struct attn_args *a);
void attn_avx2(const struct attn_args *a);
void attn_avx512(const struct attn_args *a);
/* With q, k, v and the softmax's weights rounded to bf16. */
void attn_bf16_ref(const struct attn_args *a);
void attn_bf16_vnni(const struct attn_args *a);

#endif
