/* Noise, schedules and solvers against torch, torchsde, k-diffusion and diffusers
 * (scripts/make_golden_solvers.py). The model is the exact denoiser of a mixture of two Gaussians,
 * so that states differ from the reference's by rounding alone: those keep floats where we keep
 * doubles, which over ten steps stays below 1e-4 of the first level's scale. */
#include "core/file.h"
#include "core/mem.h"
#include "sampler/solver.h"
#include "tests/test.h"
#include <math.h>
#include <string.h>

enum { N = 48, SEED = 7 };

static char *data;
static size_t data_size;

/* The values of a golden array; NULL where there is none. */
static const float *find(const char *name, int *count)
{
    static float values[4096];
    for (const unsigned char *p = (unsigned char *)data, *end = p + data_size; p < end;) {
        size_t len = *p++;
        bool found = len == strlen(name) && memcmp(p, name, len) == 0;
        uint32_t n;
        memcpy(&n, p + len, 4);
        p += len + 4;
        if (found) {
            assert_in_range(n, 1, 4096);
            memcpy(values, p, n * 4);
            *count = (int)n;
            return values;
        }
        p += (size_t)n * 4;
    }
    return NULL;
}

static const float *golden(const char *name, int *count)
{
    const float *v = find(name, count);
    if (!v)
        fail_msg("solvers.bin has no %s", name);
    return v;
}

static void near(const char *what, int i, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%s, value %d: %.9g, want %.9g", what, i, got, want);
}

static int32_t ordered(float x)
{
    int32_t i;
    memcpy(&i, &x, 4);
    return i < 0 ? INT32_MIN - i : i;
}

static void uniforms_equal_torch(void **state)
{
    (void)state;
    for (int k = 0; k < 7; k++) {
        static const int sizes[] = {1, 5, 15, 16, 17, 100, 1000};
        char name[32];
        int n = sizes[k], count;
        float y[1000];
        struct torch_rng r;
        snprintf(name, sizeof name, "uniform/%d", n);
        torch_rng_seed(&r, 1234567890123);
        torch_rng_uniform(&r, y, n);
        assert_memory_equal(y, golden(name, &count), (size_t)n * 4);
    }
}

static void normals_are_within_4_ulp_of_torch(void **state)
{
    (void)state;
    for (int k = 0; k < 7; k++) {
        static const int sizes[] = {1, 5, 15, 16, 17, 100, 1000};
        char name[32];
        int n = sizes[k], count;
        float y[2000];
        struct torch_rng r;
        snprintf(name, sizeof name, "normal/%d", n);
        torch_rng_seed(&r, (uint64_t)(42 + n));
        torch_rng_normal(&r, y, n);
        torch_rng_normal(&r, y + n, n);
        const float *want = golden(name, &count);
        assert_int_equal(count, 2 * n);
        for (int i = 0; i < count; i++)
            if (llabs((long long)ordered(y[i]) - ordered(want[i])) > 4)
                fail_msg("%s, value %d: %.9g, want %.9g", name, i, y[i], want[i]);
    }
}

/* Random123's known answers. */
static void philox_words_are_those_published(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4];
        uint64_t key;
        uint32_t want[4];
    } known[] = {
        {{0, 0, 0, 0}, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, ~UINT64_C(0), {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         UINT64_C(0x299f31d0a4093822),
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t got[4];
        philox_words(got, known[i].counter, known[i].key);
        assert_memory_equal(got, known[i].want, sizeof got);
    }
}

static void philox_calls_follow_each_other(void **state)
{
    (void)state;
    struct philox a = {.seed = 3}, b = {.seed = 3};
    float first[7], again[7], longer[9];
    philox_normal(&a, first, 7);
    philox_normal(&a, again, 7);
    philox_normal(&b, longer, 9);
    assert_memory_equal(first, longer, sizeof first); /* value i does not depend on the size */
    assert_int_not_equal(memcmp(first, again, sizeof first), 0);
    double u = 0, uu = 0;
    float many[4096];
    philox_normal(&a, many, 4096);
    for (int i = 0; i < 4096; i++)
        u += many[i] / 4096.0, uu += many[i] * (double)many[i] / 4096;
    near("mean", 0, u, 0, 0.08);
    near("variance", 0, uu, 1, 0.12);
}

static void brownian_motion_follows_torchsde(void **state)
{
    (void)state;
    int count;
    const float *words = golden("seed_sequence", &count);
    static const uint64_t entropy[] = {0, 1, UINT64_C(1) << 32, (UINT64_C(1) << 40) + 3};
    static const uint64_t keys[] = {0, 5, UINT64_C(1) << 33};
    static const int depths[] = {0, 3, 34};
    for (int e = 0; e < 4; e++)
        for (int k = 0; k < 3; k++, words += 2)
            assert_int_equal(brownian_node_seed(entropy[e], keys[k], depths[k]),
                             (uint32_t)words[0] << 16 | (uint32_t)words[1]);

    static const uint64_t seeds[] = {0, 5, (UINT64_C(1) << 33) + 7};
    static const float steps[] = {14.6146f, 9.1f, 5.55f,   5.55f, 3.3f,
                                  1.0f,     0.3f, 0.0292f, 3.3f,  14.6146f};
    for (int k = 0; k < 3; k++) {
        char name[32];
        struct brownian *b = NULL;
        snprintf(name, sizeof name, "brownian/%llu", (unsigned long long)seeds[k]);
        const float *want = golden(name, &count);
        assert_int_equal(count, 900);
        assert_int_equal(brownian_new(&b, 0.0292f, 14.6146f, 100, seeds[k], NULL), ST_OK);
        for (int s = 0; s < 9; s++) {
            float y[100];
            brownian_noise(b, y, steps[s], steps[s + 1]);
            for (int i = 0; i < 100; i++)
                if (s != 2) /* no time passes: torchsde's 0 / 0 */
                    near(name, s * 100 + i, y[i], want[s * 100 + i], 1e-5);
                else
                    assert_true(y[i] == 0);
        }
        brownian_free(b);
    }
}

static void schedules_equal_the_reference(void **state)
{
    (void)state;
    int count;
    struct sigma_table t;
    sigma_table_scaled_linear(&t, 0.00085, 0.012);
    const float *want = golden("table", &count);
    for (int i = 0; i < count; i++)
        near("table", i, t.sigma[i * 37], want[i], 1e-6 * want[i]);
    static const double probe[] = {0.01, 0.0292, 0.5, 3.0, 14.6, 20.0};
    want = golden("to_time", &count);
    for (int i = 0; i < count; i++)
        near("to_time", i, sigma_to_time(&t, probe[i]), want[i], 1e-3);
    static const double times[] = {0, 0.25, 500.5, 998.75, 999};
    want = golden("from_time", &count);
    for (int i = 0; i < count; i++)
        near("from_time", i, sigma_from_time(&t, times[i]), want[i], 1e-6 * want[i]);
    for (int s = 0; schedule_list[s]; s++)
        for (int k = 0; k < 3; k++) {
            static const int steps[] = {2, 7, 20};
            char name[64];
            float sigmas[21];
            snprintf(name, sizeof name, "schedule/%s/%d", schedule_list[s]->name, steps[k]);
            schedule_fill(schedule_list[s], &t, steps[k], NULL, sigmas);
            want = golden(name, &count);
            assert_int_equal(count, steps[k]);
            for (int i = 0; i < count; i++)
                near(name, i, sigmas[i], want[i], 1e-5 * want[i]);
            assert_true(sigmas[count] == 0);
        }
}

static enum status mixture(void *ctx, float *denoised, const float *x, float sigma,
                           struct error *err)
{
    (void)ctx;
    (void)err;
    double s2 = (double)sigma * sigma, v = 0.09 + s2;
    for (int i = 0; i < N; i++)
        denoised[i] = (float)((0.09 * x[i] + s2 * tanh(x[i] / v)) / v);
    return ST_OK;
}

struct path {
    const char *name;
    const float *want;
    int count, at, steps;
};

static enum status compare_step(void *ctx, int i, const float *x, const float *denoised,
                                struct error *err)
{
    (void)denoised;
    (void)err;
    struct path *p = ctx;
    if (p->count == N && i + 1 < p->steps) /* only the end is known */
        return ST_OK;
    for (int k = 0; k < N; k++, p->at++) {
        assert_in_range(p->at, 0, p->count - 1);
        near(p->name, p->at, x[k], p->want[p->at], 1e-4 * fmax(1, fabs(p->want[p->at])));
    }
    return ST_OK;
}

/* The run "run/<name>" of this solver; levels from "sigmas/<name>" where there are such. */
static void follow(const char *name, const char *solver, int more_steps, struct solver_opts opts)
{
    char key[64];
    int count, levels;
    float sigmas[64], want[4096], x[N];
    snprintf(key, sizeof key, "sigmas/%s", name);
    const float *v = find(key, &levels);
    if (!v)
        v = golden("run_sigmas", &levels);
    memcpy(sigmas, v, (size_t)levels * 4);
    snprintf(key, sizeof key, "run/%s", name);
    v = golden(key, &count);
    memcpy(want, v, (size_t)count * 4);
    for (int i = 0; i < more_steps; i++) /* DPM fast: counts evaluations, reads the ends alone */
        sigmas[levels + i] = 0;

    const struct schedule *schedule;
    const struct solver *s = solver_find(solver, &schedule);
    assert_non_null(s);
    assert_null(schedule);
    struct noise z;
    noise_init(&z, NOISE_TORCH, SEED);
    noise_normal(&z, x, N);
    for (int i = 0; i < N; i++)
        x[i] *= sigmas[0];
    int steps = levels - 1 + more_steps;
    struct path p = {.name = name, .want = want, .count = count, .steps = steps};
    struct solver_job job = {.model = {mixture, NULL},
                             .n = N,
                             .sigmas = sigmas,
                             .steps = steps,
                             .noise = &z,
                             .opts = opts,
                             .step = compare_step,
                             .step_ctx = &p};
    struct error err = {0};
    if (solver_sample(s, &job, x, &err) != ST_OK)
        fail_msg("%s: %s", name, err.text);
    assert_int_equal(p.at, count);
    noise_release(&z);
}

static void every_solver_follows_its_reference_step_by_step(void **state)
{
    (void)state;
    for (int i = 0; solver_list[i]; i++)
        follow(solver_list[i]->name, solver_list[i]->name, 0, (struct solver_opts){0});
}

static void options_follow_the_reference(void **state)
{
    (void)state;
    follow("DPM fast+1", "DPM fast", 1, (struct solver_opts){0});
    follow("DPM fast+2", "DPM fast", 2, (struct solver_opts){0});
    follow("DPM fast 0.7", "DPM fast", 0, (struct solver_opts){.has_eta = true, .eta = 0.7});
    follow("Euler churn", "Euler", 0, (struct solver_opts){.s_churn = 3});
    follow("Euler a 0.5", "Euler a", 0,
           (struct solver_opts){.has_eta = true, .eta = 0.5, .no_noise = 0.1});
    follow("UniPC 3", "UniPC", 0, (struct solver_opts){.order = 3});
}

static int load(void **state)
{
    (void)state;
    struct error err;
    return file_read_all(&data, &data_size, TEST_DATA "/solvers.bin", 1 << 20, &err) != ST_OK;
}

static int unload(void **state)
{
    (void)state;
    mem_free(data);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uniforms_equal_torch),
        cmocka_unit_test(normals_are_within_4_ulp_of_torch),
        cmocka_unit_test(philox_words_are_those_published),
        cmocka_unit_test(philox_calls_follow_each_other),
        cmocka_unit_test(brownian_motion_follows_torchsde),
        cmocka_unit_test(schedules_equal_the_reference),
        cmocka_unit_test(every_solver_follows_its_reference_step_by_step),
        cmocka_unit_test(options_follow_the_reference),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
