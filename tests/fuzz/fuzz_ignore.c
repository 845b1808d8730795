/* Any bytes as an .eideticignore file: its first line is also the path that is asked about, as a
 * file and as a folder, and a pattern of itself. */
#include "core/mem.h"
#include "indexer/ignore.h"
#include "tests/fuzz/folder.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ignore *ig = NULL;
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    char *line = mem_strndup((const char *)data, end ? (size_t)(end - data) : size);
    char *path = line ? mem_printf("%s/%s", fuzz_folder(), line) : NULL;
    fuzz_folder_put(IGNORE_FILE, data, size);
    if (path && ignore_push(&ig, fuzz_folder(), NULL) == ST_OK) {
        bool as_file = ignore_matches(ig, path, false);
        if (as_file && !ignore_matches(ig, path, false))
            abort();
        ignore_matches(ig, path, true);
        ignore_glob(line, line);
        ignore_pop(&ig);
        if (ig)
            abort();
    }
    mem_free(path);
    mem_free(line);
    return 0;
}
