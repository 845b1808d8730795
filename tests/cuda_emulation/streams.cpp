/* Streams, events and graphs of the emulation. A stream's calls run when something waits for them;
 * with EIDETIC_EMULATED_STREAMS=early every second stream (a backend's copies) runs its calls at
 * once instead, so that both what reads too early and what writes too early is seen. */
#include "cuda_emulation/emulation.cuh"
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

typedef std::vector<std::function<void()>> calls;

struct CUgraph_st {
    calls recorded;
    std::vector<void *> blocks; /* memory that the graph allocates, at the same place each time */
    bool broken = false;
};
struct CUgraphExec_st {
    std::shared_ptr<CUgraph_st> graph;
};
struct CUstream_st {
    std::deque<std::function<void()>> queue;
    size_t done = 0; /* calls that ran, for events */
    bool early = false;
    CUgraph_st *capture = nullptr;
};
struct CUevent_st {
    CUstream_st *stream = nullptr;
    size_t at = 0;
};

namespace
{
std::mutex streams_lock;
std::set<CUstream_st *> streams;
unsigned streams_made;

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

void free_blocks(CUgraph_st *g)
{
    for (void *p : g->blocks)
        cudaFree(p);
    delete g;
}
} // namespace

void emu::enqueue(cudaStream_t s, std::function<void()> f)
{
    if (s->capture) {
        s->capture->recorded.push_back(std::move(f));
        return;
    }
    s->queue.push_back(std::move(f));
    if (s->early)
        run_until(s, SIZE_MAX);
}

void emu::run_all(cudaStream_t s)
{
    run_until(s, SIZE_MAX);
}

bool emu::capturing(cudaStream_t s)
{
    return s->capture != nullptr;
}

cudaError_t emu::capture_alloc(void **p, size_t bytes, cudaStream_t s)
{
    cudaError_t e = cudaMalloc(p, bytes);
    if (e)
        return e;
    void *block = *p;
    s->capture->blocks.push_back(block);
    return cudaSuccess;
}

/* Whoever reads it after its end, or in the next replay before it is written, finds NaN. */
cudaError_t emu::capture_free(void *p, cudaStream_t s)
{
    bool own = false;
    for (void *b : s->capture->blocks)
        own |= b == p;
    if (!own)
        fail("a record frees memory that it has not allocated");
    enqueue(s, [p] { emu::check_guards(p, true); });
    return cudaSuccess;
}

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags)
{
    const char *order = getenv("EIDETIC_EMULATED_STREAMS");
    (void)flags;
    *s = new CUstream_st;
    std::lock_guard<std::mutex> g(streams_lock);
    (*s)->early = streams_made++ % 2 == 1 && order && strcmp(order, "early") == 0;
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
    if (s->capture) {
        s->capture->broken = true;
        return cudaErrorStreamCaptureUnsupported;
    }
    run_until(s, SIZE_MAX);
    emu::check_guards(nullptr, false);
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
    if (s->capture)
        emu::fail("an event is recorded within a graph");
    e->stream = s;
    e->at = s->done + s->queue.size();
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned flags)
{
    (void)flags;
    CUevent_st now = *e;
    if (s->capture)
        emu::fail("a graph waits for an event of another stream");
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

cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode mode)
{
    if (s->capture || mode != cudaStreamCaptureModeRelaxed)
        return cudaErrorInvalidValue;
    s->capture = new CUgraph_st;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *graph)
{
    CUgraph_st *g = s->capture;
    *graph = nullptr;
    if (!g)
        return cudaErrorInvalidValue;
    s->capture = nullptr;
    if (g->broken) {
        free_blocks(g);
        return cudaErrorStreamCaptureInvalidated;
    }
    *graph = g;
    return cudaSuccess;
}

/* Takes what was recorded out of the graph, memory included. */
cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *exec, cudaGraph_t graph,
                                          unsigned long long flags)
{
    (void)flags;
    CUgraph_st *own = new CUgraph_st;
    std::swap(own->recorded, graph->recorded);
    std::swap(own->blocks, graph->blocks);
    *exec = new CUgraphExec_st{std::shared_ptr<CUgraph_st>(own, free_blocks)};
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t s)
{
    std::shared_ptr<CUgraph_st> g = exec->graph;
    emu::enqueue(s, [g] {
        for (const std::function<void()> &f : g->recorded)
            f();
    });
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    free_blocks(graph);
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    delete exec;
    return cudaSuccess;
}
}
