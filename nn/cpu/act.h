/* Activations: every version that exists. y[i] = act(x[i]); y may be x. */
#ifndef EIDETIC_NN_CPU_ACT_H
#define EIDETIC_NN_CPU_ACT_H

#include "nn/cpu/cpu_int.h"

float act_scalar_ref(float x, enum act act);
void act_ref(float *y, const float *x, int64_t n, enum act act);

void act_avx2(float *y, const float *x, int64_t n, enum act act);

void act_avx512(float *y, const float *x, int64_t n, enum act act);

#endif
