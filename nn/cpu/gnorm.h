/* Group norm: every version of its two kernels. Contracts: struct cpu_kernels. */
#ifndef EIDETIC_NN_CPU_GNORM_H
#define EIDETIC_NN_CPU_GNORM_H

#include "nn/cpu/cpu_int.h"

void gnorm_sums_ref(double *sum, double *square, const float *x, int64_t rows, int64_t c);
void gnorm_apply_ref(float *y, const float *x, const float *scale, const float *shift, int64_t rows,
                     int64_t c, enum act act);

void gnorm_sums_avx2(double *sum, double *square, const float *x, int64_t rows, int64_t c);
void gnorm_apply_avx2(float *y, const float *x, const float *scale, const float *shift,
                      int64_t rows, int64_t c, enum act act);

void gnorm_sums_avx512(double *sum, double *square, const float *x, int64_t rows, int64_t c);
void gnorm_apply_avx512(float *y, const float *x, const float *scale, const float *shift,
                        int64_t rows, int64_t c, enum act act);

#endif
