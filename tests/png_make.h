/* What tests make chunks of PNG with:
 *
 *     uint32_t sum = png_crc(chunk + 4, n + 4);      // over type and data */
#ifndef EIDETIC_TESTS_PNG_MAKE_H
#define EIDETIC_TESTS_PNG_MAKE_H

#include <stddef.h>
#include <stdint.h>

static inline uint32_t png_crc(const uint8_t *p, size_t n)
{
    uint32_t c = UINT32_MAX;
    while (n--) {
        c ^= *p++;
        for (int i = 0; i < 8; i++)
            c = c >> 1 ^ (c & 1 ? UINT32_C(0xEDB88320) : 0);
    }
    return ~c;
}

#endif
