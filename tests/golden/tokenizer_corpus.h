/* The lines that scripts/make_golden_tokenizer.py wrote, and the hash under which the references'
 * ids of each are kept. */
#ifndef EIDETIC_TESTS_TOKENIZER_CORPUS_H
#define EIDETIC_TESTS_TOKENIZER_CORPUS_H

#include "clip/tokenizer.h"
#include "core/file.h"
#include "core/mem.h"
#include "test.h"
#include <string.h>

static inline char *read_data(const char *name, size_t *size)
{
    char *path = mem_printf("%s/tokenizer/%s", TEST_DATA, name), *data;
    struct error err;
    if (file_read_all(&data, size, path, (size_t)8 << 20, &err))
        fail_msg("%s", err.text);
    mem_free(path);
    return data;
}

static inline size_t read_leb(const char **p)
{
    size_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
        unsigned char b = (unsigned char)*(*p)++;
        v |= (size_t)(b & 127) << shift;
        if (b < 128)
            return v;
    }
}

/* The next line of the corpus; mem_free it. */
static inline char *next_line(const char **p, size_t *n)
{
    size_t len = read_leb(p), count = read_leb(p);
    char *line = mem_alloc(len * count + 1);
    assert_non_null(line);
    for (size_t i = 0; i < count; i++)
        memcpy(line + i * len, *p, len);
    *p += len;
    *n = len * count;
    return line;
}

static inline uint64_t hash_ids(const struct token_list *l)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (size_t i = 0; i < l->n; i++)
        for (int k = 0; k < 4; k++)
            h = (h ^ ((uint32_t)l->id[i] >> (8 * k) & 255)) * 0x100000001B3u;
    return h;
}

#endif
