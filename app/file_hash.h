/* Hashes by which AUTOMATIC1111 and Civitai know files of weights, kept once they are known.
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
#include <signal.h>
#include <stdbool.h>

/* stop: non-zero ends it with ST_INTERRUPTED; NULL = never. */
enum status file_hash(char hex[65], const char *path, bool tensors,
                      const volatile sig_atomic_t *stop, struct error *err);

#endif
