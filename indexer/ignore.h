/* .eideticignore files, in gitignore's syntax.
 *
 *     struct ignore *ig = NULL;                          // nothing ignored
 *     ignore_push(&ig, "/photos", &err);                 // /photos/.eideticignore, if there is one
 *     if (ignore_matches(ig, "/photos/raw/a.jpg", false)) ...
 *     ignore_pop(&ig);
 *
 * Rules as `man gitignore`: "#" comments, "!" takes back, a trailing "/" means folders only, a "/"
 * elsewhere anchors to the folder of the file, "*", "?", "[a-z]" stay within one name, "**" spans
 * folders. The last rule that matches decides, inner files before outer ones. Thread rule: one
 * thread. */
#ifndef EIDETIC_INDEXER_IGNORE_H
#define EIDETIC_INDEXER_IGNORE_H

#include "core/error.h"
#include <stdbool.h>

#define IGNORE_FILE ".eideticignore"

struct ignore;

enum status ignore_push(struct ignore **top, const char *dir, struct error *err);
void ignore_pop(struct ignore **top);
bool ignore_matches(const struct ignore *top, const char *path, bool is_dir);
/* One glob against one relative path, as a rule's pattern part is. */
bool ignore_glob(const char *pattern, const char *path);

#endif
