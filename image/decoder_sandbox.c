/* What a decode worker may do: compute. Files come as open descriptors, so the system-call filter
 * needs no open. Surprising: calls outside the list fail with EPERM instead of killing, so that a C
 * library that tries something new in some later version degrades instead of breaking every
 * picture. Threads inside the process are allowed, processes are not: libheif starts one thread for
 * libde265 whatever it is told, and waits for ever where that fails. Sanitizers need more memory
 * and more calls than any sandbox would grant, so their builds run without. */
#include "image/decoder_int.h"
#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>
#ifdef HAVE_SECCOMP
#include <linux/seccomp.h>
#include <seccomp.h>
#endif

#ifdef EIDETIC_SANITIZED
static const bool limited = false;
#else
static const bool limited = true;
#endif

bool decoder_sandbox_silent(void)
{
    return limited;
}

/* Address space: what is mapped already, the largest file, and ten bytes a pixel (3 for the
 * picture, up to 6 for a progressive JPEG's coefficients). */
static void limit_memory(uint64_t max_pixels)
{
    unsigned long long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f || fscanf(f, "%llu", &pages) != 1)
        pages = (1 << 30) / 4096;
    if (f)
        fclose(f);
    uint64_t pixels = max_pixels ? max_pixels : IMAGE_MAX_PIXELS;
    rlim_t most = RLIM_INFINITY;
    if (pixels < UINT64_MAX / 64)
        most = pages * (uint64_t)sysconf(_SC_PAGESIZE) + IMAGE_MAX_BYTES + (64 << 20) + pixels * 10;
    setrlimit(RLIMIT_AS, &(struct rlimit){most, most});
}

size_t decoder_sandbox_memory(void)
{
    struct mallinfo2 m = mallinfo2(); /* of all arenas */
    return limited ? m.uordblks + m.hblkhd : 0;
}

/* A soft limit, raised for each file: the clock of RLIMIT_CPU never restarts. */
void decoder_sandbox_allow_seconds(int timeout_ms)
{
    struct rusage u;
    if (!limited || getrusage(RUSAGE_SELF, &u))
        return;
    rlim_t used = (rlim_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec);
    rlim_t most = used + (rlim_t)(timeout_ms / 1000) + 3;
    setrlimit(RLIMIT_CPU, &(struct rlimit){most, RLIM_INFINITY});
}

#ifdef HAVE_SECCOMP
/* What pthread_create asks of clone. */
#define THREAD_FLAGS                                                                               \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_SIGHAND | CLONE_THREAD |            \
     CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

static bool filter_calls(void)
{
    static const int calls[] = {
        SCMP_SYS(recvmsg),
        SCMP_SYS(sendmsg),
        SCMP_SYS(sendto),
        SCMP_SYS(close),
        SCMP_SYS(pread64),
        SCMP_SYS(ftruncate),
        SCMP_SYS(munmap),
        SCMP_SYS(mremap),
        SCMP_SYS(brk),
        SCMP_SYS(madvise),
        SCMP_SYS(futex),
        SCMP_SYS(poll),
        SCMP_SYS(setitimer),
        SCMP_SYS(getrusage),
        SCMP_SYS(clock_gettime),
        SCMP_SYS(rt_sigreturn),
        SCMP_SYS(rt_sigprocmask),
        SCMP_SYS(rt_sigaction),
        SCMP_SYS(getpid),
        SCMP_SYS(gettid),
        SCMP_SYS(sched_yield),
        SCMP_SYS(restart_syscall),
        SCMP_SYS(exit),
        SCMP_SYS(exit_group),
        SCMP_SYS(rseq),
        SCMP_SYS(set_robust_list),
    };
    scmp_filter_ctx c = seccomp_init(SCMP_ACT_ERRNO(1)); /* EPERM */
    if (!c)
        return false;
    int bad = 0;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        bad |= seccomp_rule_add(c, SCMP_ACT_ALLOW, calls[i], 0);
    bad |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                            SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    bad |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                            SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    bad |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, SCMP_A0(SCMP_CMP_EQ, 0, 0),
                            SCMP_A1(SCMP_CMP_EQ, RLIMIT_CPU, 0));
    bad |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                            SCMP_A0(SCMP_CMP_EQ, THREAD_FLAGS, 0));
    bad |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, /* abort(), nobody else */
                            SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    /* Its flags lie in memory, where no filter sees them; glibc then takes clone. */
    bad |= seccomp_rule_add(c, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    bool ok = !bad && !seccomp_load(c);
    seccomp_release(c);
    return ok;
}

static const char *filter_info(void)
{
    uint32_t action = SECCOMP_RET_ERRNO;
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action))
        return "memory and time limits (this kernel has no seccomp filters)";
    return "seccomp filter, memory and time limits";
}
#else
static bool filter_calls(void)
{
    return false;
}

static const char *filter_info(void)
{
    return "memory and time limits (built without seccomp)";
}
#endif

const char *decoder_sandbox_info(void)
{
    return limited ? filter_info() : "none (a sanitizer build)";
}

bool decoder_sandbox_enter(uint64_t max_pixels)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* crashes are expected here */
    if (!limited)
        return false;
    limit_memory(max_pixels);
    return filter_calls();
}
