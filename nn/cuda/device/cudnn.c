/* cuDNN, loaded at the first convolution that may use it; where it is not found, its functions say
 * so. Each looks itself up under its own name. */
#include "nn/cuda/dnn.h"
#include <dlfcn.h>
#include <pthread.h>

static void *library;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void)
{
    library = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        library = dlopen(CUDNN_FILE, RTLD_NOW | RTLD_LOCAL); /* as the build found it */
}

static void *find(const char *name)
{
    pthread_once(&once, load);
    return library ? dlsym(library, name) : NULL;
}

#define FORWARD(name, parameters, arguments)                                                       \
    cudnnStatus_t name parameters                                                                  \
    {                                                                                              \
        __typeof__(&name) f = (__typeof__(&name))find(#name);                                      \
        return f ? f arguments : CUDNN_STATUS_NOT_INITIALIZED;                                     \
    }

FORWARD(cudnnCreate, (cudnnHandle_t * handle), (handle))
FORWARD(cudnnDestroy, (cudnnHandle_t handle), (handle))
FORWARD(cudnnSetStream, (cudnnHandle_t handle, struct CUstream_st *stream), (handle, stream))
FORWARD(cudnnBackendCreateDescriptor,
        (cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *d), (type, d))
FORWARD(cudnnBackendDestroyDescriptor, (cudnnBackendDescriptor_t d), (d))
FORWARD(cudnnBackendFinalize, (cudnnBackendDescriptor_t d), (d))
FORWARD(cudnnBackendSetAttribute,
        (cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
         cudnnBackendAttributeType_t type, int64_t n, const void *values),
        (d, name, type, n, values))
FORWARD(cudnnBackendGetAttribute,
        (cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
         cudnnBackendAttributeType_t type, int64_t most, int64_t *n, void *values),
        (d, name, type, most, n, values))
FORWARD(cudnnBackendExecute,
        (cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack),
        (handle, plan, pack))
