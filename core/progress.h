/* One line of progress with rate and time left, redrawn at most ten times a second.
 *
 *     struct progress p;
 *     progress_init(&p, stderr, "indexing", total, enabled);
 *     progress_update(&p, done);               // cheap; draws when due
 *     progress_finish(&p);                     // clears the line
 *
 * Draws only when enabled and the stream is a terminal. Thread rule: one thread. */
#ifndef EIDETIC_CORE_PROGRESS_H
#define EIDETIC_CORE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct progress {
    FILE *out;
    const char *what;
    uint64_t total, done; /* total 0: unknown */
    double start, last_draw;
    bool on;
};

void progress_init(struct progress *p, FILE *out, const char *what, uint64_t total, bool enabled);
void progress_update(struct progress *p, uint64_t done);
void progress_clear(struct progress *p); /* take the line away, to print something else */
void progress_finish(struct progress *p);
double time_now(void); /* seconds, monotonic */

#endif
