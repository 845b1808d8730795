/* Pictures from pictures against diffusers' pipelines and k-diffusion
 * (scripts/make_golden_pictures.py), on the toy of sd_toy.h. Tolerance: 1e-3 of a latent's largest
 * value, the promise: ten steps of a toy whose latents grow tenfold carry rounding of 1e-6
 * that far at most, and another posterior, noise, level or mask differs by more than a tenth. */
#include "golden/sd_toy.h"
#include "sampler/repaint.h"
#include "sampler/sampler.h"
#include <math.h>

enum { WIDTH = 24, HEIGHT = 16, PIXELS = 12 * 8, N = 4 * PIXELS };

static const char *const folder = "toy-golden-pictures";

struct fixture {
    struct checkpoint *c;
    struct sampler *s;
    struct weights *want;
    struct image init;
    json_t *manifest;
    struct error err;
};

/* The picture of the script. */
static void make_picture(struct image *img, int w, int h)
{
    assert_int_equal(image_alloc(img, w, h, NULL), ST_OK);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int c = 0; c < 3; c++)
                img->data[(y * w + x) * 3 + c] =
                    (uint8_t)((x * 11 + y * 23 + c * 71 + x * y % 17 * 5) % 256);
}

static void fixture_open(struct fixture *f, const struct sd_toy *o)
{
    *f = (struct fixture){.manifest = sd_manifest()};
    char *path = sd_toy_write(folder, o);
    if (weights_open(&f->want, TEST_DATA "/sampler/pictures.safetensors", &f->err) ||
        checkpoint_open(&f->c, path, NULL, &f->err) || sampler_new(&f->s, f->c, "cpu", 2, &f->err))
        fail_msg("%s", f->err.text);
    make_picture(&f->init, WIDTH, HEIGHT);
    mem_free(path);
}

static void fixture_close(struct fixture *f)
{
    sampler_free(f->s);
    checkpoint_close(f->c);
    weights_close(f->want);
    image_release(&f->init);
    json_decref(f->manifest);
    sd_toy_remove(folder);
}

static struct sampler_job job_of(const struct fixture *f, const char *solver, double strength)
{
    const struct schedule *schedule;
    return (struct sampler_job){.prompt = json_string_value(json_object_get(f->manifest, "prompt")),
                                .negative =
                                    json_string_value(json_object_get(f->manifest, "negative")),
                                .width = WIDTH,
                                .height = HEIGHT,
                                .steps = 10,
                                .seed = 42,
                                .solver = solver_find(solver, &schedule),
                                .schedule = schedule_find("normal"),
                                .init = &f->init,
                                .has_strength = true,
                                .strength = strength};
}

/* latent [channel, row, column], as struct sampler_job's; within `share` of the largest value. */
static void expect_near(const struct fixture *f, const char *name, const float *latent, float share)
{
    const struct tensor *t = weights_find(f->want, name);
    assert_non_null(t);
    const float *want = t->data;
    int64_t n = tensor_count(t), pixels = n / 4;
    float scale = 0;
    for (int64_t i = 0; i < n; i++)
        scale = fmaxf(scale, fabsf(want[i]));
    for (int64_t i = 0; i < n; i++) {
        float got = latent[i % 4 * pixels + i / 4];
        if (!(fabsf(got - want[i]) <= share * scale))
            fail_msg("%s[%lld] is %g, the reference has %g (scale %g)", name, (long long)i,
                     (double)got, (double)want[i], (double)scale);
    }
}

static void expect_latent(const struct fixture *f, const char *name, const float *latent)
{
    expect_near(f, name, latent, 1e-3f);
}

static void run(struct fixture *f, struct sampler_job *job, const char *name)
{
    float latent[N];
    struct image img = {0};
    job->latent = latent;
    if (sampler_run(f->s, job, &img, &f->err))
        fail_msg("%s: %s", name, f->err.text);
    expect_latent(f, name, latent);
    image_release(&img);
}

static void picture_to_picture_equals_diffusers(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, &(struct sd_toy){0});
    struct sampler_job some = job_of(&f, "euler", 0.55), all = job_of(&f, "euler", 1);
    run(&f, &some, "img2img.0.55");
    run(&f, &all, "img2img.1");
    fixture_close(&f);
}

/* The mask of the script. */
static void make_mask(struct image *mask)
{
    assert_int_equal(image_alloc(mask, WIDTH, HEIGHT, NULL), ST_OK);
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        memset(mask->data + 3 * i, i % WIDTH >= 9 && i / WIDTH >= 5 ? 255 : 0, 3);
}

static void check_inpainting(bool nine, const char *stem)
{
    static const struct {
        double strength;
        const char *name;
    } list[] = {{0.55, "0.55"}, {1, "1"}};
    struct fixture f;
    struct image mask = {0};
    fixture_open(&f, &(struct sd_toy){.inpaints = nine});
    assert_int_equal(f.c->unet.in, nine ? 9 : 4);
    make_mask(&mask);
    for (size_t i = 0; i < 2; i++) {
        char name[40];
        snprintf(name, sizeof name, "%s.%s", stem, list[i].name);
        struct sampler_job job = job_of(&f, "euler", list[i].strength);
        job.mask = &mask;
        run(&f, &job, name);
    }
    image_release(&mask);
    fixture_close(&f);
}

static void inpainting_equals_diffusers(void **state)
{
    (void)state;
    check_inpainting(false, "inpaint");
}

static void inpainting_with_a_network_for_it_equals_diffusers(void **state)
{
    (void)state;
    check_inpainting(true, "inpaint9");
}

/* From noise, four steps, as make_golden_pictures.py's bent_runs. */
static struct sampler_job bent_job(const struct fixture *f)
{
    struct sampler_job job = job_of(f, "euler", 0);
    job.init = NULL;
    job.steps = 4;
    return job;
}

/* Pixels may differ by one where the reference lies between two. */
static void expect_pixels(const struct fixture *f, const char *name, const struct image *img)
{
    const float *want = weights_find(f->want, name)->data;
    for (int i = 0; i < img->width * img->height * 3; i++)
        if (!(fabsf((float)img->data[i] - want[i]) <= 1.0f))
            fail_msg("%s[%d] is %d, the reference has %g", name, i, img->data[i], (double)want[i]);
}

static void variations_turn_the_noise_as_automatic1111_does(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, &(struct sd_toy){0});
    struct sampler_job job = bent_job(&f);
    job.variation = 0.3;
    job.variation_seed = 7;
    run(&f, &job, "variation");
    fixture_close(&f);
}

static void hires_fix_equals_torch_and_k_diffusion(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, &(struct sd_toy){0});
    for (int pixels = 0; pixels < 2; pixels++) {
        float latent[4 * 18 * 12];
        struct image img = {0};
        struct sampler_job job = bent_job(&f);
        job.hires_scale = 1.5;
        job.hires_steps = 10;
        job.hires_strength = 0.5;
        job.hires_pixels = pixels;
        job.latent = latent;
        if (sampler_run(f.s, &job, &img, &f.err))
            fail_msg("%s", f.err.text);
        assert_int_equal(img.width, 36);
        assert_int_equal(img.height, 24);
        if (!pixels) /* a pixel that is rounded otherwise moves the whole second pass */
            expect_latent(&f, "hires.latent", latent);
        else
            expect_near(&f, "hires.pixels", latent, 2e-2f);
        image_release(&img);
    }
    fixture_close(&f);
}

static void tiles_fade_into_each_other_as_in_diffusers(void **state)
{
    (void)state;
    struct fixture f;
    struct image img = {0};
    fixture_open(&f, &(struct sd_toy){0});
    struct sampler_job job = bent_job(&f);
    job.vae_tile = 4;
    if (sampler_run(f.s, &job, &img, &f.err))
        fail_msg("%s", f.err.text);
    expect_pixels(&f, "tiled", &img);
    image_release(&img);
    fixture_close(&f);
}

static void pictures_that_tile_equal_torchs_circular_padding(void **state)
{
    (void)state;
    struct fixture f;
    float latent[N];
    struct image img = {0};
    fixture_open(&f, &(struct sd_toy){0});
    struct sampler_job job = bent_job(&f);
    job.circular = true;
    job.latent = latent;
    if (sampler_run(f.s, &job, &img, &f.err))
        fail_msg("%s", f.err.text);
    expect_latent(&f, "circular", latent);
    expect_pixels(&f, "circular.pixels", &img);
    image_release(&img);
    fixture_close(&f);
}

static void regions_equal_diffusers(void **state)
{
    (void)state;
    struct weights *w = NULL;
    assert_int_equal(weights_open(&w, TEST_DATA "/sampler/pictures.safetensors", NULL), ST_OK);
    const struct tensor *t = weights_find(w, "regions");
    for (int64_t i = 0; i < t->dim[0]; i++) {
        const float *r = (const float *)t->data + i * 13;
        struct image mask = {0};
        struct repaint_box box;
        assert_int_equal(image_alloc(&mask, (int)r[0], (int)r[1], NULL), ST_OK);
        memset(mask.data, 0, (size_t)(mask.width * mask.height * 3));
        for (int y = (int)r[3]; y < (int)r[5]; y++)
            for (int x = (int)r[2]; x < (int)r[4]; x++)
                memset(mask.data + 3 * (y * mask.width + x), 255, 3);
        repaint_region(&box, &mask, (int)r[6], (int)r[7], (int)r[8]);
        const int want[4] = {(int)r[9], (int)r[10], (int)(r[11] - r[9]), (int)(r[12] - r[10])};
        assert_memory_equal(&box, want, sizeof want);
        image_release(&mask);
    }
    weights_close(w);
}

static void masks_are_grey_as_pillow_has_it(void **state)
{
    (void)state;
    struct weights *w = NULL;
    struct image img = {0}, grey = {0};
    assert_int_equal(weights_open(&w, TEST_DATA "/sampler/pictures.safetensors", NULL), ST_OK);
    const float *want = weights_find(w, "grey")->data;
    make_picture(&img, WIDTH, HEIGHT);
    assert_int_equal(repaint_mask(&grey, &img, WIDTH, HEIGHT, NULL), ST_OK);
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        assert_int_equal(grey.data[3 * i + 1], (int)want[i]);
    image_release(&img);
    image_release(&grey);
    weights_close(w);
}

static void every_solver_of_k_diffusion_works_from_a_middle_level(void **state)
{
    (void)state;
    static const char *const names[] = {
        "euler_ancestral",   "heun",      "lms",          "dpm_2",        "dpm_2_ancestral",
        "dpmpp_2m",          "dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde", "dpm_fast",
        "dpmpp_2s_ancestral"};
    struct fixture f;
    fixture_open(&f, &(struct sd_toy){0});
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char ours[40], theirs[40];
        snprintf(ours, sizeof ours, "k_%s", names[i]);
        snprintf(theirs, sizeof theirs, "middle.%s", names[i]);
        struct sampler_job job = job_of(&f, ours, 0.6);
        job.solver = job.solver ? job.solver : solver_find(names[i], &(const struct schedule *){0});
        assert_non_null(job.solver);
        run(&f, &job, theirs);
    }
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(picture_to_picture_equals_diffusers),
        cmocka_unit_test(inpainting_equals_diffusers),
        cmocka_unit_test(inpainting_with_a_network_for_it_equals_diffusers),
        cmocka_unit_test(variations_turn_the_noise_as_automatic1111_does),
        cmocka_unit_test(hires_fix_equals_torch_and_k_diffusion),
        cmocka_unit_test(tiles_fade_into_each_other_as_in_diffusers),
        cmocka_unit_test(pictures_that_tile_equal_torchs_circular_padding),
        cmocka_unit_test(regions_equal_diffusers),
        cmocka_unit_test(masks_are_grey_as_pillow_has_it),
        cmocka_unit_test(every_solver_of_k_diffusion_works_from_a_middle_level),
    };
    return cmocka_run_group_tests_name("golden_pictures", tests, NULL, NULL);
}
