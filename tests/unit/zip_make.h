/* Zip archives put together by hand, for tests and fuzz targets that need broken or hostile ones.
 *
 *     struct zip_file f[] = {{"a/data.pkl", pickle, n, 0}};
 *     struct buf b = zip_make(f, 1); // stored, checksums right unless a fault is asked for
 */
#ifndef EIDETIC_TESTS_ZIP_MAKE_H
#define EIDETIC_TESTS_ZIP_MAKE_H

#include "core/buf.h"
#include <stdint.h>
#include <string.h>

enum zip_fault {
    ZIP_BAD_CRC = 1,
    ZIP_DEFLATED = 2,
    ZIP_ENCRYPTED = 4,
    ZIP_OTHER_NAME = 8, /* the local header has another name */
    ZIP_TWO_SIZES = 16,
    ZIP_AT_FIRST = 32, /* the directory points at the first entry's local header */
    ZIP_TOO_LONG = 64, /* 2 GB, by the directory */
    ZIP_64 = 128,      /* sizes and place in a zip64 extra field */
};

struct zip_file {
    const char *name;
    const void *data;
    size_t size;
    unsigned faults;
};

static inline void zip_put(struct buf *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        buf_putc(b, (char)(v >> (8 * i) & 0xff));
}

static inline uint32_t zip_crc(const uint8_t *p, size_t n)
{
    uint32_t c = 0xffffffff;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
    }
    return ~c;
}

static inline void zip_put_entry(struct buf *b, const struct zip_file *f, uint64_t at, bool central)
{
    size_t n = strlen(f->name);
    uint32_t crc = zip_crc(f->data, f->size) ^ (f->faults & ZIP_BAD_CRC ? 1 : 0);
    uint64_t packed = f->faults & ZIP_TOO_LONG ? 0x7fffffff : f->size;
    uint64_t full = packed + (f->faults & ZIP_TWO_SIZES ? 1 : 0);
    bool wide = central && f->faults & ZIP_64;
    zip_put(b, central ? 0x02014b50 : 0x04034b50, 4);
    if (central)
        zip_put(b, 20, 2);
    zip_put(b, 20, 2);
    zip_put(b, f->faults & ZIP_ENCRYPTED ? 1 : 0, 2);
    zip_put(b, f->faults & ZIP_DEFLATED ? 8 : 0, 2);
    zip_put(b, 0, 4); /* time */
    zip_put(b, crc, 4);
    zip_put(b, wide ? UINT32_MAX : packed, 4);
    zip_put(b, wide ? UINT32_MAX : full, 4);
    zip_put(b, n, 2);
    zip_put(b, wide ? 28 : 0, 2);
    if (central) {
        zip_put(b, 0, 8);
        zip_put(b, 0, 2);
        zip_put(b, wide ? UINT32_MAX : at, 4);
    }
    buf_append(b, f->name, n);
    if (!central && f->faults & ZIP_OTHER_NAME)
        b->data[b->len - 1] ^= 1;
    if (wide) {
        zip_put(b, 1, 2);
        zip_put(b, 24, 2);
        zip_put(b, full, 8);
        zip_put(b, packed, 8);
        zip_put(b, at, 8);
    }
}

static inline struct buf zip_make(const struct zip_file *f, int n)
{
    struct buf b;
    uint64_t at[16];
    buf_init(&b, 16 << 20);
    for (int i = 0; i < n; i++) {
        at[i] = f[i].faults & ZIP_AT_FIRST ? 0 : b.len;
        zip_put_entry(&b, &f[i], 0, false);
        buf_append(&b, f[i].data, f[i].size);
    }
    size_t dir = b.len;
    bool wide = false;
    for (int i = 0; i < n; i++) {
        zip_put_entry(&b, &f[i], at[i], true);
        wide |= (f[i].faults & ZIP_64) != 0;
    }
    size_t end = b.len;
    if (wide) {
        zip_put(&b, 0x06064b50, 4);
        zip_put(&b, 44, 8);
        zip_put(&b, 45, 2);
        zip_put(&b, 45, 2);
        zip_put(&b, 0, 8);
        zip_put(&b, (uint64_t)n, 8);
        zip_put(&b, (uint64_t)n, 8);
        zip_put(&b, end - dir, 8);
        zip_put(&b, dir, 8);
        zip_put(&b, 0x07064b50, 4);
        zip_put(&b, 0, 4);
        zip_put(&b, end, 8);
        zip_put(&b, 1, 4);
    }
    zip_put(&b, 0x06054b50, 4);
    zip_put(&b, 0, 4);
    zip_put(&b, wide ? 0xffff : (uint64_t)n, 2);
    zip_put(&b, wide ? 0xffff : (uint64_t)n, 2);
    zip_put(&b, wide ? UINT32_MAX : end - dir, 4);
    zip_put(&b, wide ? UINT32_MAX : dir, 4);
    zip_put(&b, 0, 2);
    return b;
}

#endif
