/* Copies of files that never replace anything. */
#include "core/file.h"
#include "core/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 1 << 20 };

struct source {
    int fd;
    const char *path;
    struct stat sb;
};

static enum status open_source(struct source *s, const char *path, struct error *err)
{
    *s = (struct source){.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY),
                         .path = path};
    if (s->fd < 0 || fstat(s->fd, &s->sb))
        return error_errno(err, errno, "%s", path);
    if (!S_ISREG(s->sb.st_mode))
        return error_set(err, ST_UNSUPPORTED, "%s: not a regular file", path);
    return ST_OK;
}

static void close_source(struct source *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

/* Do both hold the same bytes? What cannot be read does not. buf: two chunks. */
static bool equal(const struct source *a, const char *path, uint8_t *buf)
{
    struct source b;
    bool same = !open_source(&b, path, NULL) && b.sb.st_size == a->sb.st_size;
    for (uint64_t at = 0, size = (uint64_t)a->sb.st_size; same && at < size; at += CHUNK) {
        size_t n = size - at < CHUNK ? (size_t)(size - at) : CHUNK;
        same = !file_pread_all(a->fd, buf, n, at, a->path, NULL) &&
               !file_pread_all(b.fd, buf + CHUNK, n, at, path, NULL) &&
               !memcmp(buf, buf + CHUNK, n);
    }
    close_source(&b);
    return same;
}

static enum status copy(const struct source *s, const char *to, uint8_t *buf, struct error *err)
{
    struct file_out o;
    enum status st = file_out_open(&o, to, err);
    if (st)
        return st;
    for (uint64_t size = (uint64_t)s->sb.st_size; !st && o.written < size;) {
        size_t n = size - o.written < CHUNK ? (size_t)(size - o.written) : CHUNK;
        st = file_pread_all(s->fd, buf, n, o.written, s->path, err);
        if (!st)
            st = file_out_write(&o, buf, n, err);
    }
    if (st) {
        file_out_abort(&o);
        return st;
    }
    /* some file systems have neither: the bytes count */
    int lost = fchmod(o.fd, s->sb.st_mode & 0777);
    lost |= futimens(o.fd, (const struct timespec[]){s->sb.st_atim, s->sb.st_mtim});
    (void)lost;
    return file_out_commit_new(&o, err);
}

enum status file_copy_new(const char *from, const char *to, bool *same, struct error *err)
{
    struct source s;
    *same = false;
    uint8_t *buf = mem_alloc(2 * CHUNK);
    enum status st = open_source(&s, from, err);
    if (!st && !buf)
        st = error_set(err, ST_NOMEM, "out of memory");
    if (!st) {
        *same = equal(&s, to, buf);
        if (!*same)
            st = copy(&s, to, buf, err);
    }
    close_source(&s);
    mem_free(buf);
    return st;
}
