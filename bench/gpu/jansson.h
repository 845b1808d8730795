/* In the place of Jansson, for scripts/gpu-check on machines without it: a name for headers, of
 * which nothing is called there. */
#ifndef EIDETIC_BENCH_GPU_JANSSON_H
#define EIDETIC_BENCH_GPU_JANSSON_H

#include <stdio.h> /* as the original does */
#include <stdlib.h>
#include <string.h>

typedef struct json_t json_t;

#endif
