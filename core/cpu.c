/* Processor features by cpuid, since compilers disagree on which names their builtins know; the
 * operating system is asked (xgetbv) whether it keeps the wide registers. */
#include "core/cpu.h"
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

static const char *const level_names[] = {"ref", "avx2", "avx512", "avx512vnni"};

#if defined(__x86_64__)
static bool has(unsigned word, unsigned mask)
{
    return (word & mask) == mask;
}

static enum cpu_level level_of_machine(void)
{
    unsigned a, b, c, d, b7, c7, a71 = 0, lo, hi;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !has(c, bit_FMA | bit_F16C | bit_AVX | bit_OSXSAVE) ||
        !__get_cpuid_count(7, 0, &a, &b7, &c7, &d))
        return CPU_REF;
    if (a >= 1 && __get_cpuid_count(7, 1, &a71, &b, &c, &d) == 0)
        a71 = 0;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    if (!has(lo, 0x6) || !has(b7, bit_AVX2)) /* SSE and AVX state */
        return CPU_REF;
    if (!has(lo, 0xE0) || /* mask and upper AVX-512 state */
        !has(b7, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL))
        return CPU_AVX2;
    return has(c7, 1u << 11) && has(a71, 1u << 5) ? CPU_AVX512VNNI : CPU_AVX512;
}
#else
static enum cpu_level level_of_machine(void)
{
    return CPU_REF;
}
#endif

/* Asked once: in a virtual machine each cpuid is a trip to the host, some 70 us. */
static enum cpu_level found;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void ask_machine(void)
{
    found = level_of_machine();
}

enum cpu_level cpu_level_max(void)
{
    pthread_once(&once, ask_machine);
    enum cpu_level level = found;
    const char *wish = getenv("EIDETIC_CPU");
    int lower = wish ? cpu_level_parse(wish) : -1;
    return lower >= 0 && lower < (int)level ? (enum cpu_level)lower : level;
}

const char *cpu_level_name(enum cpu_level level)
{
    return level_names[level];
}

int cpu_level_parse(const char *name)
{
    for (int i = 0; i < (int)(sizeof level_names / sizeof *level_names); i++)
        if (!strcmp(name, level_names[i]))
            return i;
    return -1;
}

int cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set))
        return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? n : 1;
}
