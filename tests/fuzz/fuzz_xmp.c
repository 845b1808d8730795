/* Any bytes as a sidecar, and behind it as what merges with one. */
#include "image/words.h"
#include "tests/fuzz/structure.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_words w = {0}, again = {0};
    (void)xmp_read(&w, data, size);
    (void)xmp_read(&again, data, size / 2);
    image_words_merge(&again, &w);
    if (!image_words_check(&w) || !image_words_check(&again))
        __builtin_trap();
    return 0;
}

FUZZ_STRUCTURE(grammar_xml)
