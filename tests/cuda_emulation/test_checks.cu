/* That the emulation finds what hardware would punish: each case runs in a process of its own,
 * which must say the sentence and abort, or give what hardware would give. */
#include "cuda_emulation/mma.cuh"
#include <cstdio>
#include <cstdlib>
#include <sys/wait.h>
#include <unistd.h>

extern "C" {
#include "nn/ops.h"
#include "nn/packs.h"
}

static int failures;

static void check(bool ok, const char *what)
{
    printf("%s: %s\n", ok ? "ok" : "FAILED", what);
    failures += !ok;
}

/* Runs f in a child; whether it aborted and wrote `text`. */
static bool aborts(void (*f)(), const char *text)
{
    int end[2], status = 0;
    char said[512] = "";
    if (pipe(end))
        return false;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dup2(end[1], 2);
        f();
        _exit(0);
    }
    close(end[1]);
    size_t n = 0;
    for (ssize_t k; (k = read(end[0], said + n, sizeof said - 1 - n)) > 0;)
        n += (size_t)k;
    close(end[0]);
    waitpid(child, &status, 0);
    bool ended = WIFSIGNALED(status) ? WTERMSIG(status) == SIGABRT : WEXITSTATUS(status) != 0;
    bool ok = ended && strstr(said, text);
    if (!ok)
        printf("  said: %s\n", said);
    return ok;
}

static cudaStream_t stream()
{
    cudaStream_t s;
    cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking);
    return s;
}

static float *device(size_t n)
{
    void *p;
    cudaMalloc(&p, n * sizeof(float));
    return (float *)p;
}

__global__ void fill(float *y, int n, float v)
{
    if ((int)threadIdx.x < n)
        y[threadIdx.x] = v;
}

__global__ void half_wait(float *y)
{
    if (threadIdx.x < 16)
        __syncthreads();
    y[threadIdx.x] = 1;
}

__global__ void two_places(float *y)
{
    if (threadIdx.x < 16)
        __syncthreads();
    else
        __syncthreads();
    y[threadIdx.x] = 1;
}

__global__ void lonely_shuffle(float *y)
{
    if (threadIdx.x < 16)
        y[threadIdx.x] = __shfl_xor_sync(0xFFFFFFFFu, 1.0f, 1);
}

__global__ void off_by_one(float *y)
{
    float4 v = cuda_load<float4>(y + 1);
    y[0] = v.x;
}

/* Thread i takes what its neighbour wrote, with and without a barrier between. */
template <bool BARRIER> __global__ void neighbour(float *y)
{
    CUDA_SHARED(float, s, 64);
    s[threadIdx.x] = (float)threadIdx.x;
    if (BARRIER)
        __syncthreads();
    y[threadIdx.x] = s[(threadIdx.x + 1) % 64];
}

__global__ void behind_shared(float *y)
{
    CUDA_DYNAMIC_SHARED(float, s);
    s[threadIdx.x + 1] = 1;
    y[threadIdx.x] = 1;
}

template <bool WAIT> __global__ void async_copy(float *y, const float *x)
{
    CUDA_SHARED(float, s, 4);
    cp_async16(s, x, 16);
    cp_async_commit();
    if (WAIT)
        cp_async_wait<0>();
    y[0] = s[0];
    cp_async_wait<0>();
}

/* d = a . b with a[i][k] = i + k / 16, b[k][j] = j - k / 8 in bf16, by ldmatrix and mma. */
__global__ void product(float *y, const uint16_t *a, const uint16_t *b)
{
    int lane = threadIdx.x;
    uint32_t fa[4], fb[4];
    float d[4] = {0, 0, 0, 0};
    ldmatrix_x4(fa, a + (lane % 16) * 16 + lane / 16 * 8);
    ldmatrix_x4_trans(fb, b + (lane % 16) * 8);
    mma_bf16(d, fa, fb);
    for (int i = 0; i < 4; i++)
        y[(lane / 4 + 8 * (i / 2)) * 8 + lane % 4 * 2 + i % 2] = d[i];
}

static void run_write_behind()
{
    float *y = device(3);
    cudaStream_t s = stream();
    CUDA_LAUNCH(fill, 1, 32, 0, s, y, 4, 1.0f);
    cudaStreamSynchronize(s);
}
#if defined(__SANITIZE_ADDRESS__)
static const char behind[] = "use-after-poison"; /* where it happens */
#else
static const char behind[] = "behind the end of device memory";
#endif
static void run_host_pointer()
{
    float y[32];
    CUDA_LAUNCH(fill, 1, 32, 0, stream(), y, 32, 1.0f);
}
template <void (*K)(float *), size_t SHARED> static void run_kernel()
{
    cudaStream_t s = stream();
    CUDA_LAUNCH(K, 1, 32, SHARED, s, device(32));
    cudaStreamSynchronize(s);
}

static void check_race(bool barrier)
{
    cudaStream_t s = stream();
    float *y = device(64), got[64];
    bool right = true;
    for (int run = 0; run < 3; run++) {
        if (barrier)
            CUDA_LAUNCH(neighbour<true>, 1, 64, 0, s, y);
        else
            CUDA_LAUNCH(neighbour<false>, 1, 64, 0, s, y);
        cudaMemcpyAsync(got, y, sizeof got, cudaMemcpyDeviceToHost, s);
        for (int i = 0; i < 64; i++)
            right &= got[i] == (float)((i + 1) % 64);
    }
    check(right == barrier, barrier ? "a barrier orders neighbours" : "without it they race");
}

static void check_streams()
{
    cudaStream_t a = stream(), b = stream();
    cudaEvent_t e;
    float *y = device(32), got = 0;
    CUDA_LAUNCH(fill, 1, 32, 0, a, y, 32, 5.0f);
    cudaEventCreateWithFlags(&e, cudaEventDisableTiming);
    cudaEventRecord(e, a);
    cudaMemcpyAsync(&got, y, sizeof got, cudaMemcpyDeviceToHost, b);
    check(got != 5.0f, "a stream that does not wait for the other sees old memory");
    cudaStreamWaitEvent(b, e, 0);
    cudaMemcpyAsync(&got, y, sizeof got, cudaMemcpyDeviceToHost, b);
    check(got == 5.0f, "one that waits for its event sees the new");
}

/* What lies in pinned memory goes up when the stream gets there: who changes it before sees that.
 */
static void check_pinned()
{
    cudaStream_t s = stream();
    void *pinned;
    float *y = device(1), got = 0;
    cudaMallocHost(&pinned, sizeof got);
    *(float *)pinned = 5;
    cudaMemcpyAsync(y, pinned, sizeof got, cudaMemcpyHostToDevice, s);
    *(float *)pinned = 6;
    cudaMemcpyAsync(&got, y, sizeof got, cudaMemcpyDeviceToHost, s);
    check(got == 6.0f, "pinned memory that is changed too early goes up changed");
    cudaMemcpyAsync(pinned, y, sizeof got, cudaMemcpyDeviceToHost, s);
    *(float *)pinned = 7;
    check(*(float *)pinned == 7.0f, "what is read before the wait is old");
    cudaStreamSynchronize(s);
    check(*(float *)pinned == 6.0f, "after it, new");
    cudaFreeHost(pinned);
}

static void run_record_of_a_copy()
{
    cudaStream_t s = stream();
    float up = 1;
    float *y = device(1);
    cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed);
    cudaMemcpyAsync(y, &up, sizeof up, cudaMemcpyHostToDevice, s);
}

/* A record runs when it is launched, each time with its own memory as new. */
static void check_graph()
{
    cudaStream_t s = stream();
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    void *own;
    float *y = device(32), got[2] = {0, 0};
    CUDA_LAUNCH(fill, 1, 32, 0, s, y, 32, 1.0f);
    cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed);
    cudaMallocAsync(&own, 128, s);
    CUDA_LAUNCH(fill, 1, 32, 0, s, y, 32, 2.0f);
    check(cudaStreamSynchronize(s) == cudaErrorStreamCaptureUnsupported, "no waiting in a record");
    cudaStreamEndCapture(s, &graph);
    check(graph == nullptr, "which is lost by it");
    cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed);
    cudaMallocAsync(&own, 128, s);
    CUDA_LAUNCH(fill, 1, 32, 0, s, (float *)own, 32, 3.0f);
    CUDA_LAUNCH(neighbour<true>, 1, 64, 0, s, device(64));
    cudaMemcpyAsync(y, own, 128, cudaMemcpyDeviceToDevice, s);
    cudaFreeAsync(own, s);
    cudaStreamEndCapture(s, &graph);
    cudaGraphInstantiateWithFlags(&exec, graph, 0);
    cudaMemcpyAsync(&got[0], y, sizeof got[0], cudaMemcpyDeviceToHost, s);
    cudaGraphLaunch(exec, s);
    cudaMemcpyAsync(&got[1], y, sizeof got[1], cudaMemcpyDeviceToHost, s);
    check(got[0] == 1.0f && got[1] == 3.0f, "a record runs when it is launched, not before");
    cudaGraphLaunch(exec, s);
    cudaStreamSynchronize(s);
    cudaGraphExecDestroy(exec);
    cudaGraphDestroy(graph);
}

static void check_async()
{
    cudaStream_t s = stream();
    float *y = device(4), *x = device(4), got[2], up[4] = {7, 7, 7, 7};
    cudaMemcpyAsync(x, up, sizeof up, cudaMemcpyHostToDevice, s);
    CUDA_LAUNCH(async_copy<false>, 1, 1, 0, s, y, x);
    cudaMemcpyAsync(&got[0], y, 4, cudaMemcpyDeviceToHost, s);
    CUDA_LAUNCH(async_copy<true>, 1, 1, 0, s, y, x);
    cudaMemcpyAsync(&got[1], y, 4, cudaMemcpyDeviceToHost, s);
    check(got[0] != 7 && got[1] == 7, "cp.async's bytes are there after its wait, not before");
}

static void check_product()
{
    cudaStream_t s = stream();
    uint16_t a[256], b[128];
    float *y = device(128), got[128];
    bool right = true;
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 16; k++)
            a[i * 16 + k] = f32_to_bf16((float)i + (float)k / 16);
    for (int k = 0; k < 16; k++)
        for (int j = 0; j < 8; j++)
            b[k * 8 + j] = f32_to_bf16((float)j - (float)k / 8);
    void *da = device(128), *db = device(64);
    cudaMemcpyAsync(da, a, sizeof a, cudaMemcpyHostToDevice, s);
    cudaMemcpyAsync(db, b, sizeof b, cudaMemcpyHostToDevice, s);
    CUDA_LAUNCH(product, 1, 32, 0, s, y, (const uint16_t *)da, (const uint16_t *)db);
    cudaMemcpyAsync(got, y, sizeof got, cudaMemcpyDeviceToHost, s);
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 8; j++) {
            float sum = 0;
            for (int k = 0; k < 16; k++)
                sum += bf16_to_f32(a[i * 16 + k]) * bf16_to_f32(b[k * 8 + j]);
            right &= fabsf(got[i * 8 + j] - sum) < 1e-3f;
        }
    check(right, "ldmatrix and mma.m16n8k16 multiply");
}

/* A convolution in 16 bits goes to cuDNN, one that goes round a picture's edges does not. */
static void check_dnn()
{
    static float values[4096];
    const int64_t dx[4] = {1, 6, 7, 8}, dw[4] = {5, 3, 3, 8}, dy[4] = {1, 6, 7, 5}, five = 5;
    struct backend *be = nullptr;
    struct error err;
    bool right = backend_open(&be, "cuda:emulated/f16", 1, &err) == ST_OK;
    struct tensor x = tensor_view(values, DT_F32, 4, dx);
    struct tensor w = tensor_view(values + 400, DT_F32, 4, dw);
    struct tensor b = tensor_view(values + 800, DT_F32, 1, &five);
    struct tensor y = tensor_view(values + 900, DT_F32, 4, dy);
    struct conv_opts o = {};
    o.stride = o.pad_top = o.pad_left = o.pad_bottom = o.pad_right = 1;
    w.use = TENSOR_WEIGHT;
    w.packs = packs_new();
    for (int circular = 0; circular < 2 && right; circular++) {
        int before = emu::convolutions;
        o.circular = circular != 0;
        op_conv2d(be, &y, &x, &w, &b, &o);
        right = backend_sync(be, &err) == ST_OK && emu::convolutions - before == 1 - circular;
    }
    check(right, "convolutions go to cuDNN, but for circular ones");
    packs_free(w.packs);
    backend_close(be);
}

int main()
{
    check(aborts(run_write_behind, behind), "a write behind the end");
    check(aborts(run_host_pointer, "no device memory"), "a host pointer");
    check(aborts(run_kernel<half_wait, 0>, "divergent __syncthreads"), "half a block waits");
    check(aborts(run_kernel<two_places, 0>, "divergent __syncthreads"), "it waits in two places");
    check(aborts(run_kernel<lonely_shuffle, 0>, "a lane that does not come"), "half a warp");
    check(aborts(run_kernel<off_by_one, 0>, "not aligned"), "a misaligned vector load");
    check(aborts(run_kernel<behind_shared, 128>, "dynamic shared memory"), "behind shared memory");
    check_race(true);
    check_race(false);
    check(aborts(run_record_of_a_copy, "a copy between host and device is recorded"),
          "a record of a copy from the host");
    check_streams();
    check_pinned();
    check_graph();
    check_async();
    check_product();
    check_dnn();
    fflush(stdout);
    _exit(failures > 0); /* streams and memory of the checks are left as they are */
}
