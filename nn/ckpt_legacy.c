/* What torch.save wrote before 1.6: five pickles in a row (magic number, protocol, system, the
 * object, the storages' keys), then each storage as a 64-bit count and its bytes. How wide an
 * element is stands only in the object's pickle. */
#include "core/mem.h"
#include "nn/ckpt_int.h"

static const uint8_t magic[] = {0x80, 2,    0x8a, 10,   0x6c, 0xfc, 0x9c, 0x46,
                                0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

struct slot {
    const char *key;
    size_t key_len;
    const struct pk_elem *elem;
    const uint8_t *data; /* NULL: not in the file */
    uint64_t size;
};

struct legacy {
    struct weights *w;
    struct slot *slot; /* sorted by key */
    size_t n;
    struct arena mem;
    struct error *err;
};

static bool probe_legacy(const uint8_t *data, size_t size)
{
    return size >= sizeof magic && !memcmp(data, magic, sizeof magic);
}

static int by_key(const void *a, const void *b)
{
    const struct slot *x = a, *y = b;
    int c = memcmp(x->key, y->key, x->key_len < y->key_len ? x->key_len : y->key_len);
    return c ? c : x->key_len < y->key_len ? -1 : x->key_len > y->key_len;
}

static enum status make_slots(struct legacy *l, const struct pk_notes *notes)
{
    l->slot = mem_array(notes->nstorage + 1, sizeof *l->slot);
    if (!l->slot)
        return error_set(l->err, ST_NOMEM, "%s: out of memory", l->w->label);
    for (size_t i = 0; i < notes->nstorage; i++) {
        const struct pk *s = notes->storage[i];
        l->slot[i] = (struct slot){s->storage.key, s->storage.key_len, s->storage.elem, NULL, 0};
    }
    if (notes->nstorage)
        qsort(l->slot, notes->nstorage, sizeof *l->slot, by_key);
    for (size_t i = 0; i < notes->nstorage; i++) {
        if (l->n && !by_key(&l->slot[l->n - 1], &l->slot[i])) {
            if (l->slot[l->n - 1].elem != l->slot[i].elem)
                return error_set(l->err, ST_FORMAT, "%s: a storage of two types", l->w->label);
        } else {
            l->slot[l->n++] = l->slot[i];
        }
    }
    return ST_OK;
}

static struct slot *find_slot(const struct legacy *l, const char *key, size_t n)
{
    struct slot k = {.key = key, .key_len = n};
    return l->n ? bsearch(&k, l->slot, l->n, sizeof *l->slot, by_key) : NULL;
}

static enum status read_storages(struct legacy *l, const struct pk *keys, size_t at)
{
    const struct weights *w = l->w;
    if (keys->kind != PK_LIST)
        return error_set(l->err, ST_FORMAT, "%s: no list of storages", w->label);
    for (size_t i = 0; i < keys->seq.n; i++) {
        const struct pk *key = keys->seq.v[i];
        struct slot *s = key->kind == PK_STR ? find_slot(l, key->str.s, key->str.n) : NULL;
        if (!s || s->data)
            return error_set(l->err, ST_FORMAT, "%s: a storage that nothing uses", w->label);
        if (w->size - at < 8)
            return error_set(l->err, ST_FORMAT, "%s: cut short among its storages", w->label);
        uint64_t count = 0;
        for (int b = 7; b >= 0; b--)
            count = count << 8 | w->data[at + (size_t)b];
        at += 8;
        if (count > (w->size - at) / s->elem->size)
            return error_set(l->err, ST_FORMAT, "%s: cut short among its storages", w->label);
        s->data = w->data + at;
        s->size = count * s->elem->size;
        at += (size_t)s->size;
    }
    if (at != w->size)
        return error_set(l->err, ST_FORMAT, "%s: bytes behind the last storage", w->label);
    return ST_OK;
}

static enum status legacy_storage(void *ctx, const struct pk *s, const uint8_t **data,
                                  uint64_t *size, struct error *err)
{
    const struct slot *slot = find_slot(ctx, s->storage.key, s->storage.key_len);
    char q[WEIGHTS_QUOTE];
    if (!slot || !slot->data)
        return error_set(err, ST_FORMAT, "storage '%s' is missing",
                         weights_quote(q, s->storage.key, s->storage.key_len));
    *data = slot->data;
    *size = slot->size;
    return ST_OK;
}

static enum status read_parts(struct legacy *l)
{
    struct weights *w = l->w;
    struct pk *part[4] = {NULL}; /* protocol, system, object, keys */
    struct pk_notes notes = {0};
    size_t at = sizeof magic, used;
    for (int i = 0; i < 4; i++) {
        enum status st = pickle_load(w->data + at, w->size - at, &used, &l->mem, &part[i], &notes,
                                     w->label, l->err);
        if (st)
            return st;
        at += used;
    }
    if (part[0]->kind != PK_INT || part[0]->i != 1001)
        return error_set(l->err, ST_UNSUPPORTED, "%s: an unknown version of torch's pickles",
                         w->label);
    const struct pk *little = pk_get(part[1], "little_endian");
    if (!little || little->kind != PK_BOOL || !little->i)
        return error_set(l->err, ST_UNSUPPORTED, "%s: its numbers are not little-endian", w->label);
    enum status st = make_slots(l, &notes);
    if (!st)
        st = read_storages(l, part[3], at);
    if (!st)
        st = ckpt_collect(w, part[2], &notes, legacy_storage, l, l->err);
    return st;
}

static enum status read_legacy(struct weights *w, struct error *err)
{
    struct legacy l = {.w = w, .err = err, .mem = {.limit = PICKLE_MEMORY}};
    enum status st = read_parts(&l);
    mem_free(l.slot);
    arena_release(&l.mem);
    return st;
}

const struct weights_reader weights_reader_torch_legacy = {"pytorch pickle", probe_legacy,
                                                           read_legacy};
