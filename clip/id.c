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

/* A list of shards does not change when they do. */
static bool is_noted(const struct clip_source *s)
{
    return !names_source(s->weights) && !path_has_ext(weights_path(s->weights), "json");
}

bool clip_weights_known(const struct clip_source *s, char id[33])
{
    char known[65];
    if (!is_noted(s) ||
        !file_note_get(weights_path(s->weights), "model-ids", known, sizeof known) ||
        !text_is_hex(known, 32))
        return false;
    memcpy(id, known, 33);
    return true;
}

static void weights_id_cached(char id[33], const struct clip_source *s)
{
    if (clip_weights_known(s, id))
        return;
    weights_id(s->weights, id);
    if (is_noted(s))
        file_note_put(weights_path(s->weights), "model-ids", id);
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
