/* Memory that can be made to fail. The counter is the one piece of global state in the project: it
 * exists for the allocation-failure tests and costs one relaxed atomic add a call. */
#include "core/mem.h"
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Large blocks are made of large pages: a first touch costs a tenth, and the processor's table of
 * pages reaches all of them. */
enum { HUGE_PAGE = 2 << 20, HUGE_FROM = 8 << 20 };

static atomic_uint_fast64_t calls;
static atomic_uint_fast64_t fail_at; /* 0 = off */
static atomic_bool fail_persistent;

uint64_t mem_fail_at(uint64_t n, bool persistent)
{
    uint64_t made = atomic_exchange(&calls, 0);
    atomic_store(&fail_persistent, persistent);
    atomic_store(&fail_at, n);
    return made;
}

static bool must_fail(void)
{
    uint64_t call = atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) + 1;
    uint64_t at = atomic_load_explicit(&fail_at, memory_order_relaxed);
    return at && (call == at || (call > at && atomic_load(&fail_persistent)));
}

void *mem_alloc(size_t size)
{
    return must_fail() ? NULL : malloc(size ? size : 1);
}

void *mem_zalloc(size_t size)
{
    return must_fail() ? NULL : calloc(1, size ? size : 1);
}

void *mem_array(size_t n, size_t size)
{
    size_t bytes;
    return mul_overflow_size(n, size, &bytes) ? NULL : mem_alloc(bytes);
}

void *mem_zarray(size_t n, size_t size)
{
    size_t bytes;
    return mul_overflow_size(n, size, &bytes) ? NULL : mem_zalloc(bytes);
}

void *mem_realloc(void *p, size_t size)
{
    return must_fail() ? NULL : realloc(p, size ? size : 1);
}

void *mem_realloc_array(void *p, size_t n, size_t size)
{
    size_t bytes;
    return mul_overflow_size(n, size, &bytes) ? NULL : mem_realloc(p, bytes);
}

void *mem_aligned(size_t size, size_t align)
{
    size_t rounded;
    if (size >= HUGE_FROM && align < HUGE_PAGE)
        align = HUGE_PAGE;
    if (add_overflow_size(size ? size : 1, align - 1, &rounded) || must_fail())
        return NULL;
    rounded &= ~(align - 1);
    void *p = aligned_alloc(align, rounded);
    if (p && size >= HUGE_FROM)
        madvise(p, rounded, MADV_HUGEPAGE); /* where the kernel has none, nothing is lost */
    return p;
}

void *mem_dup(const void *p, size_t size)
{
    void *copy = mem_alloc(size);
    if (copy && size)
        memcpy(copy, p, size);
    return copy;
}

char *mem_strndup(const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *copy = mem_alloc(len + 1);
    if (copy) {
        memcpy(copy, s, len);
        copy[len] = 0;
    }
    return copy;
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s, strlen(s));
}

char *mem_printf(const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *s = n < 0 ? NULL : mem_alloc((size_t)n + 1);
    if (s)
        vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return s;
}

void mem_free(void *p)
{
    free(p);
}
