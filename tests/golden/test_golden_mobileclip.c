/* MobileCLIP block by block against open_clip over timm, and Apple's own files against what
 * open_clip makes of them (scripts/make_golden_mobileclip.py). */
#include "golden/clip_golden.h"

static void fastvit_as_it_was_trained(void **state)
{
    (void)state;
    run_toy("mobileclip", false, "open_clip folder");
}

static void fastvit_with_branches_folded_and_layer_norms(void **state)
{
    (void)state;
    run_toy("mobileclip_folded", false, "open_clip folder");
}

static void mobileclip_b_s_patches_by_convolutions(void **state)
{
    (void)state;
    run_toy("mobileclip_b", false, "open_clip folder");
}

static void timm_s_plain_vit_with_a_norm_before(void **state)
{
    (void)state;
    run_toy("mobileclip_l", false, "open_clip folder");
    run_toy("mobileclip_l_quick", false, "open_clip folder");
}

/* The vectors of two pictures and two texts. */
static void vectors_of(const char *path, const char *toy, int size, float *v)
{
    static const char *const texts[] = {"a dog", "two red flowers"};
    struct clip *c = NULL;
    struct clip_session *s = NULL;
    struct error err = {0};
    uint8_t *px = toy_pixels(toy, 2, size);
    const uint8_t *two[] = {px, px + (size_t)size * (size_t)size * 3};
    if (clip_open(&c, path, NULL, &err) || clip_session_new(&s, c, test_device(), 1, &err) ||
        clip_encode_images(s, two, 2, v, &err) ||
        clip_encode_text(s, texts, 2, v + 2 * clip_dim(c), &err))
        fail_msg("%s: %s", path, err.text);
    assert_int_equal(clip_prep(c, true).size, size);
    clip_session_free(s);
    clip_close(c);
    mem_free(px);
}

/* The weight file alone gives what the folder with the config gives. */
static void expect_same_without_config(const char *toy, int size)
{
    float a[4 * 24], b[4 * 24];
    char *file = NULL, *dir = toy_make(toy, "-config", NULL, &file);
    char *text = NULL, *config = path_join(dir, "open_clip_config.json");
    size_t n = 0;
    assert_int_equal(file_read_all(&text, &n, config, 1 << 16, NULL), ST_OK);
    json_t *o = json_loadb(text, n, 0, NULL);
    json_t *model = json_object_get(o, "model_cfg");
    json_object_set_new(json_object_get(model, "vision_cfg"), "image_size", json_integer(size));
    json_object_set_new(json_object_get(model, "text_cfg"), "heads", json_integer(1));
    assert_int_equal(json_dump_file(o, config, 0), 0);
    vectors_of(dir, toy, size, a);
    unlink(config);
    vectors_of(file, toy, size, b);
    assert_memory_equal(a, b, sizeof a);
    json_decref(o);
    mem_free(text);
    mem_free(config);
    mem_free(file);
    toy_remove(dir);
}

static void files_without_config(void **state)
{
    (void)state;
    expect_same_without_config("mobileclip", 256);
    expect_same_without_config("mobileclip_folded", 256);
    expect_same_without_config("mobileclip_b", 48);
    expect_same_without_config("mobileclip_l", 32);
}

/* OpenCLIP has other models over timm's ViTs; nothing but the norm before tells this one. */
static void another_vit_without_config_is_refused(void **state)
{
    (void)state;
    struct toy_edit e = {.drop = "visual.trunk.norm_pre.weight"};
    struct error err = {0};
    struct clip *c = NULL;
    char *file = NULL, *dir = toy_make("mobileclip_l", "-other", &e, &file);
    char *config = path_join(dir, "open_clip_config.json");
    unlink(config);
    assert_int_equal(clip_open(&c, file, NULL, &err), ST_FORMAT);
    assert_non_null(strstr(err.text, "not the tensors of a MobileCLIP"));
    mem_free(config);
    mem_free(file);
    toy_remove(dir);
}

static void expect_vectors(const char *toy)
{
    struct toy_run r;
    toy_run_open(&r, toy, "", true, test_device());
    r.check = (struct check){.want = r.want, .toy = toy};
    assert_string_equal(clip_info(r.clip)->arch, "mobileclip");
    check_images(&r);
    check_texts(&r);
    toy_run_close(&r);
}

static void apple_s_own_layout(void **state)
{
    (void)state;
    expect_vectors("mobileclip_apple");
    expect_vectors("mobileclip_apple_b");
    expect_vectors("mobileclip_apple_s0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fastvit_as_it_was_trained),
        cmocka_unit_test(fastvit_with_branches_folded_and_layer_norms),
        cmocka_unit_test(mobileclip_b_s_patches_by_convolutions),
        cmocka_unit_test(timm_s_plain_vit_with_a_norm_before),
        cmocka_unit_test(files_without_config),
        cmocka_unit_test(another_vit_without_config_is_refused),
        cmocka_unit_test(apple_s_own_layout),
    };
    return cmocka_run_group_tests_name("golden_mobileclip", tests, NULL, NULL);
}
