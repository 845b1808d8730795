/* Any bytes as a PyTorch file. What is not a zip or an old torch pickle is taken as the data.pkl of
 * an archive that is built round it, so that checksums do not keep the fuzzer from the pickle
 * machine. */
#include "core/mem.h"
#include "nn/weights_int.h"
#include "tests/fuzz/message.h"
#include "tests/fuzz/structure.h"
#include "tests/unit/zip_make.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_everything(const struct weights *w)
{
    char id[33];
    weights_id(w, id);
    for (int i = 0; i < weights_count(w); i++) {
        const struct tensor *t = weights_at(w, i);
        float *values = mem_array((size_t)tensor_count(t) + 1, sizeof *values);
        if (values)
            tensor_to_f32(t, values);
        mem_free(values);
    }
}

static void open_bytes(const void *data, size_t size)
{
    struct weights *w;
    struct error err = {ST_OK, ""};
    if (!weights_open_memory(&w, data, size, "fuzz.pt", &err)) {
        read_everything(w);
        weights_close(w);
        return;
    }
    fuzz_message(&err, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t storage[512] = {1, 2, 3};
    open_bytes(data, size);
    if (size >= 2 && data[0] == 'P' && data[1] == 'K')
        return 0;
    struct zip_file f[] = {
        {"a/data.pkl", data, size, 0}, {"a/data/0", storage, sizeof storage, 0},
        {"a/data/1", storage, 60, 0},  {"a/data/2", storage, 16, 0},
        {"a/data/3", storage, 1, 0},
    };
    struct buf b = zip_make(f, 5);
    if (!b.failed)
        open_bytes(b.data, b.len);
    buf_release(&b);
    return 0;
}

FUZZ_STRUCTURE(grammar_pickle)
