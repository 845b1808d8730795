/* Libraries that are loaded when something needs them: formats of pictures, the network. Linked in,
 * each group would cost every start of the program, and of each decoder, some 8 ms, and the program
 * could not start without them.
 *
 *     #define CALLS(X) X(TIFFClose) X(TIFFGetField)
 *     struct calls { CALLS(LIBRARY_FIELD) };
 *     static const char *const names[] = {CALLS(LIBRARY_NAME)};
 *     struct calls lib;
 *     if (!library_open(&lib, LIBTIFF_SONAME, names, sizeof names / sizeof *names)) ...
 *
 * Fills a struct of function pointers, in the order of names. Nothing is kept between calls: the
 * second call finds the library loaded, which needs no file and works inside the sandbox. False:
 * it is not installed, or lacks a function. Thread rule: any thread. */
#ifndef EIDETIC_CORE_LIBRARY_H
#define EIDETIC_CORE_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

#define LIBRARY_FIELD(f) __typeof__(f) *f;
#define LIBRARY_NAME(f) #f,

bool library_open(void *calls, const char *soname, const char *const *names, size_t n);

#endif
