/* SHA-256 (libnettle) for what others publish with it; and the hashes by which AUTOMATIC1111 and
 * Civitai know files of weights, kept once they are known.
 *
 *     char hex[65];
 *     if (file_hash(hex, "v1-5.safetensors", false, stop, &err)) return err.code;  // SHA-256
 *     printf("Model hash: %.10s", hex);
 *
 * tensors: only what stands behind a safetensors file's header, so that a changed title changes
 * nothing; that is how LoRAs are told. Of any other file it is the whole. The first time reads all
 * of the file; core/file_note.h keeps it. */
#ifndef EIDETIC_APP_FILE_HASH_H
#define EIDETIC_APP_FILE_HASH_H

#include "core/error.h"
#include <nettle/sha2.h>
#include <signal.h>
#include <stdbool.h>

/* Ends a hash: its 64 digits, lower case. h is as new then. */
void file_hash_hex(struct sha256_ctx *h, char hex[65]);
/* stop: non-zero ends it with ST_INTERRUPTED; NULL = never. */
enum status file_hash(char hex[65], const char *path, bool tensors,
                      const volatile sig_atomic_t *stop, struct error *err);

#endif
