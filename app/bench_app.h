/* What `eidetic bench` measures; private to app/.
 *
 *     struct bench b = {.app = a, .limit = 64};
 *     if (!bench_collect(&b, dirs, n) && !bench_stages(&b) && !bench_together(&b)) print(&b);
 *     bench_release(&b);
 *
 * Each step returns non-zero after a failure that it has told. */
#ifndef EIDETIC_APP_BENCH_APP_H
#define EIDETIC_APP_BENCH_APP_H

#include "app/app.h"
#include "core/peak.h"

enum bench_stage { BENCH_READ, BENCH_DECODE, BENCH_RESIZE, BENCH_TOWER, BENCH_WRITE, BENCH_STAGES };
extern const char *const bench_stage_names[BENCH_STAGES];

struct bench {
    struct app *app;
    size_t limit; /* pictures */
    char **path;  /* those that can be decoded */
    uint8_t **pixels;
    size_t n;
    double bytes;                 /* of all files */
    double seconds[BENCH_STAGES]; /* a picture: on one thread; of the tower on all */
    double tower_flops;           /* a picture; 0 = not known */
    struct peak peak;             /* of all threads */
    double together;              /* pictures a second, all of it at once */
    char *folder;                 /* temporary */
};

int bench_collect(struct bench *b, const char *const *roots, size_t n_roots);
/* Opens model, decoder and session on the way. */
int bench_stages(struct bench *b);
int bench_together(struct bench *b);
void bench_release(struct bench *b);

#endif
