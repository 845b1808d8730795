/* Every (1000 / n)-th of the model's own levels, from the top; as ComfyUI's "simple". */
#include "sampler/schedule.h"

static double level(const struct schedule_range *r, int i, int n)
{
    int at = SIGMA_STEPS - 1 - (int)(i * ((double)SIGMA_STEPS / n));
    return r->table->sigma[at > 0 ? at : 0];
}

const struct schedule schedule_simple = {.name = "simple", .aliases = "", .level = level};
