/* Noise levels that end in noise alone, rescaled guidance, and the marks by which files say so,
 * against diffusers (scripts/make_golden_zero_snr.py) on the toy of sd_toy.h. Levels: 1e-4 of each,
 * since diffusers' products are sums of a thousand floats; latents: 1e-3 of the largest value. */
#include "golden/sd_toy.h"
#include "sampler/sampler.h"
#include <math.h>

enum { PIXELS = 12 * 8, N = 4 * PIXELS };

static const char scheduler[] =
    "{\"beta_start\": 0.00085, \"beta_end\": 0.012, \"beta_schedule\": \"scaled_linear\", "
    "\"prediction_type\": \"v_prediction\", \"rescale_betas_zero_snr\": true, "
    "\"timestep_spacing\": \"trailing\", \"num_train_timesteps\": 1000}";
static const char *const dir = "toy-golden-zero-snr";

struct fixture {
    struct checkpoint *c;
    struct weights *want;
    struct error err;
};

static void fixture_open(struct fixture *f, const struct sd_toy *o, const struct checkpoint_opts *c)
{
    *f = (struct fixture){0};
    char *path = sd_toy_write(dir, o);
    if (weights_open(&f->want, TEST_DATA "/sampler/zero_snr.safetensors", &f->err) ||
        checkpoint_open(&f->c, path, c, &f->err))
        fail_msg("%s", f->err.text);
    mem_free(path);
}

static void fixture_close(struct fixture *f)
{
    checkpoint_close(f->c);
    weights_close(f->want);
    sd_toy_remove(dir);
}

static const struct sd_toy folder = {
    .folder = true, .file = "scheduler/scheduler_config.json", .text = scheduler};

static void levels_equal_diffusers(void **state)
{
    (void)state;
    static const int steps[] = {6, 7, 20, 30};
    struct fixture f;
    fixture_open(&f, &folder, NULL);
    assert_true(f.c->zero_snr && f.c->trailing && f.c->prediction == PREDICT_V);
    const float *table = weights_find(f.want, "sigmas.table")->data;
    for (int i = 0; i < SIGMA_STEPS; i++)
        assert_float_equal(f.c->sigmas.sigma[i], table[i], 1e-4 * (double)table[i]);
    for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
        float got[31];
        char name[32];
        snprintf(name, sizeof name, "sigmas.%d", steps[k]);
        const float *want = weights_find(f.want, name)->data;
        schedule_fill(schedule_find("trailing"), &f.c->sigmas, steps[k], NULL, got);
        for (int i = 0; i <= steps[k]; i++)
            assert_float_equal(got[i], want[i], 1e-4 * (double)want[i]);
    }
    fixture_close(&f);
}

static void run(struct fixture *f, const char *solver, double rescale, const char *name)
{
    float latent[N], scale = 0;
    struct sampler *s = NULL;
    struct image img = {0};
    const struct schedule *schedule;
    json_t *m = sd_manifest();
    struct sampler_job job = {.prompt = json_string_value(json_object_get(m, "prompt")),
                              .negative = json_string_value(json_object_get(m, "negative")),
                              .width = 24,
                              .height = 16,
                              .steps = 5,
                              .seed = 42,
                              .guidance_rescale = rescale,
                              .solver = solver_find(solver, &schedule),
                              .latent = latent};
    if (strcmp(solver, "ddim") == 0) /* whose own schedule is another */
        job.schedule = schedule_find("trailing");
    if (sampler_new(&s, f->c, "cpu", 2, &f->err) || sampler_run(s, &job, &img, &f->err))
        fail_msg("%s", f->err.text);
    const float *want = weights_find(f->want, name)->data;
    for (int i = 0; i < N; i++)
        scale = fmaxf(scale, fabsf(want[i]));
    for (int i = 0; i < N; i++)
        if (!(fabsf(latent[i % 4 * PIXELS + i / 4] - want[i]) <= 1e-3f * scale))
            fail_msg("%s[%d] is %g, the reference has %g", name, i,
                     (double)latent[i % 4 * PIXELS + i / 4], (double)want[i]);
    image_release(&img);
    sampler_free(s);
    json_decref(m);
}

static void pictures_equal_diffusers(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, &folder, NULL);
    run(&f, "euler", 0, "euler");
    run(&f, "euler", 0.7, "euler.rescaled");
    run(&f, "ddim", 0, "ddim");
    fixture_close(&f);
}

static void a_mark_in_a_single_file_or_an_option_says_it_too(void **state)
{
    (void)state;
    static const struct {
        const char *mark;
        bool option, zero;
        enum prediction prediction;
    } list[] = {{NULL, false, false, PREDICT_NOISE},
                {"ztsnr", false, true, PREDICT_NOISE},
                {"v_pred", false, false, PREDICT_V},
                {NULL, true, true, PREDICT_NOISE}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct fixture f;
        fixture_open(&f, &(struct sd_toy){.mark = list[i].mark},
                     &(struct checkpoint_opts){.zero_snr = list[i].option});
        assert_int_equal(f.c->zero_snr, list[i].zero);
        assert_int_equal(f.c->prediction, list[i].prediction);
        double last = f.c->sigmas.sigma[SIGMA_STEPS - 1]; /* AUTOMATIC1111's, and of old */
        assert_float_equal(last, list[i].zero ? 4518.7637 : 14.6146, 1e-3);
        fixture_close(&f);
    }
}

/* Sum over the denoiser's output for a fixed input: the same weights give the same bits. */
static void unet_bits(const struct sd_toy *o, const struct checkpoint_opts *c, float *y)
{
    struct fixture f;
    struct backend *be = NULL;
    struct arena arena = {0};
    float x[4 * 16], context[3 * 64];
    fixture_open(&f, o, c);
    if (backend_open(&be, "cpu", 1, &f.err))
        fail_msg("%s", f.err.text);
    for (int i = 0; i < 64; i++)
        x[i] = sinf((float)i);
    for (int i = 0; i < 3 * 64; i++)
        context[i] = cosf((float)i);
    struct tensor in = tensor_view(x, DT_F32, 4, (int64_t[]){1, 4, 4, 4});
    struct tensor out = tensor_view(y, DT_F32, 4, (int64_t[]){1, 4, 4, 4});
    struct tensor states = tensor_view(context, DT_F32, 3, (int64_t[]){1, 3, 64});
    struct clip_run r = {.be = be, .arena = &arena, .err = &f.err};
    assert_int_equal(net_unet_run(&r, &f.c->unet, &out, &in, (const float[]){500}, &states, NULL),
                     ST_OK);
    assert_int_equal(backend_sync(be, NULL), ST_OK);
    arena_release(&arena);
    backend_close(be);
    fixture_close(&f);
}

static void averaged_weights_are_read_by_their_names_without_dots(void **state)
{
    (void)state;
    float plain[64], averaged[64], asked[64];
    unet_bits(&(struct sd_toy){0}, NULL, plain);
    unet_bits(&(struct sd_toy){.averaged = true}, NULL, averaged);
    unet_bits(&(struct sd_toy){.averaged = true}, &(struct checkpoint_opts){.averaged = true},
              asked);
    assert_memory_equal(plain, averaged, sizeof plain);
    assert_memory_equal(plain, asked, sizeof plain);
    struct checkpoint *c = NULL;
    struct error err = {0};
    char *path = sd_toy_write(dir, &(struct sd_toy){0});
    assert_int_equal(checkpoint_open(&c, path, &(struct checkpoint_opts){.averaged = true}, &err),
                     ST_NOT_FOUND);
    assert_non_null(strstr(err.text, "averaged"));
    mem_free(path);
    path = sd_toy_write(dir,
                        &(struct sd_toy){.averaged = true,
                                         .drop = "model_ema.diffusion_modelinput_blocks00weight"});
    assert_int_equal(checkpoint_open(&c, path, NULL, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.text, "lacks model_ema.diffusion_modelinput_blocks00weight"));
    mem_free(path);
    sd_toy_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_equal_diffusers),
        cmocka_unit_test(pictures_equal_diffusers),
        cmocka_unit_test(a_mark_in_a_single_file_or_an_option_says_it_too),
        cmocka_unit_test(averaged_weights_are_read_by_their_names_without_dots),
    };
    return cmocka_run_group_tests_name("golden_zero_snr", tests, NULL, NULL);
}
