/* dlopen without a handle to keep: the library stays loaded for good, so that its own threads and
 * tables never dangle. */
#include "core/library.h"
#include <dlfcn.h>
#include <string.h>

bool library_open(void *calls, const char *soname, const char *const *names, size_t n)
{
    void *handle = dlopen(soname, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
    char *to = calls;
    for (size_t i = 0; handle && i < n; i++) {
        void *f = dlsym(handle, names[i]);
        if (!f)
            return false;
        memcpy(to + i * sizeof f, &f, sizeof f); /* POSIX: a function fits a void * */
    }
    return handle != NULL;
}
