/* The CLIP families beyond the plain ones, block by block, against transformers, open_clip and
 * sentencepiece (scripts/make_golden_families.py). */
#include "golden/clip_golden.h"

static void resnet_in_an_open_clip_folder(void **state)
{
    (void)state;
    run_toy("resnet", false, "open_clip folder");
}

static void resnet_in_openai_s_own_state_dict(void **state)
{
    (void)state;
    run_toy("resnet_openai", true, "openai state dict");
}

static void siglip_with_sentencepiece_in_german_japanese_and_arabic(void **state)
{
    (void)state;
    run_toy("siglip", false, "hugging face folder");
}

static void siglip_2_with_gemma_s_tokenizer_in_bf16(void **state)
{
    (void)state;
    run_toy("siglip2", true, "hugging face folder");
}

static void open_clip_with_xlm_r_in_german_japanese_and_arabic(void **state)
{
    (void)state;
    run_toy("open_clip_xlmr", false, "open_clip folder");
}

static void open_clip_with_roberta_and_a_linear_projection(void **state)
{
    (void)state;
    run_toy("open_clip_roberta", false, "open_clip folder");
}

static void vectors_alone(const char *toy)
{
    struct toy_run r;
    toy_run_open(&r, toy, "", false, test_device());
    r.check = (struct check){.want = r.want, .toy = toy};
    check_images(&r);
    check_texts(&r);
    toy_run_close(&r);
}

static void open_clip_with_roberta_s_first_token(void **state)
{
    (void)state;
    vectors_alone("open_clip_roberta_cls");
    vectors_alone("open_clip_roberta_first");
}

static void siglip_of_open_clip_over_timm_s_tower(void **state)
{
    (void)state;
    run_toy("open_clip_siglip", false, "open_clip folder");
    run_toy("open_clip_siglip2", false, "open_clip folder");
}

static void eva02_of_open_clip_over_timm_s_tower(void **state)
{
    (void)state;
    run_toy("open_clip_eva02", false, "open_clip folder");
}

/* The dense layer's file, and the toy hf_quick as the image tower, by a link. */
static char *make_multilingual(char **image, const struct toy_edit *e)
{
    char *dir = toy_make("multilingual", "", e, NULL), here[512];
    char *dense = path_join(dir, "2_Dense/model.safetensors"), *link = path_join(dir, "image");
    struct weights_out_tensor w = {"linear.weight",
                                   tensor_view(NULL, DT_F32, 2, (int64_t[]){24, 64})};
    w.t.data =
        toy_values("multilingual", "2_Dense/linear.weight", 24 * 64, DT_F32, 0.0, sqrt(3.0 / 64.0));
    assert_int_equal(weights_write(dense, &w, 1, NULL, NULL), ST_OK);
    *image = toy_make("hf_quick", "-image", NULL, NULL);
    assert_non_null(getcwd(here, sizeof here));
    char *target = path_join(here, *image);
    assert_int_equal(symlink(target, link), 0);
    mem_free(w.t.data);
    mem_free(target);
    mem_free(link);
    mem_free(dense);
    return dir;
}

static void multilingual_sentences_beside_another_model_s_pictures(void **state)
{
    (void)state;
    struct toy_run r = {.toy = "multilingual", .m = toy_manifest("multilingual")};
    struct error err = {0};
    struct weights *pictures = NULL;
    char path[512], *image = NULL, *dir = make_multilingual(&image, NULL);
    snprintf(path, sizeof path, "%s/clip/multilingual.safetensors", TEST_DATA);
    if (weights_open(&r.want, path, &err) || clip_open(&r.clip, dir, NULL, &err) ||
        clip_session_new(&r.session, r.clip, test_device(), 1, &err))
        fail_msg("%s", err.text);
    r.check = (struct check){.want = r.want, .toy = r.toy};
    assert_string_equal(clip_info(r.clip)->arch, "multilingual distilbert");
    check_texts(&r);
    check_states(&r);
    snprintf(path, sizeof path, "%s/clip/hf_quick.safetensors", TEST_DATA);
    assert_int_equal(weights_open(&pictures, path, &err), ST_OK);
    uint8_t *px = toy_pixels("hf_quick", 3, 32);
    const uint8_t *one = px;
    float v[CLIP_MAX_DIM];
    assert_int_equal(clip_encode_images(r.session, &one, 1, v, &err), ST_OK);
    compare_vectors("multilingual", "image.vector", v, wanted(pictures, "image.vector", 3, 24), 1,
                    24);
    mem_free(px);
    weights_close(pictures);
    clip_session_free(r.session);
    clip_close(r.clip);
    weights_close(r.want);
    json_decref(r.m);
    toy_remove(image);
    toy_remove(dir);
}

static void multilingual_sentences_are_cut_where_the_tokenizer_says(void **state)
{
    (void)state;
    struct toy_run r = {.toy = "multilingual", .m = toy_manifest("multilingual")};
    struct toy_edit e = {.file = "tokenizer_config.json",
                         .content = "{\"do_lower_case\": false, \"model_max_length\": 24}"};
    struct error err = {0};
    char path[512], *image = NULL, *dir = make_multilingual(&image, &e);
    char *cut = path_join(dir, "sentence_bert_config.json");
    assert_int_equal(file_write_atomic(cut, "{}", 2, NULL), ST_OK);
    snprintf(path, sizeof path, "%s/clip/multilingual.safetensors", TEST_DATA);
    if (weights_open(&r.want, path, &err) || clip_open(&r.clip, dir, NULL, &err) ||
        clip_session_new(&r.session, r.clip, test_device(), 1, &err))
        fail_msg("%s", err.text);
    r.check = (struct check){.want = r.want, .toy = r.toy};
    check_texts(&r);
    clip_session_free(r.session);
    clip_close(r.clip);
    weights_close(r.want);
    json_decref(r.m);
    mem_free(cut);
    toy_remove(image);
    toy_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resnet_in_an_open_clip_folder),
        cmocka_unit_test(resnet_in_openai_s_own_state_dict),
        cmocka_unit_test(siglip_with_sentencepiece_in_german_japanese_and_arabic),
        cmocka_unit_test(siglip_2_with_gemma_s_tokenizer_in_bf16),
        cmocka_unit_test(open_clip_with_xlm_r_in_german_japanese_and_arabic),
        cmocka_unit_test(open_clip_with_roberta_and_a_linear_projection),
        cmocka_unit_test(open_clip_with_roberta_s_first_token),
        cmocka_unit_test(siglip_of_open_clip_over_timm_s_tower),
        cmocka_unit_test(eva02_of_open_clip_over_timm_s_tower),
        cmocka_unit_test(multilingual_sentences_beside_another_model_s_pictures),
        cmocka_unit_test(multilingual_sentences_are_cut_where_the_tokenizer_says),
    };
    return cmocka_run_group_tests_name("golden_families", tests, NULL, NULL);
}
