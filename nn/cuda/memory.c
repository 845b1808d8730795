/* Where an op's tensors are on the device. Ids and lengths may lie on the caller's stack: they go
 * through pinned memory of the backend's own. */
#include "core/mem.h"
#include "nn/cuda/cuda_int.h"
#include <assert.h>
#include <cuda_runtime_api.h>

static size_t bytes_of(const struct tensor *t)
{
    return (size_t)tensor_count(t) * sizeof(float);
}

void cuda_fail(struct cuda_op *o, int error, size_t bytes)
{
    o->ok = false;
    if (o->c->recording) /* it is done again without */
        o->c->refused = true;
    else if (error == cudaErrorMemoryAllocation)
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
        cuda_fail(o, (int)e, 0);
    o->ok &= !o->c->refused;
}

void cuda_end(struct cuda_op *o, int error)
{
    struct CUstream_st *s = o->c->stream;
    for (int i = 0; i < o->narrows && o->ok && !error; i++)
        error = cuda_run_narrow(s, o->narrow[i].to, DT_BF16, o->narrow[i].n, o->narrow[i].from,
                                o->narrow[i].n, 1, o->narrow[i].n);
    for (int i = 0; i < o->results && o->ok && !error; i++) {
        error = (int)cudaMemcpyAsync(o->result[i].host, o->result[i].from, o->result[i].bytes,
                                     cudaMemcpyDeviceToHost, s);
        if (!error)
            error = (int)cudaStreamSynchronize(s);
    }
    if (!error)
        error = cuda_lanes_end(o);
    if (o->ok && error)
        cuda_fail(o, error, 0);
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
        cuda_fail(o, (int)e, bytes);
        return NULL;
    }
    return o->temp[o->temps++] = p;
}

static struct cuda_range *range_of(const struct cuda *c, const void *host, size_t bytes)
{
    const char *p = host;
    for (int i = 0; i < c->ranges; i++) {
        struct cuda_range *r = &c->range[i];
        if (p >= r->host && p < r->host + r->bytes) {
            assert(bytes <= (size_t)(r->host + r->bytes - p));
            return r;
        }
    }
    return NULL;
}

void *cuda_mirror(const struct cuda *c, const void *host, size_t bytes)
{
    const struct cuda_range *r = range_of(c, host, bytes);
    return r ? r->device + ((const char *)host - r->host) : NULL;
}

uint16_t *cuda_factor(struct cuda_op *o, const struct tensor *t)
{
    struct cuda *c = o->c;
    if (!o->ok || !t || t->use != TENSOR_FACTOR || c->base.precision != PREC_BF16 || c->low)
        return NULL;
    struct cuda_range *r = range_of(c, t->data, bytes_of(t));
    if (!r || r->no_factors)
        return NULL;
    if (!r->factors && c->recording) {
        cuda_refuse(o);
        return NULL;
    }
    if (!r->factors && cudaMalloc((void **)&r->factors, r->bytes / 2)) {
        cudaGetLastError();
        r->factors = NULL;
        r->no_factors = true;
        return NULL;
    }
    return r->factors + ((const char *)t->data - r->host) / (ptrdiff_t)sizeof(float);
}

const void *cuda_in_bytes(struct cuda_op *o, const void *host, size_t bytes)
{
    if (o->c->recording)
        return cuda_constant(o, host, bytes);
    void *p = cuda_temp(o, bytes);
    if (!p)
        return NULL;
    const void *staged = cuda_stage(o->c, host, bytes);
    cudaError_t e =
        cudaMemcpyAsync(p, staged ? staged : host, bytes, cudaMemcpyHostToDevice, o->c->stream);
    if (e)
        cuda_fail(o, (int)e, bytes);
    return p;
}

static const float *widened(struct cuda_op *o, const uint16_t *low, int64_t n)
{
    float *p = cuda_temp(o, (size_t)n * sizeof *p);
    int e = p ? cuda_run_widen(o->c->stream, p, low, DT_BF16, NULL, NULL, 1, n) : 0;
    if (e)
        cuda_fail(o, e, 0);
    return p;
}

const float *cuda_in(struct cuda_op *o, const struct tensor *t)
{
    const float *scale;
    if (!t || !o->ok)
        return NULL;
    if (t->packs)
        return cuda_weight_raw(o, t, &scale);
    const uint16_t *low = cuda_factor(o, t);
    if (low || !o->ok)
        return low ? widened(o, low, tensor_count(t)) : NULL;
    void *p = cuda_mirror(o->c, t->data, bytes_of(t));
    if (p || !o->c->recording)
        return p ? p : cuda_in_bytes(o, t->data, bytes_of(t));
    cuda_refuse(o); /* the next run's values may be others */
    return NULL;
}

void *cuda_to_host(struct cuda_op *o, void *host, size_t bytes)
{
    void *p = cuda_temp(o, bytes);
    assert(o->results < 2);
    o->result[o->results].host = host;
    o->result[o->results].from = p;
    o->result[o->results++].bytes = bytes;
    return p;
}

float *cuda_out(struct cuda_op *o, const struct tensor *t)
{
    uint16_t *low = cuda_factor(o, t);
    if (low) {
        assert(o->narrows < 2);
        float *wide = cuda_temp(o, bytes_of(t));
        o->narrow[o->narrows].to = low;
        o->narrow[o->narrows].from = wide;
        o->narrow[o->narrows++].n = tensor_count(t);
        return wide;
    }
    void *p = o->ok ? cuda_mirror(o->c, t->data, bytes_of(t)) : NULL;
    if (p || !o->ok)
        return p;
    if (o->c->recording) {
        cuda_refuse(o);
        return NULL;
    }
    return cuda_to_host(o, t->data, bytes_of(t));
}

/* A block of an arena. Of pageable memory only what the host writes or reads is ever touched. */
static void *range_new(struct cuda *c, size_t bytes, bool pinned)
{
    struct cuda_range *all = mem_realloc_array(c->range, (size_t)c->ranges + 1, sizeof *c->range);
    if (!all)
        return NULL;
    c->range = all;
    void *device = NULL, *host = NULL;
    cudaError_t e = cudaSetDevice(c->device);
    if (!e)
        e = cudaMalloc(&device, bytes);
    if (!e && pinned)
        e = cudaMallocHost(&host, bytes);
    else if (!e && !(host = mem_aligned(bytes, 64)))
        e = cudaErrorMemoryAllocation;
    if (e) {
        cudaFree(device);
        cudaGetLastError();
        return NULL;
    }
    c->range[c->ranges++] =
        (struct cuda_range){.host = host, .device = device, .bytes = bytes, .pinned = pinned};
    c->era++;
    return host;
}

static void range_free(struct cuda *c, void *host)
{
    for (int i = 0; i < c->ranges; i++) {
        struct cuda_range r = c->range[i];
        if (r.host != host)
            continue;
        if (c->recording) /* nothing runs, and what was recorded is of no use without the block */
            c->refused = true;
        else
            cudaStreamSynchronize(c->stream);
        cudaFree(r.device);
        cudaFree(r.factors);
        if (r.pinned)
            cudaFreeHost(r.host);
        else
            mem_free(r.host);
        c->range[i] = c->range[--c->ranges];
        c->era++;
        return;
    }
}

static void *memory_alloc(struct arena_memory *m, size_t bytes)
{
    return range_new((struct cuda *)(void *)((char *)m - offsetof(struct cuda, memory)), bytes,
                     false);
}

static void memory_free(struct arena_memory *m, void *p)
{
    range_free((struct cuda *)(void *)((char *)m - offsetof(struct cuda, memory)), p);
}

static void *staging_alloc(struct arena_memory *m, size_t bytes)
{
    return range_new((struct cuda *)(void *)((char *)m - offsetof(struct cuda, staging)), bytes,
                     true);
}

static void staging_free(struct arena_memory *m, void *p)
{
    range_free((struct cuda *)(void *)((char *)m - offsetof(struct cuda, staging)), p);
}

struct arena_memory cuda_memory(void)
{
    return (struct arena_memory){memory_alloc, memory_free};
}

struct arena_memory cuda_staging(void)
{
    return (struct arena_memory){staging_alloc, staging_free};
}
