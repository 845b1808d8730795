/* Files from the network, by libcurl over http and https.
 *
 *     struct fetch f = {.sha256 = hex, .stop = a->stop};
 *     struct fetched got;
 *     if (fetch_file(&f, url, "models/x/model.safetensors", &got, &err)) ...
 *
 * What has arrived lies in "<path>.part", with the server's ETag in "<path>.part.etag", until it is
 * whole and its hash is right; only then it gets its name. A later call goes on where it stopped,
 * where the server still has the same file. Only http and https are followed, and never from https
 * back to http. Thread rule: any thread. */
#ifndef EIDETIC_APP_FETCH_H
#define EIDETIC_APP_FETCH_H

#include "core/error.h"
#include <signal.h>
#include <stdint.h>

struct fetch {
    const char *sha256; /* 64 hex digits, or NULL: not checked */
    uint64_t size;      /* wanted; 0: whatever comes */
    void (*progress)(void *ctx, uint64_t done,
                     uint64_t total); /* total 0: not known; may be NULL */
    void *ctx;
    volatile sig_atomic_t *stop; /* ST_INTERRUPTED once it is set; may be NULL */
};
struct fetched {
    uint64_t bytes, resumed; /* resumed: of them, those that were there before */
    char sha256[65];
};
enum status fetch_file(const struct fetch *f, const char *url, const char *path,
                       struct fetched *got, struct error *err);
/* A text of at most `most` bytes into memory; mem_free it. */
enum status fetch_text(const char *url, size_t most, char **text, size_t *size, struct error *err);
/* The length that the server says, 0 where it says none. */
enum status fetch_size(const char *url, uint64_t *size, struct error *err);

#endif
