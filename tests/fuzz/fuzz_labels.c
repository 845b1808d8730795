/* Any bytes as a list of labels: what is read has parents in the list, never in a circle, each
 * behind what lies below it. */
#include "caption/lexicon.h"
#include "tests/fuzz/message.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lexicon v = {0};
    struct error err = {ST_OK, ""};
    if (lexicon_parse(&v, (const char *)data, size, "labels.txt", &err)) {
        fuzz_message(&err, true);
        return 0;
    }
    int *at = calloc(v.n + 1, sizeof *at); /* where each stands in `up` */
    for (size_t i = 0; at && i < v.n; i++)
        at[v.up[i]] = (int)i;
    for (size_t i = 0; at && i < v.n; i++) {
        const struct lexicon_term *t = &v.term[i];
        if (!t->text[0] || strlen(t->text) > LEXICON_MAX_LABEL || t->facet >= LEXICON_FACETS ||
            t->parent >= (int)v.n || (t->parent >= 0 && at[t->parent] <= at[i]))
            abort();
    }
    free(at);
    lexicon_release(&v);
    return 0;
}
