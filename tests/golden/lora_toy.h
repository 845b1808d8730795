/* The LoRA files of scripts/make_golden_lora.py, made again from their tensors' names. */
#ifndef EIDETIC_TESTS_LORA_TOY_H
#define EIDETIC_TESTS_LORA_TOY_H

#include "golden/sd_toy.h"

/* Writes file `which` of lora.json as path. */
static inline void lora_toy_write(const char *which, const char *path)
{
    json_error_t je;
    struct error err = {0};
    json_t *m = json_load_file(SOURCE_DIR "/tests/golden/sampler/lora.json", 0, &je);
    json_t *rows = json_object_get(m, which);
    size_t n = json_array_size(rows);
    struct weights_out_tensor *t = mem_zarray(n + 1, sizeof *t);
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(rows, i), *shape = json_array_get(row, 1);
        const json_t *value = json_array_get(row, 4);
        int64_t dims[TENSOR_MAX_DIMS] = {1, 1, 1, 1, 1};
        for (size_t k = 0; k < json_array_size(shape); k++)
            dims[k] = json_integer_value(json_array_get(shape, k));
        enum dtype dt = (enum dtype)dtype_parse(sd_row_text(row, 2));
        struct tensor v = tensor_view(NULL, dt, (int)json_array_size(shape), dims);
        char *key = mem_printf("%s/%s", which, sd_row_text(row, 0));
        double middle = json_is_number(value) ? json_number_value(value) : 0;
        double reach = json_is_number(value) ? 0 : json_number_value(json_array_get(row, 3));
        v.data = toy_values("lora", key, (size_t)tensor_count(&v), dt, middle, reach);
        t[i] = (struct weights_out_tensor){sd_row_text(row, 0), v};
        mem_free(key);
    }
    if (weights_write(path, t, (int)n, NULL, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < n; i++)
        mem_free(t[i].t.data);
    mem_free(t);
    json_decref(m);
}

#endif
