/* Attention over one head in AVX2. */
#include "nn/cpu/attn_vec.h"

void attn_avx2(const struct attn_args *a)
{
    attn_vec(a);
}
