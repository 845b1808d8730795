/* What takes long to find out of a large file, kept in the cache folder under the file's path,
 * size, time and inode.
 *
 *     char hex[65];
 *     if (!file_note_get("v1-5.ckpt", "sha256", hex, sizeof hex)) {
 *         ...                                          // read 4 GB
 *         file_note_put("v1-5.ckpt", "sha256", hex);
 *     }
 *
 * The folder is $XDG_CACHE_HOME/eidetic/<kind>, else ~/.cache/eidetic/<kind>. Without one, or where
 * it cannot be written, nothing is kept. A note whose checksum is wrong is as none; what is read is
 * still a file's text: check it. Any thread. */
#ifndef EIDETIC_CORE_FILE_NOTE_H
#define EIDETIC_CORE_FILE_NOTE_H

#include <stdbool.h>
#include <stddef.h>

/* "<cache folder>/eidetic/<kind>/<name>", mem_free; NULL where there is no cache folder or no
 * memory.
 */
char *file_note_path(const char *kind, const char *name);

/* False: nothing is known of the file as it is now, or more than size - 1 bytes. */
bool file_note_get(const char *file, const char *kind, char *text, size_t size);
void file_note_put(const char *file, const char *kind, const char *text);
/* A kind's folder, made if need be, for larger things; mem_free it. NULL: there is none. */
char *file_note_folder(const char *kind);

#endif
