/* Bad models get one sentence, running out of memory gets another, and ids follow the content. The
 * models are the golden tests' toys (tests/golden/clip_toy.h), damaged one way at a time. */
#include "nn/convert.h"
#include "unit/clip_refuse.h"
#include <sys/stat.h>

static void missing_and_misshapen_tensors_are_named(void **state)
{
    (void)state;
    refuse_edit("hf_quick", (struct toy_edit){.drop = "vision_model.encoder.layers.2.mlp.fc1.bias"},
                ST_NOT_FOUND, "vision_model.encoder.layers.2.mlp.fc1.bias");
    refuse_edit("hf_quick", (struct toy_edit){.shape_of = "visual_projection.weight"}, ST_FORMAT,
                "visual_projection.weight");
    static const char *const more[] = {"visual.transformer.resblocks.0.attn.ln_q.weight",
                                       "transformer.resblocks.0.mlp.ln.weight",
                                       "visual.attn_pool.query", "cls_emb"};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        refuse_edit("open_clip_bare", (struct toy_edit){.extra = more[i]}, ST_UNSUPPORTED, more[i]);
    refuse_edit("open_clip_quick", (struct toy_edit){.drop = "text_projection"}, ST_NOT_FOUND,
                "text_projection");
    refuse_edit("open_clip_quick", (struct toy_edit){.shape_of = "visual.positional_embedding"},
                ST_FORMAT, "visual.positional_embedding");
    refuse_edit("open_clip_avg",
                (struct toy_edit){.drop = "visual.transformer.resblocks.1.ls_2.gamma"},
                ST_NOT_FOUND, "ls_2.gamma");
    refuse_edit("openai", (struct toy_edit){.drop = "visual.class_embedding"}, ST_NOT_FOUND,
                "visual.class_embedding");
    refuse_edit("openai", (struct toy_edit){.shape_of = "visual.positional_embedding"}, ST_FORMAT,
                "11 positions are no square");
    refuse_edit("starter", (struct toy_edit){.drop = "image_head.names.weight"}, ST_NOT_FOUND,
                "image_head.names.weight");
    refuse_edit("starter", (struct toy_edit){.shape_of = "image.blocks.1.dw.weight"}, ST_FORMAT,
                "image.blocks.1.dw.weight");
}

static void absurd_hugging_face_configs_are_refused(void **state)
{
    (void)state;
    const char *f = "config.json";
    refuse_config("hf_quick", f, ST_FORMAT, "[1, 2", "not valid json");
    refuse_config("hf_quick", f, ST_FORMAT, "[1, 2]", "not a json object");
    refuse_config("hf_quick", f, ST_UNSUPPORTED, "{\"model_type\": \"acme\"}",
                  "model_type acme is not read");
    refuse_config("hf_quick", f, ST_FORMAT, "{\"vision_config\": 7}", "vision_config must be");
    refuse_config("hf_quick", f, ST_FORMAT, "{\"vision_config\": {\"image_size\": 0}}",
                  "image_size must be a whole number from 1");
    refuse_config("hf_quick", f, ST_FORMAT, "{\"vision_config\": {\"patch_size\": -8}}",
                  "patch_size must be");
    refuse_config("hf_quick", f, ST_FORMAT,
                  "{\"vision_config\": {\"image_size\": 32, \"patch_size\": 64}}", "exceeds");
    refuse_config("hf_quick", f, ST_FORMAT, "{\"text_config\": {\"num_attention_heads\": 100000}}",
                  "num_attention_heads");
    refuse_config("hf_quick", f, ST_FORMAT, "{\"text_config\": {\"num_attention_heads\": 7}}",
                  "not a multiple of 7 heads");
    refuse_config("hf_quick", f, ST_FORMAT, "{\"text_config\": {\"hidden_size\": 1e300}}",
                  "hidden_size");
    refuse_config("hf_quick", f, ST_FORMAT, "{\"text_config\": {\"hidden_size\": 12.5}}",
                  "hidden_size");
    refuse_config("hf_quick", f, ST_FORMAT,
                  "{\"text_config\": {\"hidden_size\": 99999999999999999999999999}}",
                  "hidden_size");
    refuse_config("hf_quick", f, ST_FORMAT,
                  "{\"text_config\": {\"num_hidden_layers\": 2000000000}}", "num_hidden_layers");
    refuse_config("hf_quick", f, ST_UNSUPPORTED, "{\"text_config\": {\"hidden_act\": \"mish\"}}",
                  "hidden_act mish");
    refuse_config("hf_quick", f, ST_FORMAT, "{\"text_config\": {\"layer_norm_eps\": -1}}",
                  "layer_norm_eps");
    refuse_config("hf_quick", f, ST_UNSUPPORTED, "{\"vision_config\": {\"image_size\": [32, 64]}}",
                  "32 x 64");
    refuse_config("hf_quick", f, ST_FORMAT, "{\"projection_dim\": 1000000}", "projection_dim");
}

static void odd_preprocessing_is_refused(void **state)
{
    (void)state;
    const char *f = "preprocessor_config.json";
    refuse_config("hf_quick", f, ST_FORMAT, "{\"size\": 64, \"crop_size\": 64}",
                  "makes pictures of 64 pixels, the image tower takes 32");
    refuse_config("hf_quick", f, ST_UNSUPPORTED, "{\"size\": 30, \"crop_size\": 32}",
                  "size 30 with crop_size 32");
    refuse_config("hf_quick", f, ST_FORMAT, "{\"image_mean\": [1, 2]}", "image_mean");
    refuse_config("hf_quick", f, ST_FORMAT, "{\"image_std\": [0.2, 0, 0.2]}", "deviation");
    refuse_config("hf_quick", f, ST_FORMAT, "{\"resample\": 9}", "resample");
    refuse_config("hf_quick", f, ST_UNSUPPORTED,
                  "{\"do_resize\": false, \"size\": 32, "
                  "\"crop_size\": 32}",
                  "do_resize");
}

#define OC(model) "{\"model_cfg\": {\"embed_dim\": 24, " model "}}"

static void parts_of_open_clip_that_are_not_read_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *content, *words;
        enum status st;
    } bad[] = {
        {OC("\"vision_cfg\": {\"timm_model_name\": \"convnext_base\"}, "
            "\"text_cfg\": {}"),
         "timm_model_name \"convnext_base\" is not read", ST_UNSUPPORTED},
        {OC("\"vision_cfg\": {\"attentional_pool\": true}, \"text_cfg\": {}"), "attentional_pool",
         ST_UNSUPPORTED},
        {OC("\"vision_cfg\": {\"qk_norm\": true}, \"text_cfg\": {}"), "qk_norm", ST_UNSUPPORTED},
        {OC("\"vision_cfg\": {\"pool_type\": \"none\"}, \"text_cfg\": {}"), "pool_type none",
         ST_UNSUPPORTED},
        {OC("\"vision_cfg\": {}, \"text_cfg\": {\"hf_model_name\": \"mt5-base\"}"), "mt5-base",
         ST_UNSUPPORTED},
        {OC("\"vision_cfg\": {}, \"text_cfg\": {\"embed_cls\": true}"), "embed_cls",
         ST_UNSUPPORTED},
        {OC("\"vision_cfg\": {}, \"text_cfg\": {\"hf_tokenizer_name\": \"bert-base-uncased\"}"),
         "hf_tokenizer_name", ST_UNSUPPORTED},
        {OC("\"vision_cfg\": {}, \"text_cfg\": {\"pool_type\": \"mean\"}"), "pool_type mean",
         ST_UNSUPPORTED},
        {OC("\"vision_cfg\": {}, \"text_cfg\": {}, \"multimodal_cfg\": {}"), "coca",
         ST_UNSUPPORTED},
        {OC("\"vision_cfg\": {}"), "no vision_cfg and text_cfg", ST_FORMAT},
        {OC("\"vision_cfg\": {\"head_width\": 1000}, \"text_cfg\": {}"),
         "not a multiple of 0 heads", ST_FORMAT},
        {OC("\"vision_cfg\": {\"mlp_ratio\": -1}, \"text_cfg\": {}"), "mlp_ratio", ST_FORMAT},
        {OC("\"vision_cfg\": {\"layers\": 0}, \"text_cfg\": {}"), "layers", ST_FORMAT},
        {OC("\"vision_cfg\": {}, \"text_cfg\": {\"context_length\": 1e9}"), "context_length",
         ST_FORMAT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refuse_config("open_clip_quick", "open_clip_config.json", bad[i].st, bad[i].content,
                      bad[i].words);
}

static void absurd_starter_configs_are_refused(void **state)
{
    (void)state;
#define STARTER(image) "{\"model_type\": \"eidetic_starter\", \"image\": {" image "}}"
    const char *f = "config.json";
    refuse_config("starter", f, ST_FORMAT, STARTER("\"stem\": {}"), "pad must be");
    refuse_config("starter", f, ST_FORMAT, STARTER("\"stem\": {\"pad\": [0, -1]}"), "pad must be");
    refuse_config("starter", f, ST_FORMAT, STARTER("\"stem\": {\"pad\": [0, 1]}"),
                  "blocks must be a list of 1 to 64");
    refuse_config("starter", f, ST_FORMAT,
                  STARTER("\"stem\": {\"pad\": [0, 1]}, \"blocks\": [{\"in\": 5, \"out\": 5, "
                          "\"pad\": [1, 1]}]"),
                  "block 0 does not follow");
    refuse_config("starter", f, ST_FORMAT,
                  STARTER("\"image_size\": 8, \"stem\": {\"pad\": [0, 0], \"stride\": 8}, "
                          "\"blocks\": [{\"in\": 32, \"out\": 5, \"kernel\": 5, \"pad\": [0, 0]}]"),
                  "block 0 does not follow");
    refuse_config("starter", f, ST_FORMAT, "{\"model_type\": \"eidetic_starter\"}", "pad must be");
    refuse_config("starter", f, ST_UNSUPPORTED, "{\"model_type\": \"eidetic_unheard_of\"}",
                  "no model family");
}

static void what_is_no_model_is_refused(void **state)
{
    (void)state;
    assert_refused("no-such-folder", ST_NOT_FOUND, "no-such-folder: no such model");
    char *dir = mem_printf("toy-%d-empty", (int)getpid());
    assert_int_equal(file_make_dirs(dir, NULL), ST_OK);
    assert_refused(dir, ST_NOT_FOUND, "no weight file");
    char *inner = path_join(dir, "0_CLIPModel"); /* sentence-transformers' layout */
    assert_int_equal(file_make_dirs(inner, NULL), ST_OK);
    assert_refused(dir, ST_NOT_FOUND, "the model is in");
    assert_int_equal(rmdir(inner), 0);
    mem_free(inner);
    char *a = path_join(dir, "model.safetensors"), *b = path_join(dir, "tiny.safetensors"),
         *e = path_join(dir, "extra.safetensors");
    float x = 1.0f;
    struct weights_out_tensor t = {"some.weight", tensor_view(&x, DT_F32, 1, (int64_t[]){1})};
    assert_int_equal(weights_write(b, &t, 1, NULL, NULL), ST_OK);
    assert_refused(dir, ST_UNSUPPORTED, "no model family");
    assert_int_equal(weights_write(e, &t, 1, NULL, NULL), ST_OK);
    assert_refused(dir, ST_NOT_FOUND, "several weight files");
    t.name = "visual.conv1.weight";
    assert_int_equal(weights_write(a, &t, 1, NULL, NULL), ST_OK);
    assert_refused(a, ST_FORMAT, "not the tensors of a clip vit");
    t.name = "vision_model.embeddings.class_embedding";
    assert_int_equal(weights_write(a, &t, 1, NULL, NULL), ST_OK);
    assert_refused(a, ST_NOT_FOUND, "no config.json");
    assert_int_equal(file_write_atomic(a, "garbage", 7, NULL), ST_OK);
    assert_refused(a, ST_FORMAT, "model.safetensors");
    mem_free(a);
    mem_free(b);
    mem_free(e);
    toy_remove(dir);
}

static void *json_memory(size_t n)
{
    return mem_alloc(n);
}

/* Every allocation of opening and encoding fails once: an error, no crash, no leak (the sanitizer
 * build looks). */
static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    static const char *const toys[] = {"starter",      "hf_quick",       "open_clip_custom_text",
                                       "openai",       "resnet",         "mobileclip",
                                       "mobileclip_b", "siglip2_naflex", "mobileclip_apple_s0"};
    json_set_alloc_funcs(json_memory, mem_free);
    for (size_t i = 0; i < sizeof toys / sizeof toys[0]; i++) {
        char *dir = toy_make(toys[i], "-mem", NULL, NULL);
        bool full = i == 0; /* the whole way once; elsewhere in steps, since tables are large */
        for (uint64_t n = 1;; n += full ? 1 : 1 + n / 8) {
            struct clip *c = NULL;
            struct clip_session *s = NULL;
            const char *text = "two dogs";
            float v[CLIP_MAX_DIM];
            struct error err = {0};
            mem_fail_at(n, true);
            enum status st = clip_open(&c, dir, NULL, &err);
            if (!st)
                st = clip_session_new(&s, c, "cpu", 1, &err);
            if (!st)
                st = clip_encode_text(s, &text, 1, v, &err);
            uint64_t made = mem_fail_at(0, false);
            clip_session_free(s);
            clip_close(c);
            if (!st && made < n)
                break;
            if (st)
                assert_true(err.text[0]);
        }
        toy_remove(dir);
    }
    json_set_alloc_funcs(malloc, free);
}

static void id_of(const char *path, char id[33])
{
    struct clip *c = NULL;
    struct error err = {0};
    if (clip_open(&c, path, NULL, &err))
        fail_msg("%s", err.text);
    memcpy(id, clip_info(c)->id, 33);
    assert_int_equal(strspn(id, "0123456789abcdef"), 32);
    clip_close(c);
}

static void ids_follow_weights_and_preprocessing(void **state)
{
    (void)state;
    char a[33], b[33], cache[64];
    snprintf(cache, sizeof cache, "%s/toy-%d-cache", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp",
             (int)getpid());
    setenv("XDG_CACHE_HOME", cache, 1);
    char *one = toy_make("hf_quick", "-id", NULL, NULL);
    id_of(one, a);
    id_of(one, b); /* from the cache this time */
    assert_string_equal(a, b);
    struct toy_edit mean = {.file = "preprocessor_config.json",
                            .content = "{\"size\": 32, \"crop_size\": 32, \"image_mean\": 0.5}"};
    char *two = toy_make("hf_quick", "-id", &mean, NULL);
    id_of(two, b);
    assert_string_not_equal(a, b);
    toy_remove(one);
    mem_free(two); /* the same folder */
    char *bare = NULL, *dir = toy_make("open_clip_bare", "-id", NULL, &bare);
    char *quick = path_join(dir, "tiny-quickgelu.safetensors");
    id_of(bare, a);
    assert_int_equal(rename(bare, quick), 0);
    id_of(quick, b); /* the same bytes, but another function */
    assert_string_not_equal(a, b);
    mem_free(quick);
    mem_free(bare);
    toy_remove(dir);
    char *clean = mem_printf("rm -r '%s'", cache);
    assert_int_equal(system(clean), 0);
    mem_free(clean);
}

static void a_tower_can_be_left_out(void **state)
{
    (void)state;
    char *dir = toy_make("open_clip_quick", "-half", NULL, NULL);
    struct clip *c = NULL;
    struct clip_session *s = NULL;
    struct error err = {0};
    const char *text = "a dog";
    const uint8_t *px = (const uint8_t *)text;
    float v[CLIP_MAX_DIM];
    assert_int_equal(clip_open(&c, dir, &(struct clip_opts){.no_image = 1}, &err), ST_OK);
    assert_int_equal(clip_session_new(&s, c, "cpu", 1, &err), ST_OK);
    assert_int_equal(clip_encode_text(s, &text, 1, v, &err), ST_OK);
    assert_int_equal(clip_encode_images(s, &px, 1, v, &err), ST_USAGE);
    assert_non_null(strstr(err.text, "without its image tower"));
    clip_session_free(s);
    clip_close(c);
    assert_int_equal(clip_open(&c, dir, &(struct clip_opts){.no_text = 1}, &err), ST_OK);
    assert_int_equal(clip_session_new(&s, c, "cpu", 1, &err), ST_OK);
    assert_int_equal(clip_encode_text(s, &text, 1, v, &err), ST_USAGE);
    clip_session_free(s);
    clip_close(c);
    toy_remove(dir);
}

static void many_texts_come_back_in_their_places(void **state)
{
    (void)state;
    char *dir = toy_make("starter", "-many", NULL, NULL);
    struct clip *c = NULL;
    struct clip_session *s = NULL;
    enum { N = 70 };
    char words[N][64];
    const char *text[N];
    assert_int_equal(clip_open(&c, dir, NULL, NULL), ST_OK);
    assert_int_equal(clip_session_new(&s, c, "cpu", 2, NULL), ST_OK);
    size_t d = (size_t)clip_dim(c);
    float *all = mem_array(N * d, sizeof *all), one[CLIP_MAX_DIM];
    for (int i = 0; i < N; i++) {
        snprintf(words[i], sizeof words[i], "%.*s dog %d", (i * 7) % 23,
                 "a b c d e f g h i j k l m n o", i);
        text[i] = words[i];
    }
    assert_int_equal(clip_encode_text(s, text, N, all, NULL), ST_OK);
    for (int i = 0; i < N; i++) {
        assert_int_equal(clip_encode_text(s, &text[i], 1, one, NULL), ST_OK);
        for (size_t j = 0; j < d; j++)
            assert_float_equal(all[(size_t)i * d + j], one[j], 2e-6);
    }
    assert_int_equal(clip_encode_text(s, text, 0, all, NULL), ST_OK);
    mem_free(all);
    clip_session_free(s);
    clip_close(c);
    toy_remove(dir);
}

static void write_text(const char *dir, const char *name, const char *text)
{
    char *path = path_join(dir, name);
    assert_int_equal(file_write_atomic(path, text, strlen(text), NULL), ST_OK);
    mem_free(path);
}

/* transformers 5 writes model_max_length as 10^30 into every folder with a tokenizer. */
static void folders_as_transformers_saves_them_are_read(void **state)
{
    (void)state;
    char *dir = toy_make("hf_quick", "-saved", NULL, NULL);
    struct clip *c = NULL;
    struct error err = {0};
    write_text(dir, "vocab.json",
               "{\"a\": 0, \"b\": 1, \"a</w>\": 2, \"b</w>\": 3, \"ab</w>\": 4, "
               "\"<|startoftext|>\": 5, \"<|endoftext|>\": 6}");
    write_text(dir, "merges.txt", "#version: 0.2\na b</w>\n");
    write_text(dir, "tokenizer_config.json",
               "{\"tokenizer_class\": \"CLIPTokenizer\", \"pad_token\": \"<|endoftext|>\", "
               "\"model_max_length\": 1000000000000000019884624838656}");
    write_text(dir, "processor_config.json",
               "{\"image_processor\": {\"crop_size\": {\"height\": 32, \"width\": 32}, "
               "\"image_mean\": [0.5, 0.25, 0.125], \"size\": {\"shortest_edge\": 32}}, "
               "\"processor_class\": \"CLIPProcessor\"}");
    if (clip_open(&c, dir, NULL, &err))
        fail_msg("%s", err.text);
    assert_int_equal(tokenizer_vocab_size(clip_tokenizer(c)), 7);
    assert_int_equal(clip_prep(c, false).fit, DECODER_FIT_SHORTEST_CROP);
    assert_int_equal(clip_prep(c, false).crop, DECODER_CROP_FLOOR);
    clip_close(c);
    toy_remove(dir);
}

/* What only the path said goes with a copy, and the copy is the same model under any name. */
static void a_copy_with_its_traits_is_the_same_model(void **state)
{
    (void)state;
    char a[33], b[33], *bare = NULL, *dir = toy_make("open_clip_bare", "-traits", NULL, &bare);
    char *quick = path_join(dir, "tiny-quickgelu.safetensors"), *copy = path_join(dir, "copy.pt");
    char *copy2 = path_join(dir, "copy2.safetensors"),
         *json = path_join(dir, "tiny-quickgelu.json");
    struct clip *c = NULL;
    struct error err = {0};
    assert_int_equal(rename(bare, quick), 0);
    id_of(quick, a);
    assert_int_equal(clip_open(&c, quick, NULL, &err), ST_OK);
    assert_string_equal(clip_info(c)->weights, quick);
    struct convert_opts o = {.meta = clip_traits(c)};
    assert_int_equal(convert_weights(quick, copy, DT_F32, &o, NULL, &err), ST_OK);
    clip_close(c);
    id_of(copy, b);
    assert_string_equal(a, b);
    write_text(dir, "tiny-quickgelu.json",
               "{\"embed_dim\": 32, \"vision_cfg\": {\"image_size\": 24, \"patch_size\": 8, "
               "\"width\": 64, \"layers\": 1, \"head_width\": 32}, "
               "\"text_cfg\": {\"width\": 64, \"heads\": 2, \"layers\": 1}}");
    if (clip_open(&c, quick, NULL, &err))
        fail_msg("%s", err.text);
    id_of(quick, a);
    assert_string_not_equal(a, b);
    o.meta = clip_traits(c);
    assert_int_equal(convert_weights(quick, copy2, DT_F16, &o, NULL, &err), ST_OK);
    clip_close(c);
    id_of(copy2, b);
    assert_string_equal(a, b);
    assert_int_equal(unlink(copy) | unlink(copy2) | unlink(json), 0);
    mem_free(quick);
    mem_free(copy);
    mem_free(copy2);
    mem_free(json);
    mem_free(bare);
    toy_remove(dir);
}

static void info_says_what_was_found(void **state)
{
    (void)state;
    char *dir = toy_make("open_clip_bare", "-info", NULL, NULL);
    char *path = path_join(dir, "LICENSE");
    struct clip *c = NULL;
    assert_int_equal(file_write_atomic(path, "# My licence\nmore\n", 18, NULL), ST_OK);
    assert_int_equal(clip_open(&c, dir, NULL, NULL), ST_OK);
    const struct clip_info *i = clip_info(c);
    assert_string_equal(i->license, "My licence");
    assert_non_null(strstr(i->note, "gelu"));
    assert_string_equal(i->name, dir);
    assert_int_equal(i->image_size, 24);
    assert_int_equal(i->patch, 8);
    assert_int_equal(i->dim, 32);
    assert_int_equal(i->context, 77);
    assert_string_equal(i->dtype, "f16"); /* of most values: the token table */
    assert_true(i->parameters > 49408 * 64);
    clip_close(c);
    mem_free(path);
    toy_remove(dir);
}

/* What a download leaves whose files were taken away; a folder under a file's name. */
static void a_folder_whose_weights_are_gone_is_told(void **state)
{
    static const char *const names[] = {"model.safetensors", "open_clip_model.safetensors",
                                        "any.pt", "config.json"};
    char dir[] = "/tmp/eidetic-gone-XXXXXX", path[128];
    (void)state;
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        assert_int_equal(symlink(i % 2 ? path : "blobs/nothing", path), 0);
        if (i < 3)
            assert_refused(dir, ST_NOT_FOUND, "is a link to a file that is not there");
        unlink(path);
        assert_int_equal(mkdir(path, 0700), 0);
        assert_refused(dir, ST_NOT_FOUND, "no weight file in this folder");
        rmdir(path);
    }
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_whose_weights_are_gone_is_told),
        cmocka_unit_test(missing_and_misshapen_tensors_are_named),
        cmocka_unit_test(absurd_hugging_face_configs_are_refused),
        cmocka_unit_test(odd_preprocessing_is_refused),
        cmocka_unit_test(parts_of_open_clip_that_are_not_read_are_named),
        cmocka_unit_test(absurd_starter_configs_are_refused),
        cmocka_unit_test(what_is_no_model_is_refused),
        cmocka_unit_test(running_out_of_memory_is_an_error),
        cmocka_unit_test(ids_follow_weights_and_preprocessing),
        cmocka_unit_test(a_tower_can_be_left_out),
        cmocka_unit_test(many_texts_come_back_in_their_places),
        cmocka_unit_test(folders_as_transformers_saves_them_are_read),
        cmocka_unit_test(a_copy_with_its_traits_is_the_same_model),
        cmocka_unit_test(info_says_what_was_found),
    };
    return cmocka_run_group_tests_name("clip", tests, NULL, NULL);
}
