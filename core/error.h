/* How every module reports failure.
 *
 *     struct error err;
 *     if (file_map(&m, path, &err) != ST_OK)
 *         return log_error("%s", err.text), 1;
 *     ...
 *     return error_set(err, ST_FORMAT, "%s: header is %zu bytes, at most %zu", path, n, max);
 *
 * `err` is always the last parameter and may be NULL. The text is one lower-case sentence without
 * a full stop that names the file or value, one printable line of UTF-8 whatever a file or a value
 * is called (as buf_text_safe shows it). Functions that return enum status leave their outputs
 * untouched or zeroed on failure. Programming mistakes assert instead. Thread rule: a struct error
 * belongs to one thread. */
#ifndef EIDETIC_CORE_ERROR_H
#define EIDETIC_CORE_ERROR_H

#include <stdarg.h>

enum status {
    ST_OK = 0,
    ST_USAGE,       /* the caller's words are off: exit 2 */
    ST_NOT_FOUND,   /* no such file, row, tensor or name: exit 2 or 3, as the command says */
    ST_IO,          /* the system refused a read or a write: exit 3 */
    ST_FORMAT,      /* a file is not what it must be (truncated, hostile, wrong): exit 3 or 4 */
    ST_UNSUPPORTED, /* well-formed, but a kind that we do not read */
    ST_LIMIT,       /* larger than a stated limit */
    ST_NOMEM,       /* memory ran out: exit 70 */
    ST_LOCKED,      /* somebody else holds the library: exit 5 */
    ST_NOSPACE,     /* disk full, quota or read-only: exit 6 */
    ST_INTERRUPTED, /* the user said stop; work so far is kept: exit 130 */
    ST_DEVICE,      /* a device failed or is missing */
    ST_INTERNAL,    /* an invariant broke: exit 70 */
};

struct error {
    enum status code;
    char text[256];
};

/* Fills *err (when not NULL) and returns code, so that `return error_set(...)` reads well. */
enum status error_set(struct error *err, enum status code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As error_set, with ": " and the text of errno value `errnum`; the code follows from errnum
 * (ENOENT ST_NOT_FOUND, ENOSPC/EDQUOT/EROFS ST_NOSPACE, ENOMEM ST_NOMEM, EINTR ST_INTERRUPTED,
 * otherwise ST_IO). */
enum status error_errno(struct error *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "<prefix>: " before the text that *err already holds; returns err's code, or `code` as
 * given where err is NULL. */
enum status error_prefix(struct error *err, enum status code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A short constant name ("format", "io"), for JSON and logs. */
const char *status_name(enum status code);

#endif
