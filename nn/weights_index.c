/* A shard index: one JSON file that says which neighbouring file holds each tensor. Each shard is a
 * weight file of its own, of any single-file format; the index only chooses among their tensors. */
#include "core/mem.h"
#include "core/path.h"
#include "nn/weights_int.h"

#define SHARDS_MAX 1024
#define INDEX_MAX ((size_t)64 << 20)

static bool probe_index(const uint8_t *data, size_t size)
{
    size_t i = 0;
    while (i < size && (data[i] == ' ' || (data[i] >= '\t' && data[i] <= '\r')))
        i++;
    return i < size && data[i] == '{';
}

/* Files of the same folder only. */
static bool shard_name_ok(const char *s)
{
    return *s && *s != '.' && !strchr(s, '/') && !strchr(s, '\\') && strlen(s) <= 255;
}

static enum status open_shard(struct weights *w, const char *file, struct weights **out,
                              struct error *err)
{
    for (size_t i = 0; i < w->nshard; i++) {
        if (!strcmp(path_base(w->shard[i]->path), file)) {
            *out = w->shard[i];
            return ST_OK;
        }
    }
    char q[WEIGHTS_QUOTE];
    if (!shard_name_ok(file))
        return error_set(err, ST_FORMAT, "%s: shard '%s' is not a file name in the same folder",
                         w->label, weights_quote(q, file, strlen(file)));
    if (w->nshard == SHARDS_MAX)
        return error_set(err, ST_LIMIT, "%s: more than %d shards", w->label, SHARDS_MAX);
    struct weights **list = mem_realloc_array(w->shard, w->nshard + 1, sizeof(struct weights *));
    if (list)
        w->shard = list;
    char *dir = path_dir(w->path);
    char *path = dir ? path_join(dir, file) : NULL;
    enum status st = list && path ? weights_open_single(out, path, err)
                                  : error_set(err, ST_NOMEM, "%s: out of memory", w->label);
    mem_free(dir);
    mem_free(path);
    if (st)
        return error_prefix(err, st, "%s", w->label);
    w->shard[w->nshard++] = *out;
    return ST_OK;
}

static enum status add_from_shard(struct weights *w, const char *name, const char *file,
                                  struct error *err)
{
    struct weights *shard;
    char q[WEIGHTS_QUOTE];
    enum status st = open_shard(w, file, &shard, err);
    if (st)
        return st;
    size_t n = strlen(name);
    const struct tensor *t = weights_find(shard, name);
    if (!t) {
        /* The scales of an i8 tensor are in the list but travel with their tensor. */
        char base[WEIGHTS_NAME_MAX];
        if (n > 6 && n < sizeof base && !strcmp(name + n - 6, ".scale")) {
            memcpy(base, name, n - 6);
            base[n - 6] = '\0';
            const struct tensor *owner = weights_find(shard, base);
            if (owner && owner->scale)
                return ST_OK;
        }
        return error_set(err, ST_FORMAT, "%s: tensor '%s' is not in its shard", w->label,
                         weights_quote(q, name, n));
    }
    st = weights_add(w, name, n, t->dtype, t->ndim, t->dim, t->data, err);
    if (!st)
        w->e[w->n - 1].t.scale = t->scale;
    return st;
}

static enum status add_shard_meta(struct weights *w, struct error *err)
{
    for (size_t i = 0; i < w->nshard; i++) {
        for (size_t k = 0; k < w->shard[i]->nmeta; k++) {
            const struct weights_pair *m = &w->shard[i]->meta[k];
            enum status st = weights_add_meta(w, m->key, m->value, err);
            if (st)
                return st;
        }
    }
    return ST_OK;
}

static enum status read_index(struct weights *w, struct error *err)
{
    if (w->size > INDEX_MAX)
        return error_set(err, ST_LIMIT, "%s: an index of more than 64 MB", w->label);
    json_t *root = weights_json(w->data, w->size, w->label, err);
    if (!root)
        return err->code;
    enum status st = ST_OK;
    const char *key;
    json_t *value, *map = json_object_get(root, "weight_map");
    if (!json_object_size(map))
        st = error_set(err, ST_FORMAT, "%s: JSON without a \"weight_map\"", w->label);
    json_object_foreach(json_object_get(root, "metadata"), key, value)
    {
        if (!st && json_is_string(value))
            st = weights_add_meta(w, key, json_string_value(value), err);
    }
    json_object_foreach(map, key, value)
    {
        if (st)
            break;
        if (!json_is_string(value))
            st = error_set(err, ST_FORMAT, "%s: a shard's name is not a string", w->label);
        else
            st = add_from_shard(w, key, json_string_value(value), err);
    }
    json_decref(root);
    return st ? st : add_shard_meta(w, err);
}

const struct weights_reader weights_reader_index = {"shard index", probe_index, read_index};
