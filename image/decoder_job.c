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

/* The nearest sidecar is read first, and so goes before the others. One that cannot be read is no
 * reason to lose the picture. */
static void read_sidecars(struct image_meta *m, const struct decoder_request *q, const int *fds)
{
    struct image_words all = {0};
    for (int i = 0; i < IMAGE_SIDECARS; i++) {
        size_t n = (size_t)q->sidecar_bytes[i];
        uint8_t *text = n && n <= IMAGE_SIDECAR_MAX ? mem_alloc(n) : NULL;
        if (text && !file_pread_all(fds[i], text, n, 0, q->name, NULL))
            (void)xmp_read(&all, text, n);
        mem_free(text);
    }
    image_take_words(m, &all, true);
}

void decoder_work(struct decoder_reply *r, struct image *out, const struct decoder_request *q,
                  const int fds[DECODER_FDS])
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
        st = file_pread_all(fds[0], data, n, 0, q->name, &err);
    if (!st && q->hash) {
        hash_bytes(r->hash, data, n);
        r->has_hash = 1;
    }
    if (!st)
        st = q->words_only ? image_probe_memory(&r->meta, data, n, q->name, &err)
                           : image_load_memory(&whole, data, n, q->name, &o, &r->meta, &err);
    mem_free(data);
    if (!st)
        read_sidecars(&r->meta, q, fds + 2);
    if (!st && q->prep.size && !q->words_only) {
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
