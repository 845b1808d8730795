/* The list of backends. A build option (a CUDA toolkit that was found) adds a line here and
 * nowhere else. The order is that of backend_list. */
#include "nn/backend_int.h"
#include "nn/cpu/cpu_int.h"

const struct backend_kind *const backend_kinds[] = {
    &backend_cpu,
    NULL,
};
