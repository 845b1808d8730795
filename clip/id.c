/* A model's id: a vector belongs to it. Hashing 350 MB at each start would cost more than a query,
 * so the hash of the weights is kept in the cache folder under the file's path, size, time and
 * inode. Files that carry their source's id (ours, converted ones) need neither. */
#include "clip/clip_int.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include <sys/stat.h>
#include <xxhash.h>

static void hex_of(char hex[33], const void *data, size_t size)
{
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits(data, size));
    for (size_t i = 0; i < sizeof c.digest; i++)
        snprintf(hex + 2 * i, 3, "%02x", c.digest[i]);
}

/* NULL where there is no cache folder or no memory: then the id is computed every time. */
static char *cache_path(const struct clip_source *s)
{
    const char *file = weights_path(s->weights), *xdg = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    struct stat st;
    char hex[33], *path = NULL, *absolute = path_absolute(file), *key = NULL;
    bool shards = path_has_ext(file, "json"); /* their times are not the index's */
    if (absolute && !shards && stat(file, &st) == 0)
        key = mem_printf("%s|%llu|%lld.%09ld|%llu|%llu", absolute, (unsigned long long)st.st_size,
                         (long long)st.st_mtim.tv_sec, (long)st.st_mtim.tv_nsec,
                         (unsigned long long)st.st_ino, (unsigned long long)st.st_dev);
    if (key) {
        hex_of(hex, key, strlen(key));
        if (xdg && xdg[0] == '/')
            path = mem_printf("%s/eidetic/model-ids/%s", xdg, hex);
        else if (home && home[0] == '/')
            path = mem_printf("%s/.cache/eidetic/model-ids/%s", home, hex);
    }
    mem_free(key);
    mem_free(absolute);
    return path;
}

static bool is_id(const char *s, size_t n)
{
    return n == 32 && strspn(s, "0123456789abcdef") == 32;
}

/* Of any length: what is no 32 digits names no id, and the weights are hashed. */
static bool names_source(const struct weights *w)
{
    const char *id = weights_meta(w, "eidetic.source_id");
    return id && is_id(id, strlen(id));
}

/* A cache that cannot be read or written is only slow. */
static void weights_id_cached(char id[33], const struct clip_source *s)
{
    char *path = names_source(s->weights) ? NULL : cache_path(s);
    char *data = NULL, *dir = NULL;
    size_t size = 0;
    if (path && file_exists(path) && file_read_all(&data, &size, path, 64, NULL) == ST_OK &&
        is_id(data, size)) {
        memcpy(id, data, 33);
    } else {
        weights_id(s->weights, id);
        dir = path ? path_dir(path) : NULL;
        if (dir && file_make_dirs(dir, NULL) == ST_OK)
            file_write_atomic(path, id, 32, NULL);
    }
    mem_free(data);
    mem_free(dir);
    mem_free(path);
}

enum status clip_id_make(char id[33], const struct clip_source *s, const struct clip_model *m,
                         struct error *err)
{
    char weights[33] = "", line[256];
    weights_id_cached(weights, s);
    clip_preprocess_line(&m->pre, line, sizeof line);
    char *all = mem_printf("%s\n%s\n%s", weights, line, m->recipe);
    if (!all)
        return error_set(err, ST_NOMEM, "%s: out of memory", s->path);
    hex_of(id, all, strlen(all));
    mem_free(all);
    return ST_OK;
}
