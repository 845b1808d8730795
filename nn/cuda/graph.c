/* What backend_repeat runs: at first as it comes, which packs weights and lets arenas grow; at the
 * second call recorded as a CUDA graph; then replayed. Surprising: addresses are part of a record,
 * so that one made before an arena got other blocks, or before weights went, is made again; and
 * temporaries are allocated and freed within the graph. A record that does not come about costs
 * nothing but time: f runs again, as it comes. */
#include "core/arena.h"
#include "core/mem.h"
#include "nn/cuda/cuda_int.h"
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <string.h>

static void drop(struct cuda_graph *g)
{
    if (g->exec)
        cudaGraphExecDestroy(g->exec);
    for (int i = 0; i < g->constants; i++)
        cudaFree(g->constant[i]);
    for (int i = 0; i < g->packs; i++)
        cuda_pack_release(g->pack[i]);
    mem_free(g->constant);
    mem_free(g->pack);
    g->exec = NULL;
    g->constant = NULL;
    g->pack = NULL;
    g->constants = g->packs = 0;
}

bool cuda_remember(struct cuda_op *o, struct cuda_pack *k)
{
    struct cuda_graph *g = o->c->recording;
    struct cuda_pack **all = mem_realloc_array(g->pack, (size_t)g->packs + 1, sizeof(void *));
    if (!all) {
        cuda_refuse(o);
        return false;
    }
    g->pack = all;
    cuda_pack_keep(k);
    g->pack[g->packs++] = k;
    return true;
}

static bool weights_are_gone(const struct cuda_graph *g)
{
    bool gone = false;
    for (int i = 0; i < g->packs; i++)
        gone |= cuda_pack_is_gone(g->pack[i]);
    return gone;
}

void cuda_forget_graphs(struct cuda *c)
{
    int n = c->graphs < CUDA_GRAPHS ? c->graphs : CUDA_GRAPHS;
    for (int i = 0; i < n; i++)
        drop(&c->graph[i]);
    c->graphs = 0;
}

void cuda_refuse(struct cuda_op *o)
{
    o->c->refused = true;
    o->ok = false;
}

/* By the copy stream, since the other one runs nothing now. */
const void *cuda_constant(struct cuda_op *o, const void *host, size_t bytes)
{
    struct cuda_graph *g = o->c->recording;
    void *p = NULL;
    void **all =
        o->ok ? mem_realloc_array(g->constant, (size_t)g->constants + 1, sizeof *all) : NULL;
    if (all)
        g->constant = all;
    cudaError_t e = all ? cudaMalloc(&p, bytes ? bytes : 1) : cudaErrorMemoryAllocation;
    if (!e) {
        g->constant[g->constants++] = p;
        e = cudaMemcpyAsync(p, host, bytes, cudaMemcpyHostToDevice, o->c->copy);
    }
    if (!e)
        e = cudaStreamSynchronize(o->c->copy);
    if (!e)
        return p;
    cudaGetLastError();
    cuda_refuse(o);
    return NULL;
}

static struct cuda_graph *find(struct cuda *c, const char *key)
{
    int n = c->graphs < CUDA_GRAPHS ? c->graphs : CUDA_GRAPHS;
    for (int i = 0; i < n; i++)
        if (strcmp(c->graph[i].key, key) == 0)
            return &c->graph[i];
    return NULL;
}

static void add(struct cuda *c, const char *key)
{
    struct cuda_graph *g = &c->graph[c->graphs++ % CUDA_GRAPHS];
    if (g->exec)
        cudaStreamSynchronize(c->stream); /* it may be running */
    drop(g);
    *g = (struct cuda_graph){0};
    snprintf(g->key, sizeof g->key, "%s", key);
}

/* Records f into g->exec, or leaves that NULL. */
static enum status record(struct cuda *c, struct cuda_graph *g, enum status (*f)(void *ctx),
                          void *ctx)
{
    cudaGraph_t graph = NULL;
    unsigned era = c->era;
    if (cudaStreamBeginCapture(c->stream, cudaStreamCaptureModeRelaxed)) {
        cudaGetLastError();
        g->never = true;
        return ST_OK;
    }
    c->recording = g;
    c->refused = false;
    enum status st = f(ctx);
    cudaError_t e = cudaStreamEndCapture(c->stream, &graph);
    c->recording = NULL;
    g->never = c->refused && c->era == era;
    if (!e && !st && !c->refused && c->era == era)
        e = cudaGraphInstantiateWithFlags(&g->exec, graph, 0);
    c->refused = false;
    if (e) {
        g->never = true;
        g->exec = NULL;
        cudaGetLastError();
    }
    if (graph)
        cudaGraphDestroy(graph);
    if (!g->exec)
        drop(g);
    g->era = c->era;
    return st;
}

static bool replay(struct cuda *c, struct cuda_graph *g)
{
    cudaError_t e = cudaGraphLaunch(g->exec, c->stream);
    if (!e)
        return true;
    cudaGetLastError();
    drop(g);
    g->never = true; /* a device without room for a graph's temporaries may have it for an op's */
    return false;
}

enum status cuda_repeat(struct backend *be, struct arena *a, const char *key,
                        enum status (*f)(void *ctx), void *ctx)
{
    struct cuda *c = (struct cuda *)be;
    size_t mark = arena_mark(a);
    struct cuda_graph *g = find(c, key);
    if (c->low || c->recording || cudaSetDevice(c->device))
        return f(ctx);
    if (!g) {
        add(c, key);
        return f(ctx);
    }
    if (g->exec && (g->era != c->era || weights_are_gone(g))) {
        bool gone = weights_are_gone(g);
        cudaStreamSynchronize(c->stream);
        drop(g);
        if (gone) /* others are packed first */
            return f(ctx);
    }
    enum status st = ST_OK;
    if (!g->exec && !g->never) {
        st = record(c, g, f, ctx);
        arena_rewind(a, mark);
    }
    if (!st && g->exec && replay(c, g))
        return ST_OK;
    return st ? st : f(ctx);
}
