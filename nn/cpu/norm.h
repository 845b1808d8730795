/* Row norms and softmax: every version that exists. Contracts: struct cpu_kernels. */
#ifndef EIDETIC_NN_CPU_NORM_H
#define EIDETIC_NN_CPU_NORM_H

#include "nn/cpu/cpu_int.h"

void layernorm_ref(float *y, const float *x, const float *w, const float *b, float eps,
                   int64_t rows, int64_t d);
void l2norm_ref(float *y, const float *x, float eps, int64_t rows, int64_t d);
void softmax_ref(float *y, const float *x, float scale, int64_t rows, int64_t d);

void layernorm_avx2(float *y, const float *x, const float *w, const float *b, float eps,
                    int64_t rows, int64_t d);
void l2norm_avx2(float *y, const float *x, float eps, int64_t rows, int64_t d);
void softmax_avx2(float *y, const float *x, float scale, int64_t rows, int64_t d);

void layernorm_avx512(float *y, const float *x, const float *w, const float *b, float eps,
                      int64_t rows, int64_t d);
void l2norm_avx512(float *y, const float *x, float eps, int64_t rows, int64_t d);
void softmax_avx512(float *y, const float *x, float scale, int64_t rows, int64_t d);

#endif
