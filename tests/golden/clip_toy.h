/* Toy models for tests: the weights that scripts/make_golden_clip.py gave the references, made
 * again from names alone (SplitMix64 seeded by FNV-1a), and written as a model folder. Static
 * functions: each test is one program. */
#ifndef EIDETIC_TESTS_CLIP_TOY_H
#define EIDETIC_TESTS_CLIP_TOY_H

#include "clip/clip.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include "nn/weights.h"
#include "test.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline uint64_t toy_seed(const char *a, const char *b)
{
    uint64_t h = UINT64_C(0xCBF29CE484222325);
    for (const char *s = a; *s; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001B3);
    h = (h ^ '/') * UINT64_C(0x100000001B3);
    for (const char *s = b; *s; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001B3);
    return h;
}

static inline uint64_t toy_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* One tensor's values in its dtype; mem_free it. */
static inline void *toy_values(const char *toy, const char *name, size_t n, enum dtype t,
                               double middle, double reach)
{
    size_t bytes = 0;
    assert_true(dtype_bytes(t, n, &bytes));
    uint64_t state = toy_seed(toy, name);
    char *p = mem_alloc(bytes ? bytes : 1);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) {
        double u = (double)(toy_next(&state) >> 40) / 16777216.0;
        float f = (float)(middle + reach * (2.0 * u - 1.0));
        if (t == DT_F32)
            ((float *)(void *)p)[i] = f;
        else
            ((uint16_t *)(void *)p)[i] = t == DT_F16 ? f32_to_f16(f) : f32_to_bf16(f);
    }
    return p;
}

static inline uint8_t *toy_pixels(const char *toy, int n, int size)
{
    size_t count = (size_t)n * (size_t)size * (size_t)size * 3;
    uint64_t state = toy_seed(toy, "pixels");
    uint8_t *p = mem_alloc(count);
    assert_non_null(p);
    for (size_t i = 0; i < count; i++)
        p[i] = (uint8_t)(toy_next(&state) >> 56);
    return p;
}

static inline json_t *toy_manifest(const char *toy)
{
    char path[512];
    json_error_t je;
    snprintf(path, sizeof path, "%s/clip/%s.json", TEST_DATA, toy);
    json_t *m = json_load_file(path, 0, &je);
    assert_non_null(m);
    return m;
}

/* Changes that a test makes before the folder is written. */
struct toy_edit {
    const char *drop;           /* leave this tensor out */
    const char *shape_of;       /* give this tensor one row more */
    const char *file, *content; /* write this file instead of the manifest's */
    const char *extra;          /* a tensor more, of one value */
};

static inline void toy_write_files(const json_t *m, const char *dir, const struct toy_edit *e)
{
    const char *name;
    json_t *o;
    json_object_foreach(json_object_get(m, "files"), name, o)
    {
        char *path = path_join(dir, name), *below = path_dir(path);
        char *dump = json_is_string(o) ? NULL : json_dumps(o, 0);
        const char *text = dump ? dump : json_string_value(o);
        assert_int_equal(file_make_dirs(below, NULL), ST_OK);
        mem_free(below);
        assert_int_equal(file_write_atomic(path, text, strlen(text), NULL), ST_OK);
        free(dump);
        mem_free(path);
    }
    json_object_foreach(json_object_get(m, "copies"), name, o)
    { /* of what lies under tests/golden */
        char *from = mem_printf("%s/%s", TEST_DATA, json_string_value(o)), *data = NULL;
        char *path = path_join(dir, name);
        size_t size = 0;
        assert_int_equal(file_read_all(&data, &size, from, (size_t)8 << 20, NULL), ST_OK);
        assert_int_equal(file_write_atomic(path, data, size, NULL), ST_OK);
        mem_free(data);
        mem_free(path);
        mem_free(from);
    }
    if (e && e->file) {
        char *path = path_join(dir, e->file);
        assert_int_equal(file_write_atomic(path, e->content, strlen(e->content), NULL), ST_OK);
        mem_free(path);
    }
}

/* Writes the model into a new folder under the working directory; returns its path (mem_free), and
 * the weight file's name within it. */
static inline char *toy_make(const char *toy, const char *suffix, const struct toy_edit *e,
                             char **weights)
{
    json_t *m = toy_manifest(toy), *rows = json_object_get(m, "tensors");
    json_t *buffers = json_object_get(m, "buffers");
    char *dir = mem_printf("toy-%d-%s%s", (int)getpid(), toy, suffix);
    size_t n = json_array_size(rows), k = json_array_size(buffers), used = 0;
    struct weights_out_tensor *t = mem_zarray(n + k + 1, sizeof *t);
    assert_int_equal(file_make_dirs(dir, NULL), ST_OK);
    for (size_t i = 0; i < n; i++) {
        json_t *r = json_array_get(rows, i), *shape = json_array_get(r, 1);
        int64_t dims[TENSOR_MAX_DIMS] = {0};
        const char *name = json_string_value(json_array_get(r, 0));
        for (size_t j = 0; j < json_array_size(shape); j++)
            dims[j] = json_integer_value(json_array_get(shape, j));
        if (e && e->drop && strcmp(e->drop, name) == 0)
            continue;
        if (e && e->shape_of && strcmp(e->shape_of, name) == 0)
            dims[0]++;
        enum dtype dt = (enum dtype)dtype_parse(json_string_value(json_array_get(r, 2)));
        struct tensor v = tensor_view(NULL, dt, (int)json_array_size(shape), dims);
        v.data = toy_values(toy, name, (size_t)tensor_count(&v), dt,
                            json_number_value(json_array_get(r, 3)),
                            json_number_value(json_array_get(r, 4)));
        t[used++] = (struct weights_out_tensor){name, v};
    }
    for (size_t i = 0; i < k; i++) {
        int64_t *one = mem_zalloc(sizeof *one);
        t[used++] = (struct weights_out_tensor){json_string_value(json_array_get(buffers, i)),
                                                tensor_view(one, DT_I64, 0, NULL)};
    }
    if (e && e->extra)
        t[used++] = (struct weights_out_tensor){
            e->extra, tensor_view(mem_zalloc(sizeof(float)), DT_F32, 0, NULL)};
    const char *name = json_string_value(json_object_get(m, "weights"));
    char *file = path_join(dir, name);
    struct error err = {0};
    if (weights_write(file, t, (int)used, NULL, &err))
        fail_msg("%s", err.text);
    toy_write_files(m, dir, e);
    for (size_t i = 0; i < used; i++)
        mem_free(t[i].t.data);
    mem_free(t);
    json_decref(m);
    if (weights)
        *weights = file;
    else
        mem_free(file);
    return dir;
}

/* Removes what toy_make wrote; takes the string. */
static inline void toy_remove(char *dir)
{
    static const char *const names[] = {"model.safetensors",
                                        "open_clip_model.safetensors",
                                        "tiny.safetensors",
                                        "config.json",
                                        "preprocessor_config.json",
                                        "open_clip_config.json",
                                        "processor_config.json",
                                        "tiny.json",
                                        "vocab.txt",
                                        "extra.safetensors",
                                        "tiny-quickgelu.safetensors",
                                        "vocab.json",
                                        "merges.txt",
                                        "tokenizer_config.json",
                                        "tokenizer.json",
                                        "spiece.model",
                                        "sentencepiece.bpe.model",
                                        "LICENSE",
                                        "image",
                                        "modules.json",
                                        "sentence_bert_config.json",
                                        "1_Pooling/config.json",
                                        "2_Dense/config.json",
                                        "2_Dense/model.safetensors"};
    static const char *const folders[] = {"1_Pooling", "2_Dense"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *path = path_join(dir, names[i]);
        unlink(path);
        mem_free(path);
    }
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char *path = path_join(dir, folders[i]);
        rmdir(path);
        mem_free(path);
    }
    rmdir(dir);
    mem_free(dir);
}

#endif
