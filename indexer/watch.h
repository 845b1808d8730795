/* Waits until something may have changed below folders.
 *
 *     struct watch *w = NULL;
 *     watch_open(&w, &(struct watch_opts){.poll_seconds = 60}, &err);
 *     index_opts.on_dir = watch_add; index_opts.dir_ctx = w;         // each folder that a scan
 * walks
 *     for (;;) { index_run(...); if (watch_wait(w, &stop, &err)) break; }
 *     watch_close(w);
 *
 * By inotify; where that cannot see what others do (network drives) or has no watches left, by
 * returning every poll_seconds. It says only that a scan is due, never what has changed: so nothing
 * is lost when the kernel's queue overflows. It returns once nothing more has happened for
 * settle_ms, or settle_most_ms after the first event. Thread rule: one thread. */
#ifndef EIDETIC_INDEXER_WATCH_H
#define EIDETIC_INDEXER_WATCH_H

#include "core/error.h"
#include <signal.h>
#include <stdbool.h>

struct watch;
struct watch_opts {
    int poll_seconds;               /* 0 = 60 */
    int settle_ms;                  /* 0 = 1,500 */
    int settle_most_ms;             /* 0 = 30,000 */
    bool (*want)(const char *name); /* files that matter; NULL = all */
};

enum status watch_open(struct watch **w, const struct watch_opts *o, struct error *err);
void watch_close(struct watch *w); /* takes NULL */
/* A folder, again at each scan; ctx is the watch. */
void watch_add(void *ctx, const char *folder);
/* Once each: a folder whose coming and going is looked for every few seconds: a drive's. */
enum status watch_add_root(struct watch *w, const char *root, struct error *err);
/* The next wait ends as if something had changed now. */
void watch_again(struct watch *w);
/* Is something watched by looking again only? For a word to the user. */
bool watch_polls(const struct watch *w);
/* ST_OK: a scan is due. ST_INTERRUPTED: *stop was set. */
enum status watch_wait(struct watch *w, const volatile sig_atomic_t *stop, struct error *err);

#endif
