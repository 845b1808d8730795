/* X/Y plot: a picture for each pair of values of two options, in one labelled grid.
 *
 *     struct generate_args g = {..., .grid = "steps.png", .x = "steps=10,20", .y = "seed=1-3"};
 *     generate_xy(a, &g, "a lighthouse");        // six pictures, filed unless g.no_file
 *
 * All words are checked before the first picture. The axis whose values need other weights (a
 * checkpoint, a LoRA's strength) is the slower one. */
#ifndef EIDETIC_APP_GENERATE_XY_H
#define EIDETIC_APP_GENERATE_XY_H

#include "app/generate_app.h"

/* Non-zero: said, a->exit is set. */
int generate_xy(struct app *a, const struct generate_args *g, const char *prompt);

#endif
