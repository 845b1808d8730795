/* Any bytes as a GGUF file: whatever opens must be whole. Every tensor is read to its last byte,
 * every message must be one printable line. */
#include "core/mem.h"
#include "nn/weights_int.h"
#include "tests/fuzz/message.h"
#include "tests/fuzz/structure.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_everything(const struct weights *w)
{
    for (int i = 0; i < weights_count(w); i++) {
        const struct tensor *t = weights_at(w, i);
        float *values = mem_array((size_t)tensor_count(t) + 1, sizeof *values);
        if (weights_find(w, weights_name(w, i)) != t)
            abort();
        if (values)
            tensor_to_f32(t, values);
        mem_free(values);
    }
    for (int i = 0; i < weights_meta_count(w); i++) {
        const char *value, *key = weights_meta_at(w, i, &value);
        if (weights_meta(w, key) != value)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weights *w;
    struct error err = {ST_OK, ""};
    if (size < 4 || memcmp(data, "GGUF", 4))
        return 0;
    if (!weights_open_memory(&w, data, size, "fuzz.gguf", &err)) {
        read_everything(w);
        weights_close(w);
        return 0;
    }
    fuzz_message(&err, true);
    return 0;
}

FUZZ_STRUCTURE(grammar_gguf)
