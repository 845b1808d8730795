/* Processor features by GCC's builtin, which also asks the operating system about the registers. */
#include "core/cpu.h"
#include <sched.h>
#include <string.h>

enum cpu_level cpu_level_max(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
        !__builtin_cpu_supports("f16c"))
        return CPU_REF;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return CPU_AVX2;
    if (!__builtin_cpu_supports("avx512vnni") || !__builtin_cpu_supports("avx512bf16"))
        return CPU_AVX512;
    return CPU_AVX512VNNI;
#else
    return CPU_REF;
#endif
}

static const char *const level_names[] = {"ref", "avx2", "avx512", "avx512vnni"};

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
