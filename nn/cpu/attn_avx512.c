/* Attention over one head in AVX-512. */
#include "nn/cpu/attn_vec.h"

void attn_avx512(const struct attn_args *a)
{
    attn_vec(a);
}
