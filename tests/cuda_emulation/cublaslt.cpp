/* cuBLASLt on the CPU. */
#include "cuda_emulation/cublasLt.h"
#include "cuda_emulation/emulation.cuh"
#include <cstring>
#include <vector>

extern "C" {
#include "nn/tensor.h"
}

struct cublasLtContext {
    int unused;
};
struct cublasLtDesc {
    cublasOperation_t ta = CUBLAS_OP_N, tb = CUBLAS_OP_N;
    cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    const void *bias = nullptr; /* of D's type */
    bool whole = false;         /* int8 factors, int32 sums */
};
struct cublasLtLayout {
    cudaDataType_t type;
    uint64_t rows, cols;
    int64_t ld;
};
struct cublasLtPreference {
    uint64_t workspace = 0;
    uint32_t align = 256; /* of all four, which are given the same */
};

namespace
{
size_t width(cudaDataType_t t)
{
    return t == CUDA_R_32F || t == CUDA_R_32I ? 4 : t == CUDA_R_8I ? 1 : 2;
}

float value(const void *p, cudaDataType_t t, size_t i)
{
    float f;
    uint16_t h;
    if (t == CUDA_R_32F) {
        memcpy(&f, (const char *)p + 4 * i, 4);
        return f;
    }
    memcpy(&h, (const char *)p + 2 * i, 2);
    return t == CUDA_R_16F ? f16_to_f32(h) : bf16_to_f32(h);
}

void put(void *p, cudaDataType_t t, size_t i, float f)
{
    uint16_t h = t == CUDA_R_16F ? f32_to_f16(f) : f32_to_bf16(f);
    if (t == CUDA_R_32F)
        memcpy((char *)p + 4 * i, &f, 4);
    else
        memcpy((char *)p + 2 * i, &h, 2);
}

/* op(x)'s rows as contiguous lines of k values, or its columns when `columns`. */
std::vector<float> lines(const void *p, const cublasLtLayout &l, bool transposed, bool columns)
{
    size_t rows = transposed ? l.cols : l.rows, cols = transposed ? l.rows : l.cols;
    size_t n = columns ? cols : rows, k = columns ? rows : cols;
    std::vector<float> y(n * k);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < k; j++) {
            size_t r = columns ? j : i, c = columns ? i : j;
            y[i * k + j] = transposed ? value(p, l.type, c + r * (size_t)l.ld)
                                      : value(p, l.type, r + c * (size_t)l.ld);
        }
    return y;
}

void multiply(const cublasLtDesc &op, float alpha, const void *a, const cublasLtLayout &la,
              const void *b, const cublasLtLayout &lb, float beta, const void *c,
              const cublasLtLayout &lc, void *d, const cublasLtLayout &ld)
{
    std::vector<float> x = lines(a, la, op.ta == CUBLAS_OP_T, false);
    std::vector<float> y = lines(b, lb, op.tb == CUBLAS_OP_T, true);
    size_t k = op.ta == CUBLAS_OP_T ? la.rows : la.cols;
    for (size_t j = 0; j < ld.cols; j++)
        for (size_t i = 0; i < ld.rows; i++) {
            float lane[16] = {0}, sum = 0;
            size_t t = 0;
            for (; t + 16 <= k; t += 16)
                for (size_t u = 0; u < 16; u++)
                    lane[u] += x[i * k + t + u] * y[j * k + t + u];
            for (; t < k; t++)
                sum += x[i * k + t] * y[j * k + t];
            for (float v : lane)
                sum += v;
            sum *= alpha;
            if (beta != 0)
                sum += beta * value(c, lc.type, i + j * (size_t)lc.ld);
            if (op.epilogue == CUBLASLT_EPILOGUE_BIAS)
                sum += value(op.bias, ld.type, i);
            put(d, ld.type, i + j * (size_t)ld.ld, sum);
        }
}

/* As hardware has it: A transposed, B not. */
void multiply_whole(const void *a, const cublasLtLayout &la, const void *b,
                    const cublasLtLayout &lb, void *d, const cublasLtLayout &ld)
{
    for (size_t j = 0; j < ld.cols; j++)
        for (size_t i = 0; i < ld.rows; i++) {
            const int8_t *x = (const int8_t *)a + i * (size_t)la.ld;
            const int8_t *y = (const int8_t *)b + j * (size_t)lb.ld;
            int32_t sum = 0;
            for (size_t t = 0; t < la.rows; t++)
                sum += x[t] * y[t];
            memcpy((char *)d + 4 * (i + j * (size_t)ld.ld), &sum, 4);
        }
}

bool fits(const cublasLtLayout *l)
{
    return l->rows > 0 && l->cols > 0 && l->ld >= (int64_t)l->rows;
}

/* The last byte must be device memory too. */
void check_matrix(const void *p, const cublasLtLayout &l, const char *what)
{
    emu::check_device(p, what);
    emu::check_device((const char *)p + width(l.type) * ((l.cols - 1) * (size_t)l.ld + l.rows),
                      what);
}
} // namespace

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t *lt)
{
    *lt = new cublasLtContext();
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t lt)
{
    delete lt;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *d, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
    bool whole = compute == CUBLAS_COMPUTE_32I && scale == CUDA_R_32I;
    if (!whole && (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    *d = new cublasLtDesc();
    (*d)->whole = whole;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d,
                                              cublasLtMatmulDescAttributes_t attr,
                                              const void *value_, size_t size)
{
    void *to = attr == CUBLASLT_MATMUL_DESC_TRANSA     ? (void *)&d->ta
               : attr == CUBLASLT_MATMUL_DESC_TRANSB   ? (void *)&d->tb
               : attr == CUBLASLT_MATMUL_DESC_EPILOGUE ? (void *)&d->epilogue
                                                       : (void *)&d->bias;
    if (size != (attr == CUBLASLT_MATMUL_DESC_BIAS_POINTER ? sizeof(void *) : sizeof(int)))
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(to, value_, size);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d)
{
    delete d;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *l, cudaDataType_t type,
                                          uint64_t rows, uint64_t cols, int64_t ld)
{
    *l = new cublasLtLayout{type, rows, cols, ld};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l)
{
    delete l;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *p)
{
    *p = new cublasLtPreference();
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t p,
                                                    cublasLtMatmulPreferenceAttributes_t attr,
                                                    const void *value_, size_t size)
{
    bool workspace = attr == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
    if (size != (workspace ? sizeof p->workspace : sizeof p->align))
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(workspace ? (void *)&p->workspace : &p->align, value_, size);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p)
{
    delete p;
    return CUBLAS_STATUS_SUCCESS;
}

/* One algorithm; as the library's, none for halves whose rows are not 16-byte aligned, and for
 * bytes only those of a transposed A in multiples of 4. */
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t op,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t pref, int want,
                                              cublasLtMatmulHeuristicResult_t *result, int *found)
{
    *found = 0;
    bool odd = a->type != CUDA_R_32F && (a->ld % 8 != 0 || b->ld % 8 != 0);
    if (op->whole && (op->ta != CUBLAS_OP_T || op->tb != CUBLAS_OP_N || a->rows % 4 ||
                      a->cols % 4 || op->epilogue != CUBLASLT_EPILOGUE_DEFAULT))
        odd = true;
    if (want < 1 || odd)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    memset(result, 0, sizeof *result);
    memcpy(&result->algo, &pref->align, sizeof pref->align); /* the promise it rests on */
    *found = 1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t op, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t la, const void *b,
                              cublasLtMatrixLayout_t lb, const void *beta, const void *c,
                              cublasLtMatrixLayout_t lc, void *d, cublasLtMatrixLayout_t ld,
                              const cublasLtMatmulAlgo_t *algo, void *workspace,
                              size_t workspace_size, cudaStream_t stream)
{
    uint64_t k = op->ta == CUBLAS_OP_T ? la->rows : la->cols;
    bool shapes = fits(la) && fits(lb) && fits(lc) && fits(ld) &&
                  (op->ta == CUBLAS_OP_T ? la->cols : la->rows) == ld->rows &&
                  (op->tb == CUBLAS_OP_T ? lb->cols : lb->rows) == k &&
                  (op->tb == CUBLAS_OP_T ? lb->rows : lb->cols) == ld->cols &&
                  lc->rows == ld->rows && lc->cols == ld->cols;
    cudaDataType_t out = op->whole ? CUDA_R_32I : CUDA_R_32F;
    bool low = ld->type == la->type && !op->whole; /* D as its factors */
    uint32_t align;
    memcpy(&align, algo, sizeof align);
    for (const void *p : {a, b, (const void *)d, c})
        if ((uintptr_t)p % align)
            return CUBLAS_STATUS_INVALID_VALUE;
    if (low)
        out = la->type;
    if (!shapes || la->type != lb->type || ld->type != out || lc->type != out ||
        (la->type == CUDA_R_8I) != op->whole || (c == d && lc->ld != ld->ld) ||
        (workspace_size && !workspace))
        return CUBLAS_STATUS_INVALID_VALUE;
    check_matrix(a, *la, "cublasLtMatmul's A");
    check_matrix(b, *lb, "cublasLtMatmul's B");
    check_matrix(d, *ld, "cublasLtMatmul's D");
    if (op->epilogue == CUBLASLT_EPILOGUE_BIAS)
        emu::check_device((const char *)op->bias + width(ld->type) * ld->rows,
                          "cublasLtMatmul's bias");
    int32_t whole[2];
    memcpy(&whole[0], alpha, sizeof whole[0]);
    memcpy(&whole[1], beta, sizeof whole[1]);
    if (op->whole && (whole[0] != 1 || whole[1] != 0))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    cublasLtDesc o = *op;
    cublasLtLayout va = *la, vb = *lb, vc = *lc, vd = *ld;
    float one, two;
    memcpy(&one, alpha, sizeof one);
    memcpy(&two, beta, sizeof two);
    if (op->whole) {
        emu::enqueue(stream, [=] { multiply_whole(a, va, b, vb, d, vd); });
        return CUBLAS_STATUS_SUCCESS;
    }
    if (two != 0)
        check_matrix(c, *lc, "cublasLtMatmul's C");
    emu::enqueue(stream, [=] { multiply(o, one, a, va, b, vb, two, c, vc, d, vd); });
    return CUBLAS_STATUS_SUCCESS;
}
}
