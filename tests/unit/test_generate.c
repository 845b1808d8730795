/* What generate promises beside the numbers: its text and file names, stopping, and that a network
 * without numbers is an error and never a black picture. */
#include "app/generate_app.h"
#include "golden/sd_toy.h"
#include <math.h>

static const char *const folder = "toy-generate";

static struct sampler_job job_of(const char *solver)
{
    const struct schedule *schedule = NULL;
    return (struct sampler_job){.prompt = "a dog",
                                .negative = "",
                                .width = 16,
                                .height = 16,
                                .steps = 3,
                                .has_guidance = true,
                                .guidance = 7.5,
                                .seed = 42,
                                .clip_skip = 1,
                                .solver = solver_find(solver, &schedule),
                                .schedule = schedule ? schedule : schedule_find("normal")};
}

static void expect_text(const struct sampler_job *job, const char *name, enum prediction p,
                        const char *want)
{
    const struct checkpoint c = {.name = (char *)(uintptr_t)name, .prediction = p};
    char *text = generate_parameters(&(struct generate_told){.job = job, .checkpoint = &c});
    char *version = strstr(text, ", Version: eidetic ");
    assert_non_null(version);
    *version = 0;
    assert_string_equal(text, want);
    mem_free(text);
}

static void parameters_are_automatic1111s(void **state)
{
    (void)state;
    struct sampler_job job = job_of("DPM++ 2M Karras");
    expect_text(&job, "v1-5", PREDICT_NOISE,
                "a dog\nSteps: 3, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, "
                "Seed: 42, Size: 16x16, Model: v1-5, RNG: CPU");
    job.negative = "blurry, dark";
    job.rng = NOISE_PHILOX;
    job.clip_skip = 2;
    job.schedule = schedule_find("sgm uniform");
    expect_text(&job, "a, \"b\"", PREDICT_V,
                "a dog\nNegative prompt: blurry, dark\nSteps: 3, Sampler: DPM++ 2M, Schedule type: "
                "SGM Uniform, CFG scale: 7.5, Seed: 42, Size: 16x16, Model: \"a, \\\"b\\\"\", Clip "
                "skip: 2, Prediction: v");
}

static void expect_path(const char *pattern, int index, const char *want, int index_then)
{
    char *path = NULL;
    struct error err = {0};
    enum status st = generate_path(&path, pattern, &index, &err);
    if (!want) {
        assert_int_equal(st, ST_USAGE);
        assert_non_null(strstr(err.text, "never overwritten"));
        return;
    }
    assert_int_equal(st, ST_OK);
    assert_string_equal(path, want);
    assert_int_equal(index, index_then);
    mem_free(path);
}

static void names_are_numbered_and_those_taken_are_passed_over(void **state)
{
    (void)state;
    assert_int_equal(file_make_dirs(folder, NULL), ST_OK);
    expect_path("toy-generate/a.png", 1, "toy-generate/a.png", 1);
    expect_path("toy-generate/%03d.png", 7, "toy-generate/007.png", 7);
    expect_path("toy-generate/100%%-%d.png", 12, "toy-generate/100%-12.png", 12);
    sd_write_text(folder, "007.png", "x");
    sd_write_text(folder, "008.png", "x");
    expect_path("toy-generate/%03d.png", 7, "toy-generate/009.png", 9);
    expect_path("toy-generate/007.png", 7, NULL, 7);
    sd_toy_remove(folder);
}

static void patterns_are_checked_before_anything_is_computed(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        int count;
        bool fine;
    } list[] = {{"a.png", 1, true},         {"a.PNG", 1, true},      {"a.png", 2, false},
                {"a%d.png", 2, true},       {"a%05d.png", 1, true},  {"a%s.png", 1, false},
                {"a%n.png", 1, false},      {"a%d%d.png", 2, false}, {"100%.png", 1, false},
                {"100%%.png", 1, true},     {"%2d%%.png", 2, true},  {"a.bmp", 1, false},
                {"a%99999d.png", 1, false}, {"a", 1, false},         {"", 1, false}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct error err = {0};
        enum status st = generate_check_pattern(list[i].pattern, list[i].count, &err);
        if ((st == ST_OK) != list[i].fine)
            fail_msg("%s: %s", list[i].pattern, err.text);
    }
}

struct calls {
    int n, stop_at;
    volatile sig_atomic_t stop;
};

static void count(void *ctx, const struct sampler_progress *p)
{
    struct calls *c = ctx;
    assert_int_equal(p->call, ++c->n);
    assert_true(p->call <= p->calls && p->seconds >= 0);
    if (c->n == c->stop_at)
        c->stop = 1;
}

static struct checkpoint *open_toy(const struct sd_toy *o)
{
    struct checkpoint *c = NULL;
    struct error err = {0};
    char *path = sd_toy_write(folder, o);
    if (checkpoint_open(&c, path, NULL, &err))
        fail_msg("%s", err.text);
    mem_free(path);
    return c;
}

static void every_solver_gives_a_picture_and_tells_its_progress(void **state)
{
    (void)state;
    struct checkpoint *c = open_toy(&(struct sd_toy){0});
    struct sampler *s = NULL;
    struct error err = {0};
    assert_int_equal(sampler_new(&s, c, "cpu", 2, &err), ST_OK);
    for (int i = 0; solver_list[i]; i++) {
        struct calls calls = {0};
        struct image img = {0};
        struct sampler_job job = job_of(solver_list[i]->name);
        job.solver_opts.has_eta = true; /* no fresh noise: DPM adaptive then ends by itself */
        job.progress = strcmp(solver_list[i]->name, "DPM adaptive") != 0 ? count : NULL;
        job.progress_ctx = &calls;
        if (sampler_run(s, &job, &img, &err))
            fail_msg("%s: %s", solver_list[i]->name, err.text);
        assert_int_equal(img.width, 16);
        assert_true(!job.progress || calls.n >= 3);
        image_release(&img);
    }
    sampler_free(s);
    checkpoint_close(c);
    sd_toy_remove(folder);
}

static void the_same_seed_gives_the_same_bytes_whatever_the_threads(void **state)
{
    (void)state;
    struct checkpoint *c = open_toy(&(struct sd_toy){0});
    struct image img[3] = {0};
    struct error err = {0};
    for (int i = 0; i < 3; i++) {
        struct sampler *s = NULL;
        struct sampler_job job = job_of("Euler a");
        job.seed = i == 2 ? 43 : 42;
        assert_int_equal(sampler_new(&s, c, "cpu", 1 + i, &err), ST_OK);
        for (int again = 0; again < 2; again++) {
            image_release(&img[i]);
            assert_int_equal(sampler_run(s, &job, &img[i], &err), ST_OK);
        }
        sampler_free(s);
    }
    assert_memory_equal(img[0].data, img[1].data, 16 * 16 * 3);
    assert_memory_not_equal(img[0].data, img[2].data, 16 * 16 * 3);
    for (int i = 0; i < 3; i++)
        image_release(&img[i]);
    checkpoint_close(c);
    sd_toy_remove(folder);
}

static void it_stops_when_told_to(void **state)
{
    (void)state;
    struct checkpoint *c = open_toy(&(struct sd_toy){0});
    struct sampler *s = NULL;
    struct error err = {0};
    struct image img = {0};
    struct calls calls = {.stop_at = 2};
    struct sampler_job job = job_of("Euler a");
    job.progress = count;
    job.progress_ctx = &calls;
    job.stop = &calls.stop;
    assert_int_equal(sampler_new(&s, c, "cpu", 1, &err), ST_OK);
    assert_int_equal(sampler_run(s, &job, &img, &err), ST_INTERRUPTED);
    assert_null(img.data);
    assert_int_equal(calls.n, 2);
    calls = (struct calls){.stop_at = 3}; /* behind the last call: while decoding */
    assert_int_equal(sampler_run(s, &job, &img, &err), ST_INTERRUPTED);
    calls = (struct calls){0};
    assert_int_equal(sampler_run(s, &job, &img, &err), ST_OK); /* and works again */
    image_release(&img);
    sampler_free(s);
    checkpoint_close(c);
    sd_toy_remove(folder);
}

static void what_cannot_be_made_is_said_before_it_is_begun(void **state)
{
    (void)state;
    struct checkpoint *c = open_toy(&(struct sd_toy){0});
    struct error err = {0};
    struct sampler_job defaults = {.prompt = "x"};
    assert_int_equal(sampler_check(c, &defaults, &err), ST_OK);
    assert_int_equal(defaults.width, 512);
    assert_int_equal(defaults.steps, 20);
    assert_string_equal(defaults.solver->name, "Euler a");
    assert_string_equal(defaults.schedule->name, "normal");
    uint64_t whole = sampler_memory(c, &defaults);
    assert_true(whole > UINT64_C(4) * 512 * 512 * 64);
    defaults.vae_tile = 64;
    assert_true(sampler_memory(c, &defaults) == whole / 16); /* 128 of 512 pixels here */
    defaults.hires_scale = 2;
    defaults.vae_tile = 0;
    assert_true(sampler_memory(c, &defaults) == 4 * whole);
    struct sampler_job bad[] = {job_of("Euler"), job_of("Euler"), job_of("Euler"),
                                job_of("Euler"), job_of("Euler"), job_of("Euler")};
    bad[0].width = 17;
    bad[1].height = SAMPLER_MAX_SIDE + 2;
    bad[2].steps = SAMPLER_MAX_STEPS + 1;
    bad[3].guidance = 1e9;
    bad[4].clip_skip = 4;
    bad[5].width = -16;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(sampler_check(c, &bad[i], &err), ST_USAGE);
    checkpoint_close(c);
    sd_toy_remove(folder);
}

static void a_network_without_numbers_is_an_error(void **state)
{
    (void)state;
    static const char *const parts[] = {"the unet gives no number", "the autoencoder gives no"};
    struct checkpoint *c = open_toy(&(struct sd_toy){0});
    struct net_conv *const last[] = {&c->unet.conv_out, &c->vae.decoder.conv_out};
    for (int i = 0; i < 2; i++) {
        struct sampler *s = NULL;
        struct error err = {0};
        struct image img = {0};
        struct sampler_job job = job_of("Euler");
        float nan = NAN, was = ((float *)last[i]->b.data)[0];
        float bias[4] = {0};
        void *own = last[i]->b.data;
        bias[0] = nan;
        last[i]->b.data = bias;
        assert_int_equal(sampler_new(&s, c, "cpu", 1, &err), ST_OK);
        assert_int_equal(sampler_run(s, &job, &img, &err), ST_FORMAT);
        assert_non_null(strstr(err.text, parts[i]));
        assert_null(img.data);
        last[i]->b.data = own;
        assert_true(((float *)own)[0] == was);
        sampler_free(s);
    }
    checkpoint_close(c);
    sd_toy_remove(folder);
}

/* A weight that is infinite in bf16, times what is 0 before it: no number there, 0 in f32. */
static void poison(struct clip_norm *n, struct net_conv *c, struct packs *packs)
{
    int64_t width = n->w.dim[0], inputs = c->w.dim[3], kernel = c->w.dim[1] * c->w.dim[2] * inputs;
    n->w.data = mem_dup(n->w.data, (size_t)width * sizeof(float));
    n->b.data = mem_dup(n->b.data, (size_t)width * sizeof(float));
    ((float *)n->w.data)[0] = ((float *)n->b.data)[0] = 0;
    float *x = mem_array((size_t)tensor_count(&c->w), sizeof *x);
    tensor_to_f32(&c->w, x);
    for (int64_t i = 0; i < kernel; i += inputs)
        x[i] = 3.4e38f;
    c->w = tensor_view(x, DT_F32, 4, c->w.dim);
    c->w.use = TENSOR_WEIGHT;
    c->w.packs = packs;
}

static void what_half_precision_cannot_do_is_done_in_f32(void **state)
{
    (void)state;
    struct checkpoint *c = open_toy(&(struct sd_toy){0});
    struct net_unet *u = &c->unet;
    struct net_vae_half *v = &c->vae.decoder;
    poison(&u->norm_out, &u->conv_out, c->model.packs);
    poison(&v->norm_out, &v->conv_out, c->model.packs);
    static const char *const devices[] = {"cpu:ref/bf16", "cpu:ref"};
    static const char *const want[] = {"unet, decoder", ""};
    for (int i = 0; i < 2; i++) {
        struct sampler *s = NULL;
        struct error err = {0};
        struct image img = {0};
        struct sampler_job job = job_of("Euler");
        char parts[64];
        assert_int_equal(sampler_new(&s, c, devices[i], 1, &err), ST_OK);
        for (int k = 0; k < 2; k++) {
            if (sampler_run(s, &job, &img, &err))
                fail_msg("%s: %s", devices[i], err.text);
            image_release(&img);
        }
        sampler_redone(s, parts);
        assert_string_equal(parts, want[i]);
        sampler_free(s);
    }
    void *own[] = {u->norm_out.w.data, u->norm_out.b.data, u->conv_out.w.data,
                   v->norm_out.w.data, v->norm_out.b.data, v->conv_out.w.data};
    checkpoint_close(c);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        mem_free(own[i]);
    sd_toy_remove(folder);
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    struct checkpoint *c = open_toy(&(struct sd_toy){0});
    struct error err = {0};
    struct sampler_job job = job_of("Euler a");
    job.steps = 1;
    for (uint64_t n = 1;; n += 1 + n / 16) {
        struct sampler *s = NULL;
        struct image img = {0};
        mem_fail_at(n, true);
        enum status st = sampler_new(&s, c, "cpu", 1, &err);
        if (!st)
            st = sampler_run(s, &job, &img, &err);
        mem_fail_at(0, false);
        sampler_free(s);
        image_release(&img);
        if (st == ST_OK)
            break;
        assert_int_equal(st, ST_NOMEM);
    }
    checkpoint_close(c);
    sd_toy_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_automatic1111s),
        cmocka_unit_test(names_are_numbered_and_those_taken_are_passed_over),
        cmocka_unit_test(patterns_are_checked_before_anything_is_computed),
        cmocka_unit_test(every_solver_gives_a_picture_and_tells_its_progress),
        cmocka_unit_test(the_same_seed_gives_the_same_bytes_whatever_the_threads),
        cmocka_unit_test(it_stops_when_told_to),
        cmocka_unit_test(what_cannot_be_made_is_said_before_it_is_begun),
        cmocka_unit_test(a_network_without_numbers_is_an_error),
        cmocka_unit_test(what_half_precision_cannot_do_is_done_in_f32),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests_name("generate", tests, NULL, NULL);
}
