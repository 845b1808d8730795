/* A model's id: a vector belongs to it. Hashing 350 MB at each start would cost more than a query,
 * so the hash of the weights is kept in the cache folder under the file's path, size, time and
 * inode. Files that carry their source's id (ours, converted ones) need neither. */
#include "clip/clip_int.h"
#include "core/bytes.h"
#include "core/file_note.h"
#include "core/mem.h"
#include "core/path.h"
#include <xxhash.h>

static void hex_of(char hex[33], const void *data, size_t size)
{
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits(data, size));
    for (size_t i = 0; i < sizeof c.digest; i++)
        snprintf(hex + 2 * i, 3, "%02x", c.digest[i]);
}

/* Of any length: what is no 32 digits names no id, and the weights are hashed. */
static bool names_source(const struct weights *w)
{
    const char *id = weights_meta(w, "eidetic.source_id");
    return id && text_is_hex(id, 32);
}

static void weights_id_cached(char id[33], const struct clip_source *s)
{
    const char *file = weights_path(s->weights);
    char known[65];
    /* a list of shards does not change when they do */
    bool kept = !names_source(s->weights) && !path_has_ext(file, "json");
    if (kept && file_note_get(file, "model-ids", known, sizeof known) && text_is_hex(known, 32)) {
        memcpy(id, known, 33);
        return;
    }
    weights_id(s->weights, id);
    if (kept)
        file_note_put(file, "model-ids", id);
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
