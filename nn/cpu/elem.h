/* Elementwise ops, sums over tokens, and the conversions between float types: every version that
 * exists. Contracts: struct cpu_kernels. */
#ifndef EIDETIC_NN_CPU_ELEM_H
#define EIDETIC_NN_CPU_ELEM_H

#include "nn/cpu/cpu_int.h"

void add_ref(float *y, const float *x, const float *r, int64_t n);
void mul_ref(float *y, const float *x, const float *r, int64_t n);
void scale_ref(float *y, const float *x, float s, int64_t n);
void mean_tokens_ref(float *y, const float *x, int64_t len, int64_t d);
void widen_ref(float *y, enum dtype from, const void *row, int64_t i0, int64_t n, float scale);
void narrow_ref(void *y, enum dtype to, const float *x, int64_t n);

void add_avx2(float *y, const float *x, const float *r, int64_t n);
void mul_avx2(float *y, const float *x, const float *r, int64_t n);
void scale_avx2(float *y, const float *x, float s, int64_t n);
void mean_tokens_avx2(float *y, const float *x, int64_t len, int64_t d);
void widen_avx2(float *y, enum dtype from, const void *row, int64_t i0, int64_t n, float scale);
void narrow_avx2(void *y, enum dtype to, const float *x, int64_t n);

void add_avx512(float *y, const float *x, const float *r, int64_t n);
void mul_avx512(float *y, const float *x, const float *r, int64_t n);
void scale_avx512(float *y, const float *x, float s, int64_t n);
void mean_tokens_avx512(float *y, const float *x, int64_t len, int64_t d);
void widen_avx512(float *y, enum dtype from, const void *row, int64_t i0, int64_t n, float scale);
void narrow_avx512(void *y, enum dtype to, const float *x, int64_t n);

#endif
