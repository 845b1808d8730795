/* Words added to an XMP sidecar without losing a byte of what is in it.
 *
 *     struct xmp_words add = {.description = "a dog on a beach", .keyword = tags, .n = n};
 *     xmp_merge(&text, &size, old, old_size, &add, name, &err);    // old NULL: a new sidecar
 *     if (text) file_write_atomic(path, text, size, &err);         // NULL: everything is there
 *     mem_free(text);
 *
 * dc:subject gets the keywords that it lacks (ASCII case aside), dc:description the description
 * where there is none. Everything else, comments and blanks included, stays as it is: new text is
 * only put between old bytes. ST_FORMAT, ST_UNSUPPORTED: the old text is no XMP in UTF-8, or says
 * the same in a form that nothing can be added to; it must then be left alone. Old text is hostile.
 * Thread rule: any thread. */
#ifndef EIDETIC_IMAGE_XMP_MERGE_H
#define EIDETIC_IMAGE_XMP_MERGE_H

#include "core/error.h"
#include <stddef.h>

struct xmp_words {
    const char *description; /* NULL or "" = none */
    const char *const *keyword;
    size_t n;
};
enum status xmp_merge(char **text, size_t *size, const char *old, size_t old_size,
                      const struct xmp_words *add, const char *name, struct error *err);

#endif
