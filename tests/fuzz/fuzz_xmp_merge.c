/* Any bytes as the sidecar that words are added to: refused, or the words can be read back and a
 * second time nothing is missing. */
#include "core/mem.h"
#include "image/words.h"
#include "image/xmp_merge.h"
#include "tests/fuzz/structure.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const keywords[] = {"dog", "a <b> & c"};
    const struct xmp_words add = {"sand & sea", keywords, 2};
    char *old = mem_strndup((const char *)data, size), *text = NULL, *again = NULL;
    size_t n = 0, m = 0;
    if (old && !xmp_merge(&text, &n, old, strlen(old), &add, "x", NULL) && text) {
        if (!xmp_read(&(struct image_words){0}, (const uint8_t *)text, n))
            __builtin_trap();
        if (xmp_merge(&again, &m, text, n, &add, "x", NULL) || again)
            __builtin_trap();
    }
    mem_free(again);
    mem_free(text);
    mem_free(old);
    return 0;
}

FUZZ_STRUCTURE(grammar_xml)
