/* Checkpoints that are not what they must be: one sentence each, nothing leaked, nothing read
 * beyond its end. What good ones compute is in tests/golden/test_golden_sampler.c. */
#include "golden/sd_toy.h"
#include "sampler/checkpoint.h"

static const char *const folder = "toy-checkpoint";

static void refused(const struct sd_toy *o, enum status code, const char *part)
{
    struct checkpoint *c = NULL;
    struct error err = {0};
    char *path = sd_toy_write(folder, o);
    enum status st = checkpoint_open(&c, path, NULL, &err);
    if (st != code || c || !strstr(err.text, part))
        fail_msg("%s instead of %s with \"%s\": %s", status_name(st), status_name(code), part,
                 err.text);
    mem_free(path);
    sd_toy_remove(folder);
}

static void what_a_single_file_lacks_is_named(void **state)
{
    (void)state;
    static const char *const names[] = {
        "model.diffusion_model.input_blocks.0.0.weight",
        "model.diffusion_model.input_blocks.5.1.transformer_blocks.0.attn2.to_k.weight",
        "model.diffusion_model.middle_block.2.out_layers.3.bias",
        "model.diffusion_model.output_blocks.5.2.conv.weight",
        "model.diffusion_model.out.2.weight",
        "model.diffusion_model.time_embed.2.bias",
        "first_stage_model.decoder.mid.attn_1.q.weight",
        "first_stage_model.decoder.up.1.upsample.conv.weight",
        "first_stage_model.encoder.down.0.downsample.conv.bias",
        "cond_stage_model.transformer.text_model.final_layer_norm.weight",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct sd_toy one_more = {.shape_of = names[i]};
        refused(&(struct sd_toy){.drop = names[i]}, ST_NOT_FOUND, names[i]);
        refused(&one_more, ST_FORMAT, "toy.safetensors");
    }
}

static void what_a_folder_lacks_is_named(void **state)
{
    (void)state;
    static const char *const parts[] = {"unet", "vae", "text_encoder", "scheduler"};
    struct checkpoint *c = NULL;
    struct error err = {0};
    mem_free(sd_toy_write(folder, &(struct sd_toy){.folder = true}));
    for (int i = 3; i >= 0; i--) {
        char *path = path_join(folder, parts[i]);
        sd_toy_remove(path);
        mem_free(path);
        assert_int_equal(checkpoint_open(&c, folder, NULL, &err), ST_NOT_FOUND);
        assert_non_null(strstr(err.text, parts[i]));
    }
    sd_toy_remove(folder);
    assert_int_equal(checkpoint_open(&c, folder, NULL, &err), ST_NOT_FOUND);
    refused(&(struct sd_toy){.folder = true, .drop = "down_blocks.1.resnets.1.conv2.weight"},
            ST_NOT_FOUND, "down_blocks.1.resnets.1.conv2.weight");
}

static void configs_that_are_not_computed_are_refused_by_key(void **state)
{
    (void)state;
    static const char *const bad[][4] = {
        {"unet/config.json", "{\"act_fn\": \"gelu\"}", "act_fn", "u"},
        {"unet/config.json", "{\"class_embed_type\": \"timestep\"}", "class_embed_type", "u"},
        {"unet/config.json", "{\"conv_in_kernel\": 5}", "conv_in_kernel", "u"},
        {"unet/config.json", "{\"flip_sin_to_cos\": false}", "flip_sin_to_cos", "u"},
        {"unet/config.json", "{\"norm_num_groups\": 0}", "norm_num_groups", "f"},
        {"unet/config.json", "{\"norm_num_groups\": 48}", "48 norm groups", "f"},
        {"unet/config.json", "{\"attention_head_dim\": 0}", "attention_head_dim", "f"},
        {"unet/config.json", "{\"attention_head_dim\": [8, 7]}", "7 attention heads", "f"},
        {"unet/config.json", "[]", "not a json object", "f"},
        {"vae/config.json", "{\"scaling_factor\": 0}", "scaling_factor", "f"},
        {"vae/config.json", "{\"norm_num_groups\": 7}", "7 norm groups", "f"},
        {"vae/config.json", "{\"shift_factor\": 0.1}", "shift_factor", "u"},
        {"scheduler/scheduler_config.json", "{\"beta_schedule\": \"squaredcos_cap_v2\"}",
         "squaredcos_cap_v2", "u"},
        {"scheduler/scheduler_config.json", "{\"prediction_type\": \"sample\"}", "sample", "u"},
        {"scheduler/scheduler_config.json", "{\"num_train_timesteps\": 10}", "num_train_timesteps",
         "u"},
        {"text_encoder/config.json", "{\"hidden_size\": 64, \"num_attention_heads\": 7}",
         "not a multiple of 7 heads", "f"},
        {"text_encoder/config.json", "{\"hidden_size\": 32, \"num_attention_heads\": 1}",
         "embeddings.token_embedding.weight", "f"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sd_toy o = {.folder = true, .file = bad[i][0], .text = bad[i][1]};
        refused(&o, bad[i][3][0] == 'u' ? ST_UNSUPPORTED : ST_FORMAT, bad[i][2]);
    }
}

static void a_yaml_beside_a_single_file_counts(void **state)
{
    (void)state;
    static const char good[] = "model:\n  params:\n    linear_start: 0.001 # first\n"
                               "    parameterization: \"v\"\n    scale_factor: 0.5\n"
                               "    unet_config:\n      params:\n        num_heads: 4\n";
    struct checkpoint *c = NULL;
    struct error err = {0};
    struct sd_toy o = {.file = "toy.yaml", .text = good};
    char *path = sd_toy_write(folder, &o);
    if (checkpoint_open(&c, path, NULL, &err))
        fail_msg("%s", err.text);
    assert_int_equal(c->prediction, PREDICT_V);
    assert_int_equal(c->unet.mid_attn.heads, 4);
    assert_float_equal(c->latent_scale, 0.5, 0);
    assert_float_equal(c->sigmas.sigma[0], 0.0316386, 1e-6); /* sqrt(0.001 / 0.999) */
    checkpoint_close(c);
    struct checkpoint_opts noise = {.prediction = PREDICT_NOISE};
    assert_int_equal(checkpoint_open(&c, path, &noise, &err), ST_OK);
    assert_int_equal(c->prediction, PREDICT_NOISE); /* the caller's word is the last */
    assert_string_equal(c->name, "toy");
    checkpoint_close(c);
    mem_free(path);
    refused(&(struct sd_toy){.file = "toy.yaml", .text = "num_heads: many\n"}, ST_FORMAT,
            "num_heads");
    refused(&(struct sd_toy){.file = "toy.yaml", .text = "parameterization: x0\n"}, ST_UNSUPPORTED,
            "x0");
    refused(&(struct sd_toy){.file = "toy.yaml", .text = "  num_heads: 7"}, ST_FORMAT,
            "7 attention heads");
}

/* A file with one tensor of this name. */
static void only(const char *name, enum status code, const char *part)
{
    float x[4] = {0};
    struct weights_out_tensor t = {name, tensor_view(x, DT_F32, 2, (int64_t[]){2, 2})};
    struct checkpoint *c = NULL;
    struct error err = {0};
    assert_int_equal(weights_write("toy-only.safetensors", &t, 1, NULL, &err), ST_OK);
    assert_int_equal(checkpoint_open(&c, "toy-only.safetensors", NULL, &err), code);
    if (!strstr(err.text, part))
        fail_msg("%s", err.text);
    unlink("toy-only.safetensors");
}

static void other_families_are_named(void **state)
{
    (void)state;
    only("conditioner.embedders.0.x", ST_UNSUPPORTED, "Stable Diffusion XL");
    only("cond_stage_model.model.ln_final.weight", ST_UNSUPPORTED, "Stable Diffusion 2");
    only("double_blocks.0.x", ST_UNSUPPORTED, "Flux");
    only("lora_unet_down_blocks_0.lora_up.weight", ST_UNSUPPORTED, "LoRA");
    only("model_ema.decay", ST_FORMAT, "lacks the denoiser");
    only("model_ema.diffusion_modelx", ST_FORMAT, "lacks the autoencoder");
    only("x", ST_FORMAT, "lacks the denoiser");
    only("model.diffusion_model.x", ST_FORMAT, "lacks the autoencoder");
    struct checkpoint *c = NULL;
    struct error err = {0};
    assert_int_equal(checkpoint_open(&c, "no-such-file", NULL, &err), ST_NOT_FOUND);
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    struct checkpoint *c = NULL;
    struct error err = {0};
    for (int layout = 0; layout < 2; layout++) {
        char *path = sd_toy_write(folder, &(struct sd_toy){.folder = layout == 1});
        for (uint64_t n = 1;; n += 1 + n / 8) {
            mem_fail_at(n, true);
            enum status st = checkpoint_open(&c, path, NULL, &err);
            mem_fail_at(0, false);
            if (st == ST_OK)
                break;
            assert_int_equal(st, ST_NOMEM);
            assert_null(c);
        }
        checkpoint_close(c);
        mem_free(path);
        sd_toy_remove(folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_single_file_lacks_is_named),
        cmocka_unit_test(what_a_folder_lacks_is_named),
        cmocka_unit_test(configs_that_are_not_computed_are_refused_by_key),
        cmocka_unit_test(a_yaml_beside_a_single_file_counts),
        cmocka_unit_test(other_families_are_named),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests_name("checkpoint", tests, NULL, NULL);
}
