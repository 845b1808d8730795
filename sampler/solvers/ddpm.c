/* DDPM's ancestral sampling over any steps. Surprising: with x scaled by 1 / sqrt(abar) the
 * posterior of Ho et al. is exactly the step of "Euler a" with eta 1. */
#include "sampler/solver_int.h"

const struct solver solver_ddpm = {
    .name = "DDPM",
    .aliases = "ddpmscheduler",
    .paper = "Ho, Jain, Abbeel 2020, small variance",
    .stochastic = true,
    .evaluations = 1,
    .buffers = 2,
    .run = solver_run_ancestral,
};
