/* The main function of a decode worker. Surprising: it watches its parent with a timer instead of
 * PR_SET_PDEATHSIG, because that signal comes when the *thread* that started the worker ends, and a
 * replacement is started by whatever thread called decoder_next. Signals of the terminal stay
 * blocked: the parent decides. */
#include "image/decoder_int.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* Async-signal-safe: ends a worker whose parent has gone while it was busy. */
static void look_for_parent(int signal)
{
    int saved = errno;
    struct pollfd p = {.fd = DECODER_WORKER_FD};
    (void)signal;
    if (poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR)))
        _exit(0);
    errno = saved;
}

static void watch_parent(bool on)
{
    struct itimerval t = {.it_interval = {.tv_sec = on}, .it_value = {.tv_sec = on}};
    setitimer(ITIMER_REAL, &t, NULL);
}

/* False: the parent has gone, or sent what no parent sends. */
static bool receive(struct decoder_request *q, int fds[DECODER_FDS])
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(DECODER_FDS * sizeof(int))];
    } control = {0};
    struct iovec v = {.iov_base = q, .iov_len = sizeof *q};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n;
    do
        n = recvmsg(DECODER_WORKER_FD, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (n != (ssize_t)sizeof *q || q->magic != DECODER_MAGIC || !c || c->cmsg_type != SCM_RIGHTS ||
        c->cmsg_len != CMSG_LEN((size_t)decoder_request_fds(q) * sizeof(int)))
        return false;
    const unsigned char *from = CMSG_DATA(c);
    for (int i = 0; i < DECODER_FDS; i++) {
        fds[i] = -1;
        if (i < 2 || q->sidecar_bytes[i - 2]) {
            memcpy(&fds[i], from, sizeof(int));
            from += sizeof(int);
        }
    }
    return true;
}

static bool send_reply(const struct decoder_reply *r)
{
    ssize_t n;
    do
        n = send(DECODER_WORKER_FD, r, sizeof *r, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *r;
}

/* Only with DECODER_TEST_ENV set: what hostile files would like to do. */
static void misbehave(int fd)
{
    char text[64] = {0};
    const char *what = text + strlen(DECODER_TEST_WORD);
    if (pread(fd, text, sizeof text - 1, 0) < 0 ||
        strncmp(text, DECODER_TEST_WORD, strlen(DECODER_TEST_WORD)))
        return;
    if (!strncmp(what, "abort", 5))
        abort();
    if (!strncmp(what, "exit", 4))
        _exit(7);
    if (!strncmp(what, "open", 4) && open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
        abort(); /* the filter should have refused */
    if (!strncmp(what, "fork", 4) && fork() >= 0)
        abort(); /* as above */
    while (!strncmp(what, "hang", 4))
        poll(NULL, 0, 1000);
    if (!strncmp(what, "leak", 4)) {
        void *p = mem_alloc((size_t)40 << 20);
        if (!p)
            abort();
        memset(p, 1, 4096);
    }
    while (!strncmp(what, "memory", 6)) {
        void *p = mem_alloc((size_t)64 << 20);
        if (!p)
            break;
        memset(p, 1, 4096); /* kept: this is a leak on purpose */
    }
}

/* Whole pictures may be larger than the slot, which then grows. */
static void hand_over(struct decoder_reply *r, const struct image *img,
                      const struct decoder_request *q, int slot)
{
    size_t n = (size_t)img->width * (size_t)img->height * 3;
    void *to = MAP_FAILED;
    if (n <= q->slot_bytes || (!q->prep.size && !ftruncate(slot, (off_t)n)))
        to = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, slot, 0);
    if (to == MAP_FAILED) {
        r->status = ST_NOMEM;
        snprintf(r->text, sizeof r->text, "%s: no shared memory for %d x %d pixels", q->name,
                 img->width, img->height);
        return;
    }
    memcpy(to, img->data, n);
    munmap(to, n);
}

int decoder_worker_main(int argc, char **argv)
{
    struct decoder_reply r = {.magic = DECODER_MAGIC};
    struct decoder_request q;
    struct sigaction watch = {.sa_handler = look_for_parent, .sa_flags = SA_RESTART};
    uint64_t max_pixels = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    bool testing = getenv(DECODER_TEST_ENV) != NULL;
    int fds[DECODER_FDS];
    sigaction(SIGALRM, &watch, NULL);
    codec_load_libraries(); /* no file can be opened later */
    r.sandboxed = decoder_sandbox_enter(max_pixels);
    if (!send_reply(&r))
        return 1;
    size_t begun = decoder_sandbox_memory();
    while (!r.last && receive(&q, fds)) {
        struct image img;
        q.name[sizeof q.name - 1] = 0;
        decoder_sandbox_allow_seconds(q.timeout_ms);
        watch_parent(true);
        if (testing)
            misbehave(fds[0]);
        decoder_work(&r, &img, &q, fds);
        if (!r.status && img.data)
            hand_over(&r, &img, &q, fds[1]);
        image_release(&img);
        for (int i = 0; i < DECODER_FDS; i++)
            if (fds[i] >= 0)
                close(fds[i]);
        watch_parent(false);
        r.magic = DECODER_MAGIC;
        r.serial = q.serial;
        r.last = decoder_sandbox_memory() > begun + DECODER_LEAK_MAX;
        if (!send_reply(&r))
            return 1;
    }
    while (r.last && receive(&q, fds)) /* ending with a request unread would take the reply along */
        continue;
    return 0;
}
