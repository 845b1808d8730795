/* Lines of a descriptor as they arrive: a pipe's lines are there before it ends.
 *
 *     struct lines l;
 *     lines_init(&l, fd, 1 << 16);
 *     char *s;
 *     while (!lines_next(&l, true, &s, &err) && s)
 *         use(s, l.len, l.number);
 *     lines_release(&l);
 *
 * A line is NUL-terminated, without its "\n" or "\r\n", and valid until the next call; it may hold
 * NUL bytes (l.len tells). The last one needs no "\n". Of a line longer than `max` the beginning is
 * returned, with l.cut set. The descriptor stays the caller's. */
#ifndef EIDETIC_CORE_LINES_H
#define EIDETIC_CORE_LINES_H

#include "core/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lines {
    int fd;
    size_t max;
    char *data;
    size_t from, to, cap;
    bool skipping; /* the rest of a line that was cut */
    /* of the last line */
    size_t len;
    uint64_t number; /* 1 is the first */
    bool cut;
    bool ended; /* there is no further line */
};

void lines_init(struct lines *l, int fd, size_t max);
void lines_release(struct lines *l);
/* *line NULL: no further line (l.ended), or, without `wait`, none yet. */
enum status lines_next(struct lines *l, bool wait, char **line, struct error *err);

#endif
