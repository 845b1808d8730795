/* Device memory and streams of the emulation. Every allocation lies between canaries, which are
 * looked at when it is freed and at every wait; its bytes start as NaN. */
#include "cuda_emulation/emulation.cuh"
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <set>

extern "C" {
#include "core/mem.h"
}

namespace
{
enum { GUARD = 256, CANARY = 0xFB };

struct memory {
    std::mutex lock;
    std::map<const unsigned char *, size_t> block;
};

memory &all()
{
    static memory *m = new memory; /* never destroyed: packs may be freed by exit handlers */
    return *m;
}

void check_guards(const unsigned char *p, size_t bytes)
{
    for (size_t i = 0; i < GUARD; i++)
        if (p[bytes + i] != CANARY || p[-1 - (ptrdiff_t)i] != CANARY)
            emu::fail("a write %s device memory of %zu bytes",
                      p[bytes + i] != CANARY ? "behind the end of" : "before", bytes);
}
} // namespace

struct CUstream_st {
    std::deque<std::function<void()>> queue;
    size_t done = 0; /* calls that ran, for events */
};
struct CUevent_st {
    CUstream_st *stream = nullptr;
    size_t at = 0;
};

namespace
{
std::mutex streams_lock;
std::set<CUstream_st *> streams;

void run_until(CUstream_st *s, size_t at)
{
    {
        std::lock_guard<std::mutex> g(streams_lock);
        if (!streams.count(s))
            return; /* an event of a stream that is gone: it was drained */
    }
    while (s->done < at && !s->queue.empty()) {
        std::function<void()> f = std::move(s->queue.front());
        s->queue.pop_front();
        s->done++;
        f();
    }
}
} // namespace

void emu::fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("cuda emulation: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    abort();
}

void emu::check_device(const void *p, const char *what)
{
    std::lock_guard<std::mutex> g(all().lock);
    auto i = all().block.upper_bound((const unsigned char *)p);
    if (i != all().block.begin()) {
        --i;
        if ((const unsigned char *)p <= i->first + i->second)
            return;
    }
    fail("%s gets a pointer that is no device memory", what);
}

void emu::enqueue(cudaStream_t s, std::function<void()> f)
{
    s->queue.push_back(std::move(f));
}

extern "C" {

cudaError_t cudaGetDeviceCount(int *n)
{
    *n = 1;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device)
{
    if (device != 0)
        return cudaErrorInvalidDevice;
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "emulated on the processor");
    p->major = 8;
    p->multiProcessorCount = 1;
    p->totalGlobalMem = (size_t)4 << 30;
    p->sharedMemPerBlockOptin = 99 << 10;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
    return device ? cudaErrorInvalidDevice : cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free, size_t *total)
{
    *total = (size_t)4 << 30;
    *free = *total;
    return cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t e)
{
    switch (e) {
    case cudaSuccess:
        return "no error";
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorNoDevice:
        return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice:
        return "invalid device ordinal";
    default:
        return "invalid argument";
    }
}

cudaError_t cudaGetLastError(void)
{
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags)
{
    (void)flags;
    *s = new CUstream_st;
    std::lock_guard<std::mutex> g(streams_lock);
    streams.insert(*s);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    run_until(s, SIZE_MAX);
    std::lock_guard<std::mutex> g(streams_lock);
    streams.erase(s);
    delete s;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    run_until(s, SIZE_MAX);
    std::lock_guard<std::mutex> g(all().lock);
    for (const auto &b : all().block)
        check_guards(b.first, b.second);
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned flags)
{
    (void)flags;
    *e = new CUevent_st;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    e->stream = s;
    e->at = s->done + s->queue.size();
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned flags)
{
    (void)flags;
    CUevent_st now = *e;
    emu::enqueue(s, [now] {
        if (now.stream)
            run_until(now.stream, now.at);
    });
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    if (e->stream)
        run_until(e->stream, e->at);
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    delete e;
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **p, size_t bytes)
{
    *p = nullptr;
    unsigned char *base =
        (unsigned char *)mem_aligned((GUARD + bytes + GUARD + 255) / 256 * 256, 256);
    if (!base)
        return cudaErrorMemoryAllocation;
    memset(base, CANARY, GUARD + bytes + GUARD);
    memset(base + GUARD, 0xFF, bytes);
    std::lock_guard<std::mutex> g(all().lock);
    all().block[base + GUARD] = bytes;
    *p = base + GUARD;
    return cudaSuccess;
}

cudaError_t cudaFree(void *p)
{
    if (!p)
        return cudaSuccess;
    std::lock_guard<std::mutex> g(all().lock);
    auto i = all().block.find((unsigned char *)p);
    if (i == all().block.end())
        emu::fail("cudaFree gets what cudaMalloc has not given");
    check_guards(i->first, i->second);
    all().block.erase(i);
    mem_free((unsigned char *)p - GUARD);
    return cudaSuccess;
}

cudaError_t cudaMallocAsync(void **p, size_t bytes, cudaStream_t s)
{
    (void)s;
    return cudaMalloc(p, bytes);
}

cudaError_t cudaFreeAsync(void *p, cudaStream_t s)
{
    emu::enqueue(s, [p] { cudaFree(p); });
    return cudaSuccess;
}

/* Pageable host memory, as the driver has it: what goes up is read before the call returns, and
 * what comes down makes the call wait. */
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t s)
{
    if (bytes == 0)
        return cudaSuccess;
    if (kind != cudaMemcpyDeviceToHost)
        emu::check_device((char *)to + bytes, "a copy's destination");
    if (kind != cudaMemcpyHostToDevice)
        emu::check_device((const char *)from + bytes, "a copy's source");
    if (kind == cudaMemcpyHostToDevice) {
        void *copy = malloc(bytes);
        if (!copy)
            return cudaErrorMemoryAllocation;
        memcpy(copy, from, bytes);
        emu::enqueue(s, [=] {
            memcpy(to, copy, bytes);
            free(copy);
        });
        return cudaSuccess;
    }
    emu::enqueue(s, [=] { memcpy(to, from, bytes); });
    if (kind == cudaMemcpyDeviceToHost)
        run_until(s, SIZE_MAX);
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t s)
{
    emu::check_device((char *)p + bytes, "a memset");
    emu::enqueue(s, [=] { memset(p, value, bytes); });
    return cudaSuccess;
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *pool, int device)
{
    *pool = nullptr;
    return device ? cudaErrorInvalidDevice : cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, enum cudaMemPoolAttr attr, void *value)
{
    (void)pool;
    (void)attr;
    (void)value;
    return cudaSuccess;
}
}
