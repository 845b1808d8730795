/* Notes on files, one file each, named by a hash of what tells the file's state. */
#include "core/file_note.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/sha256.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* NULL where there is no cache folder or no memory. */
static char *note_path(const char *file, const char *kind)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char hex[65], *path = NULL, *absolute = path_absolute(file), *key = NULL;
    struct sha256 h;
    struct stat st;
    if (absolute && stat(file, &st) == 0)
        key = mem_printf("%s|%llu|%lld.%09ld|%llu|%llu", absolute, (unsigned long long)st.st_size,
                         (long long)st.st_mtim.tv_sec, (long)st.st_mtim.tv_nsec,
                         (unsigned long long)st.st_ino, (unsigned long long)st.st_dev);
    if (key) {
        sha256_init(&h);
        sha256_update(&h, key, strlen(key));
        sha256_hex(&h, hex);
        hex[32] = 0;
        if (xdg && xdg[0] == '/')
            path = mem_printf("%s/eidetic/%s/%s", xdg, kind, hex);
        else if (home && home[0] == '/')
            path = mem_printf("%s/.cache/eidetic/%s/%s", home, kind, hex);
    }
    mem_free(key);
    mem_free(absolute);
    return path;
}

bool file_note_get(const char *file, const char *kind, char *text, size_t size)
{
    char *path = note_path(file, kind), *data = NULL;
    size_t n = 0;
    bool got = path && file_exists(path) && !file_read_all(&data, &n, path, size - 1, NULL);
    if (got) {
        memcpy(text, data, n);
        text[n] = 0;
    }
    mem_free(data);
    mem_free(path);
    return got;
}

void file_note_put(const char *file, const char *kind, const char *text)
{
    char *path = note_path(file, kind), *dir = path ? path_dir(path) : NULL;
    if (dir && file_make_dirs(dir, NULL) == ST_OK)
        file_write_atomic(path, text, strlen(text), NULL);
    mem_free(dir);
    mem_free(path);
}
