/* The list of backends. A build option (a CUDA toolkit that was found) adds a line here and
 * nowhere else. The order is that of backend_list. */
#include "nn/backend_int.h"
#include "nn/cpu/cpu_int.h"

#ifdef EIDETIC_CUDA
#include "nn/cuda/cuda_int.h"
#else
static enum status no_cuda(struct backend **be, const char *variant, enum precision precision,
                           int threads, struct error *err)
{
    (void)be, (void)variant, (void)precision, (void)threads;
    return error_set(
        err, ST_DEVICE,
        "this program was built without CUDA (README.md says how it is built with it)");
}

static int no_names(const char **out, int max)
{
    (void)out, (void)max;
    return 0;
}

static const struct backend_kind backend_cuda = {
    .prefix = "cuda", .open = no_cuda, .names = no_names};
#endif

const struct backend_kind *const backend_kinds[] = {
    &backend_cpu,
    &backend_cuda,
    NULL,
};
