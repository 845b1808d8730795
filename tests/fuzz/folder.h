/* A folder of the running target's own, in memory where there is such a place, and removed when the
 * process ends. */
#ifndef EIDETIC_TESTS_FUZZ_FOLDER_H
#define EIDETIC_TESTS_FUZZ_FOLDER_H

#include <stddef.h>

const char *fuzz_folder(void);
/* Writes the file anew. */
void fuzz_folder_put(const char *name, const void *data, size_t n);
/* Writes each file from the next text of s (n bytes, a zero byte between texts). What is empty or
 * not there leaves no file, but for the first. */
void fuzz_folder_put_all(const char *const *names, size_t count, const char *s, size_t n);

#endif
