/* Lines as arguments of a search, and each also as a date. */
#include "core/mem.h"
#include "db/images.h"
#include "search/query.h"
#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mem_strndup((const char *)data, size);
    const char *args[64];
    size_t n = 0;
    struct query q = {0};
    for (char *p = text; p && n < 64; n++) {
        char *end = strchr(p, '\n');
        if (end)
            *end = 0;
        args[n] = p;
        p = end ? end + 1 : NULL;
    }
    for (size_t i = 0; i < n; i++) {
        int64_t from = 0, to = 0;
        if (db_parse_time(args[i], false, &from) && db_parse_time(args[i], true, &to) && from > to)
            __builtin_trap();
    }
    if (query_add_words(&q, args, n / 2, NULL) == ST_OK)
        for (size_t i = n / 2; i < n; i++)
            (void)query_add(&q, args[i], i % 2 ? 1 : -1, NULL);
    float vecs[QUERY_MAX_TERMS * 2], out[2];
    for (size_t i = 0; i < q.n; i++) {
        vecs[2 * i] = (float)i - 1;
        vecs[2 * i + 1] = 1;
    }
    if (query_combine(&q, vecs, 2, out, NULL) == ST_OK &&
        !(fabsf(out[0] * out[0] + out[1] * out[1] - 1) < 1e-3f))
        __builtin_trap();
    query_release(&q);
    mem_free(text);
    return 0;
}
