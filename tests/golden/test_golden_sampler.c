/* Stable Diffusion's networks, block by block, against diffusers and transformers
 * (scripts/make_golden_sampler.py), from both layouts. Tolerance: 2e-5 of a block's largest value;
 * sums of a thousand products in another order differ by some 1e-6 of it, a wrong epsilon, GELU or
 * padding by 1e-3 and more. The promise is 1e-3.
 *
 * With the words "write DIR" it writes the toy as a single file for the tests in tests/e2e. */
#include "golden/sd_toy.h"
#include "sampler/sampler.h"
#include <math.h>

#define EXACT 2e-5F
/* A rounding is 2^-9 in bf16 and 2^-12 in f16, and a network has a depth of them. */
#define BF16 3e-2F
#define F16 4e-3F

struct check {
    const struct weights *want;
    int compared;
    float tolerance, worst; /* of a block's largest value */
};

static void on_trace(void *ctx, const char *name, const struct tensor *t)
{
    struct check *c = ctx;
    const struct tensor *w = weights_find(c->want, name);
    if (!w)
        return;
    const float *got = t->data, *want = w->data;
    float scale = 0;
    c->compared++;
    assert_int_equal(tensor_count(t), tensor_count(w));
    assert_int_equal(tensor_cols(t), tensor_cols(w));
    for (int64_t i = 0; i < tensor_count(w); i++)
        scale = fmaxf(scale, fabsf(want[i]));
    for (int64_t i = 0; i < tensor_count(w); i++) {
        if (!(fabsf(got[i] - want[i]) <= c->tolerance * scale))
            fail_msg("%s[%lld] is %.8g, the reference has %.8g", name, (long long)i, (double)got[i],
                     (double)want[i]);
        c->worst = fmaxf(c->worst, fabsf(got[i] - want[i]) / scale);
    }
}

struct fixture {
    char *dir;
    struct checkpoint *c;
    struct weights *want;
    struct backend *be;
    struct arena arena;
    struct check check;
    struct error err;
    struct clip_run run;
};

static void fixture_open(struct fixture *f, const struct sd_toy *o, const char *layout,
                         const char *device, float tolerance)
{
    *f = (struct fixture){.dir = mem_printf("toy-sd-%d", (int)getpid())};
    char *path = sd_toy_write(f->dir, o);
    if (weights_open(&f->want, TEST_DATA "/sampler/sd.safetensors", &f->err) ||
        checkpoint_open(&f->c, path, NULL, &f->err) || backend_open(&f->be, device, 2, &f->err))
        fail_msg("%s", f->err.text);
    assert_string_equal(f->c->layout, layout);
    f->check = (struct check){.want = f->want, .tolerance = tolerance};
    f->run = (struct clip_run){
        .be = f->be, .arena = &f->arena, .trace = on_trace, .trace_ctx = &f->check, .err = &f->err};
    mem_free(path);
}

static void fixture_close(struct fixture *f)
{
    assert_int_equal(backend_sync(f->be, NULL), ST_OK);
    assert_int_equal(arena_mark(&f->arena), 0);
    arena_release(&f->arena);
    backend_close(f->be);
    checkpoint_close(f->c);
    weights_close(f->want);
    sd_toy_remove(f->dir);
    mem_free(f->dir);
}

/* Inputs are made from names, as weights are. */
static struct tensor input(const char *name, int ndim, const int64_t *dims, double reach)
{
    struct tensor t = tensor_view(NULL, DT_F32, ndim, dims);
    t.data = toy_values("sd", name, (size_t)tensor_count(&t), DT_F32, 0.0, reach);
    return t;
}

static struct tensor output(int ndim, const int64_t *dims)
{
    struct tensor t = tensor_view(NULL, DT_F32, ndim, dims);
    t.data = mem_array((size_t)tensor_count(&t), sizeof(float));
    assert_non_null(t.data);
    return t;
}

static void check_unet(struct fixture *f)
{
    struct tensor x = input("x", 4, (int64_t[]){2, 6, 10, 4}, 1.7);
    struct tensor context = input("context", 3, (int64_t[]){2, 9, 64}, 1.7);
    struct tensor y = output(4, x.dim);
    f->run.tower = "unet";
    f->check.compared = 0;
    const float times[2] = {981.0f, 3.5f};
    assert_int_equal(net_unet_run(&f->run, &f->c->unet, &y, &x, times, &context, NULL), ST_OK);
    assert_int_equal(f->check.compared, 3 + 2 * f->c->unet.levels);
    mem_free(x.data);
    mem_free(context.data);
    mem_free(y.data);
}

static void check_vae(struct fixture *f)
{
    struct tensor px = input("pixels", 4, (int64_t[]){1, 12, 20, 3}, 1.0);
    struct tensor z = input("z", 4, (int64_t[]){1, 6, 10, 4}, 4.0);
    struct tensor moments = output(4, (int64_t[]){1, 6, 10, 8}), y = output(4, px.dim);
    assert_int_equal(f->c->vae.shrink, 2);
    f->run.tower = "encoder";
    f->check.compared = 0;
    assert_int_equal(net_vae_encode(&f->run, &f->c->vae, &moments, &px), ST_OK);
    assert_int_equal(f->check.compared, 4);
    f->run.tower = "decoder";
    f->check.compared = 0;
    assert_int_equal(net_vae_decode(&f->run, &f->c->vae, &y, &z), ST_OK);
    assert_int_equal(f->check.compared, 4);
    mem_free(px.data);
    mem_free(z.data);
    mem_free(moments.data);
    mem_free(y.data);
}

static void check_text(struct fixture *f)
{
    int32_t ids[77];
    const float *want = weights_find(f->want, "ids")->data;
    struct tensor y = output(3, (int64_t[]){1, 77, 64});
    for (int i = 0; i < 77; i++)
        ids[i] = (int32_t)want[i];
    f->run.tower = "text";
    f->check.compared = 0;
    assert_int_equal(net_text_run(&f->run, &f->c->text, &y, ids, 1, 1), ST_OK);
    assert_int_equal(f->check.compared, 4);
    f->run.trace = NULL;
    assert_int_equal(net_text_run(&f->run, &f->c->text, &y, ids, 1, 2), ST_OK);
    on_trace(&f->check, "text.skip2", &y);
    f->run.trace = on_trace;
    mem_free(y.data);
}

static void check_all(const struct sd_toy *o, const char *layout)
{
    struct fixture f;
    fixture_open(&f, o, layout, test_device(), EXACT);
    assert_int_equal(f.c->prediction, PREDICT_NOISE);
    assert_float_equal(f.c->latent_scale, 0.18215, 1e-9);
    assert_float_equal(f.c->sigmas.sigma[999], 14.614642, 1e-5);
    check_unet(&f);
    check_vae(&f);
    check_text(&f);
    fixture_close(&f);
}

static void single_file_equals_diffusers_block_by_block(void **state)
{
    (void)state;
    check_all(&(struct sd_toy){0}, "single file");
}

static void diffusers_folder_equals_diffusers_block_by_block(void **state)
{
    (void)state;
    check_all(&(struct sd_toy){.folder = true}, "diffusers folder");
}

static void folder_of_transformers_5_names_its_text_tower_without_a_stem(void **state)
{
    (void)state;
    check_all(&(struct sd_toy){.folder = true, .bare_text = true}, "diffusers folder");
}

/* The whole way, as scripts/make_golden_sampler.py goes it with k-diffusion. Values up to 58 in the
 * latent; a picture may differ by one in a value that lies between two. */
static void check_picture(enum prediction prediction, const char *name)
{
    struct fixture f;
    struct sampler *s = NULL;
    struct image img = {0};
    float latent[4 * 8 * 12];
    const struct schedule *schedule;
    fixture_open(&f, &(struct sd_toy){0}, "single file", test_device(), EXACT);
    f.c->prediction = prediction;
    json_t *m = sd_manifest();
    struct sampler_job job = {.prompt = json_string_value(json_object_get(m, "prompt")),
                              .negative = json_string_value(json_object_get(m, "negative")),
                              .width = 24,
                              .height = 16,
                              .steps = 4,
                              .seed = 42,
                              .solver = solver_find("euler", &schedule),
                              .latent = latent};
    if (sampler_new(&s, f.c, test_device(), 2, &f.err))
        fail_msg("%s", f.err.text);
    int turns =
        prediction == PREDICT_NOISE ? 3 : 1; /* the last time a device replays what it did */
    for (int turn = 0; turn < turns; turn++) {
        image_release(&img);
        if (sampler_run(s, &job, &img, &f.err))
            fail_msg("%s", f.err.text);
    }
    const float *want = weights_find(f.want, name)->data;
    for (int i = 0; i < 4 * 8 * 12; i++)
        if (!(fabsf(latent[i % 4 * 96 + i / 4] - want[i]) <= 5e-3f))
            fail_msg("latent %d is %g, the reference has %g", i, (double)latent[i % 4 * 96 + i / 4],
                     (double)want[i]);
    const float *picture = weights_find(f.want, "pipeline.picture")->data;
    for (int i = 0; i < 24 * 16 * 3 && prediction == PREDICT_NOISE; i++)
        if (!(fabsf((float)img.data[i] - 255 * picture[i]) <= 1.0f))
            fail_msg("pixel %d is %d, the reference has %g", i, img.data[i],
                     (double)(255 * picture[i]));
    image_release(&img);
    sampler_free(s);
    json_decref(m);
    fixture_close(&f);
}

static void a_picture_equals_k_diffusions_and_diffusers(void **state)
{
    (void)state;
    check_picture(PREDICT_NOISE, "pipeline.latent");
    check_picture(PREDICT_V, "pipeline.latent.v");
}

static void run_once(const struct sd_toy *o, struct tensor *y)
{
    struct fixture f;
    fixture_open(&f, o, o->folder ? "diffusers folder" : "single file", test_device(), EXACT);
    struct tensor x = input("x", 4, (int64_t[]){2, 6, 10, 4}, 1.7);
    struct tensor context = input("context", 3, (int64_t[]){2, 9, 64}, 1.7);
    f.run.trace = NULL;
    *y = output(4, x.dim);
    assert_int_equal(
        net_unet_run(&f.run, &f.c->unet, y, &x, (const float[]){500.0f, 20.0f}, &context, NULL),
        ST_OK);
    mem_free(x.data);
    mem_free(context.data);
    fixture_close(&f);
}

static void both_layouts_give_the_same_bits_in_every_float_type(void **state)
{
    (void)state;
    static const enum dtype types[] = {DT_F32, DT_F16, DT_BF16};
    for (size_t i = 0; i < 3; i++) {
        struct tensor a, b;
        run_once(&(struct sd_toy){.dtype = types[i]}, &a);
        run_once(&(struct sd_toy){.dtype = types[i], .folder = true}, &b);
        assert_memory_equal(a.data, b.data, (size_t)tensor_count(&a) * sizeof(float));
        mem_free(a.data);
        mem_free(b.data);
    }
}

/* In 16 bits on one device: the UNet and the text tower to `tolerance` of a block's largest value,
 * the autoencoder, which is in bf16 there too, to bf16's. */
static void check_near(const char *device, float tolerance)
{
    struct fixture f;
    fixture_open(&f, &(struct sd_toy){.dtype = DT_F16, .folder = true}, "diffusers folder", device,
                 tolerance);
    check_unet(&f);
    check_text(&f);
    float worst = f.check.worst;
    f.check.worst = 0;
    f.check.tolerance = BF16;
    check_vae(&f);
    printf("%s: largest difference %.2g of a block's largest value, %.2g in the autoencoder\n",
           device, (double)worst, (double)f.check.worst);
    assert_true(worst > tolerance / 300 && f.check.worst > BF16 / 300); /* it is in 16 bits */
    fixture_close(&f);
}

static void in_16_bits_every_block_is_near(void **state)
{
    (void)state;
    if (strstr(test_device(), "cuda")) {
        char bf16[48], f16[48];
        snprintf(bf16, sizeof bf16, "%s/bf16", test_device());
        snprintf(f16, sizeof f16, "%s/f16", test_device());
        check_near(bf16, BF16);
        check_near(f16, F16);
        return;
    }
    check_near("cpu:ref/bf16", BF16);
    if (backend_has_low_precision())
        check_near("cpu/bf16", BF16);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "write") == 0) {
        mem_free(sd_toy_write(argv[2], &(struct sd_toy){0}));
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_file_equals_diffusers_block_by_block),
        cmocka_unit_test(diffusers_folder_equals_diffusers_block_by_block),
        cmocka_unit_test(folder_of_transformers_5_names_its_text_tower_without_a_stem),
        cmocka_unit_test(a_picture_equals_k_diffusions_and_diffusers),
        cmocka_unit_test(in_16_bits_every_block_is_near),
        cmocka_unit_test(both_layouts_give_the_same_bits_in_every_float_type),
    };
    return cmocka_run_group_tests_name("golden_sampler", tests, NULL, NULL);
}
