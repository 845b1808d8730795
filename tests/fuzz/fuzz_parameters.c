/* Any bytes as a generator's text: as it is, as an EXIF comment, as other generators' records. */
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
    static const char *const keys[] = {"prompt", "invokeai_metadata", "sd-metadata"};
    for (int i = 0; i < 3; i++)
        if (parameters_record(out, keys[i], (const char *)data, size) &&
            parameters_parse(&p, out, NULL))
            __builtin_trap(); /* what comes out is such a text */
        else if (out[0])
            parameters_release(&p);
    return 0;
}
