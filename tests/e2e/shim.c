/* Between the program and its system, for tests/e2e/test_shim.sh: reads that fail in the middle of
 * a picture, clocks that go back. Built by the test and loaded by LD_PRELOAD.
 *
 *     SHIM_EIO=1          a file whose 24th byte on is "bad-sector" cannot be read beyond its
 * 4096th
 *     SHIM_CLOCK=-86400   the calendar's clock is off by so many seconds
 *     SHIM_BACK=3600      and goes back by so many at each look
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static long number(const char *name)
{
    const char *text = getenv(name);
    return text ? strtol(text, NULL, 10) : 0;
}

static ssize_t bad_pread(const char *own, int fd, void *to, size_t n, off_t at)
{
    ssize_t (*real)(int, void *, size_t, off_t) =
        (ssize_t(*)(int, void *, size_t, off_t))dlsym(RTLD_NEXT, own);
    char mark[10];
    if (number("SHIM_EIO") && at + (off_t)n > 4096 &&
        real(fd, mark, sizeof mark, 24) == (ssize_t)sizeof mark &&
        !memcmp(mark, "bad-sector", sizeof mark)) {
        if (at >= 4096) {
            errno = EIO;
            return -1;
        }
        n = 4096 - (size_t)at;
    }
    return real(fd, to, n, at);
}

ssize_t pread(int fd, void *to, size_t n, off_t at)
{
    return bad_pread("pread", fd, to, n, at);
}
ssize_t pread64(int fd, void *to, size_t n, off64_t at)
{
    return bad_pread("pread64", fd, to, n, at);
}

static time_t moved(time_t t)
{
    static atomic_long looks;
    return t + number("SHIM_CLOCK") - number("SHIM_BACK") * atomic_fetch_add(&looks, 1);
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    int (*real)(clockid_t, struct timespec *) =
        (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int rc = real(clock, t);
    if (!rc && clock == CLOCK_REALTIME)
        t->tv_sec = moved(t->tv_sec);
    return rc;
}

time_t time(time_t *t)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    if (t)
        *t = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    struct timespec now = {0};
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *t = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}
