/* Every (1000 / n)-th of the model's own levels, the last one first, rounded to whole ones: what
 * diffusers calls a timestep_spacing of "trailing". */
#include "sampler/schedule.h"
#include <math.h>

static double level(const struct schedule_range *r, int i, int n)
{
    int at = (int)rint(SIGMA_STEPS - i * ((double)SIGMA_STEPS / n)) - 1;
    return r->table->sigma[at > 0 ? at : 0];
}

const struct schedule schedule_trailing = {.name = "trailing", .aliases = "", .level = level};
