/* What this processor can do, asked once; and the level in use, which EIDETIC_CPU or --cpu may
 * lower
 * ("ref", "avx2", "avx512", "avx512vnni") but never raise. */
#ifndef EIDETIC_CORE_CPU_H
#define EIDETIC_CORE_CPU_H

#include <stdbool.h>

enum cpu_level {                 /* each includes those before it */
                 CPU_REF = 0,    /* plain C */
                 CPU_AVX2,       /* AVX2 + FMA + F16C */
                 CPU_AVX512,     /* F, BW, DQ, VL */
                 CPU_AVX512VNNI, /* + VNNI and BF16 */
};

enum cpu_level cpu_level_max(void); /* lowered by EIDETIC_CPU */
const char *cpu_level_name(enum cpu_level level);
int cpu_level_parse(const char *name); /* -1: unknown */
int cpu_count(void);                   /* processors this process may use (affinity), at least 1 */

#endif
