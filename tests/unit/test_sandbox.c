/* What a decoder process may still do once a hostile file owns it: each way out is tried in a
 * process that has entered the sandbox, by the system call itself. */
#include "image/decoder_int.h"
#include "test.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GOT_OUT = 1, REFUSED = 0 };

/* In a process of its own, whose answer is the exit code; a signal is its negative. */
static int in_sandbox(int (*attempt)(const void *what), const void *what)
{
    int status = 0;
    fflush(stdout);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        if (!decoder_sandbox_enter(0))
            _exit(77);
        _exit(attempt(what));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

struct call {
    const char *name;
    long number, argument[6];
};

static int try_call(const void *what)
{
    const struct call *c = what;
    const long *a = c->argument;
    errno = 0;
    long got = syscall(c->number, a[0], a[1], a[2], a[3], a[4], a[5]);
    return got == -1 && (errno == EPERM || errno == ENOSYS) ? REFUSED : GOT_OUT;
}

#define TEXT(s) (long)(uintptr_t)(s)

static void no_call_leads_out(void **state)
{
    static char *const none[] = {NULL};
    char name[] = "/tmp/eidetic-sandbox-escape", here[64] = {0};
    int pair[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    const struct call calls[] = {
        {"openat", SYS_openat, {AT_FDCWD, TEXT("/etc/passwd"), O_RDONLY}},
        {"openat to write", SYS_openat, {AT_FDCWD, TEXT(name), O_CREAT | O_WRONLY, 0600}},
        {"openat2", SYS_openat2, {AT_FDCWD, TEXT("/"), TEXT(here), 24}},
        {"read", SYS_read, {pair[0], TEXT(here), 0}},
        {"write", SYS_write, {1, TEXT("x"), 1}},
        {"writev", SYS_writev, {1, TEXT(here), 0}},
        {"pwrite64", SYS_pwrite64, {1, TEXT("x"), 1, 0}},
        {"sendfile", SYS_sendfile, {1, 0, 0, 1}},
        {"splice", SYS_splice, {0, 0, 1, 0, 1, 0}},
        {"socket", SYS_socket, {AF_INET, SOCK_STREAM, 0}},
        {"socketpair", SYS_socketpair, {AF_UNIX, SOCK_STREAM, 0, TEXT(here)}},
        {"connect", SYS_connect, {pair[0], TEXT(here), 2}},
        {"bind", SYS_bind, {pair[0], TEXT(here), 2}},
        {"execve", SYS_execve, {TEXT("/bin/true"), TEXT(none), TEXT(none)}},
        {"execveat", SYS_execveat, {AT_FDCWD, TEXT("/bin/true"), TEXT(none), TEXT(none), 0}},
        {"clone as fork", SYS_clone, {SIGCHLD}},
        {"clone with memory", SYS_clone, {CLONE_VM | CLONE_VFORK | SIGCHLD}},
        {"clone with namespaces", SYS_clone, {CLONE_NEWUSER | SIGCHLD}},
        {"clone3", SYS_clone3, {TEXT(here), sizeof here}},
        {"unshare", SYS_unshare, {CLONE_NEWUSER}},
        {"setns", SYS_setns, {0, 0}},
        {"kill the parent", SYS_kill, {getpid(), 0}},
        {"tkill", SYS_tkill, {getpid(), 0}},
        {"tgkill the parent", SYS_tgkill, {getpid(), getpid(), 0}},
        {"rt_sigqueueinfo", SYS_rt_sigqueueinfo, {getpid(), 0, TEXT(here)}},
        {"pidfd_open", SYS_pidfd_open, {getpid(), 0}},
        {"pidfd_send_signal", SYS_pidfd_send_signal, {0, 0, 0, 0}},
        {"ptrace", SYS_ptrace, {16, getpid(), 0, 0}},
        {"process_vm_readv", SYS_process_vm_readv, {getpid(), TEXT(here), 1, TEXT(here), 1, 0}},
        {"process_vm_writev", SYS_process_vm_writev, {getpid(), TEXT(here), 1, TEXT(here), 1, 0}},
        {"kcmp", SYS_kcmp, {getpid(), getpid(), 0, 0, 0}},
        {"unlink", SYS_unlinkat, {AT_FDCWD, TEXT(name), 0}},
        {"rename", SYS_renameat2, {AT_FDCWD, TEXT(name), AT_FDCWD, TEXT(name), 0}},
        {"link", SYS_linkat, {AT_FDCWD, TEXT(name), AT_FDCWD, TEXT(name), 0}},
        {"symlink", SYS_symlinkat, {TEXT(name), AT_FDCWD, TEXT(name)}},
        {"mkdir", SYS_mkdirat, {AT_FDCWD, TEXT(name), 0700}},
        {"mknod", SYS_mknodat, {AT_FDCWD, TEXT(name), 0600, 0}},
        {"chmod", SYS_fchmodat, {AT_FDCWD, TEXT(name), 0777}},
        {"fchmod", SYS_fchmod, {0, 0777}},
        {"chown", SYS_fchownat, {AT_FDCWD, TEXT(name), 0, 0, 0}},
        {"utimensat", SYS_utimensat, {AT_FDCWD, TEXT(name), 0, 0}},
        {"setxattr", SYS_setxattr, {TEXT(name), TEXT("user.x"), TEXT("x"), 1, 0}},
        {"truncate", SYS_truncate, {TEXT(name), 0}},
        {"stat", SYS_newfstatat, {AT_FDCWD, TEXT("/"), TEXT(here), 0}},
        {"statx", SYS_statx, {AT_FDCWD, TEXT("/"), 0, 0, TEXT(here)}},
        {"readlink", SYS_readlinkat, {AT_FDCWD, TEXT("/proc/self/exe"), TEXT(here), 8}},
        {"getdents64", SYS_getdents64, {0, TEXT(here), sizeof here}},
        {"chdir", SYS_chdir, {TEXT("/")}},
        {"chroot", SYS_chroot, {TEXT("/")}},
        {"mount", SYS_mount, {TEXT("x"), TEXT(name), TEXT("tmpfs"), 0, 0}},
        {"ioctl", SYS_ioctl, {0, 0x5412, TEXT("x")}},
        {"fcntl", SYS_fcntl, {0, F_GETFD, 0}},
        {"dup", SYS_dup, {0}},
        {"inotify_init1", SYS_inotify_init1, {0}},
        {"memfd_create", SYS_memfd_create, {TEXT("x"), 0}},
        {"shmget", SYS_shmget, {0, 4096, 0600 | 01000}},
        {"bpf", SYS_bpf, {0, TEXT(here), sizeof here}},
        {"perf_event_open", SYS_perf_event_open, {TEXT(here), 0, -1, -1, 0}},
        {"io_uring_setup", SYS_io_uring_setup, {8, TEXT(here)}},
        {"userfaultfd", SYS_userfaultfd, {0}},
        {"keyctl", SYS_keyctl, {0, -3, 0}},
        {"prctl", SYS_prctl, {PR_SET_DUMPABLE, 1}},
        {"setuid", SYS_setuid, {getuid()}},
        {"seccomp", SYS_seccomp, {0, 0, 0}},
        {"personality", SYS_personality, {0}},
        {"reboot", SYS_reboot, {0, 0, 0, 0}},
        {"mmap to execute",
         SYS_mmap,
         {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}},
        {"mprotect to execute",
         SYS_mprotect,
         {(long)(uintptr_t)here & -4096, 4096, PROT_READ | PROT_WRITE | PROT_EXEC}},
        {"memory limit", SYS_prlimit64, {0, RLIMIT_AS, 0, TEXT(here)}},
        {"another's CPU limit", SYS_prlimit64, {getpid(), RLIMIT_CPU, 0, TEXT(here)}},
        {"setrlimit", SYS_setrlimit, {RLIMIT_AS, TEXT(here)}},
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        int rc = in_sandbox(try_call, &calls[i]);
        if (rc != REFUSED && rc != -SIGSYS)
            fail_msg("%s leads out (%d)", calls[i].name, rc);
    }
    print_message("%zu ways out, none open\n", sizeof calls / sizeof *calls);
    close(pair[0]);
    close(pair[1]);
}

#ifdef __x86_64__
/* The same kernel answers to other numbers too. */
static int try_x32(const void *what)
{
    (void)what;
    long fd = syscall(0x40000000 | SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
    return fd < 0 ? REFUSED : GOT_OUT;
}

static int try_i386(const void *what)
{
    static char path[] = "/etc/passwd";
    long fd;
    (void)what;
    char *low =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (low == MAP_FAILED)
        return REFUSED;
    memcpy(low, path, sizeof path);
    __asm__ volatile("int $0x80" : "=a"(fd) : "a"(5L), "b"(low), "c"(0L), "d"(0L) : "memory");
    munmap(low, 4096);
    return fd < 0 ? REFUSED : GOT_OUT;
}

static void other_ways_into_the_kernel_are_shut(void **state)
{
    (void)state;
    int x32 = in_sandbox(try_x32, NULL), i386 = in_sandbox(try_i386, NULL);
    assert_true(x32 == REFUSED || x32 == -SIGSYS);
    assert_true(i386 == REFUSED || i386 == -SIGSYS || i386 == -SIGSEGV);
}
#endif

static int take_memory(const void *what)
{
    const size_t piece = (size_t)256 << 20;
    size_t all = 0;
    (void)what;
    for (void *p; all < (size_t)64 << 30; all += piece) { /* kept until the process ends */
        p = mmap(NULL, piece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                 -1, 0);
        if (p == MAP_FAILED)
            break;
    }
    return all < (size_t)16 << 30 ? REFUSED : GOT_OUT;
}

static void memory_is_limited(void **state)
{
    (void)state;
    assert_int_equal(in_sandbox(take_memory, NULL), REFUSED);
}

static int spin(const void *what)
{
    (void)what;
    decoder_sandbox_allow_seconds(1000);
    struct rlimit r;
    getrlimit(RLIMIT_CPU, &r);
    if (r.rlim_cur > 5)
        return GOT_OUT;
    setrlimit(RLIMIT_CPU, &(struct rlimit){1, RLIM_INFINITY});
    for (volatile unsigned long n = 0;; n++)
        ;
}

static void time_is_limited(void **state)
{
    (void)state;
    assert_int_equal(in_sandbox(spin, NULL), -SIGXCPU);
}

static void *answer(void *ctx)
{
    return ctx;
}

static int try_what_decoders_need(const void *what)
{
    pthread_t t;
    void *got = NULL;
    char *p = malloc((size_t)8 << 20);
    if (!p)
        return 1;
    memset(p, 1, (size_t)8 << 20);
    free(p);
    if (pthread_create(&t, NULL, answer, (void *)(uintptr_t)what) || pthread_join(t, &got))
        return 2;
    return got == what ? 0 : 3;
}

static void what_decoders_need_goes_on(void **state)
{
    static const int any = 1;
    (void)state;
    assert_int_equal(in_sandbox(try_what_decoders_need, &any), 0);
}

static int try_abort(const void *what)
{
    (void)what;
    abort();
}

static void a_broken_invariant_still_ends_the_process(void **state)
{
    (void)state;
    assert_int_equal(in_sandbox(try_abort, NULL), -SIGABRT);
}

static int nothing(const void *what)
{
    (void)what;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_call_leads_out),
#ifdef __x86_64__
        cmocka_unit_test(other_ways_into_the_kernel_are_shut),
#endif
        cmocka_unit_test(memory_is_limited),
        cmocka_unit_test(time_is_limited),
        cmocka_unit_test(what_decoders_need_goes_on),
        cmocka_unit_test(a_broken_invariant_still_ends_the_process),
    };
    if (in_sandbox(nothing, NULL) == 77) {
        puts("SKIPPED: NO SYSTEM CALL FILTER in this build or on this kernel");
        return 77;
    }
    return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
