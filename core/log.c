/* Messages for people. The level is set once by main, before threads exist. */
#include "core/log.h"
#include <stdarg.h>
#include <stdio.h>

static enum log_level level = LOG_INFO;

void log_set_level(enum log_level l)
{
    level = l;
}

static void put(enum log_level l, const char *prefix, const char *fmt, va_list ap)
{
    if (l > level)
        return;
    flockfile(stderr);
    fputs(prefix, stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    funlockfile(stderr);
}

#define LOG_FUNCTION(name, l, prefix)                                                              \
    void name(const char *fmt, ...)                                                                \
    {                                                                                              \
        va_list ap;                                                                                \
        va_start(ap, fmt);                                                                         \
        put(l, prefix, fmt, ap);                                                                   \
        va_end(ap);                                                                                \
    }

LOG_FUNCTION(log_error, LOG_ERROR, "eidetic: ")
LOG_FUNCTION(log_warn, LOG_WARN, "eidetic: warning: ")
LOG_FUNCTION(log_info, LOG_INFO, "")
LOG_FUNCTION(log_debug, LOG_DEBUG, "debug: ")
