/* The writer's lock: flock on <library>/lock. The file stays; only the lock on it counts, so a
 * killed holder leaves nothing to clean up. What is written in it is for people. */
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include "db/db_int.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

static void read_holder(int fd, char *text, size_t size)
{
    ssize_t n = pread(fd, text, size - 1, 0);
    text[n > 0 ? n : 0] = 0;
    for (char *p = text; *p; p++) {
        if (*p == '\n')
            *p = 0;
        else if ((unsigned char)*p < ' ' || *p == 127)
            *p = '?';
        if (!*p)
            break;
    }
}

static void write_holder(int fd, const char *command)
{
    char host[65] = "?", text[200];
    gethostname(host, sizeof host - 1);
    int n = snprintf(text, sizeof text, "pid %ld on %s (eidetic%s%.80s)\n", (long)getpid(), host,
                     command ? " " : "", command ? command : "");
    /* A full disk must not keep anybody from the lock: the text is only for people. */
    if (ftruncate(fd, 0) == 0 && n > 0)
        (void)!pwrite(fd, text, (size_t)n, 0);
}

enum status lock_take(int *fd, const char *library, int wait_ms, const char *command,
                      struct error *err)
{
    char *path = path_join(library, "lock");
    if (!path)
        return error_set(err, ST_NOMEM, "out of memory");
    enum status rc = ST_OK;
    int f = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (f < 0) {
        int e = errno;
        rc = error_errno(err, e, "%s", path);
        if (e == EACCES || e == EPERM)
            rc = error_set(err, ST_NOSPACE, "%s: not writable", path);
        goto out;
    }
    for (int waited = 0;; waited += 20) {
        if (flock(f, LOCK_EX | LOCK_NB) == 0)
            break;
        if (errno != EWOULDBLOCK && errno != EINTR) {
            rc = error_errno(err, errno, "%s: lock", path);
            goto out;
        }
        if (waited >= wait_ms) {
            char holder[160];
            read_holder(f, holder, sizeof holder);
            rc = error_set(err, ST_LOCKED, "%s: in use by %s", library,
                           *holder ? holder : "another process");
            goto out;
        }
        nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    }
    write_holder(f, command);
    *fd = f;
    f = -1;
out:
    if (f >= 0)
        close(f);
    mem_free(path);
    return rc;
}

void lock_release(int fd)
{
    if (fd < 0)
        return;
    (void)!ftruncate(fd, 0);
    close(fd);
}

char *db_lock_holder(const char *library)
{
    char *path = path_join(library, "lock"), *who = NULL;
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        if (flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
            char holder[160];
            read_holder(fd, holder, sizeof holder);
            who = mem_strdup(*holder ? holder : "another process");
        }
        close(fd);
    }
    mem_free(path);
    return who;
}
