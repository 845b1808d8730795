/* A growing byte buffer with a maximum (curl's dynbuf habit): it frees itself on failure, and a
 * failed append makes every later one fail too, so that only the end need be checked.
 *
 *     struct buf b;
 *     buf_init(&b, 1 << 20);
 *     buf_printf(&b, "%s: %d\n", name, n);
 *     if (b.failed) ...                        // ST_NOMEM or over the limit
 *     char *s = buf_take(&b);                  // NUL-terminated, caller frees with mem_free
 *
 * The content is always followed by a NUL that len does not count. */
#ifndef EIDETIC_CORE_BUF_H
#define EIDETIC_CORE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data;
    size_t len, cap, max;
    bool failed;
};

void buf_init(struct buf *b, size_t max);
void buf_release(struct buf *b);
void buf_clear(struct buf *b); /* len = 0, memory kept */
bool buf_append(struct buf *b, const void *p, size_t n);
bool buf_puts(struct buf *b, const char *s);
bool buf_putc(struct buf *b, char c);
bool buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *buf_take(struct buf *b); /* never NULL unless failed; leaves b empty */

#endif
