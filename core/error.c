/* Errors: a code and one sentence. The text is cut, never overflowed, at 255 bytes. */
#include "core/error.h"
#include "core/buf.h"
#include "core/path.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Texts from hostile files are in it too: it becomes one printable line, its end a whole
 * character. */
static void make_printable(struct error *err)
{
    size_t n = 0, limit = sizeof err->text - 1;
    while (err->text[n] >= 0x20 && err->text[n] < 0x7F)
        n++;
    if (!err->text[n])
        return;
    n += strlen(err->text + n);
    err->text[n < limit ? n : utf8_whole(err->text, n)] = 0;
    struct buf b;
    buf_init(&b, 8 * limit);
    buf_text_safe(&b, err->text);
    if (b.failed) /* no memory */
        for (char *s = err->text; *s; s++)
            *s = *s >= 0x20 && *s < 0x7F ? *s : '?';
    else
        snprintf(err->text, sizeof err->text, "%.*s",
                 (int)(b.len <= limit ? b.len : utf8_whole(b.data, limit)), b.data);
    buf_release(&b);
}

enum status error_set(struct error *err, enum status code, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        err->code = code;
        vsnprintf(err->text, sizeof err->text, fmt, ap);
        va_end(ap);
        make_printable(err);
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
        make_printable(err);
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
    make_printable(err);
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
