/* An expat parser with what is hostile switched off. */
#include "image/xmp_parser.h"
#include "core/mem.h"
#include <stdint.h>

void xmp_parser_refuse(struct xmp_parser *x)
{
    x->refused = true;
    XML_StopParser(x->parser, XML_FALSE);
}

static void XMLCALL on_doctype(void *ctx, const char *name, const char *system, const char *public,
                               int internal)
{
    (void)name, (void)system, (void)public, (void)internal;
    xmp_parser_refuse(ctx);
}

bool xmp_parser_open(struct xmp_parser *x, XML_StartElementHandler start, XML_EndElementHandler end,
                     XML_CharacterDataHandler text)
{
    static const XML_Memory_Handling_Suite memory = {mem_alloc, mem_realloc, mem_free};
    x->refused = false;
    x->parser = XML_ParserCreate_MM(NULL, &memory, "");
    if (!x->parser)
        return false;
    /* Else expat asks the system for one, which a confined worker may not, and glibc aborts. */
    XML_SetHashSalt(x->parser, (unsigned long)(uintptr_t)x ^ (unsigned long)(uintptr_t)&memory);
    XML_SetUserData(x->parser, x);
    XML_SetElementHandler(x->parser, start, end);
    XML_SetCharacterDataHandler(x->parser, text);
    XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
    return true;
}
