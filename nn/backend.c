/* Opening, closing and the sticky failure. backend_list is worked out once a process and never
 * changes afterwards, which is why it may be a static array. */
#include "nn/backend.h"
#include "core/cpu.h"
#include "core/error.h"
#include "nn/backend_int.h"
#include <assert.h>
#include <cblas.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define MAX_NAMES 32

static const char *names[MAX_NAMES + 1];
static char blas[128];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void find_names(void)
{
    int n = 0;
    for (const struct backend_kind *const *k = backend_kinds; *k; k++)
        n += (*k)->names(names + n, MAX_NAMES - n);
    static const char *const parallel[] = {"one thread", "pthreads", "OpenMP"};
    int p = openblas_get_parallel();
    const char *config = openblas_get_config(); /* "OpenBLAS 0.3.21 NO_LAPACKE ... SkylakeX ..." */
    const char *space = strchr(config, ' ');
    space = space ? strchr(space + 1, ' ') : NULL;
    int len = space ? (int)(space - config) : (int)strlen(config);
    snprintf(blas, sizeof blas, "%.*s %s, %s", len, config, openblas_get_corename(),
             p >= 0 && p <= 2 ? parallel[p] : "unknown threads");
}

const char *const *backend_list(void)
{
    pthread_once(&once, find_names);
    return names;
}

const char *backend_blas_info(void)
{
    pthread_once(&once, find_names);
    return blas;
}

enum status backend_open(struct backend **be, const char *name, int threads, struct error *err)
{
    *be = NULL;
    size_t n = strcspn(name, ":+/"), end = strcspn(name, "/");
    char variant[32] = "";
    int precision = name[end] ? precision_parse(name + end + 1) : PREC_F32;
    size_t from = n + (name[n] == ':'); /* a variant may be "+low" alone */
    if (end > from && end - from < sizeof variant)
        memcpy(variant, name + from, end - from);
    for (const struct backend_kind *const *k = backend_kinds; *k && precision >= 0; k++) {
        if (strlen((*k)->prefix) != n || strncmp((*k)->prefix, name, n) != 0)
            continue;
        enum status st =
            (*k)->open(be, end > n ? variant : NULL, (enum precision)precision, threads, err);
        if (st == ST_OK)
            (*be)->kind = *k;
        return st;
    }
    return error_set(err, ST_USAGE, "%.40s: no such device", name);
}

void backend_close(struct backend *be)
{
    if (be)
        be->kind->close(be);
}

const char *backend_name(const struct backend *be)
{
    return be->name;
}

enum precision backend_precision(const struct backend *be)
{
    return be->precision;
}

bool backend_has_low_precision(void)
{
    return cpu_level_max() >= CPU_AVX512VNNI;
}

static const char *const precision_names[PREC_COUNT] = {"f32", "bf16", "int8", "f16"};

const char *precision_name(enum precision p)
{
    return precision_names[p];
}

int precision_parse(const char *name)
{
    for (int i = 0; i < PREC_COUNT; i++)
        if (strcmp(name, precision_names[i]) == 0)
            return i;
    return -1;
}

int backend_threads(const struct backend *be)
{
    return pool_threads(be->pool);
}

struct pool *backend_pool(struct backend *be)
{
    return be->pool;
}

void backend_fail(struct backend *be, enum status code, const char *fmt, ...)
{
    if (be->failure.code != ST_OK)
        return;
    va_list ap;
    va_start(ap, fmt);
    be->failure.code = code;
    vsnprintf(be->failure.text, sizeof be->failure.text, fmt, ap);
    va_end(ap);
}

struct arena_memory *backend_memory(struct backend *be)
{
    return be->kind->memory ? be->kind->memory(be) : NULL;
}

void backend_upload(struct backend *be, const struct tensor *t)
{
    if (be->kind->upload)
        be->kind->upload(be, t);
}

void backend_download(struct backend *be, const struct tensor *t)
{
    if (be->kind->download)
        be->kind->download(be, t);
}

size_t backend_room(struct backend *be)
{
    return be->kind->room ? be->kind->room(be) : SIZE_MAX;
}

struct arena_memory *backend_staging(struct backend *be)
{
    return be->kind->staging ? be->kind->staging(be) : NULL;
}

void backend_send(struct backend *be, const struct tensor *t)
{
    if (be->kind->send)
        be->kind->send(be, t);
}

void backend_fetch(struct backend *be, const struct tensor *t, int slot)
{
    if (be->kind->fetch)
        be->kind->fetch(be, t, slot);
}

enum status backend_repeat(struct backend *be, struct arena *a, const char *key,
                           enum status (*f)(void *ctx), void *ctx)
{
    return be->kind->repeat ? be->kind->repeat(be, a, key, f, ctx) : f(ctx);
}

static enum status take_failure(struct backend *be, struct error *err)
{
    struct error first = be->failure;
    be->failure = (struct error){0};
    return first.code == ST_OK ? ST_OK : error_set(err, first.code, "%s", first.text);
}

enum status backend_sync(struct backend *be, struct error *err)
{
    if (be->kind->sync)
        be->kind->sync(be);
    return take_failure(be, err);
}

enum status backend_wait(struct backend *be, int slot, struct error *err)
{
    if (!be->kind->wait)
        return backend_sync(be, err);
    be->kind->wait(be, slot);
    return take_failure(be, err);
}
