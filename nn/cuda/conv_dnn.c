/* Convolutions by cuDNN, where its library is found: factors and answer of 16 bits, sums in f32. It
 * has engines made beforehand for these alone; f32 answers, or a bias within, would be compiled
 * when they are first wanted. So a pass of our own adds the bias, applies the activation and
 * widens. A plan is made for a shape once. What cuDNN has no plan for, or fails at, is left to
 * conv_mma.cu: nothing here makes an op fail. */
#include "core/mem.h"
#include "nn/cuda/cuda_int.h"
#include "nn/cuda/dnn.h"
#include <assert.h>
#include <cuda_runtime_api.h>
#include <stdlib.h>
#include <string.h>

enum { PLANS = 512, CONFIGS = 16, PARTS = 8, WORKSPACE = 256 << 20 };
enum { UID_X = 1, UID_W, UID_Y };

struct plan {
    struct cuda_conv shape;        /* without pointers */
    cudnnBackendDescriptor_t plan; /* NULL: there is none for it */
    size_t workspace;
    bool failed; /* not to be used again */
};

struct cuda_dnn {
    cudnnHandle_t handle;
    struct plan plan[PLANS];
    int plans; /* made so far; all are kept, since records hold their kernels */
};

/* Descriptors that live while a plan is made; the first failure stays. */
struct making {
    cudnnBackendDescriptor_t part[PARTS + CONFIGS];
    int parts;
    cudnnStatus_t status;
};

static cudnnBackendDescriptor_t part_new(struct making *m, cudnnBackendDescriptorType_t type)
{
    cudnnBackendDescriptor_t d = NULL;
    if (!m->status)
        m->status = cudnnBackendCreateDescriptor(type, &d);
    if (d)
        m->part[m->parts++] = d;
    return d;
}

static void set(struct making *m, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t n, const void *values)
{
    if (!m->status)
        m->status = cudnnBackendSetAttribute(d, name, type, n, values);
}

static void set_part(struct making *m, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                     cudnnBackendDescriptor_t other)
{
    set(m, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &other);
}

static void finish(struct making *m, cudnnBackendDescriptor_t d)
{
    if (!m->status)
        m->status = cudnnBackendFinalize(d);
}

/* Channels last; cuDNN names dimensions in the order of [b, c, h, w] all the same. */
static cudnnBackendDescriptor_t tensor(struct making *m, int64_t uid, cudnnDataType_t type,
                                       const int64_t dim[4])
{
    cudnnBackendDescriptor_t d = part_new(m, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    int64_t stride[4] = {dim[1] * dim[2] * dim[3], 1, dim[1] * dim[3], dim[1]}, alignment = 16;
    set(m, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid);
    set(m, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(m, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dim);
    set(m, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, stride);
    set(m, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
    finish(m, d);
    return d;
}

/* What is padded behind follows from the answer's size. */
static int64_t behind(int out, int stride, int k, int in, int before)
{
    int64_t n = (int64_t)(out - 1) * stride + k - in - before;
    return n > 0 ? n : 0;
}

static cudnnBackendDescriptor_t convolution(struct making *m, const struct cuda_conv *a)
{
    cudnnDataType_t half = a->f16 ? CUDNN_DATA_HALF : CUDNN_DATA_BFLOAT16, sum = CUDNN_DATA_FLOAT;
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    int64_t spatial = 2, one[2] = {1, 1}, stride[2] = {a->stride, a->stride};
    int64_t before[2] = {a->top, a->left};
    int64_t after[2] = {behind(a->ho, a->stride, a->kh, a->h, a->top),
                        behind(a->wo, a->stride, a->kw, a->width, a->left)};
    float alpha = 1, beta = 0;
    cudnnBackendDescriptor_t x = tensor(m, UID_X, half, (int64_t[]){a->b, a->c, a->h, a->width});
    cudnnBackendDescriptor_t w = tensor(m, UID_W, half, (int64_t[]){a->n, a->c, a->kh, a->kw});
    cudnnBackendDescriptor_t y = tensor(m, UID_Y, half, (int64_t[]){a->b, a->n, a->ho, a->wo});
    cudnnBackendDescriptor_t d = part_new(m, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    set(m, d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &spatial);
    set(m, d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sum);
    set(m, d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    set(m, d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, before);
    set(m, d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, after);
    set(m, d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, one);
    set(m, d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride);
    finish(m, d);
    cudnnBackendDescriptor_t op =
        part_new(m, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    set_part(m, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, d);
    set_part(m, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x);
    set_part(m, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w);
    set_part(m, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y);
    set(m, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, &alpha);
    set(m, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, &beta);
    finish(m, op);
    return op;
}

static cudnnBackendDescriptor_t graph(struct making *m, cudnnHandle_t handle,
                                      const struct cuda_conv *a)
{
    cudnnBackendDescriptor_t op = convolution(m, a);
    cudnnBackendDescriptor_t d = part_new(m, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    set(m, d, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
    set_part(m, d, CUDNN_ATTR_OPERATIONGRAPH_OPS, op);
    finish(m, d);
    return d;
}

/* The engine's plan, if it can be had and asks for no more scratch than there may be. */
static bool try_engine(struct plan *p, cudnnHandle_t handle, cudnnBackendDescriptor_t config)
{
    struct making m = {0};
    int64_t workspace = 0, n = 0;
    cudnnBackendDescriptor_t d = part_new(&m, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    set(&m, d, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
    set_part(&m, d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
    finish(&m, d);
    if (!m.status)
        m.status = cudnnBackendGetAttribute(d, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                            CUDNN_TYPE_INT64, 1, &n, &workspace);
    if (m.status || workspace < 0 || workspace > WORKSPACE) {
        if (d)
            cudnnBackendDestroyDescriptor(d);
        return false;
    }
    p->plan = d;
    p->workspace = (size_t)workspace;
    return true;
}

/* The engines that a heuristic proposes, best first. */
static void ask(struct plan *p, struct making *m, cudnnHandle_t handle,
                cudnnBackendDescriptor_t graph, cudnnBackendHeurMode_t mode)
{
    cudnnBackendDescriptor_t d = part_new(m, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    cudnnBackendDescriptor_t *config = m->part + m->parts;
    int64_t n = 0;
    set_part(m, d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
    set(m, d, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    finish(m, d);
    for (int i = 0; i < CONFIGS && !m->status; i++)
        part_new(m, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    if (!m->status)
        m->status = cudnnBackendGetAttribute(d, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                             CUDNN_TYPE_BACKEND_DESCRIPTOR, CONFIGS, &n, config);
    for (int i = 0; i < n && i < CONFIGS && !m->status && !p->plan; i++)
        try_engine(p, handle, config[i]);
}

static void making_release(struct making *m)
{
    for (int i = m->parts - 1; i >= 0; i--)
        cudnnBackendDestroyDescriptor(m->part[i]);
}

static void plan_make(struct plan *p, cudnnHandle_t handle)
{
    static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    for (int i = 0; i < 2 && !p->plan; i++) {
        struct making m = {0};
        cudnnBackendDescriptor_t g = graph(&m, handle, &p->shape);
        ask(p, &m, handle, g, modes[i]);
        making_release(&m);
    }
}

static struct cuda_conv shape_of(const struct cuda_conv *a)
{
    struct cuda_conv s;
    memset(&s, 0, sizeof s); /* shapes are compared as bytes */
    s.b = a->b, s.h = a->h, s.width = a->width, s.c = a->c, s.n = a->n;
    s.kh = a->kh, s.kw = a->kw, s.ho = a->ho, s.wo = a->wo;
    s.stride = a->stride, s.top = a->top, s.left = a->left;
    s.f16 = a->f16;
    return s;
}

/* NULL: it has none, or none that may be made now. */
static struct plan *plan_of(struct cuda_op *o, const struct cuda_conv *a)
{
    struct cuda_dnn *n = o->c->dnn;
    struct cuda_conv shape = shape_of(a);
    for (int i = 0; i < n->plans; i++)
        if (!memcmp(&n->plan[i].shape, &shape, sizeof shape))
            return n->plan[i].plan && !n->plan[i].failed ? &n->plan[i] : NULL;
    if (n->plans == PLANS)
        return NULL;
    if (o->c->recording) { /* making one may need what no record holds */
        cuda_refuse(o);
        return NULL;
    }
    struct plan *p = &n->plan[n->plans++];
    p->shape = shape;
    plan_make(p, n->handle);
    return p->plan ? p : NULL;
}

/* Is the library here? Asked once, at the first convolution. */
static bool is_here(struct cuda *c)
{
    const char *wanted = getenv("EIDETIC_CUDNN");
    cudnnHandle_t handle = NULL;
    if (c->dnn_asked)
        return c->dnn;
    c->dnn_asked = true;
    if ((wanted && !strcmp(wanted, "off")) || cudnnCreate(&handle))
        return false;
    if (!cudnnSetStream(handle, c->stream))
        c->dnn = mem_zalloc(sizeof *c->dnn);
    if (c->dnn)
        c->dnn->handle = handle;
    else
        cudnnDestroy(handle);
    return c->dnn;
}

void cuda_dnn_close(struct cuda *c)
{
    if (!c->dnn)
        return;
    for (int i = 0; i < c->dnn->plans; i++)
        if (c->dnn->plan[i].plan)
            cudnnBackendDestroyDescriptor(c->dnn->plan[i].plan);
    cudnnDestroy(c->dnn->handle);
    mem_free(c->dnn);
}

static cudnnStatus_t execute(struct cuda_dnn *n, const struct plan *p, const void *const data[3],
                             void *workspace)
{
    const int64_t uid[3] = {UID_X, UID_W, UID_Y};
    struct making m = {0};
    cudnnBackendDescriptor_t d = part_new(&m, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    set(&m, d, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 3, uid);
    set(&m, d, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 3, data);
    set(&m, d, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    finish(&m, d);
    if (!m.status)
        m.status = cudnnBackendExecute(n->handle, p->plan, d);
    making_release(&m);
    return m.status;
}

/* As cuda_temp, but without it the op goes on. */
static void *scratch(struct cuda_op *o, size_t bytes)
{
    void *p = NULL;
    assert(o->temps < CUDA_TEMPS);
    if (!cudaMallocAsync(&p, bytes, o->c->stream))
        return o->temp[o->temps++] = p;
    cudaGetLastError();
    if (o->c->recording) /* which the failure may have ended */
        cuda_refuse(o);
    return NULL;
}

bool cuda_dnn_conv(struct cuda_op *o, const struct cuda_conv *a, const void *x, const void *w)
{
    int64_t count = (int64_t)a->b * a->ho * a->wo * a->n;
    if (!o->ok || a->circular || count == 0 || !cuda_aligned(x) || !cuda_aligned(w) ||
        !is_here(o->c))
        return false;
    struct plan *p = plan_of(o, a);
    void *y = p ? scratch(o, (size_t)count * 2) : NULL;
    void *workspace = y && p->workspace ? scratch(o, p->workspace) : NULL;
    if (!y || (p->workspace && !workspace))
        return false;
    p->failed = execute(o->c->dnn, p, (const void *[]){x, w, y}, workspace) != 0;
    if (p->failed)
        return false;
    int e = cuda_run_conv_end(o->c->stream, a, y);
    if (e)
        cuda_fail(o, e, 0);
    return true;
}
