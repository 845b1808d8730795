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
    };
    return cmocka_run_group_tests_name("golden_clip", tests, NULL, NULL);
}
