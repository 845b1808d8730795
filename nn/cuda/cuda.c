/* Opening a CUDA device. "cuda" is the first device, "cuda:N" the N-th; the emulation's only device
 * is "cuda:emulated". */
#include "core/cpu.h"
#include "core/mem.h"
#include "nn/cuda/cuda_int.h"
#include <cublasLt.h>
#include <cuda_device.h>
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEVICES = 8 };

static void cuda_close(struct backend *be)
{
    struct cuda *c = (struct cuda *)be;
    cudaSetDevice(c->device);
    if (c->stream)
        cudaStreamSynchronize(c->stream);
    cuda_forget_graphs(c);
    cuda_ring_release(c);
    cuda_lanes_release(c);
    cuda_dnn_close(c);
    if (c->copy)
        cudaStreamDestroy(c->copy);
    if (c->stream)
        cudaStreamDestroy(c->stream);
    if (c->lt)
        cublasLtDestroy(c->lt);
    pool_free(be->pool);
    mem_free(c->range);
    mem_free(c);
}

/* variant: NULL, "", a number, or the emulation's name. */
static enum status choose_device(int *device, const char *variant, struct error *err)
{
    int n = 0;
    cudaError_t e = cudaGetDeviceCount(&n);
    if (e == cudaErrorInsufficientDriver)
        return error_set(err, ST_DEVICE,
                         "cuda: there is no NVIDIA driver here, or one that is too old");
    if (e || n < 1)
        return error_set(err, ST_DEVICE, "cuda: no device can be used here (%s)",
                         e ? cudaGetErrorString(e) : "there is none");
    *device = 0;
    if (!variant || !*variant || strcmp(variant, CUDA_FIRST_DEVICE) == 0)
        return ST_OK;
    char *end = NULL;
    long i = strtol(variant, &end, 10);
    if (end == variant || *end || i < 0)
        return error_set(err, ST_USAGE, "cuda:%.40s: no such device", variant);
    if (i >= n)
        return error_set(err, ST_DEVICE, "cuda:%ld: there are %d devices, counted from 0", i, n);
    *device = (int)i;
    return ST_OK;
}

/* Freed temporaries stay in the driver's pool for the next op. */
static cudaError_t keep_pool(int device)
{
    cudaMemPool_t pool;
    uint64_t all = UINT64_MAX;
    cudaError_t e = cudaDeviceGetDefaultMemPool(&pool, device);
    return e ? e : cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &all);
}

static enum status open_device(struct cuda *c, const char *variant, enum precision precision,
                               struct error *err)
{
    struct cudaDeviceProp props;
    char number[32];
    size_t n = variant ? strcspn(variant, "+") : 0;
    c->low = variant && strcmp(variant + n, "+low") == 0;
    if (variant && variant[n] && !c->low)
        return error_set(err, ST_USAGE, "cuda:%.40s: no such device", variant);
    snprintf(number, sizeof number, "%.*s", (int)n, variant ? variant : "");
    enum status st = choose_device(&c->device, number, err);
    if (st)
        return st;
    snprintf(c->base.name, sizeof c->base.name, CUDA_NAME_FORMAT "%s%s%s", c->device,
             c->low ? "+low" : "", precision == PREC_F32 ? "" : "/",
             precision == PREC_F32 ? "" : precision_name(precision));
    cudaError_t e = cudaGetDeviceProperties(&props, c->device);
    c->bf16 = !e && props.major >= 8;
    bool needs_bf16 = precision == PREC_BF16 || precision == PREC_INT8; /* attention is in it */
    if (!e && needs_bf16 && !c->bf16)
        return error_set(err, ST_UNSUPPORTED,
                         "%s: %.60s has no arithmetic in bf16; --precision f16 or f32",
                         c->base.name, props.name);
    if (!e)
        e = cudaSetDevice(c->device);
    if (!e)
        e = keep_pool(c->device);
    if (!e)
        e = cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking);
    if (!e)
        e = cudaStreamCreateWithFlags(&c->copy, cudaStreamNonBlocking);
    if (e)
        return error_set(err, ST_DEVICE, "%s: %s", c->base.name, cudaGetErrorString(e));
    st = cuda_ring_init(c, err);
    if (!st)
        st = cuda_lanes_init(c, err);
    if (st)
        return st;
    cublasStatus_t b = cublasLtCreate(&c->lt);
    if (b == CUBLAS_STATUS_NOT_INITIALIZED)
        return error_set(err, ST_DEVICE,
                         "%s: libcublasLt cannot be loaded (scripts/setup --cuda fetches it)",
                         c->base.name);
    return b ? error_set(err, ST_DEVICE, "%s: cuBLASLt gives status %d", c->base.name, (int)b)
             : ST_OK;
}

static enum status cuda_open(struct backend **be, const char *variant, enum precision precision,
                             int threads, struct error *err)
{
    struct cuda *c = mem_zalloc(sizeof *c);
    if (!c)
        return error_set(err, ST_NOMEM, "out of memory for the cuda backend");
    c->base.ops = &cuda_ops;
    c->base.precision = precision;
    c->memory = cuda_memory();
    c->staging = cuda_staging();
    enum status st = open_device(c, variant, precision, err);
    if (!st && threads < 1)
        threads = cpu_count();
    if (!st && threads > 1 && !(c->base.pool = pool_new(threads)))
        st = error_set(err, ST_NOMEM, "cannot start %d threads", threads);
    if (st)
        cuda_close(&c->base);
    else
        *be = &c->base;
    return st;
}

static void cuda_sync(struct backend *be)
{
    struct cuda *c = (struct cuda *)be;
    cudaError_t e = cudaSetDevice(c->device);
    if (!e)
        e = cudaStreamSynchronize(c->stream);
    if (e)
        backend_fail(be, ST_DEVICE, "%s: %s", be->name, cudaGetErrorString(e));
}

static int cuda_names(const char **out, int max)
{
    static const char *const all[MAX_DEVICES] = CUDA_DEVICE_NAMES;
    int n = 0, i = 0;
    if (cudaGetDeviceCount(&n) != cudaSuccess)
        n = 0;
    for (; i < n && i < max && i < MAX_DEVICES; i++)
        out[i] = all[i];
    return i;
}

static struct arena_memory *cuda_get_memory(struct backend *be)
{
    return &((struct cuda *)be)->memory;
}

static struct arena_memory *cuda_get_staging(struct backend *be)
{
    return &((struct cuda *)be)->staging;
}

static size_t cuda_room(struct backend *be)
{
    size_t room = 0, all = 0;
    cudaError_t e = cudaSetDevice(((struct cuda *)be)->device);
    return !e && !cudaMemGetInfo(&room, &all) ? room : 0;
}

const struct backend_kind backend_cuda = {
    .prefix = "cuda",
    .open = cuda_open,
    .close = cuda_close,
    .sync = cuda_sync,
    .names = cuda_names,
    .memory = cuda_get_memory,
    .upload = cuda_upload,
    .download = cuda_download,
    .room = cuda_room,
    .staging = cuda_get_staging,
    .send = cuda_send,
    .fetch = cuda_fetch,
    .wait = cuda_wait,
    .repeat = cuda_repeat,
};
