/* Paths as byte strings: they may hold any byte but NUL, so printing goes through path_print_safe.
 *
 *     char *p = path_join(dir, name);          // mem_free
 *     buf_path_quoted(&out, p);                // "a\nb" safe for a terminal and for one line
 */
#ifndef EIDETIC_CORE_PATH_H
#define EIDETIC_CORE_PATH_H

#include "core/buf.h"
#include <stdbool.h>
#include <stdint.h>

char *path_join(const char *a, const char *b);     /* NULL: no memory; b absolute -> copy of b */
char *path_absolute(const char *p);                /* cwd joined, "." ".." "//" folded lexically */
const char *path_base(const char *p);              /* points into p, behind the last '/' */
const char *path_ext(const char *p);               /* points behind the last '.' of base, or "" */
char *path_dir(const char *p);                     /* mem_free; "." where there is none */
bool path_has_ext(const char *p, const char *ext); /* ASCII case-insensitive, ext without dot */
bool path_inside(const char *p, const char *dir);  /* p == dir or below it, by whole components */

/* Appends s with control characters, escapes, bidi overrides and invalid UTF-8 shown as \n, \x1b,
 * \u{202e}, \xff, and '"' and '\' escaped when quoted. Safe for any terminal. */
void buf_text_safe(struct buf *b, const char *s);
void buf_path_quoted(struct buf *b, const char *p);
/* Is s valid UTF-8 (no surrogates, no overlong forms)? */
bool utf8_valid(const char *s, size_t n);
/* Decodes one code point of n > 0 bytes; *cp = 0xFFFD and 1 is returned for an invalid byte. */
size_t utf8_decode(const char *s, size_t n, uint32_t *cp);
/* Bytes of a byte order mark at the beginning of a text: 3 or 0. */
size_t utf8_mark(const char *s, size_t n);
/* How many of the n bytes are left when a character that they cut is left out. */
size_t utf8_whole(const char *s, size_t n);
size_t utf8_encode(uint32_t cp, char out[4]);
/* One unit of UTF-16, and one code point of n >= 2 bytes: 2 or 4 of them are used. Half of a pair
 * without the other gives *cp from 0xD800 to 0xDFFF. */
uint32_t utf16_unit(const uint8_t *p, bool big);
size_t utf16_decode(const uint8_t *p, size_t n, bool big, uint32_t *cp);

#endif
