/* DDIM. With x scaled by 1 / sqrt(abar) its step is Euler's at eta 0, and at eta it keeps
 * sqrt(sigma'^2 - up^2) of the noise and adds `up` anew, like "Euler a" with that share. */
#include "sampler/solver_int.h"

const struct solver solver_ddim = {
    .name = "DDIM",
    .aliases = "ddimscheduler ddim_trailing",
    .paper = "Song, Meng, Ermon 2020",
    .evaluations = 1,
    .schedule = "normal",
    .buffers = 2,
    .run = solver_run_ancestral,
};
