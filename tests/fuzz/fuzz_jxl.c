/* Any bytes as a JPEG XL file. */
#include "image/image.h"
#include "tests/fuzz/structure.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image img;
    struct image_meta meta;
    struct image_opts o = {.max_pixels = 1 << 20};
    image_load_memory(&img, data, size, "fuzz.jxl", &o, &meta, NULL);
    image_release(&img);
    return 0;
}

FUZZ_STRUCTURE(grammar_bmff)
