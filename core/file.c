/* Files. Every system call that moves bytes passes op_fails() first, so a test can break the n-th
 * one. */
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_uint_fast64_t op_calls, op_fail_at;
static atomic_uint op_mask;
static atomic_int op_errno;
static atomic_bool op_persistent;

uint64_t file_fail_at(uint64_t n, unsigned mask, int errnum, bool persistent)
{
    uint64_t made = atomic_exchange(&op_calls, 0);
    atomic_store(&op_mask, mask);
    atomic_store(&op_errno, errnum);
    atomic_store(&op_persistent, persistent);
    atomic_store(&op_fail_at, n);
    return made;
}

static bool op_fails(enum file_op op)
{
    uint64_t at = atomic_load_explicit(&op_fail_at, memory_order_relaxed);
    if (!at || !(atomic_load(&op_mask) & op))
        return false;
    uint64_t call = atomic_fetch_add(&op_calls, 1) + 1;
    if (call != at && !(call > at && atomic_load(&op_persistent)))
        return false;
    errno = atomic_load(&op_errno);
    return true;
}

/* Regular files only: a FIFO would block for ever, a device is never a picture or a model. */
static int open_regular(const char *path, size_t *size, struct error *err)
{
    int fd = op_fails(FILE_OP_READ) ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) {
        error_errno(err, errno, "%s", path);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        error_set(err, S_ISDIR(st.st_mode) ? ST_FORMAT : ST_UNSUPPORTED, "%s: %s", path,
                  S_ISDIR(st.st_mode) ? "is a folder" : "not a regular file");
        close(fd);
        return -1;
    }
    *size = (size_t)st.st_size;
    return fd;
}

enum status file_map_open_fd(struct file_map *m, int *fd, const char *path, struct error *err)
{
    struct error local = {ST_OK, ""};
    *m = (struct file_map){NULL, 0};
    err = err ? err : &local;
    *fd = open_regular(path, &m->size, err);
    if (*fd < 0)
        return err->code;
    enum status st = ST_OK;
    if (m->size) {
        void *p = mmap(NULL, m->size, PROT_READ, MAP_SHARED, *fd, 0);
        if (p == MAP_FAILED) {
            st = error_errno(err, errno, "%s", path);
            m->size = 0;
        } else {
            m->data = p;
            return ST_OK;
        }
    }
    close(*fd);
    return st;
}

enum status file_map_open(struct file_map *m, const char *path, struct error *err)
{
    int fd;
    enum status st = file_map_open_fd(m, &fd, path, err);
    if (m->data)
        close(fd);
    return st;
}

void file_map_close(struct file_map *m)
{
    if (m->data)
        munmap((void *)(uintptr_t)m->data, m->size);
    *m = (struct file_map){NULL, 0};
}

void file_map_give_back(const void *data, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)data;
    uintptr_t from = (at + page - 1) / page * page, to = (at + size) / page * page;
    if (to > from)
        madvise((void *)from, to - from, MADV_DONTNEED); /* NOLINT(performance-no-int-to-ptr) */
}

enum status file_read_all(char **data, size_t *size, const char *path, size_t max,
                          struct error *err)
{
    struct error local = {ST_OK, ""};
    err = err ? err : &local;
    *data = NULL;
    *size = 0;
    size_t n = 0;
    int fd = open_regular(path, &n, err);
    if (fd < 0)
        return err->code;
    enum status st = ST_OK;
    char *p = NULL;
    if (n > max)
        st = error_set(err, ST_LIMIT, "%s: %zu bytes, at most %zu are read", path, n, max);
    else if (!(p = mem_alloc(n + 1)))
        st = error_set(err, ST_NOMEM, "%s: no memory for %zu bytes", path, n);
    else
        st = file_pread_all(fd, p, n, 0, path, err);
    close(fd);
    if (st) {
        mem_free(p);
        return st;
    }
    p[n] = 0;
    *data = p;
    *size = n;
    return ST_OK;
}

enum status file_pread_all(int fd, void *data, size_t n, uint64_t off, const char *name,
                           struct error *err)
{
    unsigned char *p = data;
    while (n) {
        ssize_t got = op_fails(FILE_OP_READ) ? -1 : pread(fd, p, n, (off_t)off);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_errno(err, errno, "%s", name);
        if (got == 0)
            return error_set(err, ST_FORMAT, "%s: ends %zu bytes early", name, n);
        p += got;
        off += (uint64_t)got;
        n -= (size_t)got;
    }
    return ST_OK;
}

enum status file_pwrite_all(int fd, const void *data, size_t n, uint64_t off, const char *name,
                            struct error *err)
{
    const unsigned char *p = data;
    while (n) {
        ssize_t put = op_fails(FILE_OP_WRITE) ? -1 : pwrite(fd, p, n, (off_t)off);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return error_errno(err, errno, "%s", name);
        p += put;
        off += (uint64_t)put;
        n -= (size_t)put;
    }
    return ST_OK;
}

enum status file_fsync(int fd, const char *name, struct error *err)
{
    if (op_fails(FILE_OP_FSYNC) || fsync(fd))
        return error_errno(err, errno, "%s", name);
    return ST_OK;
}

enum status file_fsync_dir_of(const char *path, struct error *err)
{
    char *dir = path_dir(path);
    if (!dir)
        return error_set(err, ST_NOMEM, "out of memory");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum status st = ST_OK;
    if (fd < 0)
        st = error_errno(err, errno, "%s", dir);
    else if (op_fails(FILE_OP_FSYNC) ||
             (fsync(fd) && errno != EINVAL)) /* some systems refuse folders */
        st = error_errno(err, errno, "%s", dir);
    if (fd >= 0)
        close(fd);
    mem_free(dir);
    return st;
}

/* A file without a name in path's folder; -1 where the file system has none, or no way to name it.
 */
static int open_unnamed(const char *path)
{
    char *dir = path_dir(path);
    int fd = dir ? open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0644) : -1;
    mem_free(dir);
    if (fd >= 0 && access("/proc/self/fd", X_OK)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Gives it a name that must not be there yet. */
static int name_unnamed(struct file_out *o, const char *name)
{
    char from[32];
    snprintf(from, sizeof from, "/proc/self/fd/%d", o->fd);
    if (linkat(AT_FDCWD, from, AT_FDCWD, name, AT_SYMLINK_FOLLOW))
        return -1;
    o->unnamed = false;
    return 0;
}

/* Gives it the name tmp, whose last six letters are chosen so that it is new. */
static int name_temporary(struct file_out *o)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz012345";
    char *end = o->tmp + strlen(o->tmp) - 6;
    for (int tries = 0; tries < 100; tries++) {
        unsigned char any[6];
        if (getentropy(any, sizeof any))
            return -1;
        for (int i = 0; i < 6; i++)
            end[i] = letters[any[i] % 32];
        if (!name_unnamed(o, o->tmp))
            return 0;
        if (errno != EEXIST)
            break;
    }
    return -1;
}

enum status file_out_open(struct file_out *o, const char *path, struct error *err)
{
    *o = (struct file_out){.fd = -1};
    o->path = mem_strdup(path);
    o->tmp = mem_printf("%s.tmp-XXXXXX", path);
    if (!o->path || !o->tmp) {
        file_out_abort(o);
        return error_set(err, ST_NOMEM, "out of memory");
    }
    bool fails = op_fails(FILE_OP_WRITE);
    o->fd = fails ? -1 : open_unnamed(path);
    o->unnamed = o->fd >= 0;
    if (o->unnamed)
        return ST_OK;
    o->fd = fails ? -1 : mkostemp(o->tmp, O_CLOEXEC);
    if (o->fd < 0) {
        enum status st = error_errno(err, errno, "%s", path);
        mem_free(o->tmp);
        o->tmp = NULL;
        file_out_abort(o);
        return st;
    }
    mode_t mask = umask(0);
    umask(mask);
    fchmod(o->fd, 0644 & ~mask); /* mkostemp made it 0600 */
    return ST_OK;
}

enum status file_out_write(struct file_out *o, const void *data, size_t n, struct error *err)
{
    assert(o->fd >= 0);
    enum status st = file_pwrite_all(o->fd, data, n, o->written, o->path, err);
    if (!st)
        o->written += n;
    return st;
}

/* link() fails where the name is taken, on every file system that has links; FAT has none, but
 * refuses to rename onto an existing name when told so. */
static int rename_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (link(from, to))
        return -1;
    unlink(from);
    return 0;
}

static enum status taken_or(int errnum, const char *path, struct error *err)
{
    return errnum == EEXIST
               ? error_set(err, ST_USAGE, "%.180s is there already, and is never overwritten", path)
               : error_errno(err, errnum, "%s", path);
}

enum status file_rename_new(const char *from, const char *to, struct error *err)
{
    return op_fails(FILE_OP_RENAME) || rename_new(from, to) ? taken_or(errno, to, err) : ST_OK;
}

/* A new name is given at once where the file has none yet; one that is taken is taken over by a
 * rename alone, from a name that only a kill between the two leaves behind. */
static enum status commit(struct file_out *o, bool is_new, struct error *err)
{
    enum status st = file_fsync(o->fd, o->path, err);
    bool at_once = o->unnamed && is_new;
    if (!st && at_once && (op_fails(FILE_OP_RENAME) || name_unnamed(o, o->path)))
        st = taken_or(errno, o->path, err);
    if (!st && o->unnamed && name_temporary(o))
        st = error_errno(err, errno, "%s", o->path);
    if (close(o->fd) && !st)
        st = error_errno(err, errno, "%s", o->path);
    o->fd = -1;
    if (!st && !at_once &&
        (op_fails(FILE_OP_RENAME) || (is_new ? rename_new : rename)(o->tmp, o->path)))
        st = taken_or(errno, o->path, err);
    if (!st) {
        mem_free(o->tmp);
        o->tmp = NULL;
        st = file_fsync_dir_of(o->path, err);
    }
    file_out_abort(o);
    return st;
}

enum status file_out_commit(struct file_out *o, struct error *err)
{
    return commit(o, false, err);
}

enum status file_out_commit_new(struct file_out *o, struct error *err)
{
    return commit(o, true, err);
}

void file_out_abort(struct file_out *o)
{
    if (o->fd >= 0)
        close(o->fd);
    if (o->tmp && !o->unnamed)
        unlink(o->tmp);
    mem_free(o->tmp);
    mem_free(o->path);
    *o = (struct file_out){.fd = -1};
}

static enum status write_whole(const char *path, const void *data, size_t size,
                               enum status (*end)(struct file_out *o, struct error *err),
                               struct error *err)
{
    struct file_out o;
    enum status st = file_out_open(&o, path, err);
    if (st)
        return st;
    st = file_out_write(&o, data, size, err);
    if (st) {
        file_out_abort(&o);
        return st;
    }
    return end(&o, err);
}

enum status file_write_atomic(const char *path, const void *data, size_t size, struct error *err)
{
    return write_whole(path, data, size, file_out_commit, err);
}

enum status file_write_new(const char *path, const void *data, size_t size, struct error *err)
{
    return write_whole(path, data, size, file_out_commit_new, err);
}

enum status file_make_dirs(const char *path, struct error *err)
{
    char *p = mem_strdup(path);
    if (!p)
        return error_set(err, ST_NOMEM, "out of memory");
    enum status st = ST_OK;
    for (char *s = p + 1; !st; s++) {
        if (*s && *s != '/')
            continue;
        char c = *s;
        *s = 0;
        if (mkdir(p, 0755) && errno != EEXIST)
            st = error_errno(err, errno, "%s", p);
        *s = c;
        if (!c)
            break;
    }
    if (!st && !file_is_dir(path))
        st = error_set(err, ST_IO, "%s: exists and is not a folder", path);
    mem_free(p);
    return st;
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool file_exists_in(const char *dir, const char *name)
{
    char *path = path_join(dir, name);
    bool there = path && file_exists(path);
    mem_free(path);
    return there;
}

bool file_is_broken_link(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && stat(path, &st) != 0 &&
           (errno == ENOENT || errno == ELOOP);
}

bool file_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}
