#include "tests/fuzz/folder.h"
#include "core/file.h"
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64];

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *f)
{
    (void)st;
    (void)kind;
    (void)f;
    return remove(path);
}

static void remove_folder(void)
{
    nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

const char *fuzz_folder(void)
{
    if (dir[0])
        return dir;
    snprintf(dir, sizeof dir, "%s/eidetic-fuzz-%ld",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (long)getpid());
    if (file_make_dirs(dir, NULL))
        abort();
    atexit(remove_folder);
    return dir;
}

static void path_of(char path[160], const char *name)
{
    snprintf(path, 160, "%s/%s", fuzz_folder(), name);
}

void fuzz_folder_put(const char *name, const void *data, size_t n)
{
    char path[160];
    path_of(path, name);
    unlink(path);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f))
        abort();
}

void fuzz_folder_put_all(const char *const *names, size_t count, const char *s, size_t n)
{
    for (size_t i = 0; i < count; i++) {
        const char *end = memchr(s, 0, n);
        size_t part = end ? (size_t)(end - s) : n;
        char path[160];
        path_of(path, names[i]);
        unlink(path);
        if (part || !i)
            fuzz_folder_put(names[i], s, part);
        s += end ? part + 1 : part;
        n -= end ? part + 1 : part;
    }
}
