/* Memory that can be made to fail.
 *
 *     float *x = mem_array(n, sizeof *x);        // n * size is overflow-checked
 *     if (!x) return error_set(err, ST_NOMEM, "out of memory (%zu values)", n);
 *     ...
 *     mem_free(x);
 *
 * All heap memory of the project comes from here, so that a test can fail the n-th allocation
 * (mem_fail_at) and prove that nothing leaks or crashes. Returns NULL on failure or overflow.
 * Thread rule: any thread. */
#ifndef EIDETIC_CORE_MEM_H
#define EIDETIC_CORE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t size);            /* uninitialised */
void *mem_zalloc(size_t size);           /* zeroed */
void *mem_array(size_t n, size_t size);  /* uninitialised, n * size checked */
void *mem_zarray(size_t n, size_t size); /* zeroed, n * size checked */
void *mem_realloc(void *p, size_t size); /* p stays valid on failure */
void *mem_realloc_array(void *p, size_t n, size_t size);
void *mem_aligned(size_t size, size_t align); /* free with mem_free; align a power of 2 */
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void *mem_dup(const void *p, size_t size);
void mem_free(void *p); /* takes NULL */

/* Test hook: the n-th allocation from now on fails (1 = the next), and all later ones too when
 * `persistent`; 0 switches it off. Returns how many allocations were made since the last call. */
uint64_t mem_fail_at(uint64_t n, bool persistent);

/* True on overflow, as the builtins; the only way sizes from files are ever multiplied or added. */
static inline bool mul_overflow_size(size_t a, size_t b, size_t *out)
{
    return __builtin_mul_overflow(a, b, out);
}
static inline bool add_overflow_size(size_t a, size_t b, size_t *out)
{
    return __builtin_add_overflow(a, b, out);
}

#endif
