/* Weights that a device does not keep ("+low"): each is copied up for its op, by the stream of
 * copies, into one of two places, so that the next op's weights arrive while this one computes. The
 * stream of ops waits for what it reads to be there, that of copies for what it overwrites to have
 * been read. The two places grow to the size of the largest weights and stay. */
#include "nn/cuda/cuda_int.h"
#include <cuda_runtime_api.h>

enum status cuda_lanes_init(struct cuda *c, struct error *err)
{
    cudaError_t e = cudaSuccess;
    for (int i = 0; i < CUDA_LANES && c->low && !e; i++) {
        e = cudaEventCreateWithFlags(&c->lane[i].sent, cudaEventDisableTiming);
        if (!e)
            e = cudaEventCreateWithFlags(&c->lane[i].used, cudaEventDisableTiming);
    }
    return e ? error_set(err, ST_DEVICE, "%s: %s", c->base.name, cudaGetErrorString(e)) : ST_OK;
}

/* Both streams have passed. */
void cuda_lanes_release(struct cuda *c)
{
    for (int i = 0; i < CUDA_LANES; i++) {
        struct cuda_lane *l = &c->lane[i];
        if (l->device)
            cudaFreeAsync(l->device, c->copy);
        if (l->sent)
            cudaEventDestroy(l->sent);
        if (l->used)
            cudaEventDestroy(l->used);
        *l = (struct cuda_lane){0};
    }
}

static cudaError_t grow(struct cuda_lane *l, size_t bytes, struct CUstream_st *s)
{
    if (l->bytes >= bytes)
        return cudaSuccess;
    cudaError_t e = l->device ? cudaFreeAsync(l->device, s) : cudaSuccess;
    l->device = NULL;
    l->bytes = 0;
    if (!e)
        e = cudaMallocAsync(&l->device, bytes, s);
    if (!e)
        l->bytes = bytes;
    return e;
}

const void *cuda_lane_up(struct cuda_op *o, const void *host, size_t bytes)
{
    struct cuda *c = o->c;
    int i = c->lane_next;
    struct cuda_lane *l = &c->lane[i];
    if (o->lanes >> i & 1) /* of this very op, whose reading nothing can wait for yet */
        return cuda_in_bytes(o, host, bytes);
    c->lane_next = (i + 1) % CUDA_LANES;
    cudaError_t e = cudaStreamWaitEvent(c->copy, l->used, 0);
    if (!e)
        e = grow(l, bytes, c->copy);
    if (!e)
        e = cudaMemcpyAsync(l->device, host, bytes, cudaMemcpyHostToDevice, c->copy);
    if (!e)
        e = cudaEventRecord(l->sent, c->copy);
    if (!e)
        e = cudaStreamWaitEvent(c->stream, l->sent, 0);
    if (e) {
        cuda_fail(o, (int)e, bytes);
        return NULL;
    }
    o->lanes |= 1U << i;
    return l->device;
}

int cuda_lanes_end(struct cuda_op *o)
{
    cudaError_t e = cudaSuccess;
    for (int i = 0; i < CUDA_LANES; i++)
        if (o->lanes >> i & 1 && !e)
            e = cudaEventRecord(o->c->lane[i].used, o->c->stream);
    return (int)e;
}
