/* One worker process as its parent sees it: start, talk, stop. Everything is close-on-exec, and the
 * worker closes all but its socket, so no descriptor of the parent survives in it. */
#include "image/decoder_int.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Ours but for the number of threads: a BLAS that is linked in would start them before main. */
static char **worker_environment(void)
{
    static const char *const forced[] = {"OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1"};
    size_t n = 0, k = 0;
    while (environ[n])
        n++;
    char **env = mem_zarray(n + 3, sizeof *env);
    if (!env)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], "OMP_NUM_THREADS=", 16) &&
            strncmp(environ[i], "OPENBLAS_NUM_THREADS=", 21))
            env[k++] = environ[i];
    env[k++] = (char *)(uintptr_t)forced[0];
    env[k] = (char *)(uintptr_t)forced[1];
    return env;
}

static int set_attributes(posix_spawnattr_t *a)
{
    sigset_t all, held;
    sigfillset(&all);
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    sigaddset(&held, SIGHUP);
    int bad = posix_spawnattr_setflags(a, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    bad |= posix_spawnattr_setsigdefault(a, &all);
    return bad | posix_spawnattr_setsigmask(a, &held);
}

static int set_files(posix_spawn_file_actions_t *f, int sock)
{
    int bad = posix_spawn_file_actions_adddup2(f, sock, DECODER_WORKER_FD);
    bad |= posix_spawn_file_actions_addopen(f, 0, "/dev/null", 0 /* O_RDONLY */, 0);
    bad |= posix_spawn_file_actions_addopen(f, 1, "/dev/null", 1 /* O_WRONLY */, 0);
    if (decoder_sandbox_silent()) /* the C library's last words are not for a terminal */
        bad |= posix_spawn_file_actions_addopen(f, 2, "/dev/null", 1, 0);
    return bad | posix_spawn_file_actions_addclosefrom_np(f, DECODER_WORKER_FD + 1);
}

static int spawn(pid_t *pid, const char *exe, char **argv, char **env, int sock)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    int e = posix_spawn_file_actions_init(&files);
    if (e)
        return e;
    e = posix_spawnattr_init(&attr);
    if (!e) {
        e = set_files(&files, sock) || set_attributes(&attr)
                ? ENOMEM
                : posix_spawn(pid, exe, &files, &attr, argv, env);
        posix_spawnattr_destroy(&attr);
    }
    posix_spawn_file_actions_destroy(&files);
    return e;
}

enum status decoder_proc_start(struct decoder_proc *p, const char *exe, uint64_t max_pixels,
                               struct error *err)
{
    int sv[2];
    char pixels[32];
    const char *argv[] = {"eidetic-decode", DECODER_WORKER_ARG, pixels, NULL};
    *p = (struct decoder_proc){.sock = -1};
    snprintf(pixels, sizeof pixels, "%llu", (unsigned long long)max_pixels);
    char **env = worker_environment();
    if (!env)
        return error_set(err, ST_NOMEM, "out of memory (decoder environment)");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv)) {
        mem_free(env);
        return error_errno(err, errno, "cannot talk to a decoder");
    }
    int e = spawn(&p->pid, exe ? exe : "/proc/self/exe", (char **)(uintptr_t)argv, env, sv[1]);
    mem_free(env);
    close(sv[1]);
    if (e) {
        close(sv[0]);
        p->pid = 0;
        return error_errno(err, e, "cannot start a decoder");
    }
    p->sock = sv[0];
    return ST_OK;
}

int decoder_proc_stop(struct decoder_proc *p, bool gently)
{
    int word = -1;
    pid_t got = 0;
    if (p->sock >= 0)
        close(p->sock);
    if (p->pid > 0) {
        for (int i = 0; gently && i < 50 && !got; i++) {
            got = waitpid(p->pid, &word, WNOHANG);
            if (!got)
                poll(NULL, 0, 2);
        }
        if (!got) {
            kill(p->pid, SIGKILL);
            do
                got = waitpid(p->pid, &word, 0);
            while (got < 0 && errno == EINTR);
        }
    }
    *p = (struct decoder_proc){.sock = -1};
    return got > 0 ? word : -1;
}

int decoder_request_fds(const struct decoder_request *q)
{
    int n = 2;
    for (int i = 0; i < IMAGE_SIDECARS; i++)
        n += q->sidecar_bytes[i] != 0;
    return n;
}

bool decoder_proc_send(struct decoder_proc *p, const struct decoder_request *q,
                       const int fds[DECODER_FDS])
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(DECODER_FDS * sizeof(int))];
    } control = {0};
    int sent[DECODER_FDS] = {0}, n = 0;
    for (int i = 0; i < DECODER_FDS; i++)
        if (i < 2 || q->sidecar_bytes[i - 2])
            sent[n++] = fds[i];
    struct iovec v = {.iov_base = (void *)(uintptr_t)q, .iov_len = sizeof *q};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control};
    m.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
    memcpy(CMSG_DATA(c), sent, (size_t)n * sizeof(int));
    return sendmsg(p->sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof *q;
}

int decoder_proc_receive(struct decoder_proc *p, struct decoder_reply *r)
{
    ssize_t n;
    do
        n = recv(p->sock, r, sizeof *r, MSG_DONTWAIT | MSG_TRUNC);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return 0;
    return n == (ssize_t)sizeof *r && r->magic == DECODER_MAGIC ? 1 : -1;
}
