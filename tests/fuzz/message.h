/* What every target asks of an error: where something was refused it has a code and a text, and the
 * text is one printable line. */
#ifndef EIDETIC_TESTS_FUZZ_MESSAGE_H
#define EIDETIC_TESTS_FUZZ_MESSAGE_H

#include "core/error.h"
#include <stdbool.h>
#include <stdlib.h>

static inline void fuzz_message(const struct error *err, bool refused)
{
    if (refused && (!err->text[0] || err->code == ST_OK))
        abort();
    for (const char *s = err->text; *s; s++)
        if ((unsigned char)*s < 0x20)
            abort();
}

#endif
