/* Messages for people, on stderr, one line each; used by app/ only (libraries never print).
 *
 *     log_set_level(LOG_INFO);                 // --quiet LOG_ERROR, --verbose LOG_DEBUG
 *     log_warn("%s: %s", safe_path, err.text);
 */
#ifndef EIDETIC_CORE_LOG_H
#define EIDETIC_CORE_LOG_H

enum log_level { LOG_NOTHING, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
