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
                  "not a multiple of 0 heads");
    refuse_config("resnet", f, ST_FORMAT, RESNET("\"layers\": 2, \"width\": 64"),
                  "differ on the image tower");
    refuse_config("open_clip_quick", f, ST_FORMAT, RESNET("\"layers\": [2, 1, 2, 1], \"width\": 4"),
                  "differ on the image tower");
}

#define SIGLIP(text, vision)                                                                       \
    "{\"model_type\": \"siglip\", \"text_config\": {" text "}, \"vision_config\": {" vision "}}"

static void bad_siglips_are_refused(void **state)
{
    (void)state;
    const char *f = "config.json";
    refuse_edit("siglip", (struct toy_edit){.drop = "vision_model.head.attention.in_proj_bias"},
                ST_NOT_FOUND, "head.attention.in_proj_bias");
    refuse_edit("siglip", (struct toy_edit){.shape_of = "vision_model.head.probe"}, ST_FORMAT,
                "vision_model.head.probe");
    refuse_edit("siglip", (struct toy_edit){.drop = "text_model.head.bias"}, ST_NOT_FOUND,
                "text_model.head.bias");
    refuse_edit("siglip", (struct toy_edit){.file = "spiece.model", .content = "x"}, ST_FORMAT,
                "not a sentencepiece model");
    refuse_edit("siglip2", (struct toy_edit){.file = "tokenizer.json", .content = "{}"},
                ST_NOT_FOUND, "neither tokenizer.json nor vocab.json");
    refuse_config("siglip2_naflex", f, ST_FORMAT,
                  "{\"model_type\": \"siglip2\", \"vision_config\": {\"num_patches\": 10}}",
                  "num_patches 10 is no square");
    refuse_config("siglip2_naflex", "preprocessor_config.json", ST_FORMAT, "{\"patch_size\": 16}",
                  "patches of 16 pixels, the image tower takes 4");
    refuse_config("siglip2_naflex", "preprocessor_config.json", ST_FORMAT,
                  "{\"patch_size\": 4, \"max_num_patches\": 0}", "max_num_patches");
    refuse_edit("siglip2_naflex",
                (struct toy_edit){.shape_of = "vision_model.embeddings.position_embedding.weight"},
                ST_FORMAT, "position_embedding.weight");
    refuse_config("siglip", f, ST_UNSUPPORTED, "{\"model_type\": \"clip\"}",
                  "model_type clip is not read");
    refuse_config("siglip", f, ST_UNSUPPORTED, SIGLIP("", "\"vision_use_head\": false"),
                  "vision_use_head");
    refuse_config("siglip", f, ST_FORMAT, SIGLIP("\"projection_size\": 12", ""),
                  "vectors of 768 and 12 values");
    refuse_config("siglip", f, ST_FORMAT, SIGLIP("\"hidden_act\": 3", ""), "hidden_act");
    refuse_config("siglip", f, ST_FORMAT, SIGLIP("", "\"patch_size\": 300"), "exceeds image_size");
    refuse_config("siglip", f, ST_FORMAT, SIGLIP("", "\"num_attention_heads\": 7"),
                  "not a multiple of 7 heads");
}

static void bad_siglips_of_open_clip_are_refused(void **state)
{
    (void)state;
    const char *toy = "open_clip_siglip", *f = "open_clip_config.json";
    refuse_edit(toy, (struct toy_edit){.drop = "visual.trunk.attn_pool.latent"}, ST_NOT_FOUND,
                "attn_pool.latent");
    refuse_edit(toy, (struct toy_edit){.drop = "visual.trunk.blocks.0.attn.qkv.weight"}, ST_FORMAT,
                "lacks the image tower");
    refuse_edit(toy, (struct toy_edit){.shape_of = "visual.trunk.pos_embed"}, ST_FORMAT,
                "visual.trunk.pos_embed");
    refuse_config(toy, f, ST_UNSUPPORTED,
                  "{\"vision_cfg\": {\"timm_model_name\": \"vit_base_patch16_siglip_224\", "
                  "\"timm_pool\": \"avg\"}, \"text_cfg\": {}}",
                  "timm_pool avg");
    refuse_config(toy, f, ST_UNSUPPORTED,
                  "{\"vision_cfg\": {\"timm_model_name\": \"convnext_base\"}, "
                  "\"text_cfg\": {}}",
                  "convnext_base");
    refuse_config(toy, f, ST_FORMAT,
                  "{\"embed_dim\": 64, \"vision_cfg\": {\"image_size\": 32, \"timm_model_name\": "
                  "\"vit_base_patch16_siglip_224\"}, \"text_cfg\": {}}",
                  "128 values for vectors of 64");
    refuse_config(toy, f, ST_UNSUPPORTED,
                  "{\"vision_cfg\": {\"image_size\": 32, \"timm_model_name\": "
                  "\"vit_base_patch16_siglip_224\"}, \"text_cfg\": {\"hf_tokenizer_name\": \"x\"}}",
                  "canonicalize");
}

static void bad_evas_are_refused(void **state)
{
    (void)state;
    const char *toy = "open_clip_eva02", *f = "open_clip_config.json";
    refuse_edit(toy, (struct toy_edit){.drop = "visual.trunk.blocks.1.mlp.fc1_x.bias"},
                ST_NOT_FOUND, "blocks.1.mlp.fc1_x.bias");
    refuse_edit(toy, (struct toy_edit){.shape_of = "visual.trunk.head.weight"}, ST_FORMAT,
                "visual.trunk.head.weight");
    refuse_edit(toy, (struct toy_edit){.drop = "visual.trunk.blocks.0.mlp.fc1_g.weight"}, ST_FORMAT,
                "lacks the image tower");
    refuse_config(toy, f, ST_UNSUPPORTED,
                  "{\"vision_cfg\": {\"timm_model_name\": \"eva02_base_patch16_clip_224\", "
                  "\"timm_pool\": \"avg\"}, \"text_cfg\": {}}",
                  "timm_pool avg");
    refuse_config(toy, f, ST_FORMAT,
                  "{\"vision_cfg\": {\"image_size\": 4, \"timm_pool\": \"token\", "
                  "\"timm_proj\": null, \"timm_model_name\": \"eva02_base_patch16_clip_224\"}, "
                  "\"text_cfg\": {}}",
                  "patch_size 8 exceeds image_size 4");
}

#define HF_TEXT(text)                                                                              \
    "{\"model_cfg\": {\"embed_dim\": 40, \"vision_cfg\": {\"layers\": 1, \"width\": 64, "          \
    "\"patch_size\": 16, \"image_size\": 32, \"head_width\": 32}, \"text_cfg\": {" text "}}}"

static void bad_text_towers_of_transformers_are_refused(void **state)
{
    (void)state;
    const char *f = "open_clip_config.json", *toy = "open_clip_xlmr";
    refuse_edit(toy, (struct toy_edit){.drop = "text.transformer.embeddings.LayerNorm.bias"},
                ST_NOT_FOUND, "embeddings.LayerNorm.bias");
    refuse_edit(toy,
                (struct toy_edit){.drop = "text.transformer.embeddings.word_embeddings.weight"},
                ST_FORMAT, "lacks the text tower");
    refuse_edit(toy, (struct toy_edit){.shape_of = "text.proj.2.weight"}, ST_FORMAT,
                "text.proj.2.weight");
    refuse_edit(toy, (struct toy_edit){.file = "sentencepiece.bpe.model", .content = ""}, ST_FORMAT,
                "not a sentencepiece model");
    refuse_config(toy, f, ST_FORMAT,
                  HF_TEXT("\"hf_model_name\": \"xlm-roberta-base\", \"context_length\": 77"),
                  "34 positions for texts of 77 tokens");
    refuse_config(
        toy, f, ST_UNSUPPORTED,
        HF_TEXT("\"hf_model_name\": \"roberta-base\", \"hf_pooler_type\": \"max_pooler\""),
        "hf_pooler_type max_pooler");
    refuse_config(toy, f, ST_UNSUPPORTED,
                  HF_TEXT("\"hf_model_name\": \"roberta-base\", \"hf_proj_type\": \"none\""),
                  "hf_proj_type none");
    refuse_config(toy, f, ST_UNSUPPORTED,
                  HF_TEXT("\"hf_model_name\": \"roberta-base\", \"tokenizer_mode\": \"clips\""),
                  "tokenizer_mode");
    refuse_config(toy, f, ST_NOT_FOUND,
                  HF_TEXT("\"hf_model_name\": \"roberta-base\", \"context_length\": 32"),
                  "neither tokenizer.json nor vocab.json");
}

static void bad_multilingual_models_are_refused(void **state)
{
    (void)state;
    const char *toy = "multilingual", *f = "config.json";
    refuse_edit(toy, (struct toy_edit){0}, ST_NOT_FOUND, "as \"image\"");
    refuse_edit(toy, (struct toy_edit){.file = "image", .content = "x"}, ST_FORMAT, "image");
    refuse_config(toy, f, ST_UNSUPPORTED,
                  "{\"model_type\": \"distilbert\", \"activation\": \"relu\"}", "activation relu");
    refuse_config(toy, f, ST_FORMAT, "{\"model_type\": \"distilbert\", \"n_heads\": 7}",
                  "not a multiple of 7 heads");
    refuse_config(toy, "1_Pooling/config.json", ST_UNSUPPORTED,
                  "{\"pooling_mode_mean_tokens\": false}", "only the mean of tokens");
    refuse_config(toy, "sentence_bert_config.json", ST_FORMAT, "{\"max_seq_length\": 4000}",
                  "max_seq_length");
}

#define MOBILECLIP(vision)                                                                         \
    "{\"model_cfg\": {\"embed_dim\": 24, \"vision_cfg\": {" vision                                 \
    "}, \"text_cfg\": {\"width\": 64, \"heads\": 1, \"layers\": 1}}}"

static void bad_mobileclips_are_refused(void **state)
{
    (void)state;
    static const char *const missing[] = {
        "visual.trunk.stem.1.conv_kxk.0.conv.weight",
        "visual.trunk.stem.2.identity.weight",
        "visual.trunk.stages.0.blocks.0.token_mixer.norm.identity.bias",
        "visual.trunk.stages.1.blocks.1.mlp.conv.bn.running_var",
        "visual.trunk.stages.2.downsample.proj.0.se.fc2.bias",
        "visual.trunk.stages.3.blocks.0.norm.running_var",
        "visual.trunk.head.fc.bias"};
    static const char *const misshapen[] = {"visual.trunk.stages.3.pos_emb.pos_enc.weight",
                                            "visual.trunk.stages.3.blocks.0.token_mixer.qkv.weight",
                                            "visual.trunk.stages.1.blocks.0.layer_scale.gamma",
                                            "visual.trunk.final_conv.se.fc1.bias"};
    const char *f = "open_clip_config.json";
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
        refuse_edit("mobileclip", (struct toy_edit){.drop = missing[i]}, ST_NOT_FOUND, missing[i]);
    for (size_t i = 0; i < sizeof misshapen / sizeof *misshapen; i++)
        refuse_edit("mobileclip", (struct toy_edit){.shape_of = misshapen[i]}, ST_FORMAT,
                    misshapen[i]);
    refuse_edit("mobileclip",
                (struct toy_edit){.drop = "visual.trunk.stages.2.blocks.0.mlp.fc1.weight"},
                ST_FORMAT, "visual.trunk.final_conv");
    refuse_config(
        "mobileclip", f, ST_UNSUPPORTED,
        MOBILECLIP(
            "\"timm_model_name\": \"fastvit_mci1\", \"timm_proj\": null, \"image_size\": 60"),
        "no multiple of 32");
    refuse_config("mobileclip", f, ST_UNSUPPORTED,
                  MOBILECLIP("\"timm_model_name\": \"fastvit_mci1\", \"image_size\": 64"),
                  "timm_proj linear");
    refuse_config("mobileclip", f, ST_UNSUPPORTED,
                  MOBILECLIP("\"timm_model_name\": \"convnext_base\", \"timm_proj\": null"),
                  "timm_model_name");
    refuse_edit("mobileclip_b",
                (struct toy_edit){.drop = "visual.trunk.patch_embed.backbone.1.bn.weight"},
                ST_NOT_FOUND, "backbone.1.bn.weight");
    refuse_edit("mobileclip_l", (struct toy_edit){.shape_of = "visual.trunk.pos_embed"}, ST_FORMAT,
                "visual.trunk.pos_embed");
}

/* Apple's files by themselves. */
static void bad_files_of_apple_s_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *toy;
        struct toy_edit e;
        enum status code;
        const char *words;
    } bad[] = {
        {"mobileclip_apple",
         {.drop = "text_encoder.embedding_layer.weight"},
         ST_FORMAT,
         "text tower"},
        {"mobileclip_apple",
         {.drop = "image_encoder.model.network.7.0.convffn.fc1.weight"},
         ST_FORMAT,
         "image_encoder.model.conv_exp"},
        {"mobileclip_apple",
         {.drop = "image_encoder.model.network.6.pe.bias"},
         ST_NOT_FOUND,
         "network.6.pe.bias"},
        {"mobileclip_apple_b",
         {.drop = "image_encoder.model.classifier.proj"},
         ST_NOT_FOUND,
         "classifier.proj"},
        {"mobileclip_apple_b",
         {.shape_of = "image_encoder.model.pos_embed.pos_embed.pos_embed"},
         ST_FORMAT,
         "pos_embed"},
        {"mobileclip_apple_s0",
         {.drop = "text_encoder.transformer.2.token_mixer.norm.rbr_skip.running_mean"},
         ST_NOT_FOUND,
         "transformer.2.token_mixer.norm.rbr_skip.running_mean"},
        {"mobileclip_apple_s0",
         {.drop = "text_encoder.transformer.2.convffn.conv.conv.weight"},
         ST_FORMAT,
         "transformer.2 is no block of convolutions"},
        {"mobileclip_apple_s0",
         {.shape_of = "text_encoder.transformer.0.token_mixer.mixer.rbr_conv.0.conv.weight"},
         ST_FORMAT,
         "rbr_conv.0.conv.weight"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *file = NULL, *dir = toy_make(bad[i].toy, "-bad", &bad[i].e, &file);
        assert_refused(file, bad[i].code, bad[i].words);
        mem_free(file);
        toy_remove(dir);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_resnets_are_refused),
        cmocka_unit_test(bad_siglips_are_refused),
        cmocka_unit_test(bad_siglips_of_open_clip_are_refused),
        cmocka_unit_test(bad_evas_are_refused),
        cmocka_unit_test(bad_text_towers_of_transformers_are_refused),
        cmocka_unit_test(bad_multilingual_models_are_refused),
        cmocka_unit_test(bad_mobileclips_are_refused),
        cmocka_unit_test(bad_files_of_apple_s_are_refused),
    };
    return cmocka_run_group_tests_name("clip_families", tests, NULL, NULL);
}
