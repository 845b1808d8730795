/* One redrawn line of progress. */
#include "core/progress.h"
#include <inttypes.h>
#include <time.h>
#include <unistd.h>

double time_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

void progress_init(struct progress *p, FILE *out, const char *what, uint64_t total, bool enabled)
{
    *p = (struct progress){.out = out, .what = what, .total = total, .start = time_now()};
    p->on = enabled && isatty(fileno(out));
}

static void draw_eta(struct progress *p, double rate)
{
    uint64_t left = (uint64_t)((double)(p->total - p->done) / rate + 0.5);
    if (left >= 3600)
        fprintf(p->out, ", %" PRIu64 ":%02u:%02u left", left / 3600, (unsigned)(left / 60 % 60),
                (unsigned)(left % 60));
    else
        fprintf(p->out, ", %u:%02u left", (unsigned)(left / 60), (unsigned)(left % 60));
}

void progress_update(struct progress *p, uint64_t done)
{
    p->done = done;
    double now = p->on ? time_now() : 0;
    if (!p->on || now - p->last_draw < 0.1)
        return;
    p->last_draw = now;
    double rate = now > p->start ? (double)done / (now - p->start) : 0;
    fprintf(p->out, "\r\033[K%s %" PRIu64, p->what, done);
    if (p->total) {
        int width = (int)(done < p->total ? 24 * done / p->total : 24);
        fprintf(p->out, "/%" PRIu64 " [%.*s%*s]", p->total, width, "########################",
                24 - width, "");
    }
    fprintf(p->out, " %.1f/s", rate);
    if (p->total > done && rate > 0)
        draw_eta(p, rate);
    fflush(p->out);
}

void progress_clear(struct progress *p)
{
    if (p->on && p->last_draw > 0) {
        fputs("\r\033[K", p->out);
        fflush(p->out);
        p->last_draw = 0;
    }
}

void progress_finish(struct progress *p)
{
    progress_clear(p);
    p->on = false;
}
