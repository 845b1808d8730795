/* Karras et al. 2022, equation 5: more steps where there is little noise. */
#include "sampler/schedule.h"
#include <math.h>

static double level(const struct schedule_range *r, int i, int n)
{
    double low = pow(r->low, 1 / r->rho), high = pow(r->high, 1 / r->rho);
    return pow(high + schedule_ramp(i, n) * (low - high), r->rho);
}

const struct schedule schedule_karras = {
    .name = "karras", .aliases = "ka", .rho = 7, .level = level};
