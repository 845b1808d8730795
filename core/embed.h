/* A data file compiled into the program (cmake/Embed.cmake makes the tables). */
#ifndef EIDETIC_CORE_EMBED_H
#define EIDETIC_CORE_EMBED_H

#include <stddef.h>

struct embedded {
    const char *name;          /* file name; NULL ends a table */
    const unsigned char *data; /* followed by a NUL that size does not count */
    size_t size;
};

#endif
