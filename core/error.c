/* Errors: a code and one sentence. The text is cut, never overflowed, at 255 bytes. */
#include "core/error.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum status error_set(struct error *err, enum status code, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        err->code = code;
        vsnprintf(err->text, sizeof err->text, fmt, ap);
        va_end(ap);
    }
    return code;
}

static enum status code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
        return ST_NOT_FOUND;
    case ENOSPC:
    case EDQUOT:
    case EROFS:
    case EFBIG:
        return ST_NOSPACE;
    case ENOMEM:
        return ST_NOMEM;
    case EINTR:
        return ST_INTERRUPTED;
    default:
        return ST_IO;
    }
}

enum status error_errno(struct error *err, int errnum, const char *fmt, ...)
{
    enum status code = code_of_errno(errnum);
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        err->code = code;
        vsnprintf(err->text, sizeof err->text, fmt, ap);
        va_end(ap);
        char reason[80];
        const char *why = strerror_r(errnum, reason, sizeof reason); /* GNU form */
        size_t used = strlen(err->text), room = sizeof err->text - 3 - strlen(why);
        if (used > room) /* a long path must not push the reason out */
            used = room;
        snprintf(err->text + used, sizeof err->text - used, ": %s", why);
        if (err->text[used + 2] >= 'A' && err->text[used + 2] <= 'Z')
            err->text[used + 2] += 'a' - 'A';
    }
    return code;
}

enum status error_prefix(struct error *err, enum status code, const char *fmt, ...)
{
    if (!err)
        return code;
    char old[sizeof err->text];
    memcpy(old, err->text, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    size_t used = n < 0 ? 0 : (size_t)n;
    if (used < sizeof err->text)
        snprintf(err->text + used, sizeof err->text - used, ": %.200s", old);
    return err->code;
}

const char *status_name(enum status code)
{
    static const char *const names[] = {
        [ST_OK] = "ok",
        [ST_USAGE] = "usage",
        [ST_NOT_FOUND] = "not_found",
        [ST_IO] = "io",
        [ST_FORMAT] = "format",
        [ST_UNSUPPORTED] = "unsupported",
        [ST_LIMIT] = "limit",
        [ST_NOMEM] = "no_memory",
        [ST_LOCKED] = "locked",
        [ST_NOSPACE] = "no_space",
        [ST_INTERRUPTED] = "interrupted",
        [ST_DEVICE] = "device",
        [ST_INTERNAL] = "internal",
    };
    return (unsigned)code < sizeof names / sizeof *names ? names[code] : "unknown";
}
