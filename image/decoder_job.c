/* The work on one file, in a worker or (debug switch) in process: one read for both the hash and
 * the pixels. */
#include "core/file.h"
#include "image/decoder_int.h"
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

static void hash_bytes(uint8_t out[16], const void *data, size_t n)
{
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits(data, n));
    memcpy(out, c.digest, 16);
}

void decoder_work(struct decoder_reply *r, struct image *out, const struct decoder_request *q,
                  int fd)
{
    struct error err = {0};
    struct image whole = {0};
    struct image_opts o = {.min_side = decoder_min_side(&q->prep), .max_pixels = q->max_pixels};
    size_t n = (size_t)q->file_bytes;
    uint8_t *data = mem_alloc(n);
    enum status st = ST_OK;
    *r = (struct decoder_reply){0};
    *out = (struct image){0};
    if (!data)
        st = error_set(&err, ST_NOMEM, "%s: out of memory (%zu bytes)", q->name, n);
    if (!st)
        st = file_pread_all(fd, data, n, 0, q->name, &err);
    if (!st && q->hash) {
        hash_bytes(r->hash, data, n);
        r->has_hash = 1;
    }
    if (!st)
        st = image_load_memory(&whole, data, n, q->name, &o, &r->meta, &err);
    mem_free(data);
    if (!st && q->prep.size) {
        st = decoder_prepare_reduced(out, &whole, &r->meta, &q->prep, &err);
        if (st)
            error_prefix(&err, st, "%s", q->name);
        image_release(&whole);
    } else if (!st) {
        *out = whole;
    }
    r->status = (int32_t)st;
    r->width = out->width;
    r->height = out->height;
    if (st)
        snprintf(r->text, sizeof r->text, "%s", err.text);
}
