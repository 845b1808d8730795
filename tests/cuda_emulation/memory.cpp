/* Device memory of the emulation. Every allocation lies between canaries, which are
 * looked at when it is freed and at every wait; its bytes start as NaN. */
#include "cuda_emulation/emulation.cuh"
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

extern "C" {
#include "core/mem.h"
}

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace
{
enum { GUARD = 256, CANARY = 0xFB };

struct memory {
    std::mutex lock;
    std::map<const unsigned char *, size_t> block, pinned;
    size_t used = 0, limit = (size_t)4 << 30;
    memory()
    {
        const char *mib = getenv("EIDETIC_EMULATED_MEMORY");
        if (mib)
            limit = (size_t)strtoul(mib, nullptr, 10) << 20;
    }
};

memory &all()
{
    static memory *m = new memory; /* never destroyed: packs may be freed by exit handlers */
    return *m;
}

bool is_pinned(const void *p)
{
    std::lock_guard<std::mutex> g(all().lock);
    auto i = all().pinned.upper_bound((const unsigned char *)p);
    if (i == all().pinned.begin())
        return false;
    --i;
    return (const unsigned char *)p < i->first + i->second;
}

bool has_room(size_t bytes)
{
    std::lock_guard<std::mutex> g(all().lock);
    return bytes <= all().limit - all().used;
}

/* Under AddressSanitizer a read or write of a canary ends the program where it happens. */
void hide_guards(unsigned char *p, size_t bytes, bool hide)
{
#if defined(__SANITIZE_ADDRESS__)
    if (hide) {
        __asan_poison_memory_region(p - GUARD, GUARD);
        __asan_poison_memory_region(p + bytes, GUARD);
    } else {
        __asan_unpoison_memory_region(p - GUARD, GUARD + bytes + GUARD);
    }
#else
    (void)p;
    (void)bytes;
    (void)hide;
#endif
}

#if defined(__SANITIZE_ADDRESS__)
__attribute__((no_sanitize_address))
#endif
void check_guards(const unsigned char *p, size_t bytes)
{
    for (size_t i = 0; i < GUARD; i++)
        if (p[bytes + i] != CANARY || p[-1 - (ptrdiff_t)i] != CANARY)
            emu::fail("a write %s device memory of %zu bytes",
                      p[bytes + i] != CANARY ? "behind the end of" : "before", bytes);
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

void emu::check_guards(const void *p, bool forget)
{
    std::lock_guard<std::mutex> g(all().lock);
    for (const auto &b : all().block) {
        if (p && p != b.first)
            continue;
        ::check_guards(b.first, b.second);
        if (p && forget)
            memset((void *)(uintptr_t)p, 0xFF, b.second);
    }
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
    const char *sm = getenv("EIDETIC_EMULATED_SM"); /* "75" */
    p->major = sm ? atoi(sm) / 10 : 8;
    p->multiProcessorCount = 1;
    p->totalGlobalMem = all().limit;
    p->sharedMemPerBlockOptin = 99 << 10;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
    return device ? cudaErrorInvalidDevice : cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free, size_t *total)
{
    std::lock_guard<std::mutex> g(all().lock);
    *total = all().limit;
    *free = *total - all().used;
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
    case cudaErrorStreamCaptureUnsupported:
        return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated:
        return "operation failed due to a previous error during capture";
    default:
        return "invalid argument";
    }
}

cudaError_t cudaGetLastError(void)
{
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **p, size_t bytes)
{
    *p = nullptr;
    std::lock_guard<std::mutex> g(all().lock);
    if (bytes > all().limit - all().used)
        return cudaErrorMemoryAllocation;
    unsigned char *base =
        (unsigned char *)mem_aligned((GUARD + bytes + GUARD + 255) / 256 * 256, 256);
    if (!base)
        return cudaErrorMemoryAllocation;
    memset(base, CANARY, GUARD + bytes + GUARD);
    memset(base + GUARD, 0xFF, bytes);
    hide_guards(base + GUARD, bytes, true);
    all().used += bytes;
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
    hide_guards((unsigned char *)p, i->second, false);
    all().used -= i->second;
    all().block.erase(i);
    mem_free((unsigned char *)p - GUARD);
    return cudaSuccess;
}

/* What is freed in a stream's order stays taken until the stream gets there. */
cudaError_t cudaMallocAsync(void **p, size_t bytes, cudaStream_t s)
{
    if (emu::capturing(s))
        return emu::capture_alloc(p, bytes, s);
    if (!has_room(bytes))
        emu::run_all(s);
    return cudaMalloc(p, bytes);
}

cudaError_t cudaFreeAsync(void *p, cudaStream_t s)
{
    if (emu::capturing(s))
        return emu::capture_free(p, s);
    emu::enqueue(s, [p] { cudaFree(p); });
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **p, size_t bytes)
{
    *p = mem_aligned((bytes + 255) / 256 * 256, 256);
    if (!*p)
        return cudaErrorMemoryAllocation;
    memset(*p, 0xFF, bytes);
    std::lock_guard<std::mutex> g(all().lock);
    all().pinned[(unsigned char *)*p] = bytes;
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *p)
{
    {
        std::lock_guard<std::mutex> g(all().lock);
        if (!all().pinned.erase((unsigned char *)p))
            emu::fail("cudaFreeHost gets what cudaMallocHost has not given");
    }
    mem_free(p);
    return cudaSuccess;
}

/* Pinned memory is read and written when the stream gets there. Pageable memory is as the driver
 * has it: what goes up is read before the call returns, and what comes down makes the call wait. */
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t s)
{
    if (bytes == 0)
        return cudaSuccess;
    if (kind != cudaMemcpyDeviceToHost)
        emu::check_device((char *)to + bytes, "a copy's destination");
    if (kind != cudaMemcpyHostToDevice)
        emu::check_device((const char *)from + bytes, "a copy's source");
    const void *host = kind == cudaMemcpyHostToDevice   ? from
                       : kind == cudaMemcpyDeviceToHost ? to
                                                        : nullptr;
    if (emu::capturing(s) && host)
        emu::fail("a copy between host and device is recorded; a replay would not see what the "
                  "host has then");
    if (!host || is_pinned(host)) {
        emu::enqueue(s, [=] { memcpy(to, from, bytes); });
        return cudaSuccess;
    }
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
    emu::run_all(s);
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
