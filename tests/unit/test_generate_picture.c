/* Pictures from pictures beside the numbers: sides, what is refused, and that the picture that was
 * given is only read. */
#include "app/generate_app.h"
#include "app/generate_picture.h"
#include "golden/sd_toy.h"
#include <math.h>

static const char *const folder = "toy-generate-picture";

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

static void close_toy(struct checkpoint *c)
{
    checkpoint_close(c);
    sd_toy_remove(folder);
}

/* All grey but for one bright corner. */
static void make_picture(struct image *img, int w, int h)
{
    assert_int_equal(image_alloc(img, w, h, NULL), ST_OK);
    memset(img->data, 100, (size_t)w * (size_t)h * 3);
    memset(img->data, 250, (size_t)w * 3);
}

static struct sampler_job job_of(const struct image *init)
{
    return (struct sampler_job){
        .prompt = "a dog", .width = 16, .height = 16, .steps = 4, .seed = 1, .init = init};
}

static void expect_sides(int w, int h, int width, int height, int want_w, int want_h)
{
    struct sampler_job job = {.width = w, .height = h};
    generate_picture_sides(&job, width, height, 8);
    assert_int_equal(job.width, want_w);
    assert_int_equal(job.height, want_h);
}

static void sides_are_the_pictures_in_proportion(void **state)
{
    (void)state;
    expect_sides(0, 0, 512, 768, 512, 768);
    expect_sides(0, 0, 515, 300, 512, 304);
    expect_sides(0, 0, 4000, 3000, 768, 576);
    expect_sides(256, 0, 4000, 3000, 256, 192);
    expect_sides(0, 256, 4000, 3000, 344, 256);
    expect_sides(64, 96, 4000, 3000, 64, 96);
    expect_sides(0, 0, 3, 1, 8, 8);
    expect_sides(8, 0, 1, 1000000, 8, SAMPLER_MAX_SIDE);
}

static void strength_counts_the_steps_as_diffusers_does(void **state)
{
    (void)state;
    struct image img = {0};
    struct sampler_job job = {.steps = 20, .has_strength = true, .strength = 0.75};
    assert_int_equal(sampler_steps(&job), 20); /* no picture, no strength */
    make_picture(&img, 16, 16);
    job.init = &img;
    assert_int_equal(sampler_steps(&job), 15);
    job.strength = 0.999;
    assert_int_equal(sampler_steps(&job), 19);
    job.strength = 1;
    assert_int_equal(sampler_steps(&job), 20);
    image_release(&img);
}

static void what_cannot_be_started_from_is_said(void **state)
{
    (void)state;
    static const double wrong[] = {0, -0.5, 1.01, NAN, 0.2};
    struct checkpoint *c = open_toy(&(struct sd_toy){0});
    struct image img = {0};
    struct error err = {0};
    make_picture(&img, 16, 16);
    struct sampler_job job = job_of(&img);
    assert_int_equal(sampler_check(c, &job, &err), ST_OK);
    assert_true(job.strength == 0.75);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        job.strength = wrong[i]; /* the last one leaves no step */
        assert_int_equal(sampler_check(c, &job, &err), ST_USAGE);
        assert_non_null(strstr(err.text, "strength"));
    }
    close_toy(c);
    c = open_toy(&(struct sd_toy){.drop = "first_stage_model.encoder.conv_in.weight"});
    job = job_of(&img);
    assert_int_equal(sampler_check(c, &job, &err), ST_FORMAT);
    assert_non_null(strstr(err.text, "lacks the autoencoder's encoder"));
    job.init = NULL;
    assert_int_equal(sampler_check(c, &job, &err), ST_OK);
    image_release(&img);
    close_toy(c);
}

static void every_solver_starts_from_a_picture_of_any_size_and_only_reads_it(void **state)
{
    (void)state;
    struct checkpoint *c = open_toy(&(struct sd_toy){0});
    struct sampler *s = NULL;
    struct image img = {0}, same = {0};
    struct error err = {0};
    make_picture(&img, 21, 9);
    make_picture(&same, 21, 9);
    assert_int_equal(sampler_new(&s, c, "cpu", 2, &err), ST_OK);
    for (int i = 0; solver_list[i]; i++) {
        struct image out = {0};
        struct sampler_job job = job_of(&img);
        job.solver = solver_list[i];
        job.solver_opts.has_eta = true; /* no fresh noise: DPM adaptive then ends by itself */
        job.has_strength = true;
        job.strength = 0.5;
        if (sampler_run(s, &job, &out, &err))
            fail_msg("%s: %s", solver_list[i]->name, err.text);
        assert_int_equal(out.width, 16);
        image_release(&out);
    }
    assert_memory_equal(img.data, same.data, 21 * 9 * 3);
    image_release(&img);
    image_release(&same);
    sampler_free(s);
    close_toy(c);
}

static void an_encoder_without_numbers_is_an_error(void **state)
{
    (void)state;
    struct checkpoint *c = open_toy(&(struct sd_toy){0});
    struct sampler *s = NULL;
    struct image img = {0}, out = {0};
    struct error err = {0};
    float bias[64] = {NAN};
    make_picture(&img, 16, 16);
    struct sampler_job job = job_of(&img);
    c->vae.encoder.conv_out.b.data = bias;
    assert_int_equal(sampler_new(&s, c, "cpu", 1, &err), ST_OK);
    assert_int_equal(sampler_run(s, &job, &out, &err), ST_FORMAT);
    assert_non_null(strstr(err.text, "the encoder gives no number"));
    assert_null(out.data);
    image_release(&img);
    sampler_free(s);
    close_toy(c);
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    struct checkpoint *c = open_toy(&(struct sd_toy){0});
    struct image img = {0};
    struct error err = {0};
    make_picture(&img, 20, 20);
    for (uint64_t n = 1;; n += 1 + n / 16) {
        struct sampler *s = NULL;
        struct image out = {0};
        struct sampler_job job = job_of(&img);
        job.steps = 2;
        mem_fail_at(n, true);
        enum status st = sampler_new(&s, c, "cpu", 1, &err);
        if (!st)
            st = sampler_run(s, &job, &out, &err);
        mem_fail_at(0, false);
        sampler_free(s);
        image_release(&out);
        if (st == ST_OK)
            break;
        assert_int_equal(st, ST_NOMEM);
    }
    image_release(&img);
    close_toy(c);
}

/* A picture and a mask in files, through open, sampler and finish. */
struct trip {
    struct app a;
    struct generate_picture p;
    struct sampler_job job;
    struct image out;
};

static const char *const init_file = "toy-trip-init.png", *const mask_file = "toy-trip-mask.png";

static void write_files(int w, int h)
{
    struct image img = {0}, mask = {0};
    assert_int_equal(image_alloc(&img, w, h, NULL), ST_OK);
    assert_int_equal(image_alloc(&mask, w, h, NULL), ST_OK);
    for (int i = 0; i < w * h * 3; i++)
        img.data[i] = (uint8_t)(i * 7919 % 251);
    for (int i = 0; i < w * h; i++)
        memset(mask.data + 3 * i, i % w >= 12 && i / w >= 12 && i % w < 20 ? 255 : 0, 3);
    assert_int_equal(image_write_png(init_file, &img, NULL, NULL), ST_OK);
    assert_int_equal(image_write_png(mask_file, &mask, NULL, NULL), ST_OK);
    image_release(&img);
    image_release(&mask);
}

static void travel(struct trip *t)
{
    struct checkpoint *c = open_toy(&(struct sd_toy){0});
    struct sampler *s = NULL;
    struct error err = {0};
    t->p.init_path = init_file;
    t->job.prompt = "a dog";
    t->job.steps = 2;
    if (generate_picture_open(&t->a, &t->p, c, &t->job) || sampler_new(&s, c, "cpu", 2, &err) ||
        sampler_run(s, &t->job, &t->out, &err) || generate_picture_finish(&t->p, &t->out, &err))
        fail_msg("%s%s", t->a.err.text, err.text);
    sampler_free(s);
    close_toy(c);
}

/* The file's pixels lie at (left, top) of the result; where no white is within reach they are its
 * own. Returns how many were. */
static int expect_kept(const struct trip *t, int left, int top, int reach)
{
    struct image img = {0};
    int kept = 0, changed = 0;
    assert_int_equal(image_load(&img, init_file, NULL, NULL, NULL), ST_OK);
    for (int y = 0; y < img.height; y++)
        for (int x = 0; x < img.width; x++) {
            const uint8_t *was = img.data + 3 * (y * img.width + x);
            int64_t at = 3 * ((int64_t)(y + top) * t->out.width + x + left);
            bool near = t->p.mask_path && x >= 12 - reach && x < 20 + reach && y >= 12 - reach;
            near = near || (left && x < reach) || (top && y < reach);
            changed += memcmp(was, t->out.data + at, 3) != 0;
            if (near)
                continue;
            assert_memory_equal(was, t->out.data + at, 3);
            kept++;
        }
    assert_true(changed > 0);
    image_release(&img);
    return kept;
}

static void end_trip(struct trip *t)
{
    image_release(&t->out);
    generate_picture_release(&t->p);
    assert_int_equal(remove(init_file) | remove(mask_file), 0);
}

static void what_is_not_masked_stays_to_the_last_bit(void **state)
{
    (void)state;
    static const char *const contents[] = {"original", "fill", "noise"};
    for (int i = 0; i < 3; i++) {
        struct trip t = {.p = GENERATE_PICTURE_NOTHING};
        write_files(32, 24);
        t.p.mask_path = mask_file;
        t.p.blur = 1;
        t.p.content = contents[i];
        travel(&t);
        assert_int_equal(t.out.width, 32);
        assert_true(expect_kept(&t, 0, 0, 3) > 300);
        end_trip(&t);
    }
}

static void only_masked_makes_a_part_of_a_larger_picture(void **state)
{
    (void)state;
    struct trip t = {.p = GENERATE_PICTURE_NOTHING, .job = {.width = 16, .height = 16}};
    write_files(61, 47);
    t.p.mask_path = mask_file;
    t.p.only_masked = true;
    t.p.blur = 0;
    t.p.padding = 2;
    travel(&t);
    assert_int_equal(t.out.width, 61);
    assert_int_equal(t.out.height, 47);
    assert_int_equal(t.p.box.height, 37); /* rows 10 to 47 */
    expect_kept(&t, 0, 0, 0);
    end_trip(&t);
}

static void outpainting_widens_and_keeps_the_middle(void **state)
{
    (void)state;
    struct trip t = {.p = GENERATE_PICTURE_NOTHING};
    write_files(32, 24);
    t.p.outpaint = "8,0,4,0";
    t.p.blur = 1;
    travel(&t);
    assert_int_equal(t.out.width, 40);
    assert_int_equal(t.out.height, 28);
    assert_int_equal(t.job.content, CONTENT_KEPT);
    expect_kept(&t, 8, 4, 3);
    end_trip(&t);
}

static void what_is_said_of_a_mask_goes_into_the_text(void **state)
{
    (void)state;
    struct image one = {.data = (uint8_t[3]){0}};
    struct buf b;
    struct generate_picture p = {.init_path = "/home/ann/sea, blue.jpg",
                                 .mask_path = "sky.png",
                                 .mask = one,
                                 .content = "fill",
                                 .blur = 4,
                                 .outpaint = "8,0,0,0"};
    buf_init(&b, 4096);
    generate_picture_put(&p, &b);
    assert_string_equal(b.data, ", Init image: \"sea, blue.jpg\", Mask: sky.png, Mask blur: 4, "
                                "Masked content: fill, Outpaint: \"8,0,0,0\"");
    buf_clear(&b);
    p = (struct generate_picture){0};
    generate_picture_put(&p, &b);
    assert_int_equal(b.len, 0);
    buf_release(&b);
}

static void masks_that_cannot_be_are_said(void **state)
{
    (void)state;
    struct checkpoint *c = open_toy(&(struct sd_toy){0});
    struct image img = {0};
    struct error err = {0};
    make_picture(&img, 16, 16);
    struct sampler_job job = job_of(NULL);
    job.mask = &img;
    assert_int_equal(sampler_check(c, &job, &err), ST_USAGE);
    job.init = &img;
    assert_int_equal(sampler_check(c, &job, &err), ST_OK);
    job.width = 18;
    assert_int_equal(sampler_check(c, &job, &err), ST_USAGE);
    assert_non_null(strstr(err.text, "a mask of 16 x 16"));
    image_release(&img);
    close_toy(c);
}

/* A UNet for inpainting that is given no mask makes all of the picture. */
static void a_network_for_inpainting_makes_whole_pictures_too(void **state)
{
    (void)state;
    struct checkpoint *c = open_toy(&(struct sd_toy){.inpaints = true});
    struct sampler *s = NULL;
    struct image img = {0}, out[2] = {0};
    struct error err = {0};
    make_picture(&img, 16, 16);
    assert_int_equal(sampler_new(&s, c, "cpu", 1, &err), ST_OK);
    for (int i = 0; i < 2; i++) {
        struct sampler_job job = job_of(i ? &img : NULL);
        if (sampler_run(s, &job, &out[i], &err))
            fail_msg("%s", err.text);
    }
    assert_memory_not_equal(out[0].data, out[1].data, 16 * 16 * 3);
    image_release(&img);
    image_release(&out[0]);
    image_release(&out[1]);
    sampler_free(s);
    close_toy(c);
}

static void wrong_bends_are_said(void **state)
{
    (void)state;
    struct checkpoint *c = open_toy(&(struct sd_toy){0});
    struct image img = {0};
    struct error err = {0};
    make_picture(&img, 16, 16);
    struct sampler_job fine = job_of(NULL), bad[12];
    fine.hires_scale = 1.5;
    fine.variation = 1;
    struct sampler_job checked = fine;
    assert_int_equal(sampler_check(c, &checked, &err), ST_OK);
    int w, h;
    sampler_sides(c, &checked, &w, &h);
    assert_int_equal(w * 100 + h, 2424);
    for (int i = 0; i < 12; i++)
        bad[i] = fine;
    bad[0].hires_scale = 1;
    bad[1].hires_scale = 9;
    bad[2].hires_scale = NAN;
    bad[3].init = &img;
    bad[4].hires_strength = 1.5;
    bad[5].hires_strength = 0.1;
    bad[6].hires_steps = SAMPLER_MAX_STEPS + 1;
    bad[7].variation = -0.1;
    bad[8].variation = NAN;
    bad[9].vae_tile = 6;
    bad[10].vae_tile = 8;
    bad[10].circular = true;
    bad[11].width = bad[11].height = 4096;
    for (int i = 0; i < 12; i++)
        if (sampler_check(c, &bad[i], &err) != ST_USAGE)
            fail_msg("case %d passes", i);
    image_release(&img);
    close_toy(c);
}

static void progress_goes_over_both_passes(void *ctx, const struct sampler_progress *p)
{
    int *calls = ctx;
    assert_int_equal(p->call, ++*calls);
    assert_int_equal(p->calls, 4 + 2);
}

static void hires_fix_tells_one_progress(void **state)
{
    (void)state;
    struct checkpoint *c = open_toy(&(struct sd_toy){0});
    struct sampler *s = NULL;
    struct error err = {0};
    assert_int_equal(sampler_new(&s, c, "cpu", 1, &err), ST_OK);
    for (int i = 0; i < 2; i++) {
        int calls = 0;
        struct image out = {0};
        struct sampler_job job = job_of(NULL);
        job.hires_scale = 2;
        job.hires_strength = 0.5;
        job.hires_pixels = i;
        job.progress = progress_goes_over_both_passes;
        job.progress_ctx = &calls;
        assert_int_equal(sampler_run(s, &job, &out, &err), ST_OK);
        assert_int_equal(out.width, 32);
        assert_int_equal(calls, 6);
        image_release(&out);
    }
    sampler_free(s);
    close_toy(c);
}

static void bends_are_automatic1111s_words(void **state)
{
    (void)state;
    struct sampler_job job = {.variation = 0.25,
                              .variation_seed = 7,
                              .hires_scale = 1.5,
                              .hires_steps = 9,
                              .hires_strength = 0.6,
                              .circular = true};
    struct buf b;
    buf_init(&b, 4096);
    generate_more_put(&job, &b);
    assert_string_equal(b.data,
                        ", Variation seed: 7, Variation seed strength: 0.25, "
                        "Denoising strength: 0.6, Hires upscale: 1.5, Hires steps: 9, Hires "
                        "upscaler: Latent, Tiling: True");
    buf_release(&b);
    generate_next_seed(&job);
    assert_int_equal(job.variation_seed, 8);
    assert_int_equal(job.seed, 0);
    job.variation = 0;
    generate_next_seed(&job);
    assert_int_equal(job.seed, 1);
}

static void a_grid_has_about_as_many_rows_as_columns(void **state)
{
    (void)state;
    static const int sides[][3] = {{1, 1, 1}, {2, 2, 1}, {3, 2, 2},
                                   {4, 2, 2}, {5, 3, 2}, {7, 3, 3}};
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        struct generate_grid g = {.path = "x.png", .count = sides[i][0]};
        struct image img = {0};
        make_picture(&img, 4, 3);
        for (int k = 0; k < g.count; k++)
            assert_int_equal(generate_grid_put(&g, k, &img, NULL), ST_OK);
        struct image canvas = {0};
        assert_int_equal(generate_grid_compose(&g, &canvas, NULL), ST_OK);
        assert_int_equal(canvas.width, 4 * sides[i][1]);
        assert_int_equal(canvas.height, 3 * sides[i][2]);
        assert_int_equal(canvas.data[3 * (4 * sides[i][1] - 1)], 250);
        image_release(&canvas);
        image_release(&img);
        generate_grid_release(&g);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], DECODER_WORKER_ARG) == 0)
        return decoder_worker_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sides_are_the_pictures_in_proportion),
        cmocka_unit_test(strength_counts_the_steps_as_diffusers_does),
        cmocka_unit_test(what_cannot_be_started_from_is_said),
        cmocka_unit_test(every_solver_starts_from_a_picture_of_any_size_and_only_reads_it),
        cmocka_unit_test(an_encoder_without_numbers_is_an_error),
        cmocka_unit_test(what_is_not_masked_stays_to_the_last_bit),
        cmocka_unit_test(only_masked_makes_a_part_of_a_larger_picture),
        cmocka_unit_test(outpainting_widens_and_keeps_the_middle),
        cmocka_unit_test(what_is_said_of_a_mask_goes_into_the_text),
        cmocka_unit_test(masks_that_cannot_be_are_said),
        cmocka_unit_test(a_network_for_inpainting_makes_whole_pictures_too),
        cmocka_unit_test(wrong_bends_are_said),
        cmocka_unit_test(hires_fix_tells_one_progress),
        cmocka_unit_test(bends_are_automatic1111s_words),
        cmocka_unit_test(a_grid_has_about_as_many_rows_as_columns),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests_name("generate_picture", tests, NULL, NULL);
}
