/* Notes on files, one file each, named by a short hash of what tells the file's state, which is its
 * first line: where two states have one hash, the later note stands. The last line is a hash of all
 * before it, since a damaged model id would look like another model. */
#include "core/file_note.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SUM = 17 }; /* a line feed and 16 digits */

/* FNV-1a. */
static uint64_t hash_of(const char *s, size_t n)
{
    uint64_t h = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * UINT64_C(0x100000001B3);
    return h;
}

static void sum_of(char sum[SUM + 1], const char *s, size_t n)
{
    snprintf(sum, SUM + 1, "\n%016" PRIx64, hash_of(s, n));
}

char *file_note_path(const char *kind, const char *name)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg && xdg[0] == '/')
        return mem_printf("%s/eidetic/%s/%s", xdg, kind, name);
    return home && home[0] == '/' ? mem_printf("%s/.cache/eidetic/%s/%s", home, kind, name) : NULL;
}

char *file_note_folder(const char *kind)
{
    char *path = file_note_path(kind, "any"), *dir = path ? path_dir(path) : NULL;
    mem_free(path);
    if (dir && file_make_dirs(dir, NULL) == ST_OK)
        return dir;
    mem_free(dir);
    return NULL;
}

/* *key: the file's state, ended by a line feed. NULL where there is no cache folder or no memory.
 */
static char *note_path(const char *file, const char *kind, char **key)
{
    char name[17], *path = NULL, *absolute = path_absolute(file);
    struct stat st;
    *key = NULL;
    if (absolute && stat(file, &st) == 0)
        *key =
            mem_printf("%s|%llu|%lld.%09ld|%llu|%llu\n", absolute, (unsigned long long)st.st_size,
                       (long long)st.st_mtim.tv_sec, (long)st.st_mtim.tv_nsec,
                       (unsigned long long)st.st_ino, (unsigned long long)st.st_dev);
    if (*key) {
        snprintf(name, sizeof name, "%016" PRIx64, hash_of(*key, strlen(*key)));
        path = file_note_path(kind, name);
    }
    mem_free(absolute);
    return path;
}

bool file_note_get(const char *file, const char *kind, char *text, size_t size)
{
    char *key = NULL, *path = note_path(file, kind, &key), *data = NULL, sum[SUM + 1];
    size_t n = 0, state = key ? strlen(key) : 0;
    bool got = path && file_exists(path) &&
               !file_read_all(&data, &n, path, state + size - 1 + SUM, NULL) && n >= state + SUM &&
               memcmp(data, key, state) == 0;
    if (got) {
        n -= SUM;
        sum_of(sum, data, n);
        got = memcmp(data + n, sum, SUM) == 0;
    }
    if (got) {
        memcpy(text, data + state, n - state);
        text[n - state] = 0;
    }
    mem_free(data);
    mem_free(path);
    mem_free(key);
    return got;
}

void file_note_put(const char *file, const char *kind, const char *text)
{
    char *key = NULL, *path = note_path(file, kind, &key), *dir = path ? path_dir(path) : NULL;
    char sum[SUM + 1], *said = dir ? mem_printf("%s%s", key, text) : NULL, *whole = NULL;
    if (said) {
        sum_of(sum, said, strlen(said));
        whole = mem_printf("%s%s", said, sum);
    }
    if (whole && file_make_dirs(dir, NULL) == ST_OK)
        file_write_atomic(path, whole, strlen(whole), NULL);
    mem_free(whole);
    mem_free(said);
    mem_free(dir);
    mem_free(path);
    mem_free(key);
}
