/* A power of the step in log sigma; rho 1, k-diffusion's default, is the exponential schedule. */
#include "sampler/schedule.h"
#include <math.h>

static double level(const struct schedule_range *r, int i, int n)
{
    return r->low * pow(r->high / r->low, pow(1 - schedule_ramp(i, n), r->rho));
}

const struct schedule schedule_polyexponential = {
    .name = "polyexponential", .aliases = "polyexp", .rho = 1, .level = level};
