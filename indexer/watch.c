/* Waiting for changes. A watch follows an inode, not a name, so each scan names its folders again;
 * adding one twice costs nothing. */
#include "indexer/watch.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/progress.h"
#include "indexer/ignore.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVENTS                                                                                     \
    (IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF |       \
     IN_MOVE_SELF | IN_ATTRIB | IN_ONLYDIR | IN_EXCL_UNLINK)
#define ROOT_SECONDS 3 /* how often the roots themselves are looked for */

struct root {
    char *path;
    bool there;
    dev_t dev;
    ino_t ino;
};

struct watch {
    struct watch_opts o;
    int fd;
    bool polls, again;
    struct root *root;
    size_t n;
    double last_scan, last_look;
};

static void look(struct root *r)
{
    struct stat s;
    r->there = stat(r->path, &s) == 0;
    r->dev = r->there ? s.st_dev : 0;
    r->ino = r->there ? s.st_ino : 0;
}

enum status watch_open(struct watch **out, const struct watch_opts *o, struct error *err)
{
    struct watch *w = mem_zalloc(sizeof *w);
    *out = NULL;
    if (!w)
        return error_set(err, ST_NOMEM, "out of memory");
    w->o = *o;
    w->o.poll_seconds = o->poll_seconds > 0 ? o->poll_seconds : 60;
    w->o.settle_ms = o->settle_ms > 0 ? o->settle_ms : 1500;
    w->o.settle_most_ms = o->settle_most_ms > 0 ? o->settle_most_ms : 30000;
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    w->polls = w->fd < 0; /* no instances left */
    w->last_scan = w->last_look = time_now();
    *out = w;
    return ST_OK;
}

void watch_close(struct watch *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        close(w->fd);
    for (size_t i = 0; i < w->n; i++)
        mem_free(w->root[i].path);
    mem_free(w->root);
    mem_free(w);
}

void watch_add(void *ctx, const char *folder)
{
    struct watch *w = ctx;
    if (w->fd >= 0 && inotify_add_watch(w->fd, folder, EVENTS) < 0 &&
        (errno == ENOSPC || errno == ENOMEM))
        w->polls = true; /* what is gone or shut, the scan itself tells */
}

enum status watch_add_root(struct watch *w, const char *path, struct error *err)
{
    for (size_t i = 0; i < w->n; i++)
        if (!strcmp(w->root[i].path, path))
            return ST_OK;
    struct root *grown = mem_realloc_array(w->root, w->n + 1, sizeof *grown);
    if (grown)
        w->root = grown;
    char *copy = grown ? mem_strdup(path) : NULL;
    if (!copy)
        return error_set(err, ST_NOMEM, "out of memory");
    w->root[w->n] = (struct root){.path = copy};
    look(&w->root[w->n++]);
    w->polls |= file_on_network(path);
    return ST_OK;
}

void watch_again(struct watch *w)
{
    w->again = true;
}

bool watch_polls(const struct watch *w)
{
    return w->polls;
}

/* Does this event ask for a scan? A file's own creation does not: its CLOSE_WRITE follows; links
 * and folders have none. */
static bool matters(const struct watch *w, const struct inotify_event *e)
{
    if (e->mask & (IN_Q_OVERFLOW | IN_UNMOUNT | IN_ISDIR | IN_DELETE_SELF | IN_MOVE_SELF) ||
        !e->len)
        return !(e->mask & IN_IGNORED) || (e->mask & IN_UNMOUNT);
    return !strcmp(e->name, IGNORE_FILE) || !w->o.want || w->o.want(e->name);
}

/* Takes all events that are there. */
static bool take_events(struct watch *w)
{
    _Alignas(struct inotify_event) char buf[16384];
    bool due = false;
    ssize_t n;
    while ((n = read(w->fd, buf, sizeof buf)) > 0)
        for (char *p = buf; p < buf + n;) {
            const struct inotify_event *e = (const struct inotify_event *)(const void *)p;
            due |= matters(w, e);
            p += sizeof *e + e->len;
        }
    return due;
}

/* A drive that came or went, or the time to look again. */
static bool look_again(struct watch *w, double now)
{
    bool due = w->polls && now - w->last_scan >= w->o.poll_seconds;
    if (now - w->last_look < ROOT_SECONDS)
        return due;
    w->last_look = now;
    for (size_t i = 0; i < w->n; i++) {
        struct root before = w->root[i];
        look(&w->root[i]);
        due |= before.there != w->root[i].there || before.dev != w->root[i].dev ||
               before.ino != w->root[i].ino;
    }
    return due;
}

enum status watch_wait(struct watch *w, const volatile sig_atomic_t *stop, struct error *err)
{
    double first = w->again ? time_now() : 0,
           last = first; /* of what is settling; 0 = nothing yet */
    w->again = false;
    for (;;) {
        if (stop && *stop)
            return error_set(err, ST_INTERRUPTED, "interrupted; what was done is kept");
        double now = time_now();
        if (first > 0 &&
            ((now - last) * 1e3 >= w->o.settle_ms || (now - first) * 1e3 >= w->o.settle_most_ms))
            break;
        if (look_again(w, now))
            break;
        struct pollfd p = {.fd = w->fd, .events = POLLIN}; /* -1 only waits */
        poll(&p, 1, first > 0 ? w->o.settle_ms / 4 + 1 : 250);
        if (w->fd >= 0 && take_events(w)) {
            last = time_now();
            first = first > 0 ? first : last;
        }
    }
    w->last_scan = time_now();
    return ST_OK;
}
