/* A picture made again, with changes: --from.
 *
 *     struct generate_from f = {0};
 *     struct generate_args g = generate_defaults;
 *     if (app_read_again(a, generate_defs, &g, argc, argv, generate_from_fill, &f))
 *         return a->exit;                  // g: defaults, config file, the picture's text, argv
 *     prompt = f.text.prompt;              // unless argv has another
 *     generate_from_release(&f);           // when g is done with: it points into f
 *
 * The text is AUTOMATIC1111's, of whoever wrote it. Without an RNG in it the noise was a graphics
 * card's, as is the default there. The model is never looked for by its name. */
#ifndef EIDETIC_APP_GENERATE_FROM_H
#define EIDETIC_APP_GENERATE_FROM_H

#include "app/generate_app.h"
#include "image/parameters.h"

struct generate_from {
    const char *path;
    struct parameters text;
    char *upscaler; /* in our spelling */
};
/* args: struct generate_args; ctx: struct generate_from with its path. */
int generate_from_fill(struct app *a, void *args, void *ctx);
void generate_from_release(struct generate_from *f); /* takes a zeroed struct */

#endif
