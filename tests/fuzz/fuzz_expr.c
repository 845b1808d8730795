/* Any text as a search with conditions: refused, or a sentence and a tree that hangs together. */
#include "core/mem.h"
#include "core/path.h"
#include "search/expr.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t nodes(const struct db_expr *x)
{
    bool two = x->kind == DB_AND || x->kind == DB_OR, one = x->kind == DB_NOT;
    if ((x->a != NULL) != (two || one) || (x->b != NULL) != two ||
        (!two && !one && x->kind != DB_DATE && !x->text) || (x->kind == DB_DATE && x->from > x->to))
        __builtin_trap();
    return 1 + (x->a ? nodes(x->a) : 0) + (x->b ? nodes(x->b) : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mem_strndup((const char *)data, size), *sentence = NULL;
    struct db_expr *where = NULL;
    bool bare;
    if (text && !expr_parse(text, &sentence, &where, &bare, NULL)) {
        if (!sentence || (*text && !*sentence) || (where && nodes(where) > size + 1))
            __builtin_trap();
        expr_free(where);
        mem_free(sentence);
    }
    mem_free(text);
    return 0;
}
