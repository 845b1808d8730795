/* Equal steps in log sigma. */
#include "sampler/schedule.h"
#include <math.h>

static double level(const struct schedule_range *r, int i, int n)
{
    return r->high * pow(r->low / r->high, schedule_ramp(i, n));
}

const struct schedule schedule_exponential = {
    .name = "exponential", .aliases = "exp", .level = level};
