/* Any bytes as a PNG file. The checksums of its chunks are put right first, or nothing would get
 * past them. */
#include "image/image.h"
#include "tests/fuzz/structure.h"
#include "tests/png_make.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void repair(uint8_t *d, size_t size)
{
    for (size_t i = 8; i + 12 <= size;) {
        size_t n = (size_t)d[i] << 24 | (size_t)d[i + 1] << 16 | (size_t)d[i + 2] << 8 | d[i + 3];
        if (n > size - i - 12)
            return;
        uint32_t c = png_crc(d + i + 4, n + 4);
        for (int k = 0; k < 4; k++)
            d[i + 8 + n + (size_t)k] = (uint8_t)(c >> (24 - 8 * k));
        i += 12 + n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image img;
    struct image_meta meta;
    struct image_opts o = {.max_pixels = 1 << 20};
    uint8_t *copy = mem_dup(data, size ? size : 1);
    if (!copy)
        return 0;
    repair(copy, size);
    image_load_memory(&img, copy, size, "fuzz.png", &o, &meta, NULL);
    image_release(&img);
    mem_free(copy);
    return 0;
}

FUZZ_STRUCTURE(grammar_png)
