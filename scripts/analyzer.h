/* Included before every file by scripts/check's tidy gate only: tells the analyzer what it cannot
 * see across files, that error_set returns its code and error_errno never returns ST_OK. */
#ifndef EIDETIC_SCRIPTS_ANALYZER_H
#define EIDETIC_SCRIPTS_ANALYZER_H

#include "core/error.h"

#define error_set(err, code, ...) ((void)error_set(err, code, __VA_ARGS__), (code))
#define error_prefix(err, code, ...) ((void)error_prefix(err, code, __VA_ARGS__), (code))
#define error_errno(err, errnum, ...) ((void)error_errno(err, errnum, __VA_ARGS__), ST_IO)

#endif
