/* Runs a fuzz target over files and folders instead of libFuzzer: the seed corpus as a test under
 * any compiler. Each input is also tried cut at every eighth of its length, and changed as the
 * target's grammar would (structure.h). */
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include "tests/fuzz/structure.h"
#include <dirent.h>

#define MUTATIONS 64
#define GROWTH 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#pragma weak LLVMFuzzerCustomMutator
#pragma weak LLVMFuzzerCustomCrossOver

/* Stands in for libFuzzer's: a byte is changed, put in or taken out. */
size_t LLVMFuzzerMutate(uint8_t *d, size_t n, size_t cap)
{
    static uint32_t x = 1;
    x = x * 1664525 + 1013904223; /* Numerical Recipes */
    size_t at = n ? (x >> 8) % n : 0;
    if (x >> 30 == 0 && n && n < cap)
        memmove(d + at + 1, d + at, n++ - at);
    else if (x >> 30 == 1 && n)
        memmove(d + at, d + at + 1, --n - at);
    if (at < n)
        d[at] = (uint8_t)(x >> 4);
    return n;
}

static void run_changed(const uint8_t *data, size_t size)
{
    size_t cap = size + GROWTH;
    uint8_t *changed = LLVMFuzzerCustomMutator ? mem_alloc(cap) : NULL;
    for (unsigned seed = 0; changed && seed < MUTATIONS; seed++) {
        size_t n;
        memcpy(changed, data, size);
        if (seed % 4)
            n = LLVMFuzzerCustomMutator(changed, size, cap, seed);
        else
            n = LLVMFuzzerCustomCrossOver(data, size, data, size, changed, cap, seed);
        uint8_t *copy = n <= cap ? mem_dup(changed, n ? n : 1) : NULL;
        if (copy)
            LLVMFuzzerTestOneInput(copy, n);
        mem_free(copy);
    }
    mem_free(changed);
}

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
    run_changed((uint8_t *)data, size);
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
