/* SHA-256 (FIPS 180-4), for what others publish with it: model files on the network.
 *
 *     struct sha256 h;
 *     char hex[65];
 *     sha256_init(&h);
 *     sha256_update(&h, data, n);   // as often as there is more
 *     sha256_hex(&h, hex);          // ends it; 64 lower-case digits
 *
 * Our own files use XXH3, which is faster and no promise against an attacker. */
#ifndef EIDETIC_CORE_SHA256_H
#define EIDETIC_CORE_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct sha256 {
    uint32_t state[8];
    uint64_t bytes;
    unsigned char block[64];
};
void sha256_init(struct sha256 *h);
void sha256_update(struct sha256 *h, const void *data, size_t n);
void sha256_hex(struct sha256 *h, char hex[65]);

#endif
