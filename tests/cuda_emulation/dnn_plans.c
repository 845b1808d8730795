/* That the real cuDNN has plans for what conv_dnn.c asks for. It can be asked without a card: a
 * graph needs no handle, and a card is described to it in its own words. Exit code 77 where the
 * library is not here or takes another description.
 *
 *     dnn_plans       # the convolutions of Stable Diffusion 1.5 and of its autoencoder, on an H100
 */
#include "nn/cuda/conv_dnn.c"
#include <stdio.h>

/* Of cuDNN 9.8 and later. */
enum {
    DEVICEPROP_DESCRIPTOR = 38,
    TYPE_CHAR = 24,
    DEVICEPROP_JSON = 2702,
    HEUR_DEVICEPROP = 204,
    PLAN_DEVICEPROP = 407
};

static const char description[] =
    "{\"deviceVer\":%d,\"cudaDeviceId\":0,\"driverVer\":13000,\"totalGlobalMem\":24000000000,"
    "\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],"
    "\"regsPerBlock\":65536,\"multiProcessorCount\":%d,\"warpSize\":32,"
    "\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":%d,"
    "\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":65536,\"maxCtasPerSM\":16,"
    "\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":1024,\"pciDeviceId\":0,\"isTccDriver\":0,"
    "\"supportCoopLaunch\":1,\"smClockRateKHz\":1700000,\"memClockRateKHz\":2000000,"
    "\"l2CacheSize\":%d,\"deviceName\":\"a card\"}";

static const struct {
    const char *name;
    int version, processors, shared, cache;
} cards[] = {{"T4", 750, 40, 65536, 4 << 20},
             {"A100", 800, 108, 166912, 40 << 20},
             {"RTX 4090", 890, 128, 101376, 72 << 20},
             {"H100", 900, 132, 232448, 50 << 20}};

/* Never called here: nothing runs. */
void cuda_refuse(struct cuda_op *o)
{
    o->ok = false;
}
void cuda_fail(struct cuda_op *o, int error, size_t bytes)
{
    (void)error;
    (void)bytes;
    o->ok = false;
}
cudaError_t cudaMallocAsync(void **p, size_t bytes, cudaStream_t s)
{
    (void)bytes;
    (void)s;
    *p = NULL;
    return cudaErrorMemoryAllocation;
}
cudaError_t cudaGetLastError(void)
{
    return cudaSuccess;
}
int cuda_run_conv_end(struct CUstream_st *s, const struct cuda_conv *a, const void *sum)
{
    (void)s;
    (void)a;
    return sum ? 1 : 0;
}

/* Engines that have a plan for the shape; -1: the graph is wrong. */
static int engines(cudnnBackendDescriptor_t card, const struct cuda_conv *a)
{
    struct making m = {0};
    cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    int64_t n = 0;
    int plans = 0;
    cudnnBackendDescriptor_t op = convolution(&m, a);
    cudnnBackendDescriptor_t g = part_new(&m, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    set_part(&m, g, CUDNN_ATTR_OPERATIONGRAPH_OPS, op);
    finish(&m, g);
    cudnnBackendDescriptor_t d = part_new(&m, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    set_part(&m, d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, g);
    set(&m, d, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    set_part(&m, d, (cudnnBackendAttributeName_t)HEUR_DEVICEPROP, card);
    finish(&m, d);
    cudnnBackendDescriptor_t *config = m.part + m.parts;
    for (int i = 0; i < CONFIGS && !m.status; i++)
        part_new(&m, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    if (!m.status)
        m.status = cudnnBackendGetAttribute(d, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                            CUDNN_TYPE_BACKEND_DESCRIPTOR, CONFIGS, &n, config);
    for (int i = 0; i < n && i < CONFIGS && !m.status; i++) {
        struct making own = {0};
        cudnnBackendDescriptor_t p = part_new(&own, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
        set_part(&own, p, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config[i]);
        set_part(&own, p, (cudnnBackendAttributeName_t)PLAN_DEVICEPROP, card);
        finish(&own, p);
        plans += !own.status;
        making_release(&own);
    }
    int status = (int)m.status;
    making_release(&m);
    return status ? -1 : plans;
}

/* NULL: the library is not here, or takes another description. */
static cudnnBackendDescriptor_t describe(int i)
{
    char text[1024];
    cudnnBackendDescriptor_t d = NULL;
    int n = snprintf(text, sizeof text, description, cards[i].version, cards[i].processors,
                     cards[i].shared, cards[i].cache);
    if (cudnnBackendCreateDescriptor((cudnnBackendDescriptorType_t)DEVICEPROP_DESCRIPTOR, &d))
        return NULL;
    if (!cudnnBackendSetAttribute(d, (cudnnBackendAttributeName_t)DEVICEPROP_JSON,
                                  (cudnnBackendAttributeType_t)TYPE_CHAR, n + 1, text) &&
        !cudnnBackendFinalize(d))
        return d;
    cudnnBackendDestroyDescriptor(d);
    return NULL;
}

int main(void)
{
    static const int shapes[][6] = {
        /* b side c n k stride */
        {2, 64, 320, 320, 3, 1},   {2, 64, 320, 320, 3, 2},  {2, 32, 640, 640, 3, 1},
        {2, 16, 1280, 1280, 3, 1}, {2, 8, 2560, 1280, 3, 1}, {1, 64, 512, 512, 3, 1},
        {1, 512, 128, 128, 3, 1},  {1, 512, 256, 128, 3, 1}, {1, 224, 8, 768, 16, 16}};
    const int count = 2 * (int)(sizeof shapes / sizeof *shapes);
    int bad = 0;
    for (int k = 0; k < (int)(sizeof cards / sizeof *cards); k++) {
        cudnnBackendDescriptor_t card = describe(k);
        if (!card) {
            puts("NOT CHECKED: cuDNN's plans. It is not here, or describes cards in other words.");
            return 77;
        }
        for (int i = 0; i < count; i++) {
            const int *s = shapes[i / 2], pad = s[5] == 16 ? 0 : 1;
            struct cuda_conv a = {.b = s[0], .h = s[1], .width = s[1], .c = s[2], .n = s[3]};
            a.kh = a.kw = s[4];
            a.ho = a.wo = (s[1] + 2 * pad - s[4]) / s[5] + 1;
            a.stride = s[5];
            a.top = a.left = pad;
            a.f16 = i % 2;
            int n = engines(card, &a);
            printf("%s, %s, %d x %d x %d x %d to %d, %d x %d by %d: %d engines\n", cards[k].name,
                   a.f16 ? "f16" : "bf16", a.b, a.h, a.width, a.c, a.n, a.kh, a.kw, a.stride, n);
            bad += n < 0 || (n == 0 && (a.f16 || cards[k].version >= 800)); /* bf16 begins there */
        }
        cudnnBackendDestroyDescriptor(card);
    }
    return bad ? 1 : 0;
}
