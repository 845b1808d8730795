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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resnet_in_an_open_clip_folder),
        cmocka_unit_test(resnet_in_openai_s_own_state_dict),
    };
    return cmocka_run_group_tests_name("golden_families", tests, NULL, NULL);
}
