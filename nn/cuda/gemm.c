/* Matrix products by cuBLASLt, which thinks in columns: our row-major y [m, n] is its n x m matrix,
 * so that y = x . w^T is D = w^T-as-stored . x-as-stored with w transposed. The bias, one a row of
 * its D, goes into its epilogue, and a residual is its C; activations are a pass of our own, since
 * cuBLASLt has none of those that CLIP uses. */
#include "nn/cuda/cuda_int.h"
#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <string.h>

struct call {
    cublasLtMatmulDesc_t op;
    cublasLtMatrixLayout_t w, x, y;
};

static void call_free(struct call *c)
{
    if (c->op)
        cublasLtMatmulDescDestroy(c->op);
    if (c->w)
        cublasLtMatrixLayoutDestroy(c->w);
    if (c->x)
        cublasLtMatrixLayoutDestroy(c->x);
    if (c->y)
        cublasLtMatrixLayoutDestroy(c->y);
}

static cublasStatus_t set(cublasLtMatmulDesc_t op, cublasLtMatmulDescAttributes_t a, const void *v,
                          size_t size)
{
    return cublasLtMatmulDescSetAttribute(op, a, v, size);
}

static cublasStatus_t describe(struct call *c, const struct cuda_product *p)
{
    bool whole = p->type == PREC_INT8;
    cudaDataType_t type = whole                  ? CUDA_R_8I
                          : p->type == PREC_BF16 ? CUDA_R_16BF
                          : p->type == PREC_F16  ? CUDA_R_16F
                                                 : CUDA_R_32F;
    cudaDataType_t sum = whole ? CUDA_R_32I : CUDA_R_32F, out = p->low ? type : sum;
    cublasOperation_t turn = p->plain ? CUBLAS_OP_N : CUBLAS_OP_T;
    uint64_t m = (uint64_t)p->m, n = (uint64_t)p->n, k = (uint64_t)p->k;
    cublasStatus_t st =
        cublasLtMatmulDescCreate(&c->op, whole ? CUBLAS_COMPUTE_32I : CUBLAS_COMPUTE_32F, sum);
    if (!st)
        st = set(c->op, CUBLASLT_MATMUL_DESC_TRANSA, &turn, sizeof turn);
    if (!st && p->bias) {
        cublasLtEpilogue_t e = CUBLASLT_EPILOGUE_BIAS;
        st = set(c->op, CUBLASLT_MATMUL_DESC_EPILOGUE, &e, sizeof e);
        if (!st)
            st = set(c->op, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias, sizeof p->bias);
    }
    if (!st && p->plain)
        st = cublasLtMatrixLayoutCreate(&c->w, type, n, k, p->n);
    else if (!st)
        st = cublasLtMatrixLayoutCreate(&c->w, type, k, n, p->ldk);
    if (!st)
        st = cublasLtMatrixLayoutCreate(&c->x, type, k, m, p->ldk);
    if (!st)
        st = cublasLtMatrixLayoutCreate(&c->y, out, n, m, p->n);
    return st;
}

/* The most bytes, up to 256, that all of the product's matrices begin at multiples of. */
static uint32_t alignment_of(const struct cuda_product *p)
{
    uintptr_t all = (uintptr_t)p->w | (uintptr_t)p->x | (uintptr_t)p->y | (uintptr_t)p->r | 256;
    return (uint32_t)(all & -all);
}

static cublasStatus_t prefer(cublasLtMatmulPreference_t pref, uint32_t align)
{
    static const cublasLtMatmulPreferenceAttributes_t all[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    uint64_t most = CUDA_WORKSPACE;
    cublasStatus_t st = cublasLtMatmulPreferenceSetAttribute(
        pref, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most, sizeof most);
    for (int i = 0; i < 4 && !st; i++)
        st = cublasLtMatmulPreferenceSetAttribute(pref, all[i], &align, sizeof align);
    return st;
}

/* The library's proposal for a shape, asked for once. */
static cublasStatus_t choose(struct cuda *c, const struct call *call, const struct cuda_product *p,
                             const struct cuda_algo **found)
{
    uint32_t align = alignment_of(p);
    int form = (int)(align << 6) + (int)p->type + 4 * p->plain + 8 * (p->bias != NULL) +
               16 * (p->r != NULL) + 32 * p->low;
    int kept = c->algos < CUDA_ALGOS ? c->algos : CUDA_ALGOS, n = 0;
    for (int i = 0; i < kept; i++) {
        const struct cuda_algo *a = &c->algo[i];
        if (a->m == p->m && a->n == p->n && a->k == p->k && a->form == form) {
            *found = a;
            return CUBLAS_STATUS_SUCCESS;
        }
    }
    cublasLtMatmulPreference_t pref = NULL;
    cublasLtMatmulHeuristicResult_t result;
    cublasStatus_t st = cublasLtMatmulPreferenceCreate(&pref);
    if (!st)
        st = prefer(pref, align);
    if (!st)
        st = cublasLtMatmulAlgoGetHeuristic(c->lt, call->op, call->w, call->x, call->y, call->y,
                                            pref, 1, &result, &n);
    if (!st && n < 1)
        st = CUBLAS_STATUS_NOT_SUPPORTED;
    if (!st) {
        struct cuda_algo *a = &c->algo[c->algos++ % CUDA_ALGOS];
        *a = (struct cuda_algo){p->m, p->n, p->k, form, {0}, result.workspaceSize};
        memcpy(a->algo, &result.algo, sizeof a->algo);
        *found = a;
    }
    if (pref)
        cublasLtMatmulPreferenceDestroy(pref);
    return st;
}

void cuda_multiply(struct cuda_op *o, const struct cuda_product *p)
{
    static const float one = 1, none = 0;
    static const int32_t whole_one = 1, whole_none = 0;
    const void *alpha = &one, *beta = p->r ? &one : &none;
    struct call call = {0};
    const struct cuda_algo *a = NULL;
    cublasLtMatmulAlgo_t algo;
    if (!o->ok || p->m == 0 || p->n == 0)
        return;
    if (p->type == PREC_INT8) {
        alpha = &whole_one;
        beta = &whole_none;
    }
    cublasStatus_t st = describe(&call, p);
    if (!st)
        st = choose(o->c, &call, p, &a);
    void *workspace = !st && a->workspace ? cuda_temp(o, a->workspace) : NULL;
    if (!st && o->ok) {
        memcpy(&algo, a->algo, sizeof algo);
        st = cublasLtMatmul(o->c->lt, call.op, alpha, p->w, call.w, p->x, call.x, beta,
                            p->r ? p->r : p->y, call.y, p->y, call.y, &algo, workspace,
                            a->workspace, o->c->stream);
    }
    call_free(&call);
    if (st && o->c->recording) {
        cuda_refuse(o);
    } else if (st) {
        o->ok = false;
        backend_fail(&o->c->base, ST_DEVICE,
                     "%s on %s: cuBLASLt gives status %d for %lld x %lld x %lld", o->name,
                     o->c->base.name, (int)st, (long long)p->m, (long long)p->n, (long long)p->k);
    }
}

/* Products with weights of five rows and more, as the CPU has them; what 8 bits are too coarse for
 * is in bf16, and what f16 is too narrow for in that too, or in f32 where a device has none. */
enum precision cuda_precision(const struct cuda *c, const struct tensor *w, int64_t rows)
{
    if (w->use == TENSOR_VALUES || !w->packs || rows < 5)
        return PREC_F32;
    if (c->base.precision == PREC_F16 && w->use == TENSOR_WEIGHT_WIDE)
        return c->bf16 ? PREC_BF16 : PREC_F32;
    bool coarse = c->base.precision == PREC_INT8 && (w->use != TENSOR_WEIGHT || c->low);
    return coarse ? PREC_BF16 : c->base.precision;
}

/* y, a factor, as x . w + b rounded, then the activation of that. */
static int linear_low(struct cuda_op *o, struct cuda_product *p, const struct tensor *b,
                      enum act act)
{
    p->low = true;
    if (b) {
        struct tensor row = *b;
        row.ndim = 2;
        row.dim[0] = 1;
        row.dim[1] = p->n;
        p->bias = cuda_weight_half(o, &row, DT_BF16);
    }
    cuda_multiply(o, p);
    return o->ok && act != ACT_NONE ? cuda_run_act_low(o->c->stream, p->y, p->m * p->n, act) : 0;
}

/* Whole sums of bytes, scaled afterwards. */
static int linear_int8(struct cuda_op *o, struct cuda_int8 *a, const float *x, int64_t k,
                       const struct tensor *w)
{
    int64_t ldk = cuda_pad16(k);
    const int8_t *pw = cuda_weight_int8(o, w, &a->scale_w);
    int8_t *q = cuda_temp(o, (size_t)(a->m * ldk));
    float *scale = cuda_temp(o, (size_t)a->m * sizeof *scale);
    a->ld = cuda_pad16(a->n);
    int32_t *sum = cuda_temp(o, (size_t)(a->m * a->ld) * sizeof *sum);
    a->scale_x = scale;
    a->sum = sum;
    int e = o->ok ? cuda_run_quantize(o->c->stream, q, ldk, scale, x, a->m, k) : 0;
    if (!e)
        cuda_multiply(o, &(struct cuda_product){.m = a->m,
                                                .n = a->ld,
                                                .k = ldk,
                                                .ldk = ldk,
                                                .x = q,
                                                .w = pw,
                                                .type = PREC_INT8,
                                                .y = sum});
    return !e && o->ok ? cuda_run_dequantize(o->c->stream, a) : e;
}

void cuda_linear(struct backend *be, struct tensor *y, const struct tensor *x,
                 const struct tensor *w, const struct tensor *b, enum act act,
                 const struct tensor *r)
{
    struct cuda_op o;
    int64_t n = tensor_count(y);
    cuda_begin(&o, be, "linear");
    struct cuda_product p = {.m = tensor_rows(x), .n = tensor_cols(y), .k = tensor_cols(x)};
    p.type = cuda_precision(o.c, w, p.m);
    bool half = p.type == PREC_BF16 || p.type == PREC_F16;
    enum dtype type = p.type == PREC_F16 ? DT_F16 : DT_BF16;
    p.ldk = half ? cuda_pad8(p.k) : p.k;
    bool bf16 = p.type == PREC_BF16;
    const uint16_t *low_x = bf16 && p.k % 8 == 0 ? cuda_factor(&o, x) : NULL;
    const float *px = low_x ? NULL : cuda_in(&o, x), *pr = cuda_in(&o, r);
    bool writes = bf16 && p.n % 8 == 0 && !r && (!b || b->packs); /* factors */
    uint16_t *low_y = writes ? cuda_factor(&o, y) : NULL;
    float *last = low_y ? NULL : cuda_out(&o, y);
    p.bias = low_y ? NULL : cuda_in(&o, b);
    p.y = low_y ? (void *)low_y : last;
    if (p.type == PREC_INT8) {
        struct cuda_int8 a = {.y = last, .bias = p.bias, .r = pr, .m = p.m, .n = p.n, .act = act};
        cuda_end(&o, linear_int8(&o, &a, px, p.k, w));
        return;
    }
    p.w = half ? cuda_weight_half(&o, w, type) : cuda_weight_f32(&o, w);
    p.r = act == ACT_NONE ? pr : NULL;
    p.x = low_x ? (const void *)low_x : px;
    int e = 0;
    if (half && !low_x) {
        void *low = cuda_temp(&o, (size_t)(p.m * p.ldk) * 2);
        if (low)
            e = cuda_run_narrow(o.c->stream, low, type, p.ldk, px, p.k, p.m, p.k);
        p.x = low;
    }
    if (low_y) {
        cuda_end(&o, e ? e : linear_low(&o, &p, b, act));
        return;
    }
    if (act != ACT_NONE && pr == p.y) /* r is needed after the product */
        p.y = cuda_temp(&o, (size_t)n * sizeof(float));
    if (!e)
        cuda_multiply(&o, &p);
    if (o.ok && !e && act != ACT_NONE)
        e = cuda_run_act(o.c->stream, last, p.y, pr, n, act);
    cuda_end(&o, e);
}

void cuda_matmul(struct backend *be, struct tensor *y, const struct tensor *x,
                 const struct tensor *w)
{
    struct cuda_op o;
    cuda_begin(&o, be, "matmul");
    struct cuda_product p = {.m = tensor_rows(x),
                             .n = tensor_cols(y),
                             .k = tensor_cols(x),
                             .ldk = tensor_cols(x),
                             .plain = true};
    p.x = cuda_in(&o, x);
    p.w = cuda_in(&o, w);
    p.y = cuda_out(&o, y);
    cuda_multiply(&o, &p);
    cuda_end(&o, 0);
}
