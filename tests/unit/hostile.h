/* A list of hostile files that grows, each with what reading it must say; the makers are spread
 * over hostile_*.h by format.
 *
 *     struct hostile h = {0};
 *     hostile_safetensors(&h);
 *     hostile_write(&h, "folder"); // or look at h.one[0 .. h.n)
 *     hostile_release(&h);
 */
#ifndef EIDETIC_TESTS_HOSTILE_H
#define EIDETIC_TESTS_HOSTILE_H

#include "core/buf.h"
#include "core/error.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include "test.h"
#include <stdio.h>
#include <string.h>

struct hostile_file {
    char name[96];
    struct buf b;
    enum status code; /* ST_OK: a weight file all the same, though no model */
    const char *word; /* of the sentence */
};
struct hostile {
    struct hostile_file *one;
    size_t n, cap;
};

#define HOSTILE_MOST ((size_t)64 << 20)

/* An empty file to be filled. */
static inline struct buf *hostile_new(struct hostile *h, const char *name, const char *ext,
                                      enum status code, const char *word)
{
    if (h->n == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 64;
        h->one = mem_realloc_array(h->one, h->cap, sizeof *h->one);
        assert_non_null(h->one);
    }
    struct hostile_file *f = &h->one[h->n++];
    *f = (struct hostile_file){.code = code, .word = word};
    snprintf(f->name, sizeof f->name, "%s.%s", name, ext);
    buf_init(&f->b, HOSTILE_MOST);
    return &f->b;
}

static inline void hostile_number(struct buf *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        buf_putc(b, (char)(v >> (8 * i) & 0xff));
}

static inline void hostile_fill(struct buf *b, char c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_putc(b, c);
}

/* Each file into an existing folder. */
static inline void hostile_write(const struct hostile *h, const char *dir)
{
    for (size_t i = 0; i < h->n; i++) {
        char *path = path_join(dir, h->one[i].name);
        const struct buf *b = &h->one[i].b;
        assert_int_equal(file_write_atomic(path, b->len ? b->data : "", b->len, NULL), ST_OK);
        mem_free(path);
    }
}

static inline void hostile_release(struct hostile *h)
{
    for (size_t i = 0; i < h->n; i++)
        buf_release(&h->one[i].b);
    mem_free(h->one);
}

#endif
