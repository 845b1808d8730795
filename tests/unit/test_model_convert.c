/* model convert on whole models: the copy is the model that was opened, under any of the names that
 * weights have. The models are the golden tests' toys. */
#undef TEST_DATA
#define TEST_DATA SOURCE_DIR "/tests/golden"
#include "app/model_app.h"
#include "golden/clip_toy.h"

static void id_of(const char *path, char id[33], char *weights, size_t size)
{
    struct clip *c = NULL;
    struct error err = {0};
    if (clip_open(&c, path, NULL, &err))
        fail_msg("%s", err.text);
    memcpy(id, clip_info(c)->id, 33);
    const char *file = strrchr(clip_info(c)->weights, '/');
    snprintf(weights, size, "%s", file ? file + 1 : clip_info(c)->weights);
    clip_close(c);
}

static void remove_tree(const char *dir)
{
    char *clean = mem_printf("rm -r '%s'", dir);
    assert_int_equal(system(clean), 0);
    mem_free(clean);
}

/* Gives the toy's weights another name in its folder, converts the folder, and checks the copy. */
static void check_folder(const char *toy, const char *was, const char *name, const char *becomes)
{
    char a[33], b[33], file[256];
    struct error err = {0};
    struct convert_stats stats;
    char *dir = toy_make(toy, "-whole", NULL, NULL), *out = mem_printf("%s-copy", dir);
    char *from = path_join(dir, was), *to = path_join(dir, name);
    if (strcmp(was, name) != 0)
        assert_int_equal(rename(from, to), 0);
    id_of(dir, a, file, sizeof file);
    assert_string_equal(file, name);
    if (model_convert_all(dir, out, DT_F16, &stats, &err))
        fail_msg("%s", err.text);
    id_of(out, b, file, sizeof file);
    assert_string_equal(a, b);
    assert_string_equal(file, becomes);
    assert_int_equal(model_convert_all(dir, out, DT_F16, &stats, &err), ST_USAGE);
    assert_non_null(strstr(err.text, "exists already"));
    remove_tree(out);
    remove_tree(dir);
    mem_free(from);
    mem_free(to);
    mem_free(out);
    mem_free(dir);
}

static void folders_keep_their_id_whatever_the_weights_are_called(void **state)
{
    (void)state;
    check_folder("hf_quick", "model.safetensors", "model.safetensors", "model.safetensors");
    check_folder("hf_quick", "model.safetensors", "pytorch_model.bin", "model.safetensors");
    check_folder("hf_quick", "model.safetensors", "clip.pt", "clip.safetensors");
    check_folder("open_clip_quick", "open_clip_model.safetensors", "open_clip_pytorch_model.bin",
                 "open_clip_model.safetensors");
    check_folder("open_clip_bare", "tiny.safetensors", "ViT-quickgelu.pth",
                 "ViT-quickgelu.safetensors");
}

/* OpenCLIP's file is the one that is opened there, and so the one to convert. */
static void of_two_models_in_a_folder_the_open_one_is_converted(void **state)
{
    (void)state;
    char *other = toy_make("hf_quick", "-other", NULL, NULL);
    char *dir = toy_make("open_clip_quick", "-two", NULL, NULL), *out = mem_printf("%s-copy", dir);
    char *from = path_join(other, "model.safetensors"), *to = path_join(dir, "model.safetensors");
    char a[33], b[33], file[256];
    struct error err = {0};
    assert_int_equal(rename(from, to), 0);
    id_of(dir, a, file, sizeof file);
    if (model_convert_all(dir, out, DT_BF16, NULL, &err))
        fail_msg("%s", err.text);
    id_of(out, b, file, sizeof file);
    assert_string_equal(a, b);
    assert_string_equal(file, "open_clip_model.safetensors");
    remove_tree(out);
    remove_tree(dir);
    remove_tree(other);
    mem_free(from);
    mem_free(to);
    mem_free(out);
    mem_free(dir);
    mem_free(other);
}

static void a_file_of_its_own_carries_its_activation(void **state)
{
    (void)state;
    char a[33], b[33], file[256], *bare = NULL;
    char *dir = toy_make("open_clip_bare", "-file", NULL, &bare);
    char *named = path_join(dir, "a-quickgelu.pt"), *out = path_join(dir, "plain.safetensors");
    struct error err = {0};
    assert_int_equal(rename(bare, named), 0);
    id_of(named, a, file, sizeof file);
    id_of(dir, b, file, sizeof file); /* the only weights of a folder: the same model */
    assert_string_equal(a, b);
    if (model_convert_all(named, out, DT_I8, NULL, &err))
        fail_msg("%s", err.text);
    id_of(out, b, file, sizeof file);
    assert_string_equal(a, b);
    assert_int_equal(model_convert_all(named, out, DT_I8, NULL, &err), ST_USAGE);
    assert_int_equal(model_convert_all("/none/such", "/none/out", DT_I8, NULL, &err), ST_NOT_FOUND);
    remove_tree(dir);
    mem_free(bare);
    mem_free(named);
    mem_free(out);
    mem_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_keep_their_id_whatever_the_weights_are_called),
        cmocka_unit_test(of_two_models_in_a_folder_the_open_one_is_converted),
        cmocka_unit_test(a_file_of_its_own_carries_its_activation),
    };
    return cmocka_run_group_tests_name("model convert", tests, NULL, NULL);
}
