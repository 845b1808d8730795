/* Any bytes as IPTC records, and as Photoshop's resources. */
#include "image/words.h"
#include "tests/fuzz/structure.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_words w = {0};
    const uint8_t *records;
    size_t n;
    iptc_read(&w, data, size);
    if (iptc_find(&records, &n, data, size)) {
        if (records < data || n > size || (size_t)(records - data) > size - n)
            __builtin_trap();
        iptc_read(&w, records, n);
    }
    if (!image_words_check(&w))
        __builtin_trap();
    return 0;
}

FUZZ_STRUCTURE(grammar_iptc)
