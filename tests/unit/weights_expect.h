/* What the weight tests share: the rule by which scripts/make_golden_weights.py chose every value,
 * the loop that fails each allocation in turn, and bytes put together by hand.
 *
 *     expect_tensor(w, "a.f32", DT_F32, 2, (int64_t[]){3, 5});
 */
#ifndef EIDETIC_TESTS_WEIGHTS_EXPECT_H
#define EIDETIC_TESTS_WEIGHTS_EXPECT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/mem.h"
#include "nn/weights.h"
#include "nn/weights_int.h"

static inline float expected_value(enum dtype t, size_t i, size_t k)
{
    int x = (int)((i * 7 + k) % 31) - 15;
    if (t == DT_BOOL)
        return x > 0;
    if (t == DT_U8)
        return (float)abs(x);
    return t == DT_I64 || t == DT_I32 || t == DT_I8 ? (float)x : (float)x / 8;
}

static inline void expect_values(const struct tensor *t, size_t k)
{
    size_t n = (size_t)tensor_count(t);
    float *v = mem_array(n + 1, sizeof *v);
    assert_non_null(v);
    tensor_to_f32(t, v);
    for (size_t i = 0; i < n; i++)
        assert_true(v[i] == expected_value(t->dtype, i, k));
    mem_free(v);
}

static inline void expect_tensor(const struct weights *w, const char *name, enum dtype dtype,
                                 int ndim, const int64_t *dims)
{
    struct tensor t;
    struct error err = {0};
    if (weights_get(w, name, ndim, dims, &t, &err))
        fail_msg("%s", err.text);
    assert_string_equal(dtype_name(t.dtype), dtype_name(dtype));
    expect_values(&t, strlen(name));
}

/* Opening must fail with this code and say this word. */
static inline void expect_refused(const void *data, size_t size, enum status code, const char *word)
{
    struct weights *w;
    struct error err = {0};
    enum status st = weights_open_memory(&w, data, size, "hostile", &err);
    if (st != code || !strstr(err.text, word))
        fail_msg("wanted %s with '%s', got %s: %s", status_name(code), word, status_name(st),
                 err.text);
    assert_null(w);
    assert_int_equal(err.code, code);
    assert_int_equal(weights_open_memory(&w, data, size, "hostile", NULL), code);
}

/* Fails every allocation in turn until the call succeeds; a leak shows under AddressSanitizer.
 * jansson's too, which otherwise asks malloc. */
static inline void expect_survives_no_memory(const char *path)
{
    struct weights *w = NULL;
    struct error err;
    enum status st = ST_NOMEM;
    uint64_t n = 0;
    json_set_alloc_funcs(mem_alloc, mem_free);
    for (int persistent = 0; persistent < 2; persistent++) {
        st = ST_NOMEM;
        for (n = 1; st && n < 100000; n++) {
            mem_fail_at(n, persistent);
            st = weights_open(&w, path, &err);
            mem_fail_at(0, false);
            /* jansson may take its own want of memory for a syntax error */
            if (st != ST_OK && st != ST_NOMEM && !strstr(err.text, "bad JSON"))
                fail_msg("allocation %d: %s", (int)n, err.text);
        }
        assert_int_equal(st, ST_OK);
        weights_close(w);
    }
    json_set_alloc_funcs(malloc, free);
    assert_true(n > 5);
}

/* The tensors that the golden files of every format begin with (scripts/make_golden_weights.py). */
static inline void expect_plain_tensors(const struct weights *w)
{
    expect_tensor(w, "a.f32", DT_F32, 2, (int64_t[]){3, 5});
    expect_tensor(w, "a.f16", DT_F16, 3, (int64_t[]){2, 3, 4});
    expect_tensor(w, "a.bf16", DT_BF16, 1, (int64_t[]){7});
    expect_tensor(w, "a.f64", DT_F64, 2, (int64_t[]){2, 2});
    expect_tensor(w, "b.i64", DT_I64, 1, (int64_t[]){4});
    expect_tensor(w, "b.i32", DT_I32, 1, (int64_t[]){4});
    expect_tensor(w, "b.i8", DT_I8, 1, (int64_t[]){3});
    expect_tensor(w, "b.u8", DT_U8, 1, (int64_t[]){3});
    expect_tensor(w, "b.bool", DT_BOOL, 1, (int64_t[]){5});
    expect_tensor(w, "scalar", DT_F32, 0, NULL);
    expect_tensor(w, "empty", DT_F32, 2, (int64_t[]){0, 3});
}

#endif
