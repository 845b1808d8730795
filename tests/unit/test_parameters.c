/* AUTOMATIC1111's text, as it and others write it, and what is no such text. */
#include "image/codec.h"
#include "test.h"
#include "tests/png_make.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void the_usual_text(void **state)
{
    (void)state;
    struct parameters p;
    const char *text = "a (red:1.3) boat,\nat sea\nNegative prompt: blurry, dark\nlow light\n"
                       "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, "
                       "Seed: 42, Model: \"a, \\\"b\\\": c\", Lora hashes: \"x: 1\", Version: v1";
    assert_int_equal(parameters_parse(&p, text, NULL), ST_OK);
    assert_string_equal(p.prompt, "a (red:1.3) boat,\nat sea");
    assert_string_equal(p.negative, "blurry, dark\nlow light");
    assert_string_equal(parameters_get(&p, "Steps"), "20");
    assert_string_equal(parameters_get(&p, "Schedule type"), "Karras");
    assert_string_equal(parameters_get(&p, "Model"), "a, \"b\": c");
    assert_string_equal(parameters_get(&p, "Lora hashes"), "x: 1");
    assert_string_equal(parameters_get(&p, "Version"), "v1");
    assert_null(parameters_get(&p, "Size"));
    assert_int_equal(p.n, 8);
    parameters_release(&p);
}

static void parts_that_are_not_there(void **state)
{
    (void)state;
    struct parameters p;
    assert_int_equal(parameters_parse(&p, "Steps: 3, Seed: 1\n", NULL), ST_OK);
    assert_string_equal(p.prompt, "");
    assert_string_equal(p.negative, "");
    parameters_release(&p);
    assert_int_equal(parameters_parse(&p, "Negative prompt: x\r\nSteps: 3, Seed", NULL), ST_OK);
    assert_string_equal(p.negative, "x");
    assert_int_equal(p.n, 1);
    parameters_release(&p);
    assert_int_equal(parameters_parse(&p, "x\nSteps: \"never closed, Seed: 1", NULL), ST_OK);
    assert_int_equal(p.n, 0);
    parameters_release(&p);
    static const char *const none[] = {"", "\n\n", "a photo of a dog", "a\nstairs: Steps: 3"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(parameters_parse(&p, none[i], NULL), ST_FORMAT);
}

static void any_bytes_end(void **state)
{
    (void)state;
    struct parameters p;
    static const char alphabet[] = "Steps:,\" \\\nNegative prompt:a0";
    char text[64];
    srand(7);
    for (int i = 0; i < 200000; i++) {
        int n = rand() % 60, from = 0;
        if (i % 2)
            from = snprintf(text, sizeof text, "x\nSteps: ");
        for (int k = from; k < n; k++)
            text[k] = alphabet[(size_t)rand() % (sizeof alphabet - 1)];
        text[n > from ? n : from] = 0;
        if (!parameters_parse(&p, text, NULL))
            parameters_release(&p);
    }
}

static void comments_of_exif(void **state)
{
    (void)state;
    char out[PARAMETERS_MAX];
    static const uint8_t big[] = "UNICODE\0\0x\0\n\0S\0t\0e\0p\0s\0:\0 \0"
                                 "1";
    static const uint8_t little[] = "UNICODE\0x\0\n\0S\0t\0e\0p\0s\0:\0 \0"
                                    "1\0";
    static const uint8_t ascii[] = "ASCII\0\0\0x\nSteps: 1";
    static const uint8_t photo[] = "ASCII\0\0\0at the lake";
    static const uint8_t half[] = "UNICODE\0\xd8\0\0x";
    exif_read_parameters(out, big, sizeof big - 1);
    assert_string_equal(out, "x\nSteps: 1");
    exif_read_parameters(out, little, sizeof little - 1);
    assert_string_equal(out, "x\nSteps: 1");
    exif_read_parameters(out, ascii, sizeof ascii - 1);
    assert_string_equal(out, "x\nSteps: 1");
    exif_read_parameters(out, photo, sizeof photo - 1);
    assert_string_equal(out, "");
    exif_read_parameters(out, half, sizeof half - 1);
    assert_string_equal(out, "");
    exif_read_parameters(out, ascii, 3);
    assert_string_equal(out, "");
}

static size_t put_chunk(uint8_t *to, const char *kind, const void *data, size_t n)
{
    uint32_t c;
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(n >> (24 - 8 * i));
    memcpy(to + 4, kind, 4);
    memcpy(to + 8, data, n);
    c = png_crc(to + 4, n + 4);
    for (int i = 0; i < 4; i++)
        to[8 + n + (size_t)i] = (uint8_t)(c >> (24 - 8 * i));
    return n + 12;
}

static const char *text_of_png(const char *kind, const void *chunk, size_t n)
{
    static char out[PARAMETERS_MAX];
    static uint8_t file[1 << 18];
    static const uint8_t header[13] = {0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0};
    size_t len = 8;
    memcpy(file, "\x89PNG\r\n\x1a\n", 8);
    len += put_chunk(file + len, "IHDR", header, sizeof header);
    len += put_chunk(file + len, kind, chunk, n);
    len += put_chunk(file + len, "IDAT", "", 0);
    codec_png.parameters(out, &(struct codec_in){.data = file, .size = len, .name = "x.png"});
    return out;
}

static void expect_record(const char *key, const char *json, const char *want)
{
    char out[PARAMETERS_MAX];
    assert_int_equal(parameters_record(out, key, json, strlen(json)), want[0] != 0);
    assert_string_equal(out, want);
}

#define CLIP_NODES                                                                                 \
    "\"6\":{\"class_type\":\"CLIPTextEncode\",\"inputs\":{\"text\":\"a red, "                      \
    "boat\",\"clip\":[\"4\",1]}},"                                                                 \
    "\"7\":{\"class_type\":\"CLIPTextEncode\",\"inputs\":{\"text\":[\"9\",0],\"clip\":[\"4\",1]}}" \
    ","                                                                                            \
    "\"9\":{\"class_type\":\"PrimitiveString\",\"inputs\":{\"value\":\"blurry\"}},"                \
    "\"4\":{\"class_type\":\"CheckpointLoaderSimple\",\"inputs\":{\"ckpt_name\":\"v1, 5.ckpt\"}}," \
    "\"5\":{\"class_type\":\"EmptyLatentImage\",\"inputs\":{\"width\":512,\"height\":768}}"

static void records_of_comfyui(void **state)
{
    (void)state;
    expect_record(
        "prompt",
        "{\"3\":{\"class_type\":\"KSampler\",\"inputs\":{\"seed\":42,\"steps\":20,"
        "\"cfg\":7.5,\"sampler_name\":\"dpmpp_2m\",\"scheduler\":\"karras\",\"denoise\":1.0,"
        "\"model\":[\"8\",0],\"positive\":[\"6\",0],\"negative\":[\"7\",0],"
        "\"latent_image\":[\"5\",0]}},"
        "\"8\":{\"class_type\":\"LoraLoader\",\"inputs\":{\"model\":[\"4\",0]}}," CLIP_NODES "}",
        "a red, boat\nNegative prompt: blurry\nSteps: 20, Sampler: dpmpp_2m, Schedule "
        "type: karras, CFG scale: 7.5, Seed: 42, Size: 512x768, Model: \"v1, 5.ckpt\"");
    /* two passes: the one from noise counts; a seed beyond 63 bits is left out */
    expect_record(
        "prompt",
        "{\"1\":{\"inputs\":{\"noise_seed\":1,\"steps\":9,\"denoise\":0.5,\"positive\":[\"6\",0]}},"
        "\"2\":{\"inputs\":{\"seed\":7,\"steps\":30,\"denoise\":1,\"positive\":[\"6\",0]}}"
        "," CLIP_NODES "}",
        "a red, boat\nSteps: 30, Seed: 7");
    /* links in a circle, to nowhere, and no graph at all */
    expect_record("prompt",
                  "{\"1\":{\"inputs\":{\"steps\":5,\"positive\":[\"1\",0],\"model\":[\"1\",0],"
                  "\"latent_image\":[\"9\",0]}}}",
                  "\nSteps: 5");
    expect_record("prompt", "{\"1\":{\"inputs\":{\"steps\":\"5\",\"positive\":[\"1\",0]}}}", "");
    expect_record("prompt", "a photo of a dog", "");
    expect_record("prompt", "[]", "");
    expect_record("workflow", "{}", "");
}

static void records_of_invokeai(void **state)
{
    (void)state;
    expect_record(
        "invokeai_metadata",
        "{\"positive_prompt\":\"a boat\",\"negative_prompt\":\"\",\"seed\":5,\"steps\":30,"
        "\"cfg_scale\":7,\"scheduler\":\"euler_a\",\"width\":512,\"height\":512,"
        "\"model\":{\"name\":\"dreamshaper\"},\"strength\":0.6}",
        "a boat\nSteps: 30, Sampler: euler_a, CFG scale: 7, Seed: 5, Size: 512x512, Model: "
        "dreamshaper, Denoising strength: 0.6");
    expect_record(
        "sd-metadata",
        "{\"model_weights\":\"sd-1.5\",\"image\":{\"prompt\":[{\"prompt\":\"a cat\","
        "\"weight\":1.0}],\"steps\":50,\"cfg_scale\":7.5,\"seed\":9,\"sampler\":\"k_lms\","
        "\"width\":64,\"height\":64}}",
        "a cat\nSteps: 50, Sampler: k_lms, CFG scale: 7.5, Seed: 9, Size: 64x64, Model: sd-1.5");
    expect_record("invokeai_metadata", "{\"app_version\":\"3\"}", "");
}

static void text_chunks_of_png(void **state)
{
    (void)state;
    static const char plain[] = "parameters\0x\nSteps: 1";
    static const char latin[] = "parameters\0caf\xe9\nSteps: 1";
    static const char utf8[] = "parameters\0\0\0\0\0caf\xc3\xa9\nSteps: 1";
    static const char broken[] = "parameters\0\0\0\0\0caf\xe9\nSteps: 1";
    static const char other[] = "Comment\0x\nSteps: 1";
    /* zlib with one stored block */
    static const char packed[] =
        "parameters\0\0\x78\x01\x01\x0a\0\xf5\xffx\nSteps: 1\x12\x51\x03\x1d";
    static const char comfy[] = "prompt\0{\"1\":{\"inputs\":{\"steps\":5,\"positive\":[\"2\",0]}},"
                                "\"2\":{\"inputs\":{\"text\":\"a fox\"}}}";
    static char large[100000] = "parameters";
    assert_string_equal(text_of_png("tEXt", plain, sizeof plain - 1), "x\nSteps: 1");
    assert_string_equal(text_of_png("tEXt", latin, sizeof latin - 1), "caf\xc3\xa9\nSteps: 1");
    assert_string_equal(text_of_png("iTXt", utf8, sizeof utf8 - 1), "caf\xc3\xa9\nSteps: 1");
    assert_string_equal(text_of_png("iTXt", broken, sizeof broken - 1), "");
    assert_string_equal(text_of_png("tEXt", other, sizeof other - 1), "");
    assert_string_equal(text_of_png("zTXt", packed, sizeof packed - 1), "x\nSteps: 1");
    assert_string_equal(text_of_png("tEXt", comfy, sizeof comfy - 1), "a fox\nSteps: 5");
    memset(large + 11, 'x', sizeof large - 11);
    assert_string_equal(text_of_png("tEXt", large, sizeof large), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_usual_text),     cmocka_unit_test(parts_that_are_not_there),
        cmocka_unit_test(any_bytes_end),      cmocka_unit_test(comments_of_exif),
        cmocka_unit_test(records_of_comfyui), cmocka_unit_test(records_of_invokeai),
        cmocka_unit_test(text_chunks_of_png),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
