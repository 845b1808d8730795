/* Functions that are compile errors everywhere in this project (git's habit): each has a safer
 * form in core/. Force-included by CMake into every C file. */
#ifndef EIDETIC_CORE_BANNED_H
#define EIDETIC_CORE_BANNED_H

/* System headers that themselves name these functions must come first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets strtok
#pragma GCC poison tmpnam mktemp atoi atol atof

#endif
