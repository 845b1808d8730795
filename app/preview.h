/* A picture while it is made: --preview of generate.
 *
 *     struct preview p = {.every = 5};
 *     if (preview_open(a, &p, "auto", c)) return a->exit;     // c: the checkpoint
 *     preview_show(&p, sampler, &job, progress);              // from job.progress
 *     preview_close(&p);                                      // takes the last one away
 *
 * On stderr, above the line of progress, and only where that is a terminal. Not more than twice a
 * second; what the preview costs is not part of the picture. */
#ifndef EIDETIC_APP_PREVIEW_H
#define EIDETIC_APP_PREVIEW_H

#include "app/app.h"
#include "image/terminal.h"
#include "sampler/sampler.h"

struct preview {
    int every;                 /* calls of the network; 0 = as often as there is time */
    struct terminal *terminal; /* NULL = none */
    int rows;                  /* of text that the last one took */
    double last;
};
/* kind: terminal_open's. Non-zero: said, a->exit is set. */
int preview_open(struct app *a, struct preview *p, const char *kind, const struct checkpoint *c);
void preview_show(struct preview *p, struct sampler *s, const struct sampler_job *job,
                  const struct sampler_progress *at);
void preview_wipe(struct preview *p);
void preview_close(struct preview *p); /* takes a zeroed struct */

#endif
