/* Where an op's tensors are on the device. Surprising: copies from pageable memory are read before
 * the call returns, so ids and lengths may lie on the caller's stack. */
#include "core/mem.h"
#include "nn/cuda/cuda_int.h"
#include <assert.h>
#include <cuda_runtime_api.h>

static void fail(struct cuda_op *o, int error, size_t bytes)
{
    o->ok = false;
    if (error == cudaErrorMemoryAllocation)
        backend_fail(&o->c->base, ST_NOMEM, "%s: out of memory (%zu bytes of scratch in %s)",
                     o->name, bytes, o->c->base.name);
    else
        backend_fail(&o->c->base, ST_DEVICE, "%s on %s: %s", o->name, o->c->base.name,
                     cudaGetErrorString((cudaError_t)error));
    cudaGetLastError(); /* what was reported is not to be reported again */
}

void cuda_begin(struct cuda_op *o, struct backend *be, const char *name)
{
    *o = (struct cuda_op){.c = (struct cuda *)be, .name = name, .ok = true};
    cudaError_t e = cudaSetDevice(o->c->device);
    if (e)
        fail(o, (int)e, 0);
}

void cuda_end(struct cuda_op *o, int error)
{
    struct CUstream_st *s = o->c->stream;
    if (o->ok && !error && o->host)
        error = (int)cudaMemcpyAsync(o->host, o->result, o->bytes, cudaMemcpyDeviceToHost, s);
    if (o->ok && error)
        fail(o, error, o->bytes);
    for (int i = 0; i < o->temps; i++)
        cudaFreeAsync(o->temp[i], s);
}

void *cuda_temp(struct cuda_op *o, size_t bytes)
{
    void *p = NULL;
    if (!o->ok)
        return NULL;
    assert(o->temps < CUDA_TEMPS);
    cudaError_t e = cudaMallocAsync(&p, bytes ? bytes : 1, o->c->stream);
    if (e) {
        fail(o, (int)e, bytes);
        return NULL;
    }
    return o->temp[o->temps++] = p;
}

/* The device's side of host memory that lies in an arena of the backend's; else NULL. */
static void *mirror(const struct cuda *c, const void *host, size_t bytes)
{
    const char *p = host;
    for (int i = 0; i < c->ranges; i++) {
        const struct cuda_range *r = &c->range[i];
        if (p >= r->host && p < r->host + r->bytes) {
            assert(bytes <= (size_t)(r->host + r->bytes - p));
            return r->device + (p - r->host);
        }
    }
    return NULL;
}

const void *cuda_in_bytes(struct cuda_op *o, const void *host, size_t bytes)
{
    void *p = cuda_temp(o, bytes);
    if (!p)
        return NULL;
    cudaError_t e = cudaMemcpyAsync(p, host, bytes, cudaMemcpyHostToDevice, o->c->stream);
    if (e)
        fail(o, (int)e, bytes);
    return p;
}

static size_t bytes_of(const struct tensor *t)
{
    return (size_t)tensor_count(t) * sizeof(float);
}

const float *cuda_in(struct cuda_op *o, const struct tensor *t)
{
    const float *scale;
    if (!t || !o->ok)
        return NULL;
    if (t->packs)
        return cuda_weight_raw(o, t, &scale);
    void *p = mirror(o->c, t->data, bytes_of(t));
    return p ? p : cuda_in_bytes(o, t->data, bytes_of(t));
}

float *cuda_out(struct cuda_op *o, const struct tensor *t)
{
    void *p = o->ok ? mirror(o->c, t->data, bytes_of(t)) : NULL;
    if (p || !o->ok)
        return p;
    o->host = t->data;
    o->bytes = bytes_of(t);
    o->result = cuda_temp(o, o->bytes);
    return (float *)(uintptr_t)o->result;
}

/* A block of an arena: its pages are only touched where the host writes or reads a tensor. */
static void *memory_alloc(struct arena_memory *m, size_t bytes)
{
    struct cuda *c = (struct cuda *)(void *)((char *)m - offsetof(struct cuda, memory));
    struct cuda_range *all = mem_realloc_array(c->range, (size_t)c->ranges + 1, sizeof *c->range);
    if (!all)
        return NULL;
    c->range = all;
    void *device = NULL;
    char *host = mem_aligned(bytes, 64);
    if (host && (cudaSetDevice(c->device) || cudaMalloc(&device, bytes))) {
        cudaGetLastError();
        mem_free(host);
        return NULL;
    }
    if (host)
        c->range[c->ranges++] = (struct cuda_range){host, device, bytes};
    return host;
}

static void memory_free(struct arena_memory *m, void *p)
{
    struct cuda *c = (struct cuda *)(void *)((char *)m - offsetof(struct cuda, memory));
    for (int i = 0; i < c->ranges; i++)
        if (c->range[i].host == p) {
            cudaStreamSynchronize(c->stream);
            cudaFree(c->range[i].device);
            c->range[i] = c->range[--c->ranges];
            break;
        }
    mem_free(p);
}

struct arena_memory cuda_memory(void)
{
    return (struct arena_memory){memory_alloc, memory_free};
}

static void transfer(struct backend *be, const struct tensor *t, bool up)
{
    struct cuda_op o;
    size_t bytes = 0;
    bool known = dtype_bytes(t->dtype, (size_t)tensor_count(t), &bytes);
    assert(known);
    (void)known;
    cuda_begin(&o, be, up ? "upload" : "download");
    void *p = mirror(o.c, t->data, bytes);
    cudaError_t e = cudaSuccess;
    if (p && up)
        e = cudaMemcpyAsync(p, t->data, bytes, cudaMemcpyHostToDevice, o.c->stream);
    else if (p)
        e = cudaMemcpyAsync(t->data, p, bytes, cudaMemcpyDeviceToHost, o.c->stream);
    cuda_end(&o, (int)e);
}

void cuda_upload(struct backend *be, const struct tensor *t)
{
    transfer(be, t, true);
}

void cuda_download(struct backend *be, const struct tensor *t)
{
    transfer(be, t, false);
}
