/* Matrix products: every version that exists. Contract: struct linear_args.
 *
 * The reference and OpenBLAS take the whole product. The vector versions are three kernels under
 * one driver (gemm.c): w is packed a panel of nr columns at a time, widened to f32 on the way, and
 * all rows of x are run over the panel while it lies in L2; for few rows, dot products straight
 * from w's own type. */
#ifndef EIDETIC_NN_CPU_GEMM_H
#define EIDETIC_NN_CPU_GEMM_H

#include "nn/cpu/cpu_int.h"

void linear_ref(struct cpu *c, const struct linear_args *a);
void linear_blas(struct cpu *c, const struct linear_args *a);
void linear_panels(struct cpu *c, const struct linear_args *a);

/* Columns [n0, n0 + nn) of the product's second operand as [k][nr] floats, zeros beyond nn. */
void gemm_pack_avx2(float *panel, const struct linear_args *a, int64_t n0, int nn);
void gemm_pack_avx512(float *panel, const struct linear_args *a, int64_t n0, int nn);
/* Rows [m0, m1) by columns [n0, n0 + nn) of y, finished (b, act, r). */
void gemm_panel_avx2(const struct linear_args *a, const float *panel, int64_t n0, int nn,
                     int64_t m0, int64_t m1);
void gemm_panel_avx512(const struct linear_args *a, const float *panel, int64_t n0, int nn,
                       int64_t m0, int64_t m1);
/* All rows (at most GEMM_DOT_ROWS) by columns [n0, n1) of y, finished. Not for transposed w. */
enum { GEMM_DOT_ROWS = 24 };
void gemm_dot_avx2(const struct linear_args *a, int64_t n0, int64_t n1);
void gemm_dot_avx512(const struct linear_args *a, int64_t n0, int64_t n1);

#endif
