/* Equal steps in the model's time that stop one short of its end, as Stability's generative-models
 * and AUTOMATIC1111's "SGM Uniform". */
#include "sampler/schedule.h"

static double level(const struct schedule_range *r, int i, int n)
{
    double first = sigma_to_time(r->table, r->high), last = sigma_to_time(r->table, r->low);
    return sigma_from_time(r->table, first + (double)i / n * (last - first));
}

const struct schedule schedule_sgm_uniform = {
    .name = "sgm uniform", .aliases = "sgm", .level = level};
