/* Any bytes as a generator's text: as it is, and as an EXIF comment. */
#include "core/mem.h"
#include "image/parameters.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char out[PARAMETERS_MAX];
    struct parameters p;
    char *text = mem_strndup((const char *)data, size);
    if (text && !parameters_parse(&p, text, NULL)) {
        size_t total = strlen(p.prompt) + strlen(p.negative);
        for (int i = 0; i < p.n; i++)
            total += strlen(p.item[i].key) + strlen(p.item[i].value);
        if (total > size) /* parts of the text, never more */
            __builtin_trap();
        parameters_release(&p);
    }
    mem_free(text);
    exif_read_parameters(out, data, size);
    return 0;
}
