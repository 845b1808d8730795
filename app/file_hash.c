/* SHA-256 of files of weights, from the note of an earlier run where there is one. */
#include "app/file_hash.h"
#include "core/bytes.h"
#include "core/file.h"
#include "core/file_note.h"
#include "core/path.h"
#include <stdio.h>
#include <string.h>

enum { AT_ONCE = 1 << 24 };

/* Where the tensors of a safetensors file begin; 0 where it is none. */
static size_t tensors_at(const struct file_map *m, const char *path)
{
    if (!path_has_ext(path, "safetensors") || m->size < 8)
        return 0;
    uint64_t header = bytes_le64(m->data);
    return header < m->size - 8 ? (size_t)header + 8 : 0;
}

void file_hash_hex(struct sha256_ctx *h, char hex[65])
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(h, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

enum status file_hash(char hex[65], const char *path, bool tensors,
                      const volatile sig_atomic_t *stop, struct error *err)
{
    const char *kind = tensors ? "sha256-tensors" : "sha256";
    struct file_map m = {0};
    struct sha256_ctx h;
    char known[80];
    if (file_note_get(path, kind, known, sizeof known) && text_is_hex(known, 64)) {
        memcpy(hex, known, 65);
        return ST_OK;
    }
    enum status st = file_map_open(&m, path, err);
    if (st)
        return st;
    sha256_init(&h);
    for (size_t at = tensors ? tensors_at(&m, path) : 0, n; !st && at < m.size; at += n) {
        n = m.size - at < AT_ONCE ? m.size - at : AT_ONCE;
        sha256_update(&h, n, (const uint8_t *)m.data + at);
        if (stop && *stop)
            st = error_set(err, ST_INTERRUPTED, "interrupted");
    }
    file_hash_hex(&h, hex);
    file_map_close(&m);
    if (!st)
        file_note_put(path, kind, hex);
    return st;
}
