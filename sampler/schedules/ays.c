/* "Align Your Steps" (Sabour, Fidler, Kreis 2024): the levels found for Stable Diffusion 1.5 at ten
 * steps, log-linear between them for other numbers of steps as AUTOMATIC1111 does. */
#include "sampler/schedule.h"
#include <math.h>

static double level(const struct schedule_range *r, int i, int n)
{
    static const double best[] = {14.615, 6.475, 3.861, 2.697, 1.886, 1.396,
                                  0.963,  0.652, 0.399, 0.152, 0.029};
    const int last = sizeof best / sizeof *best - 1;
    (void)r; /* the paper's levels are absolute */
    double at = schedule_ramp(i, n) * last;
    int low = at < last ? (int)at : last - 1;
    return best[low] * pow(best[low + 1] / best[low], at - low);
}

const struct schedule schedule_ays = {.name = "align your steps", .aliases = "ays", .level = level};
