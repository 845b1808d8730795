/* One buffer of at most twice the longest line, read into as it empties. */
#include "core/lines.h"
#include "core/mem.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

void lines_init(struct lines *l, int fd, size_t max)
{
    *l = (struct lines){.fd = fd, .max = max};
}

void lines_release(struct lines *l)
{
    mem_free(l->data);
    *l = (struct lines){.fd = -1};
}

/* The line of n bytes at l->from, followed by `skip` bytes that belong to no line. */
static char *take(struct lines *l, size_t n, size_t skip)
{
    char *s = l->data + l->from;
    l->from += n + skip;
    l->len = n && s[n - 1] == '\r' ? n - 1 : n;
    l->cut = l->len > l->max;
    if (l->cut)
        l->len = l->max;
    s[l->len] = 0; /* there is room for it behind the buffer's last byte */
    l->number++;
    return s;
}

/* What the buffer holds of the next line: true when *line is one. */
static bool buffered(struct lines *l, char **line)
{
    while (l->from < l->to) {
        size_t n = l->to - l->from;
        const char *end = memchr(l->data + l->from, '\n', n);
        if (end && l->skipping) {
            l->from = (size_t)(end - l->data) + 1;
            l->skipping = false;
            continue;
        }
        if (l->skipping) {
            l->from = l->to;
            break;
        }
        if (!end && n <= l->max + 1 && !l->ended) /* one more for a "\r" */
            return false;
        l->skipping = !end;
        *line = take(l, end ? (size_t)(end - l->data) - l->from : n, end ? 1 : 0);
        return true;
    }
    return false;
}

static enum status fill(struct lines *l, struct error *err)
{
    if (l->from) {
        memmove(l->data, l->data + l->from, l->to - l->from);
        l->to -= l->from;
        l->from = 0;
    }
    if (l->cap - l->to < 4096) {
        char *data = mem_realloc(l->data, l->cap + l->to + 8192);
        if (!data)
            return error_set(err, ST_NOMEM, "out of memory for a line");
        l->data = data;
        l->cap = l->cap + l->to + 8192;
    }
    ssize_t n = read(l->fd, l->data + l->to, l->cap - l->to - 1);
    if (n < 0)
        return error_errno(err, errno, "reading lines");
    l->to += (size_t)n;
    l->ended = n == 0;
    return ST_OK;
}

enum status lines_next(struct lines *l, bool wait, char **line, struct error *err)
{
    *line = NULL;
    while (!buffered(l, line)) {
        struct pollfd p = {.fd = l->fd, .events = POLLIN};
        if (l->ended || (!wait && poll(&p, 1, 0) == 0))
            return ST_OK;
        enum status st = fill(l, err);
        if (st)
            return st;
    }
    return ST_OK;
}
