/* Equal steps in the model's own time, as k-diffusion's DiscreteSchedule.get_sigmas. */
#include "sampler/schedule.h"

static double level(const struct schedule_range *r, int i, int n)
{
    double first = sigma_to_time(r->table, r->high), last = sigma_to_time(r->table, r->low);
    return sigma_from_time(r->table, first + schedule_ramp(i, n) * (last - first));
}

const struct schedule schedule_normal = {
    .name = "normal", .aliases = "automatic default discrete uniform", .level = level};
