/* Runs a fuzz target over files and folders instead of libFuzzer: the seed corpus as a test under
 * any compiler. Each input is also tried cut at every eighth of its length. */
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include <dirent.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    char *data;
    size_t size;
    struct error err;
    if (file_read_all(&data, &size, path, (size_t)64 << 20, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 0;
    }
    for (size_t i = 1; i <= 8; i++) {
        size_t n = size * i / 8;
        uint8_t *copy = mem_dup(data, n ? n : 1); /* exact size, so that a sanitizer sees the end */
        if (copy)
            LLVMFuzzerTestOneInput(copy, n);
        mem_free(copy);
    }
    mem_free(data);
    return 1;
}

int main(int argc, char **argv)
{
    int n = 0;
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        if (!d) {
            n += run_file(argv[i]);
            continue;
        }
        for (struct dirent *e; (e = readdir(d));) {
            char *path = e->d_name[0] == '.' ? NULL : path_join(argv[i], e->d_name);
            n += path ? run_file(path) : 0;
            mem_free(path);
        }
        closedir(d);
    }
    printf("%d inputs\n", n);
    return n ? 0 : 1; /* an empty corpus proves nothing */
}
