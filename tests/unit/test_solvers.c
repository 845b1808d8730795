/* What holds for solvers without a reference: order of convergence, names, stops, failures. */
#include "core/mem.h"
#include "sampler/solver.h"
#include "tests/test.h"
#include <math.h>
#include <string.h>

enum { N = 4 };

/* Data ~ N(1, 0.5^2): the exact denoiser, and the ODE's exact solution between two levels. */
static enum status gauss(void *ctx, float *denoised, const float *x, float sigma, struct error *err)
{
    (void)ctx;
    (void)err;
    double s2 = (double)sigma * sigma;
    for (int i = 0; i < N; i++)
        denoised[i] = (float)((0.25 * x[i] + s2) / (0.25 + s2));
    return ST_OK;
}

static double error_at(const struct solver *s, int steps)
{
    const double from = 8, to = 0.2;
    float sigmas[129], x[N] = {9, -7, 3, 12}, x0[N];
    struct noise z;
    memcpy(x0, x, sizeof x);
    for (int i = 0; i <= steps; i++)
        sigmas[i] = (float)(from * pow(to / from, (double)i / steps));
    noise_init(&z, NOISE_TORCH, 1);
    struct solver_job job = {.model = {gauss, NULL},
                             .n = N,
                             .sigmas = sigmas,
                             .steps = steps,
                             .noise = &z,
                             .opts = {.has_eta = true}};
    assert_int_equal(solver_sample(s, &job, x, NULL), ST_OK);
    noise_release(&z);
    double worst = 0;
    for (int i = 0; i < N; i++) {
        double want = 1 + (x0[i] - 1) * sqrt((0.25 + to * to) / (0.25 + from * from));
        worst = fmax(worst, fabs(x[i] - want));
    }
    return worst;
}

static void solvers_converge_with_their_order(void **state)
{
    (void)state;
    /* Multistep solvers start with steps of lower order, which caps the order of the whole at 2. */
    static const struct {
        const char *name;
        double order;
    } known[] = {
        {"Euler", 1},        {"Euler a", 1},  {"DDIM", 1},         {"DDPM", 1},
        {"Heun", 2},         {"DPM2", 2},     {"DPM2 a", 2},       {"DPM++ 2S a", 2},
        {"DPM++ SDE", 2},    {"DPM++ 2M", 2}, {"DPM++ 2M SDE", 2}, {"DPM++ 3M SDE", 2},
        {"LMS", 2},          {"PLMS", 2},     {"UniPC", 2},        {"DPM fast", 2},
        {"DPM adaptive", 0}, {"LCM", 0},
    };
    for (int i = 0; solver_list[i]; i++) {
        double order = -1;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            if (strcmp(known[k].name, solver_list[i]->name) == 0)
                order = known[k].order;
        if (order < 0)
            fail_msg("%s: its order is not in this test", solver_list[i]->name);
        if (order == 0) /* adaptive: not a matter of steps; LCM: no solver of the ODE */
            continue;
        double coarse = error_at(solver_list[i], 16), fine = error_at(solver_list[i], 64);
        if (!(log(coarse / fine) / log(4) > order - 0.25) &&
            fine > 1e-4) /* below that rounding is all */
            fail_msg("%s: %.3g at 16 steps, %.3g at 64, want order %g", solver_list[i]->name,
                     coarse, fine, order);
        assert_true(fine < 0.1);
    }
}

static void names_of_three_programs_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *name, *solver, *schedule;
    } known[] = {
        {"Euler a", "Euler a", NULL},
        {"euler_a", "Euler a", NULL},
        {"k_euler_a", "Euler a", NULL},
        {"EulerAncestralDiscreteScheduler", "Euler a", NULL},
        {"DPM++ 2M Karras", "DPM++ 2M", "karras"},
        {"k_dpmpp_2m_ka", "DPM++ 2M", "karras"},
        {"dpm++2m", "DPM++ 2M", NULL},
        {"DPMSolverMultistepScheduler", "DPM++ 2M", NULL},
        {"DPM++ 2M SDE Exponential", "DPM++ 2M SDE", "exponential"},
        {"dpm++2s_a", "DPM++ 2S a", NULL},
        {"dpmpp_3m_sde", "DPM++ 3M SDE", NULL},
        {"heun", "Heun", NULL},
        {"dpm2", "DPM2", NULL},
        {"DPM2 a Karras", "DPM2 a", "karras"},
        {"LMS Karras", "LMS", "karras"},
        {"lcm", "LCM", NULL},
        {"ddim", "DDIM", NULL},
        {"PNDMScheduler", "PLMS", NULL},
        {"UniPC", "UniPC", NULL},
        {"DPM fast", "DPM fast", NULL},
        {"DPM adaptive", "DPM adaptive", NULL},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const struct schedule *schedule;
        const struct solver *s = solver_find(known[i].name, &schedule);
        if (!s || strcmp(s->name, known[i].solver) != 0)
            fail_msg("%s: found %s", known[i].name, s ? s->name : "nothing");
        if (known[i].schedule)
            assert_string_equal(schedule->name, known[i].schedule);
        else
            assert_null(schedule);
    }
    static const char *const wrong[] = {"", "karras", "euler b", "dpm", "a", "euler karras karras"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const struct schedule *schedule;
        assert_null(solver_find(wrong[i], &schedule));
    }
    assert_ptr_equal(schedule_find("SGM Uniform"), schedule_find("sgm_uniform"));
    assert_ptr_equal(schedule_find("Automatic"), schedule_find("discrete"));
    assert_ptr_equal(schedule_find("AYS"), schedule_find("Align Your Steps"));
    assert_null(schedule_find("none"));
}

static void names_and_aliases_are_unique(void **state)
{
    (void)state;
    for (int i = 0; solver_list[i]; i++) {
        const struct schedule *schedule;
        assert_ptr_equal(solver_find(solver_list[i]->name, &schedule), solver_list[i]);
        char aliases[256], *rest = aliases;
        snprintf(aliases, sizeof aliases, "%s", solver_list[i]->aliases);
        for (char *a; (a = strtok_r(rest, " ", &rest));)
            assert_ptr_equal(solver_find(a, &schedule), solver_list[i]);
        if (solver_list[i]->schedule)
            assert_non_null(schedule_find(solver_list[i]->schedule));
    }
    for (int i = 0; schedule_list[i]; i++)
        assert_ptr_equal(schedule_find(schedule_list[i]->name), schedule_list[i]);
}

static void discarding_the_penultimate_level_keeps_the_ends(void **state)
{
    (void)state;
    struct sigma_table t;
    float with[11], without[12];
    sigma_table_scaled_linear(&t, 0.00085, 0.012);
    const struct schedule *s = schedule_find("karras");
    schedule_fill(s, &t, 10, &(struct schedule_opts){.discard_penultimate = true}, with);
    schedule_fill(s, &t, 11, NULL, without);
    assert_memory_equal(with, without, 10 * sizeof *with);
    assert_true(with[10] == 0);
    schedule_fill(s, &t, 1, NULL, with);
    assert_true(fabs(with[0] - t.sigma[SIGMA_STEPS - 1]) < 1e-4);
}

struct stop {
    int after, model_calls;
};

static enum status failing_model(void *ctx, float *denoised, const float *x, float sigma,
                                 struct error *err)
{
    struct stop *stop = ctx;
    if (++stop->model_calls > stop->after)
        return error_set(err, ST_DEVICE, "the model failed");
    return gauss(NULL, denoised, x, sigma, err);
}

static enum status stopping_step(void *ctx, int i, const float *x, const float *denoised,
                                 struct error *err)
{
    (void)x;
    (void)denoised;
    struct stop *stop = ctx;
    return i == stop->after ? error_set(err, ST_INTERRUPTED, "stopped") : ST_OK;
}

static void failures_and_stops_end_every_solver(void **state)
{
    (void)state;
    for (int i = 0; solver_list[i]; i++)
        for (int after = 0; after < 4; after++) {
            float sigmas[] = {8, 5, 3, 2, 1, 0.5f, 0}, x[N] = {9, -7, 3, 12};
            struct stop stop = {.after = after};
            struct noise z;
            noise_init(&z, NOISE_PHILOX, 1);
            struct solver_job job = {
                .model = {failing_model, &stop}, .n = N, .sigmas = sigmas, .steps = 6, .noise = &z};
            assert_int_equal(solver_sample(solver_list[i], &job, x, NULL), ST_DEVICE);
            assert_int_equal(stop.model_calls, after + 1);
            if (after < 2) { /* "DPM fast" has three steps here */
                job.model = (struct solver_model){gauss, NULL};
                job.step = stopping_step;
                job.step_ctx = &stop;
                assert_int_equal(solver_sample(solver_list[i], &job, x, NULL), ST_INTERRUPTED);
            }
            noise_release(&z);
        }
}

static void no_memory_is_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    const struct schedule *schedule;
    const struct solver *s = solver_find("DPM++ SDE", &schedule);
    int n = 0;
    for (enum status st = ST_NOMEM; st != ST_OK; n++) {
        float sigmas[] = {8, 5, 0}, x[N] = {9, -7, 3, 12};
        struct noise z;
        noise_init(&z, NOISE_TORCH, 1);
        struct solver_job job = {
            .model = {gauss, NULL}, .n = N, .sigmas = sigmas, .steps = 2, .noise = &z};
        mem_fail_at((uint64_t)n + 1, false);
        st = solver_sample(s, &job, x, NULL);
        mem_fail_at(0, false);
        assert_true(st == ST_OK || st == ST_NOMEM);
        noise_release(&z);
    }
    assert_in_range(n, 2, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(solvers_converge_with_their_order),
        cmocka_unit_test(names_of_three_programs_are_found),
        cmocka_unit_test(names_and_aliases_are_unique),
        cmocka_unit_test(discarding_the_penultimate_level_keeps_the_ends),
        cmocka_unit_test(failures_and_stops_end_every_solver),
        cmocka_unit_test(no_memory_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
