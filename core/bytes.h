/* Whole numbers as files hold them, and hashes as text.
 *
 *     uint64_t header = bytes_le64(map.data);         // little-endian: safetensors, zip, BMP, RIFF
 *     uint32_t width = bytes_be32(chunk + 8);         // big-endian: PNG, IPTC, boxes of HEIF
 *     if (!text_is_hex(id, 32)) return false;         // 32 lower-case digits and nothing else
 *
 * The caller has made sure that the bytes are there; any address will do. Pure functions. */
#ifndef EIDETIC_CORE_BYTES_H
#define EIDETIC_CORE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t bytes_le16(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}
static inline uint32_t bytes_le32(const unsigned char *p)
{
    return bytes_le16(p) | bytes_le16(p + 2) << 16;
}
static inline uint64_t bytes_le64(const unsigned char *p)
{
    return bytes_le32(p) | (uint64_t)bytes_le32(p + 4) << 32;
}
static inline uint32_t bytes_be32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline bool text_is_hex(const char *s, size_t digits)
{
    return strlen(s) == digits && strspn(s, "0123456789abcdef") == digits;
}

#endif
