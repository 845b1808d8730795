/* Copies between host and device. Surprising: an upload stands in the order of the ops, a send does
 * not; it goes over a stream of its own while they run, and ops queued later wait for it. */
#include "core/mem.h"
#include "nn/cuda/cuda_int.h"
#include <assert.h>
#include <cuda_runtime_api.h>
#include <string.h>

enum { HALF = CUDA_RING / 2 };

enum status cuda_ring_init(struct cuda *c, struct error *err)
{
    struct cuda_ring *r = &c->ring;
    struct CUevent_st **all[] = {&r->left[0], &r->left[1], &c->sent, &c->fetched[0],
                                 &c->fetched[1]};
    void *base = NULL;
    cudaError_t e = cudaMallocHost(&base, CUDA_RING);
    r->base = base;
    for (size_t i = 0; i < sizeof all / sizeof *all && !e; i++)
        e = cudaEventCreateWithFlags(all[i], cudaEventDisableTiming);
    return e ? error_set(err, ST_DEVICE, "%s: %s", c->base.name, cudaGetErrorString(e)) : ST_OK;
}

void cuda_ring_release(struct cuda *c)
{
    struct CUevent_st *all[] = {c->ring.left[0], c->ring.left[1], c->sent, c->fetched[0],
                                c->fetched[1]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i])
            cudaEventDestroy(all[i]);
    if (c->ring.base)
        cudaFreeHost(c->ring.base);
    c->ring = (struct cuda_ring){0};
}

const void *cuda_stage(struct cuda *c, const void *host, size_t bytes)
{
    struct cuda_ring *r = &c->ring;
    size_t room = (bytes + 63) / 64 * 64;
    cudaError_t e = cudaSuccess;
    if (bytes == 0 || bytes > HALF / 4)
        return NULL;
    if (r->used + room > HALF) {
        e = cudaEventRecord(r->left[r->half], c->stream);
        r->half = 1 - r->half;
        r->used = 0;
        if (!e) /* one that was never recorded is passed */
            e = cudaEventSynchronize(r->left[r->half]);
    }
    if (e)
        return NULL;
    char *p = r->base + r->half * HALF + r->used;
    memcpy(p, host, bytes);
    r->used += room;
    return p;
}

/* The device's side of a tensor, or NULL: it has none, or nothing may be copied now. */
static void *begin(struct cuda_op *o, struct backend *be, const struct tensor *t, size_t *bytes,
                   const char *name)
{
    bool known = dtype_bytes(t->dtype, (size_t)tensor_count(t), bytes);
    assert(known && t->use != TENSOR_FACTOR); /* which the host neither makes nor reads */
    (void)known;
    cuda_begin(o, be, name);
    void *p = o->ok && *bytes ? cuda_mirror(o->c, t->data, *bytes) : NULL;
    if (p && o->c->recording) {
        cuda_refuse(o);
        return NULL;
    }
    return p;
}

void cuda_upload(struct backend *be, const struct tensor *t)
{
    struct cuda_op o;
    size_t bytes;
    void *p = begin(&o, be, t, &bytes, "upload");
    int e = 0;
    if (p)
        e = (int)cudaMemcpyAsync(p, t->data, bytes, cudaMemcpyHostToDevice, o.c->stream);
    cuda_end(&o, e);
}

void cuda_download(struct backend *be, const struct tensor *t)
{
    struct cuda_op o;
    size_t bytes;
    void *p = begin(&o, be, t, &bytes, "download");
    int e = 0;
    if (p)
        e = (int)cudaMemcpyAsync(t->data, p, bytes, cudaMemcpyDeviceToHost, o.c->stream);
    if (p && !e)
        e = (int)cudaStreamSynchronize(o.c->stream);
    cuda_end(&o, e);
}

void cuda_send(struct backend *be, const struct tensor *t)
{
    struct cuda_op o;
    size_t bytes;
    void *p = begin(&o, be, t, &bytes, "send");
    int e = 0;
    if (p)
        e = (int)cudaMemcpyAsync(p, t->data, bytes, cudaMemcpyHostToDevice, o.c->copy);
    if (p && !e)
        e = (int)cudaEventRecord(o.c->sent, o.c->copy);
    if (p && !e)
        e = (int)cudaStreamWaitEvent(o.c->stream, o.c->sent, 0);
    cuda_end(&o, e);
}

void cuda_fetch(struct backend *be, const struct tensor *t, int slot)
{
    struct cuda_op o;
    size_t bytes;
    assert(slot >= 0 && slot < CUDA_SLOTS);
    void *p = begin(&o, be, t, &bytes, "fetch");
    int e = 0;
    if (p)
        e = (int)cudaMemcpyAsync(t->data, p, bytes, cudaMemcpyDeviceToHost, o.c->stream);
    if (p && !e)
        e = (int)cudaEventRecord(o.c->fetched[slot], o.c->stream);
    cuda_end(&o, e);
}

void cuda_wait(struct backend *be, int slot)
{
    struct cuda *c = (struct cuda *)be;
    cudaError_t e = cudaSetDevice(c->device);
    if (!e)
        e = cudaEventSynchronize(c->fetched[slot]);
    if (e)
        backend_fail(be, ST_DEVICE, "%s: %s", be->name, cudaGetErrorString(e));
}
