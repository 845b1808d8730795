/* cuBLASLt, loaded when a device is opened: linked with, its hundreds of megabytes would be mapped
 * and relocated at each start of the program (80 ms), for which most commands have no use. Each
 * function looks itself up under its own name. */
#include <cublasLt.h>
#include <dlfcn.h>
#include <pthread.h>

static void *library;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void)
{
    static const char *const names[] = {CUBLASLT_FILE, "libcublasLt.so.13", "libcublasLt.so.12"};
    for (int i = 0; i < 3 && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
}

static void *find(const char *name)
{
    pthread_once(&once, load);
    return library ? dlsym(library, name) : NULL;
}

#define FORWARD(name, parameters, arguments)                                                       \
    cublasStatus_t name parameters                                                                 \
    {                                                                                              \
        __typeof__(&name) f = (__typeof__(&name))find(#name);                                      \
        return f ? f arguments : CUBLAS_STATUS_NOT_INITIALIZED;                                    \
    }

FORWARD(cublasLtCreate, (cublasLtHandle_t * lt), (lt))
FORWARD(cublasLtDestroy, (cublasLtHandle_t lt), (lt))
FORWARD(cublasLtMatmulDescCreate,
        (cublasLtMatmulDesc_t * d, cublasComputeType_t compute, cudaDataType_t scale),
        (d, compute, scale))
FORWARD(cublasLtMatmulDescSetAttribute,
        (cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t attr, const void *value,
         size_t size),
        (d, attr, value, size))
FORWARD(cublasLtMatmulDescDestroy, (cublasLtMatmulDesc_t d), (d))
FORWARD(cublasLtMatrixLayoutCreate,
        (cublasLtMatrixLayout_t * l, cudaDataType type, uint64_t rows, uint64_t cols, int64_t ld),
        (l, type, rows, cols, ld))
FORWARD(cublasLtMatrixLayoutDestroy, (cublasLtMatrixLayout_t l), (l))
FORWARD(cublasLtMatmulPreferenceCreate, (cublasLtMatmulPreference_t * p), (p))
FORWARD(cublasLtMatmulPreferenceSetAttribute,
        (cublasLtMatmulPreference_t p, cublasLtMatmulPreferenceAttributes_t attr, const void *value,
         size_t size),
        (p, attr, value, size))
FORWARD(cublasLtMatmulPreferenceDestroy, (cublasLtMatmulPreference_t p), (p))
FORWARD(cublasLtMatmulAlgoGetHeuristic,
        (cublasLtHandle_t lt, cublasLtMatmulDesc_t op, cublasLtMatrixLayout_t a,
         cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
         cublasLtMatmulPreference_t pref, int want, cublasLtMatmulHeuristicResult_t result[],
         int *found),
        (lt, op, a, b, c, d, pref, want, result, found))
FORWARD(cublasLtMatmul,
        (cublasLtHandle_t lt, cublasLtMatmulDesc_t op, const void *alpha, const void *a,
         cublasLtMatrixLayout_t la, const void *b, cublasLtMatrixLayout_t lb, const void *beta,
         const void *c, cublasLtMatrixLayout_t lc, void *d, cublasLtMatrixLayout_t ld,
         const cublasLtMatmulAlgo_t *algo, void *workspace, size_t workspace_size,
         cudaStream_t stream),
        (lt, op, alpha, a, la, b, lb, beta, c, lc, d, ld, algo, workspace, workspace_size, stream))
