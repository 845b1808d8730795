/* Every layout's towers, block by block, against transformers and open_clip
 * (scripts/make_golden_clip.py). */
#include "golden/clip_golden.h"

static void hugging_face_folder_with_quick_gelu_and_the_old_end_token_rule(void **state)
{
    (void)state;
    run_toy("hf_quick", false, "hugging face folder");
}

static void hugging_face_weight_file_finds_its_config(void **state)
{
    (void)state;
    run_toy("hf_quick", true, "hugging face folder");
}

static void hugging_face_folder_with_gelu_bf16_config_dicts_and_a_ragged_picture(void **state)
{
    (void)state;
    run_toy("hf_gelu", false, "hugging face folder");
}

static void open_clip_folder_with_quick_gelu(void **state)
{
    (void)state;
    run_toy("open_clip_quick", false, "open_clip folder");
}

static void open_clip_layer_scale_mean_pooling_tanh_and_both_ways_attention(void **state)
{
    (void)state;
    run_toy("open_clip_avg", false, "open_clip folder");
}

static void open_clip_text_module_with_projection_bias_and_eos_pooling(void **state)
{
    (void)state;
    run_toy("open_clip_custom_text", false, "open_clip folder");
}

static void openai_state_dict_in_half_precision(void **state)
{
    (void)state;
    run_toy("openai", true, "openai state dict");
    run_toy("openai", false, "openai state dict");
}

static void open_clip_state_dict_without_config(void **state)
{
    (void)state;
    run_toy("open_clip_bare", true, "open_clip state dict");
}

static void starter_with_attention_and_without(void **state)
{
    (void)state;
    run_toy("starter", false, "eidetic folder");
    run_toy("starter_plain", true, "eidetic file");
}

/* The image tower in 16 bits: a rounding is 2^-9 in bf16 and 2^-12 in f16, and a tower has a depth
 * of them. */
static void check_near(const char *toy, bool by_file, const char *device, double least)
{
    struct toy_run r;
    struct error err = {0};
    toy_run_open(&r, toy, by_file ? "-file" : "", by_file, device);
    int n = (int)json_integer_value(json_object_get(r.m, "images")), d = clip_dim(r.clip);
    int size = clip_info(r.clip)->image_size;
    const float *want = wanted(r.want, "image.vector", n, d);
    uint8_t *px = toy_pixels(toy, n, size);
    float *v = mem_array((size_t)d, sizeof *v);
    double worst = 1;
    assert_non_null(v);
    for (int i = 0; i < n; i++) {
        const uint8_t *one = px + (size_t)i * (size_t)size * (size_t)size * 3;
        double dot = 0;
        if (clip_encode_images(r.session, &one, 1, v, &err))
            fail_msg("%s: %s", toy, err.text);
        for (int j = 0; j < d; j++)
            dot += (double)v[j] * (double)want[i * d + j];
        worst = dot < worst ? dot : worst;
    }
    printf("%s on %s: least cosine %.7f\n", toy, device, worst);
    assert_true(worst >= least && worst < 1 - 1e-9); /* it is in 16 bits */
    mem_free(v);
    mem_free(px);
    toy_run_close(&r);
}

static void in_16_bits_vectors_are_near(void **state)
{
    (void)state;
    static const double least[2] = {1 - 5e-4, 1 - 1e-5};
    bool card = strstr(test_device(), "cuda") != NULL;
    for (int i = 0; i < 1 + card; i++) {
        char device[48];
        snprintf(device, sizeof device, "%s/%s", card ? test_device() : "cpu:ref",
                 i ? "f16" : "bf16");
        check_near("hf_quick", false, device, least[i]);
        check_near("openai", true, device, least[i]); /* weights in f16 */
        check_near("open_clip_avg", false, device, least[i]);
    }
}

static void heads_of_widths_that_64_does_not_divide(void **state)
{
    (void)state;
    struct toy_run r;
    toy_run_open(&r, "openai_odd", "-file", true, test_device());
    r.check = (struct check){.want = r.want, .toy = "openai_odd"};
    check_images(&r);
    check_texts(&r);
    toy_run_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starter_with_attention_and_without),
        cmocka_unit_test(hugging_face_folder_with_quick_gelu_and_the_old_end_token_rule),
        cmocka_unit_test(hugging_face_weight_file_finds_its_config),
        cmocka_unit_test(hugging_face_folder_with_gelu_bf16_config_dicts_and_a_ragged_picture),
        cmocka_unit_test(open_clip_folder_with_quick_gelu),
        cmocka_unit_test(open_clip_layer_scale_mean_pooling_tanh_and_both_ways_attention),
        cmocka_unit_test(open_clip_text_module_with_projection_bias_and_eos_pooling),
        cmocka_unit_test(openai_state_dict_in_half_precision),
        cmocka_unit_test(open_clip_state_dict_without_config),
        cmocka_unit_test(in_16_bits_vectors_are_near),
        cmocka_unit_test(heads_of_widths_that_64_does_not_divide),
    };
    return cmocka_run_group_tests_name("golden_clip", tests, NULL, NULL);
}
