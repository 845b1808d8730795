/* A sampler of eidetic's own kind, over the toy starter's token states with a key mask, TAEF2 and
 * latents with a mean and deviation a channel, against diffusers' UNet and k-diffusion's Euler
 * (scripts/make_golden_tower.py): latents and the encoder's to 2e-5 of the largest value, as in
 * test_golden_sampler.c, pixels to 1 of 255, for the rounding to bytes. And what such a sampler
 * refuses. */
#include "golden/sd_toy.h"
#include "sampler/lora/lora.h"
#include "sampler/sampler.h"
#include <math.h>

enum { W = 48, H = 32, LATENT = 6, CELLS = W * H / 64 };

static json_t *manifest(void)
{
    json_error_t je;
    json_t *m = json_load_file(TEST_DATA "/sampler/tower.json", 0, &je);
    assert_non_null(m);
    return m;
}

static void write_weights(const char *path, const char *part, const json_t *rows)
{
    size_t n = json_array_size(rows);
    struct weights_out_tensor *t = mem_zarray(n, sizeof *t);
    struct error err = {0};
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(rows, i), *shape = json_array_get(row, 1);
        int64_t dims[4] = {1, 1, 1, 1};
        for (size_t k = 0; k < json_array_size(shape); k++)
            dims[k] = json_integer_value(json_array_get(shape, k));
        const char *name = json_string_value(json_array_get(row, 0));
        char *toy = mem_printf("tower/%s", part);
        struct tensor v = tensor_view(NULL, DT_F32, (int)json_array_size(shape), dims);
        v.data = toy_values(toy, name, (size_t)tensor_count(&v), DT_F32,
                            json_number_value(json_array_get(row, 2)),
                            json_number_value(json_array_get(row, 3)));
        t[i] = (struct weights_out_tensor){name, v};
        mem_free(toy);
    }
    if (weights_write(path, t, (int)n, NULL, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < n; i++)
        mem_free(t[i].t.data);
    mem_free(t);
}

/* The toy starter with a sampler in it; id: the tower's, or what is to stand there. */
static char *write_sampler(const json_t *m, const char *id, char **model)
{
    char *weights = NULL;
    *model = toy_make("starter", "-tower", NULL, &weights);
    mem_free(weights);
    char *dir = path_join(*model, "sampler");
    struct clip *c = NULL;
    struct error err = {0};
    json_t *v;
    const char *name;
    if (clip_open(&c, *model, NULL, &err))
        fail_msg("%s", err.text);
    json_object_foreach(json_object_get(m, "files"), name, v)
    {
        json_t *file = json_deep_copy(v);
        if (!strcmp(name, "sampler.json"))
            json_object_set_new(file, "text_tower", json_string(id ? id : clip_info(c)->id));
        char *text = json_dumps(file, 0);
        sd_write_text(dir, name, text);
        free(text);
        json_decref(file);
    }
    clip_close(c);
    json_object_foreach(json_object_get(m, "tensors"), name, v)
    {
        char *path = mem_printf("%s/%s/diffusion_pytorch_model.safetensors", dir, name);
        write_weights(path, name, v);
        mem_free(path);
    }
    return dir;
}

static float furthest(const float *x, const float *want, size_t n)
{
    float worst = 0;
    for (size_t i = 0; i < n; i++)
        worst = fmaxf(worst, fabsf(x[i] - want[i]));
    return worst;
}

static void encoder_equals(const struct checkpoint *c, const struct weights *want)
{
    struct error err = {0};
    struct arena arena = {0};
    struct clip_run r = {.arena = &arena, .err = &err};
    float moments[CELLS * LATENT * 2], z[CELLS * LATENT];
    struct tensor px = tensor_view(NULL, DT_F32, 4, (int64_t[]){1, H, W, 3});
    struct tensor y =
        tensor_view(moments, DT_F32, 4, (int64_t[]){1, H / 8, W / 8, (int64_t)LATENT * 2});
    px.data = toy_values("sd", "pixels", (size_t)W * H * 3, DT_F32, 0.0, 1.0);
    assert_int_equal(backend_open(&r.be, "cpu", 1, &err), ST_OK);
    assert_int_equal(net_vae_encode(&r, &c->vae, &y, &px), ST_OK);
    for (int i = 0; i < CELLS; i++)
        for (int k = 0; k < LATENT; k++)
            z[i * LATENT + k] =
                (moments[i * 2 * LATENT + k] - c->latent_mean[k]) / c->latent_std[k];
    float d = furthest(z, weights_find(want, "encoded")->data, (size_t)CELLS * LATENT);
    printf("encoder: largest difference %.2g\n", (double)d);
    assert_true(d <= 2e-5f * 1.6f);
    backend_close(r.be);
    arena_release(&arena);
    mem_free(px.data);
}

static void pictures_equal_the_reference(void **state)
{
    (void)state;
    json_t *m = manifest();
    char *model, *path = write_sampler(m, NULL, &model);
    struct checkpoint *c = NULL;
    struct sampler *s = NULL;
    struct error err = {0};
    struct weights *want = NULL;
    struct image img = {0};
    float latent[LATENT * CELLS], turned[LATENT * CELLS];
    const struct schedule *own;
    if (checkpoint_open(&c, path, NULL, &err))
        fail_msg("%s", err.text);
    assert_string_equal(c->layout, "eidetic sampler");
    assert_int_equal(sampler_new(&s, c, "cpu", 2, &err), ST_OK);
    assert_int_equal(weights_open(&want, TEST_DATA "/sampler/tower.safetensors", NULL), ST_OK);
    struct sampler_job job = {.prompt = json_string_value(json_object_get(m, "prompt")),
                              .negative = json_string_value(json_object_get(m, "negative")),
                              .width = W,
                              .steps = 4,
                              .seed = 42,
                              .solver = solver_find("Euler", &own),
                              .latent = latent};
    if (sampler_run(s, &job, &img, &err)) /* height and guidance are the file's */
        fail_msg("%s", err.text);
    assert_int_equal(img.height, H);
    for (int k = 0; k < LATENT; k++)
        for (int i = 0; i < CELLS; i++)
            turned[i * LATENT + k] = latent[k * CELLS + i];
    float d = furthest(turned, weights_find(want, "latent")->data, (size_t)LATENT * CELLS);
    float pixels = 0;
    const float *px = weights_find(want, "pixels")->data;
    for (int i = 0; i < W * H * 3; i++)
        pixels = fmaxf(pixels, fabsf((float)img.data[i] - px[i]));
    printf("latent: largest difference %.2g, pixels %.2g\n", (double)d, (double)pixels);
    assert_true(d <= 2e-5f * 2.5f);
    assert_true(pixels <= 1);
    encoder_equals(c, want);
    job.clip_skip = 2;
    assert_int_equal(sampler_run(s, &job, &img, &err), ST_USAGE);
    assert_non_null(strstr(err.text, "clip skip"));
    struct embeddings *e = NULL;
    assert_int_equal(embeddings_open(&e, ".", c, &err), ST_UNSUPPORTED);
    struct lora_use use = {.text = (char *)(uintptr_t) "lora:x:1"};
    struct lora_list loras = {.item = &use, .n = 1};
    struct lora_patch *patch = NULL;
    assert_int_equal(lora_apply(&patch, c, &loras, 1, &err), ST_UNSUPPORTED);
    assert_non_null(strstr(err.text, "lora:x:1"));
    image_release(&img);
    weights_close(want);
    sampler_free(s);
    checkpoint_close(c);
    sd_toy_remove(model);
    mem_free(path);
    mem_free(model);
    json_decref(m);
}

static void refuse(const char *path, const char *file, const char *text, const char *says)
{
    struct checkpoint *c = NULL;
    struct error err = {0};
    if (file)
        sd_write_text(path, file, text);
    assert_int_not_equal(checkpoint_open(&c, path, NULL, &err), ST_OK);
    assert_null(c);
    if (!strstr(err.text, says))
        fail_msg("%s", err.text);
}

static void another_tower_and_bad_files_are_refused(void **state)
{
    (void)state;
    json_t *m = manifest();
    char *model, *path = write_sampler(m, "0123456789abcdef0123456789abcdef", &model);
    refuse(path, NULL, NULL, "trained on the states of the model 0123456789abcdef");
    refuse(path, "sampler.json", "{\"latent_mean\": [1]}", "latent_mean must be 6 numbers");
    refuse(path, "sampler.json", "{\"latent_mean\": [0,0,0,0,0,0], \"latent_std\": [1,1,1,1,1,0]}",
           "latent_std must be 6 positive numbers");
    refuse(path, "sampler.json", "{\"latent_mean\": [0,0,0,0,0,1e999]}", "sampler.json");
    refuse(
        path, "sampler.json",
        "{\"latent_mean\": [0,0,0,0,0,0], \"latent_std\": [1,1,1,1,1,1], \"solver\": \"Newton\"}",
        "\"Newton\" is not known");
    refuse(path, "sampler.json", "[]", "sampler.json");
    sd_toy_remove(model);
    mem_free(path);
    mem_free(model);
    json_decref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_equal_the_reference),
        cmocka_unit_test(another_tower_and_bad_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
