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
    if (c->stream) {
        cudaStreamSynchronize(c->stream);
        cudaStreamDestroy(c->stream);
    }
    if (c->lt)
        cublasLtDestroy(c->lt);
    pool_free(be->pool);
    mem_free(c->range);
    mem_free(c);
}

/* variant: NULL, a number, or the emulation's name. */
static enum status choose_device(int *device, const char *variant, struct error *err)
{
    int n = 0;
    cudaError_t e = cudaGetDeviceCount(&n);
    if (e || n < 1)
        return error_set(err, ST_DEVICE, "cuda: no device can be used here (%s)",
                         e ? cudaGetErrorString(e) : "there is none");
    *device = 0;
    if (!variant || strcmp(variant, CUDA_FIRST_DEVICE) == 0)
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
    enum status st = choose_device(&c->device, variant, err);
    if (st)
        return st;
    snprintf(c->base.name, sizeof c->base.name, CUDA_NAME_FORMAT "%s", c->device,
             precision == PREC_BF16 ? "/bf16" : "");
    cudaError_t e = cudaGetDeviceProperties(&props, c->device);
    if (!e && precision == PREC_BF16 && props.major < 8)
        return error_set(err, ST_UNSUPPORTED, "%s: %.60s has no arithmetic in bf16", c->base.name,
                         props.name);
    if (!e)
        e = cudaSetDevice(c->device);
    if (!e)
        e = keep_pool(c->device);
    if (!e)
        e = cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking);
    if (e)
        return error_set(err, ST_DEVICE, "%s: %s", c->base.name, cudaGetErrorString(e));
    cublasStatus_t b = cublasLtCreate(&c->lt);
    return b ? error_set(err, ST_DEVICE, "%s: cuBLASLt gives status %d", c->base.name, (int)b)
             : ST_OK;
}

static enum status cuda_open(struct backend **be, const char *variant, enum precision precision,
                             int threads, struct error *err)
{
    if (precision == PREC_INT8)
        return error_set(err, ST_UNSUPPORTED, "cuda has no arithmetic in int8");
    struct cuda *c = mem_zalloc(sizeof *c);
    if (!c)
        return error_set(err, ST_NOMEM, "out of memory for the cuda backend");
    c->base.ops = &cuda_ops;
    c->base.precision = precision;
    c->memory = cuda_memory();
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

const struct backend_kind backend_cuda = {
    .prefix = "cuda",
    .open = cuda_open,
    .close = cuda_close,
    .sync = cuda_sync,
    .names = cuda_names,
    .memory = cuda_get_memory,
    .upload = cuda_upload,
    .download = cuda_download,
};
