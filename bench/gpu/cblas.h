/* In the place of OpenBLAS, for scripts/gpu-check on machines without it: the calls that nn makes,
 * the product as a plain loop. */
#ifndef EIDETIC_BENCH_GPU_CBLAS_H
#define EIDETIC_BENCH_GPU_CBLAS_H

#include <stdlib.h> /* as the original does */

typedef int blasint;
enum CBLAS_ORDER { CblasRowMajor = 101 };
enum CBLAS_TRANSPOSE { CblasNoTrans = 111, CblasTrans = 112 };

static inline int openblas_get_parallel(void)
{
    return 0;
}
static inline const char *openblas_get_config(void)
{
    return "no OpenBLAS";
}
static inline const char *openblas_get_corename(void)
{
    return "plain C";
}
static inline void openblas_set_num_threads(int n)
{
    (void)n;
}

static inline void cblas_sgemm(enum CBLAS_ORDER order, enum CBLAS_TRANSPOSE ta,
                               enum CBLAS_TRANSPOSE tb, int m, int n, int k, float alpha,
                               const float *a, int lda, const float *b, int ldb, float beta,
                               float *c, int ldc)
{
    (void)order;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int t = 0; t < k; t++)
                sum += (double)(ta == CblasTrans ? a[t * lda + i] : a[i * lda + t]) *
                       (double)(tb == CblasTrans ? b[j * ldb + t] : b[t * ldb + j]);
            float *y = c + i * ldc + j;
            *y = alpha * (float)sum + (beta != 0 ? beta * *y : 0);
        }
}

#endif
