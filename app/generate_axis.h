/* One axis of an X/Y plot: an option of `generate`, and the values that it takes.
 *
 *     struct generate_axis x = {0};
 *     if (generate_axis_read(a, &x, "x", "steps=10-30 (+10)")) return a->exit;   // 10, 20, 30
 *     generate_axis_apply(a, &x, 1, &args, &text);                               // --steps 20
 *     generate_axis_release(&x);
 *
 * Before the '=' stands an option's long name, or AUTOMATIC1111's name of such an axis ("CFG
 * Scale", "Denoising", "Prompt S/R"). Values are separated by commas, one with a comma in it stands
 * in double quotes. Of numbers "1-5" is each from 1 to 5, "1-9 (+2)" each second, "9-1 (-4)" goes
 * down, "1-10 [4]" is four of them. Prompt S/R looks for its first value in both prompts and puts
 * each one in its place. */
#ifndef EIDETIC_APP_GENERATE_AXIS_H
#define EIDETIC_APP_GENERATE_AXIS_H

#include "app/generate_app.h"

struct generate_axis {
    const struct option_def *def; /* NULL: the prompt, or no axis */
    const char *label;            /* AUTOMATIC1111's name, or the option's; NULL = no axis */
    const char *text;             /* behind the '=' */
    char **value;
    int n; /* of values; 1 where there is no axis */
};
/* What the prompt becomes, and the strings that it and g->negative point into. */
struct generate_axis_text {
    const char *prompt;
    char *owned[4]; /* generate_axis_text_release */
};

/* text NULL: no axis. Non-zero: said, a->exit is set. */
int generate_axis_read(struct app *a, struct generate_axis *x, const char *option,
                       const char *text);
int generate_axis_apply(struct app *a, const struct generate_axis *x, int i,
                        struct generate_args *g, struct generate_axis_text *t);
/* What stands beside the pictures of value i; mem_free, NULL = no memory. */
char *generate_axis_label(const struct generate_axis *x, int i);
void generate_axis_release(struct generate_axis *x); /* takes a zeroed struct */
void generate_axis_text_release(struct generate_axis_text *t);

#endif
