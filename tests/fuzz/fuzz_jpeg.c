/* Any bytes as a JPEG file: an answer, no crash, no leak, bounded memory. Decoded in full and
 * reduced. */
#include "image/image.h"
#include "tests/fuzz/structure.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int side = 0; side <= 8; side += 8) {
        struct image img;
        struct image_meta meta;
        struct image_opts o = {.min_side = side, .max_pixels = 1 << 20};
        image_load_memory(&img, data, size, "fuzz.jpg", &o, &meta, NULL);
        image_release(&img);
    }
    return 0;
}

FUZZ_STRUCTURE(grammar_markers)
