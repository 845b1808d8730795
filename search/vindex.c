/* The list of index kinds; a new one is a file of its own and a line here. */
#include "search/vindex.h"
#include <string.h>

extern const struct vindex_kind vindex_ivf; /* faiss.c */

const struct vindex_kind *const vindex_kinds[] = {
    &vindex_ivf,
    NULL,
};

const struct vindex_kind *vindex_find(const char *name)
{
    for (size_t i = 0; vindex_kinds[i]; i++)
        if (!strcmp(vindex_kinds[i]->name, name))
            return vindex_kinds[i];
    return NULL;
}
