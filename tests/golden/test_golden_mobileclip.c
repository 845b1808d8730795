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
}

static void expect_vectors(const char *toy)
{
    struct toy_run r = {.toy = toy, .m = toy_manifest(toy)};
    struct error err = {0};
    char path[512], *file = NULL, *dir = toy_make(toy, "", NULL, &file);
    snprintf(path, sizeof path, "%s/clip/%s.safetensors", TEST_DATA, toy);
    if (weights_open(&r.want, path, &err) || clip_open(&r.clip, file, NULL, &err) ||
        clip_session_new(&r.session, r.clip, test_device(), 1, &err))
        fail_msg("%s: %s", toy, err.text);
    r.check = (struct check){.want = r.want, .toy = toy};
    assert_string_equal(clip_info(r.clip)->arch, "mobileclip");
    check_images(&r);
    check_texts(&r);
    clip_session_free(r.session);
    clip_close(r.clip);
    weights_close(r.want);
    json_decref(r.m);
    mem_free(file);
    toy_remove(dir);
}

static void apple_s_own_layout(void **state)
{
    (void)state;
    expect_vectors("mobileclip_apple");
    expect_vectors("mobileclip_apple_b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fastvit_as_it_was_trained),
        cmocka_unit_test(fastvit_with_branches_folded_and_layer_norms),
        cmocka_unit_test(mobileclip_b_s_patches_by_convolutions),
        cmocka_unit_test(timm_s_plain_vit_with_a_norm_before),
        cmocka_unit_test(apple_s_own_layout),
    };
    return cmocka_run_group_tests_name("golden_mobileclip", tests, NULL, NULL);
}
