/* The vector file's blocks, shared by its reader and its writer. */
#ifndef EIDETIC_SEARCH_VECFILE_INT_H
#define EIDETIC_SEARCH_VECFILE_INT_H

#include "search/vecfile.h"

static const uint8_t vecfile_magic[8] = {'E', 'I', 'D', 'V', 'E', 'C', '1', '\n'};
static const uint8_t vecfile_block_magic[4] = {'E', 'V', 'B', 'K'};
#define VECFILE_F16 1

struct vecfile_block {
    uint32_t kind;
    uint64_t n, bytes, stamp, sum;
    int64_t generation;
    const uint8_t *data;
};

/* The next valid block at f->end, which moves behind it. */
bool vecfile_next(struct vecfile *f, struct vecfile_block *b);

/* All numbers are little endian, and so is every machine that this is built for. */
uint32_t vec_u32(const uint8_t *p);
uint64_t vec_u64(const uint8_t *p);

#endif
