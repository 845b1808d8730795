/* Writes GGUF files for tests: keys first, then tensors, then bytes. Static functions: each test
 * is one program.
 *
 *     struct gguf_out g;
 *     gguf_begin(&g, 3);
 *     gguf_text(&g, "general.architecture", "clip");
 *     gguf_tensor(&g, "v.class_embd", 1, (int64_t[]){64}, GGUF_F32, data, 256);
 *     gguf_write(&g, "toy.gguf"); */
#ifndef EIDETIC_TESTS_GGUF_MAKE_H
#define EIDETIC_TESTS_GGUF_MAKE_H

#include "core/buf.h"
#include "core/file.h"
#include "core/mem.h"
#include "nn/weights.h"
#include "test.h"
#include <string.h>

enum { GGUF_F32 = 0, GGUF_F16 = 1, GGUF_Q4_0 = 2, GGUF_Q4_1 = 3, GGUF_Q5_0 = 6, GGUF_Q5_1 = 7 };
enum { GGUF_Q8_0 = 8, GGUF_I64 = 27, GGUF_BF16 = 30 };

struct gguf_out {
    struct buf pairs, list, data;
    uint64_t n_pairs, n_tensors;
    uint32_t version;
};

static inline void gguf_number(struct buf *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        char c = (char)(v >> (8 * i));
        buf_append(b, &c, 1);
    }
}

static inline void gguf_string(struct buf *b, const char *s)
{
    gguf_number(b, strlen(s), 8);
    buf_append(b, s, strlen(s));
}

static inline void gguf_begin(struct gguf_out *g, uint32_t version)
{
    *g = (struct gguf_out){.version = version};
    buf_init(&g->pairs, (size_t)1 << 30);
    buf_init(&g->list, (size_t)1 << 30);
    buf_init(&g->data, (size_t)1 << 30);
}

static inline void gguf_text(struct gguf_out *g, const char *key, const char *value)
{
    gguf_string(&g->pairs, key);
    gguf_number(&g->pairs, 8, 4);
    gguf_string(&g->pairs, value);
    g->n_pairs++;
}

static inline void gguf_scalar(struct gguf_out *g, const char *key, int type, uint64_t v, int bytes)
{
    gguf_string(&g->pairs, key);
    gguf_number(&g->pairs, (uint64_t)type, 4);
    gguf_number(&g->pairs, v, bytes);
    g->n_pairs++;
}

static inline void gguf_u32(struct gguf_out *g, const char *key, uint32_t v)
{
    gguf_scalar(g, key, 4, v, 4);
}

static inline void gguf_f32(struct gguf_out *g, const char *key, float f)
{
    uint32_t v;
    memcpy(&v, &f, 4);
    gguf_scalar(g, key, 6, v, 4);
}

static inline void gguf_bool(struct gguf_out *g, const char *key, bool v)
{
    gguf_scalar(g, key, 7, v, 1);
}

static inline void gguf_f32_list(struct gguf_out *g, const char *key, const float *x, int n)
{
    gguf_string(&g->pairs, key);
    gguf_number(&g->pairs, 9, 4);
    gguf_number(&g->pairs, 6, 4);
    gguf_number(&g->pairs, (uint64_t)n, 8);
    buf_append(&g->pairs, x, (size_t)n * sizeof *x);
    g->n_pairs++;
}

/* dims in PyTorch's order. */
static inline void gguf_tensor(struct gguf_out *g, const char *name, int ndim, const int64_t *dims,
                               int type, const void *data, size_t bytes)
{
    static const char zeros[32];
    gguf_string(&g->list, name);
    gguf_number(&g->list, (uint64_t)ndim, 4);
    for (int i = ndim - 1; i >= 0; i--)
        gguf_number(&g->list, (uint64_t)dims[i], 8);
    gguf_number(&g->list, (uint64_t)type, 4);
    gguf_number(&g->list, g->data.len, 8);
    buf_append(&g->data, data, bytes);
    buf_append(&g->data, zeros, (32 - bytes % 32) % 32);
    g->n_tensors++;
}

/* A tensor as it lies in another weight file; f32 where ggml has no such type. */
static inline void gguf_copy(struct gguf_out *g, const char *name, const struct tensor *t)
{
    size_t n = (size_t)tensor_count(t), bytes = 0;
    float *x = NULL;
    int type = t->dtype == DT_F16 ? GGUF_F16 : t->dtype == DT_BF16 ? GGUF_BF16 : GGUF_F32;
    const void *data = t->data;
    if (t->dtype == DT_Q8_0)
        type = GGUF_Q8_0;
    if (type == GGUF_F32 && t->dtype != DT_F32) {
        data = x = mem_array(n + 1, sizeof *x);
        assert_non_null(x);
        tensor_to_f32(t, x);
    }
    assert_true(dtype_bytes(x ? DT_F32 : t->dtype, n, &bytes));
    gguf_tensor(g, name, t->ndim, t->dim, type, data, bytes);
    mem_free(x);
}

/* The whole file in memory (buf_release it); releases g. */
static inline struct buf gguf_take(struct gguf_out *g)
{
    static const char zeros[32];
    struct buf b;
    buf_init(&b, (size_t)1 << 30);
    buf_append(&b, "GGUF", 4);
    gguf_number(&b, g->version, 4);
    gguf_number(&b, g->n_tensors, 8);
    gguf_number(&b, g->n_pairs, 8);
    if (g->pairs.len)
        buf_append(&b, g->pairs.data, g->pairs.len);
    if (g->list.len)
        buf_append(&b, g->list.data, g->list.len);
    buf_append(&b, zeros, (32 - b.len % 32) % 32);
    if (g->data.len)
        buf_append(&b, g->data.data, g->data.len);
    assert_false(b.failed);
    buf_release(&g->pairs);
    buf_release(&g->list);
    buf_release(&g->data);
    return b;
}

static inline void gguf_write(struct gguf_out *g, const char *path)
{
    struct buf b = gguf_take(g);
    assert_int_equal(file_write_atomic(path, b.data, b.len, NULL), ST_OK);
    buf_release(&b);
}

#endif
