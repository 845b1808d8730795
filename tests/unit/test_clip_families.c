/* Bad models of the families beyond the plain ones: each is refused in one sentence. */
#include "unit/clip_refuse.h"

#define RESNET(vision)                                                                             \
    "{\"model_cfg\": {\"embed_dim\": 128, \"vision_cfg\": {" vision                                \
    "}, \"text_cfg\": {\"width\": 32, \"heads\": 4, \"layers\": 1}}}"

static void bad_resnets_are_refused(void **state)
{
    (void)state;
    const char *f = "open_clip_config.json";
    refuse_edit("resnet", (struct toy_edit){.drop = "visual.layer2.0.bn2.running_var"},
                ST_NOT_FOUND, "visual.layer2.0.bn2.running_var");
    refuse_edit("resnet", (struct toy_edit){.shape_of = "visual.layer1.0.downsample.0.weight"},
                ST_FORMAT, "visual.layer1.0.downsample.0.weight");
    refuse_edit("resnet_openai", (struct toy_edit){.drop = "visual.layer3.0.conv1.weight"},
                ST_FORMAT, "not the tensors of a clip resnet");
    refuse_edit("resnet_openai",
                (struct toy_edit){.shape_of = "visual.attnpool.positional_embedding"}, ST_FORMAT,
                "not the tensors of a clip resnet");
    refuse_config("resnet", f, ST_FORMAT, RESNET("\"layers\": [2, 1, 2], \"width\": 4"),
                  "must be 4 numbers");
    refuse_config("resnet", f, ST_FORMAT, RESNET("\"layers\": [2, 1, 2, 1e9], \"width\": 4"),
                  "from 1 to 256");
    refuse_config("resnet", f, ST_FORMAT, RESNET("\"layers\": [2, 1, 2, 1], \"width\": 5"), "odd");
    refuse_config("resnet", f, ST_FORMAT,
                  RESNET("\"layers\": [2, 1, 2, 1], \"width\": 4, \"image_size\": 65"),
                  "not a multiple of 32");
    refuse_config("resnet", f, ST_FORMAT,
                  RESNET("\"layers\": [2, 1, 2, 1], \"width\": 4, \"head_width\": 256"),
                  "do not split into 0 heads");
    refuse_config("resnet", f, ST_FORMAT, RESNET("\"layers\": 2, \"width\": 64"),
                  "differ on the image tower");
    refuse_config("open_clip_quick", f, ST_FORMAT, RESNET("\"layers\": [2, 1, 2, 1], \"width\": 4"),
                  "differ on the image tower");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_resnets_are_refused),
    };
    return cmocka_run_group_tests_name("clip_families", tests, NULL, NULL);
}
