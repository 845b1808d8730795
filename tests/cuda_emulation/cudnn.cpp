/* cuDNN's graph API on the CPU, as far as nn/cuda/dnn.h has it: descriptors that check the types
 * and numbers of what they are given, graphs of a convolution with or without an addition behind
 * it, and their execution on the handle's stream. As the library, it plans no convolution of halves
 * whose channels are no multiple of 8, nor one that is not channels last. */
#include "cuda_emulation/emulation.cuh"
#include "nn/cuda/dnn.h"
#include <cstring>
#include <map>
#include <vector>

extern "C" {
#include "nn/tensor.h"
}

struct cudnnContext {
    cudaStream_t stream = nullptr;
};

namespace
{
struct value {
    cudnnBackendAttributeType_t type;
    int64_t n;
    std::vector<char> bytes;
};

struct descriptor {
    cudnnBackendDescriptorType_t type;
    bool finished = false;
    std::map<int, value> has;

    template <class T> T get(int name, int64_t i = 0) const
    {
        T v{};
        auto at = has.find(name);
        if (at != has.end() && i < at->second.n)
            memcpy(&v, at->second.bytes.data() + sizeof v * (size_t)i, sizeof v);
        return v;
    }
    const descriptor *part(int name, int64_t i = 0) const
    {
        return (const descriptor *)get<void *>(name, i);
    }
    int64_t count(int name) const
    {
        auto at = has.find(name);
        return at == has.end() ? 0 : at->second.n;
    }
};

/* What an attribute belongs to, its type, and how many values it takes (0: any number). */
struct rule {
    cudnnBackendAttributeName_t name;
    cudnnBackendDescriptorType_t of;
    cudnnBackendAttributeType_t type;
    int64_t n;
    bool must;
};
#define RULE(name, of, type, n, must)                                                              \
    {                                                                                              \
        CUDNN_ATTR_##name, CUDNN_BACKEND_##of##_DESCRIPTOR, CUDNN_TYPE_##type, n, must             \
    }
const rule rules[] = {
    RULE(CONVOLUTION_COMP_TYPE, CONVOLUTION, DATA_TYPE, 1, true),
    RULE(CONVOLUTION_CONV_MODE, CONVOLUTION, CONVOLUTION_MODE, 1, true),
    RULE(CONVOLUTION_DILATIONS, CONVOLUTION, INT64, 2, true),
    RULE(CONVOLUTION_FILTER_STRIDES, CONVOLUTION, INT64, 2, true),
    RULE(CONVOLUTION_POST_PADDINGS, CONVOLUTION, INT64, 2, true),
    RULE(CONVOLUTION_PRE_PADDINGS, CONVOLUTION, INT64, 2, true),
    RULE(CONVOLUTION_SPATIAL_DIMS, CONVOLUTION, INT64, 1, true),
    RULE(ENGINEHEUR_MODE, ENGINEHEUR, HEUR_MODE, 1, true),
    RULE(ENGINEHEUR_OPERATION_GRAPH, ENGINEHEUR, BACKEND_DESCRIPTOR, 1, true),
    RULE(EXECUTION_PLAN_HANDLE, EXECUTION_PLAN, HANDLE, 1, true),
    RULE(EXECUTION_PLAN_ENGINE_CONFIG, EXECUTION_PLAN, BACKEND_DESCRIPTOR, 1, true),
    RULE(OPERATION_CONVOLUTION_FORWARD_ALPHA, OPERATION_CONVOLUTION_FORWARD, FLOAT, 1, true),
    RULE(OPERATION_CONVOLUTION_FORWARD_BETA, OPERATION_CONVOLUTION_FORWARD, FLOAT, 1, true),
    RULE(OPERATION_CONVOLUTION_FORWARD_CONV_DESC, OPERATION_CONVOLUTION_FORWARD, BACKEND_DESCRIPTOR,
         1, true),
    RULE(OPERATION_CONVOLUTION_FORWARD_W, OPERATION_CONVOLUTION_FORWARD, BACKEND_DESCRIPTOR, 1,
         true),
    RULE(OPERATION_CONVOLUTION_FORWARD_X, OPERATION_CONVOLUTION_FORWARD, BACKEND_DESCRIPTOR, 1,
         true),
    RULE(OPERATION_CONVOLUTION_FORWARD_Y, OPERATION_CONVOLUTION_FORWARD, BACKEND_DESCRIPTOR, 1,
         true),
    RULE(OPERATIONGRAPH_HANDLE, OPERATIONGRAPH, HANDLE, 1, true),
    RULE(OPERATIONGRAPH_OPS, OPERATIONGRAPH, BACKEND_DESCRIPTOR, 0, true),
    RULE(TENSOR_BYTE_ALIGNMENT, TENSOR, INT64, 1, true),
    RULE(TENSOR_DATA_TYPE, TENSOR, DATA_TYPE, 1, true),
    RULE(TENSOR_DIMENSIONS, TENSOR, INT64, 4, true),
    RULE(TENSOR_STRIDES, TENSOR, INT64, 4, true),
    RULE(TENSOR_UNIQUE_ID, TENSOR, INT64, 1, true),
    RULE(VARIANT_PACK_UNIQUE_IDS, VARIANT_PACK, INT64, 0, true),
    RULE(VARIANT_PACK_DATA_POINTERS, VARIANT_PACK, VOID_PTR, 0, true),
    RULE(VARIANT_PACK_WORKSPACE, VARIANT_PACK, VOID_PTR, 1, true),
};
const int64_t WORKSPACE = 1000;

size_t size_of(cudnnBackendAttributeType_t t)
{
    bool wide = t == CUDNN_TYPE_INT64 || t == CUDNN_TYPE_HANDLE || t == CUDNN_TYPE_VOID_PTR ||
                t == CUDNN_TYPE_BACKEND_DESCRIPTOR;
    return wide ? 8 : 4;
}

struct shape { /* of a tensor */
    int64_t dim[4], uid;
    cudnnDataType_t type;
    bool last; /* channels last */
};

shape shape_of(const descriptor *d)
{
    shape s{};
    for (int i = 0; i < 4; i++)
        s.dim[i] = d->get<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS, i);
    const int64_t want[4] = {s.dim[1] * s.dim[2] * s.dim[3], 1, s.dim[1] * s.dim[3], s.dim[1]};
    s.last = true;
    for (int i = 0; i < 4; i++)
        s.last &= d->get<int64_t>(CUDNN_ATTR_TENSOR_STRIDES, i) == want[i];
    s.uid = d->get<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID);
    s.type = d->get<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE);
    return s;
}

struct work { /* a planned graph */
    shape x, w, y;
    int64_t before[2], stride[2], dilation[2];
};

/* Whether there is an engine for the graph. */
bool understand(const descriptor *g, work *k)
{
    const descriptor *op = g->part(CUDNN_ATTR_OPERATIONGRAPH_OPS);
    if (g->count(CUDNN_ATTR_OPERATIONGRAPH_OPS) != 1 ||
        op->type != CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)
        return false;
    const descriptor *c = op->part(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC);
    k->x = shape_of(op->part(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X));
    k->w = shape_of(op->part(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W));
    k->y = shape_of(op->part(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y));
    bool ok = op->get<float>(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA) == 1 &&
              op->get<float>(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA) == 0;
    for (int i = 0; i < 2; i++) {
        k->before[i] = c->get<int64_t>(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, i);
        k->stride[i] = c->get<int64_t>(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, i);
        k->dilation[i] = c->get<int64_t>(CUDNN_ATTR_CONVOLUTION_DILATIONS, i);
        int64_t after = c->get<int64_t>(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, i);
        int64_t reach = k->dilation[i] * (k->w.dim[2 + i] - 1) + 1;
        ok &= k->stride[i] > 0 && k->before[i] >= 0 && after >= 0;
        ok &= ok && k->y.dim[2 + i] ==
                        (k->x.dim[2 + i] + k->before[i] + after - reach) / k->stride[i] + 1;
    }
    ok &= k->x.dim[0] == k->y.dim[0] && k->x.dim[1] == k->w.dim[1] && k->w.dim[0] == k->y.dim[1];
    ok &= k->x.type == k->w.type && k->x.type == k->y.type && k->x.type != CUDNN_DATA_FLOAT;
    ok &= k->x.dim[1] % 8 == 0 && k->x.last && k->w.last && k->y.last;
    return ok && c->get<cudnnDataType_t>(CUDNN_ATTR_CONVOLUTION_COMP_TYPE) == CUDNN_DATA_FLOAT &&
           c->get<cudnnConvolutionMode_t>(CUDNN_ATTR_CONVOLUTION_CONV_MODE) ==
               CUDNN_CROSS_CORRELATION;
}

float half_at(const void *p, cudnnDataType_t type, int64_t i)
{
    uint16_t h;
    memcpy(&h, (const char *)p + 2 * i, 2);
    return type == CUDNN_DATA_HALF ? f16_to_f32(h) : bf16_to_f32(h);
}

float sum_at(const work &k, const void *x, const void *w, const int64_t at[4])
{
    const int64_t *in = k.x.dim, *f = k.w.dim;
    float sum = 0;
    for (int64_t r = 0; r < f[2]; r++)
        for (int64_t s = 0; s < f[3]; s++) {
            int64_t i = at[2] * k.stride[0] - k.before[0] + r * k.dilation[0];
            int64_t j = at[3] * k.stride[1] - k.before[1] + s * k.dilation[1];
            if (i < 0 || i >= in[2] || j < 0 || j >= in[3])
                continue;
            for (int64_t c = 0; c < in[1]; c++)
                sum += half_at(x, k.x.type, ((at[0] * in[2] + i) * in[3] + j) * in[1] + c) *
                       half_at(w, k.w.type, ((at[1] * f[2] + r) * f[3] + s) * f[1] + c);
        }
    return sum;
}

void run(const work &k, const void *x, const void *w, uint16_t *y, void *scratch)
{
    const int64_t *d = k.y.dim;
    memset(scratch, 0xFF, (size_t)WORKSPACE);
    for (int64_t b = 0; b < d[0]; b++)
        for (int64_t i = 0; i < d[2]; i++)
            for (int64_t j = 0; j < d[3]; j++)
                for (int64_t n = 0; n < d[1]; n++) {
                    const int64_t at[4] = {b, n, i, j};
                    float sum = sum_at(k, x, w, at);
                    y[((b * d[2] + i) * d[3] + j) * d[1] + n] =
                        k.y.type == CUDNN_DATA_HALF ? f32_to_f16(sum) : f32_to_bf16(sum);
                }
}

int64_t bytes_of(const shape &s)
{
    return s.dim[0] * s.dim[1] * s.dim[2] * s.dim[3] * 2;
}
} // namespace

int emu::convolutions;

extern "C" {

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
    *handle = new cudnnContext();
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    delete handle;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, struct CUstream_st *stream)
{
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t *d)
{
    descriptor *y = new descriptor();
    y->type = type;
    *d = y;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t d)
{
    delete (descriptor *)d;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t d_,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t n,
                                       const void *values)
{
    descriptor *d = (descriptor *)d_;
    for (const rule &r : rules) {
        if (r.name != name || r.of != d->type)
            continue;
        if (d->finished || r.type != type || n < 1 || (r.n && r.n != n))
            return CUDNN_STATUS_BAD_PARAM;
        for (int64_t i = 0; i < n && type == CUDNN_TYPE_BACKEND_DESCRIPTOR; i++)
            if (!((descriptor *const *)values)[i]->finished)
                return CUDNN_STATUS_BAD_PARAM;
        const char *from = (const char *)values;
        d->has[name] = value{type, n, std::vector<char>(from, from + size_of(type) * (size_t)n)};
        return CUDNN_STATUS_SUCCESS;
    }
    return CUDNN_STATUS_BAD_PARAM;
}

/* A plan keeps what it needs of its graph, which may be destroyed then. */
cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t d_)
{
    descriptor *d = (descriptor *)d_;
    for (const rule &r : rules)
        if (r.must && r.of == d->type && !d->has.count(r.name))
            return CUDNN_STATUS_BAD_PARAM;
    if (d->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
        work k{};
        const descriptor *g = d->part(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)
                                  ->part(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
        if (!understand(g, &k))
            return CUDNN_STATUS_NOT_SUPPORTED;
        const char *from = (const char *)&k;
        d->has[-1] = value{CUDNN_TYPE_VOID_PTR, 1, std::vector<char>(from, from + sizeof k)};
    }
    d->finished = true;
    return CUDNN_STATUS_SUCCESS;
}

/* One engine for each graph; its configuration is known by the graph. */
cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t d_,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t most, int64_t *n,
                                       void *values)
{
    const descriptor *d = (const descriptor *)d_;
    if (!d->finished || most < 1)
        return CUDNN_STATUS_BAD_PARAM;
    *n = 1;
    if (name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE && type == CUDNN_TYPE_INT64 &&
        d->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
        memcpy(values, &WORKSPACE, sizeof WORKSPACE);
        return CUDNN_STATUS_SUCCESS;
    }
    descriptor *to = name == CUDNN_ATTR_ENGINEHEUR_RESULTS ? *(descriptor **)values : nullptr;
    if (!to || type != CUDNN_TYPE_BACKEND_DESCRIPTOR ||
        to->type != CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)
        return CUDNN_STATUS_BAD_PARAM;
    to->has[CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH] =
        d->has.at(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
    to->finished = true;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan_,
                                  cudnnBackendDescriptor_t pack_)
{
    const descriptor *plan = (const descriptor *)plan_, *pack = (const descriptor *)pack_;
    work k{};
    memcpy(&k, plan->has.at(-1).bytes.data(), sizeof k);
    const shape *shapes[3] = {&k.x, &k.w, &k.y};
    char *data[3] = {nullptr, nullptr, nullptr};
    int64_t n = pack->count(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    if (!pack->finished || pack->count(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS) != n)
        return CUDNN_STATUS_BAD_PARAM;
    for (int i = 0; i < 3; i++) {
        for (int64_t j = 0; j < n; j++)
            if (pack->get<int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, j) == shapes[i]->uid)
                data[i] = pack->get<char *>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, j);
        if (!data[i])
            return CUDNN_STATUS_BAD_PARAM;
        emu::check_aligned(data[i], 16, "a tensor of cuDNN's");
        emu::check_device(data[i], "a tensor of cuDNN's");
        emu::check_device(data[i] + bytes_of(*shapes[i]), "a tensor of cuDNN's");
    }
    char *scratch = pack->get<char *>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
    emu::check_device(scratch + WORKSPACE, "cuDNN's workspace");
    emu::convolutions++;
    emu::enqueue(handle->stream,
                 [=] { run(k, data[0], data[1], (uint16_t *)(void *)data[2], scratch); });
    return CUDNN_STATUS_SUCCESS;
}
}
