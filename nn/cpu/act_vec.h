/* Activations in vectors. */
#ifndef EIDETIC_NN_CPU_ACT_VEC_H
#define EIDETIC_NN_CPU_ACT_VEC_H

#include "nn/cpu/act.h"
#include "nn/cpu/vec.h"

#ifdef EIDETIC_VEC
static inline void act_vec(float *y, const float *x, int64_t n, enum act act)
{
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(y + i, v_act(v_load(x + i), act));
    if (i < n)
        v_store_n(y + i, v_act(v_load_n(x + i, n - i), act), n - i);
}
#endif

#endif
