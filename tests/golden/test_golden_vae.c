/* Autoencoders from files of their own: AutoencoderKL under every set of names, and TAESD, against
 * diffusers (scripts/make_golden_sampler.py, make_golden_taesd.py) to 2e-5 of the largest value, as
 * in test_golden_sampler.c; and files that are none or do not fit.
 *
 * With the words "write DIR" it writes the files for the tests in tests/e2e. */
#include "golden/sd_toy.h"
#include "sampler/checkpoint.h"
#include <math.h>

static const char *const folder = "toy-vae";

/* A checkpoint whose own autoencoder is another: in f16. */
static struct checkpoint *open_other(void)
{
    struct checkpoint *c = NULL;
    struct error err = {0};
    char *path = sd_toy_write(folder, &(struct sd_toy){.dtype = DT_F16});
    if (checkpoint_open(&c, path, NULL, &err))
        fail_msg("%s", err.text);
    mem_free(path);
    return c;
}

static struct weights_out_tensor renamed(const json_t *row, const struct sd_toy *o,
                                         const char *prefix)
{
    struct weights_out_tensor t = sd_tensor(row, o);
    const char *own = strncmp(t.name, "first_stage_model.", 18) == 0 ? t.name + 18 : t.name;
    char *name = mem_printf("%s%s", prefix, own);
    mem_free((char *)(uintptr_t)t.name);
    t.name = name;
    return t;
}

static void write_vae(const char *path, bool diffusers, const char *prefix, const char *drop)
{
    json_t *m = sd_manifest(), *rows = json_object_get(m, "tensors");
    struct weights_out_tensor *t = mem_zarray(json_array_size(rows), sizeof *t);
    struct sd_toy o = {.folder = diffusers};
    struct error err = {0};
    int n = 0;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        if (strcmp(sd_row_text(row, 0), "vae") != 0 || (drop && strstr(sd_row_text(row, 1), drop)))
            continue;
        t[n++] = renamed(row, &o, prefix);
    }
    if (weights_write(path, t, n, NULL, &err))
        fail_msg("%s", err.text);
    for (int i = 0; i < n; i++) {
        mem_free(t[i].t.data);
        mem_free((char *)(uintptr_t)t[i].name);
    }
    mem_free(t);
    json_decref(m);
}

/* half: NULL = both under diffusers' names, else the original's file of this half. */
static void write_taesd(const char *path, const char *half, const char *prefix, const char *drop)
{
    json_error_t je;
    struct error err = {0};
    json_t *rows = json_load_file(SOURCE_DIR "/tests/golden/sampler/taesd.json", 0, &je);
    struct weights_out_tensor *t = mem_zarray(json_array_size(rows), sizeof *t);
    int n = 0;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i), *shape = json_array_get(row, 1);
        const char *key = sd_row_text(row, 0), *rest;
        int64_t dims[4] = {1, 1, 1, 1};
        if ((half && strncmp(key, half, 7) != 0) || (drop && strcmp(drop, key) == 0))
            continue;
        for (size_t k = 0; k < json_array_size(shape); k++)
            dims[k] = json_integer_value(json_array_get(shape, k));
        struct tensor v = tensor_view(NULL, DT_F32, (int)json_array_size(shape), dims);
        v.data = toy_values("taesd", key, (size_t)tensor_count(&v), DT_F32, 0.0,
                            json_number_value(json_array_get(row, 2)));
        long number = strtol(key + strlen("decoder.layers."), (char **)(uintptr_t)&rest, 10);
        char *name = half ? mem_printf("%s%ld%s", prefix, number + (half[0] == 'd'), rest)
                          : mem_printf("%s", key);
        t[n++] = (struct weights_out_tensor){name, v};
    }
    if (weights_write(path, t, n, NULL, &err))
        fail_msg("%s", err.text);
    for (int i = 0; i < n; i++) {
        mem_free(t[i].t.data);
        mem_free((char *)(uintptr_t)t[i].name);
    }
    mem_free(t);
    json_decref(rows);
}

struct outputs {
    float moments[6 * 10 * 8], pixels[12 * 20 * 3];
};

static void run(const struct checkpoint *c, struct outputs *o, float scale)
{
    struct error err = {0};
    struct arena arena = {0};
    struct clip_run r = {.arena = &arena, .err = &err};
    struct tensor px = tensor_view(NULL, DT_F32, 4, (int64_t[]){1, 12, 20, 3}), y = px;
    struct tensor z = tensor_view(NULL, DT_F32, 4, (int64_t[]){1, 6, 10, 4});
    struct tensor moments = tensor_view(o->moments, DT_F32, 4, (int64_t[]){1, 6, 10, 8});
    px.data = toy_values("sd", "pixels", 12 * 20 * 3, DT_F32, 0.0, 1.0);
    z.data = toy_values("sd", "z", 6 * 10 * 4, DT_F32, 0.0, 4.0);
    for (int i = 0; i < 6 * 10 * 4; i++)
        ((float *)z.data)[i] /= scale;
    y.data = o->pixels;
    assert_int_equal(backend_open(&r.be, test_device(), 2, &err), ST_OK);
    assert_int_equal(net_vae_encode(&r, &c->vae, &moments, &px), ST_OK);
    assert_int_equal(net_vae_decode(&r, &c->vae, &y, &z), ST_OK);
    assert_int_equal(arena_mark(&arena), 0);
    backend_close(r.be);
    arena_release(&arena);
    mem_free(px.data);
    mem_free(z.data);
}

static double apart(const float *x, const float *want, int n)
{
    float scale = 0, worst = 0;
    for (int i = 0; i < n; i++) {
        scale = fmaxf(scale, fabsf(want[i]));
        worst = fmaxf(worst, fabsf(x[i] - want[i]));
    }
    return (double)(worst / scale);
}

static double kl_apart(const struct checkpoint *c)
{
    struct outputs o;
    struct weights *want = NULL;
    assert_int_equal(weights_open(&want, TEST_DATA "/sampler/sd.safetensors", NULL), ST_OK);
    run(c, &o, 1);
    double a = apart(o.moments, weights_find(want, "encoder.out")->data, 6 * 10 * 8);
    double b = apart(o.pixels, weights_find(want, "decoder.out")->data, 12 * 20 * 3);
    weights_close(want);
    return a > b ? a : b;
}

static void another_autoencoder_equals_diffusers_under_every_name(void **state)
{
    (void)state;
    static const struct {
        const char *path, *prefix;
        bool diffusers;
    } forms[] = {{"toy-vae/a.safetensors", "first_stage_model.", false},
                 {"toy-vae/b.safetensors", "", false},
                 {"toy-vae/c.safetensors", "", true},
                 {"toy-vae/d.safetensors", "vae.", true}};
    struct checkpoint *c = open_other();
    struct error err = {0};
    assert_true(kl_apart(c) > 1e-4); /* its own is another */
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        write_vae(forms[i].path, forms[i].diffusers, forms[i].prefix, NULL);
        if (checkpoint_replace_vae(c, forms[i].path, &err))
            fail_msg("%s", err.text);
        double d = kl_apart(c);
        printf("%s: largest difference %.2g of the largest value\n", forms[i].path, d);
        assert_true(d <= 2e-5);
        assert_float_equal(c->latent_scale, 0.18215, 1e-9);
    }
    sd_write_text(folder, "vae/config.json", "{\"scaling_factor\": 0.5}");
    write_vae("toy-vae/vae/diffusion_pytorch_model.safetensors", true, "", "encoder.");
    if (checkpoint_replace_vae(c, "toy-vae/vae", &err))
        fail_msg("%s", err.text);
    assert_float_equal(c->latent_scale, 0.5, 1e-9);
    assert_false(c->vae.encoder.there);
    checkpoint_close(c);
    sd_toy_remove(folder);
}

static void taesd_equals_diffusers_in_both_spellings(void **state)
{
    (void)state;
    struct checkpoint *c = open_other();
    struct weights *want = NULL;
    struct error err = {0};
    struct outputs o, before;
    float *encoded;
    assert_int_equal(weights_open(&want, TEST_DATA "/sampler/taesd.safetensors", NULL), ST_OK);
    encoded = weights_find(want, "encoded")->data;
    const float *decoded = weights_find(want, "decoded")->data;
    run(c, &before, 1);
    write_taesd("toy-vae/both.safetensors", NULL, NULL, NULL);
    write_taesd("toy-vae/decoder.safetensors", "decoder", "", NULL);
    write_taesd("toy-vae/encoder.safetensors", "encoder", "taesd_encoder.", NULL);
    static const char *const files[] = {"toy-vae/both.safetensors", "toy-vae/decoder.safetensors",
                                        "toy-vae/encoder.safetensors"};
    for (int i = 0; i < 3; i++) {
        if (checkpoint_add_taesd(c, files[i], &err))
            fail_msg("%s", err.text);
        run(c, &o, i < 2 ? (float)c->latent_scale : 1);
        if (i < 2)
            assert_true(apart(o.pixels, decoded, 12 * 20 * 3) <= 2e-5);
        else
            assert_memory_equal(o.pixels, before.pixels, sizeof o.pixels);
        for (int k = 0; k < 6 * 10 && i != 1; k++)
            for (int ch = 0; ch < 4; ch++) {
                assert_float_equal(o.moments[k * 8 + ch] * (float)c->latent_scale,
                                   encoded[k * 4 + ch], 2e-5);
                assert_true(o.moments[k * 8 + 4 + ch] == -30);
            }
        if (i == 1)
            assert_memory_equal(o.moments, before.moments, sizeof o.moments);
    }
    weights_close(want);
    checkpoint_close(c);
    sd_toy_remove(folder);
}

static void what_does_not_fit_is_named_and_nothing_changes(void **state)
{
    (void)state;
    struct checkpoint *c = open_other();
    struct error err = {0};
    const void *own = c->vae.decoder.conv_in.w.data;
    write_vae("toy-vae/cut.safetensors", false, "", "decoder.mid_block.attentions.0.to_q");
    assert_int_equal(checkpoint_replace_vae(c, "toy-vae/cut.safetensors", &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.text, "decoder.mid.attn_1.q.weight"));
    write_taesd("toy-vae/cut.safetensors", NULL, NULL, "decoder.layers.2.conv.4.weight");
    assert_int_equal(checkpoint_add_taesd(c, "toy-vae/cut.safetensors", &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.text, "2.conv.4.weight"));
    write_taesd("toy-vae/cut.safetensors", "decoder", "", "decoder.layers.7.weight");
    assert_int_equal(checkpoint_add_taesd(c, "toy-vae/cut.safetensors", &err), ST_FORMAT);
    assert_int_equal(checkpoint_replace_vae(c, "toy-vae/cut.safetensors", &err), ST_FORMAT);
    assert_non_null(strstr(err.text, "not an autoencoder"));
    write_vae("toy-vae/kl.safetensors", false, "", NULL);
    assert_int_equal(checkpoint_add_taesd(c, "toy-vae/kl.safetensors", &err), ST_FORMAT);
    assert_non_null(strstr(err.text, "not a tiny autoencoder"));
    assert_int_equal(checkpoint_replace_vae(c, "toy-vae/nothing", &err), ST_NOT_FOUND);
    c->unet.out = 16;
    assert_int_equal(checkpoint_replace_vae(c, "toy-vae/kl.safetensors", &err), ST_UNSUPPORTED);
    assert_non_null(strstr(err.text, "4 latent channels, and the unet of toy gives 16"));
    c->unet.out = 4;
    c->vae.shrink = 8;
    write_taesd("toy-vae/both.safetensors", NULL, NULL, NULL);
    assert_int_equal(checkpoint_add_taesd(c, "toy-vae/both.safetensors", &err), ST_UNSUPPORTED);
    assert_ptr_equal(c->vae.decoder.conv_in.w.data, own);
    assert_null(c->vae.tiny_decoder);
    checkpoint_close(c);
    sd_toy_remove(folder);
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    struct checkpoint *c = open_other();
    struct error err = {0};
    write_taesd("toy-vae/both.safetensors", NULL, NULL, NULL);
    write_vae("toy-vae/kl.safetensors", false, "", NULL);
    for (uint64_t n = 1;; n += 1 + n / 16) {
        mem_fail_at(n, true);
        enum status st = checkpoint_replace_vae(c, "toy-vae/kl.safetensors", &err);
        if (!st)
            st = checkpoint_add_taesd(c, "toy-vae/both.safetensors", &err);
        mem_fail_at(0, false);
        if (st == ST_OK)
            break;
        assert_int_equal(st, ST_NOMEM);
    }
    checkpoint_close(c);
    sd_toy_remove(folder);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "write") == 0) {
        char *vae = path_join(argv[2], "vae.safetensors");
        char *taesd = path_join(argv[2], "taesd.safetensors");
        write_vae(vae, true, "", NULL);
        write_taesd(taesd, "decoder", "", NULL);
        mem_free(vae);
        mem_free(taesd);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_autoencoder_equals_diffusers_under_every_name),
        cmocka_unit_test(taesd_equals_diffusers_in_both_spellings),
        cmocka_unit_test(what_does_not_fit_is_named_and_nothing_changes),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests_name("golden_vae", tests, NULL, NULL);
}
