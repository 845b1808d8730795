/* LoRA files and prompts that are not what they must be: one sentence each. What good ones compute
 * is in tests/golden/test_golden_lora.c. */
#include "golden/lora_toy.h"
#include "sampler/cond.h"
#include "sampler/lora/lora.h"
#include "sampler/shelf.h"
#include <math.h>

static const char *const folder = "toy-lora-unit", *const file = "toy-lora-unit/x.safetensors";

static struct checkpoint *open_toy(void)
{
    struct checkpoint *c = NULL;
    struct error err = {0};
    char *path = sd_toy_write(folder, &(struct sd_toy){0});
    if (checkpoint_open(&c, path, NULL, &err))
        fail_msg("%s", err.text);
    mem_free(path);
    return c;
}

/* Up to four tensors, all zero but for `value` in their first element. */
struct row {
    const char *key;
    enum dtype dtype;
    int ndim;
    int64_t dim[4];
    float value;
};

static void write_rows(const struct row *r)
{
    struct weights_out_tensor t[4];
    struct error err = {0};
    int n = 0;
    for (; n < 4 && r[n].key; n++) {
        struct tensor v = tensor_view(NULL, r[n].dtype, r[n].ndim, r[n].dim);
        v.data = mem_zarray((size_t)tensor_count(&v) + 1, 8);
        if (r[n].dtype == DT_F32)
            ((float *)v.data)[0] = r[n].value;
        t[n] = (struct weights_out_tensor){r[n].key, v};
    }
    if (weights_write(file, t, n, NULL, &err))
        fail_msg("%s", err.text);
    for (int i = 0; i < n; i++)
        mem_free(t[i].t.data);
}

static void refused(struct checkpoint *c, const struct row *r, enum status code, const char *part)
{
    struct lora_list l;
    struct lora_patch *p = NULL;
    struct error err = {0};
    write_rows(r);
    assert_int_equal(lora_list_read(&l, "<lora:x>", folder, &err), ST_OK);
    enum status st = lora_apply(&p, c, &l, 1, &err);
    if (st != code || p || c->patch || (part && !strstr(err.text, part)))
        fail_msg("%s instead of %s with \"%s\": %s", status_name(st), status_name(code), part,
                 err.text);
    lora_list_release(&l);
}

#define Q "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
#define K "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"

static void files_that_do_not_fit_are_refused_by_key(void **state)
{
    (void)state;
    static const struct {
        struct row r[4];
        enum status code;
        const char *part;
    } bad[] = {
        {{{Q ".lora_down.weight", DT_F32, 2, {4, 32}, 0}}, ST_FORMAT, "lora_down without lora_up"},
        {{{Q ".lora_up.weight", DT_F32, 2, {32, 4}, 0}}, ST_FORMAT, "lora_up without lora_down"},
        {{{Q ".lora_mid.weight", DT_F32, 4, {4, 4, 3, 3}, 0}}, ST_FORMAT, "has no lora_up"},
        {{{Q ".alpha", DT_F32, 0, {0}, 4}}, ST_FORMAT, "nothing but an alpha"},
        {{{Q ".lora_up.weight", DT_F32, 2, {32, 4}, 0},
          {Q ".lora_down.weight", DT_F32, 2, {3, 32}, 0}},
         ST_FORMAT,
         "to_q has a lora_down that does not fit a matrix of 32 x 32"},
        {{{Q ".lora_up.weight", DT_F32, 2, {64, 4}, 0},
          {Q ".lora_down.weight", DT_F32, 2, {4, 32}, 0}},
         ST_FORMAT,
         "a lora_up that does not fit"},
        {{{Q ".lora_up.weight", DT_F32, 2, {32, 0}, 0},
          {Q ".lora_down.weight", DT_F32, 2, {0, 32}, 0}},
         ST_FORMAT,
         "without rows or columns"},
        {{{Q ".lora_up.weight", DT_F32, 1, {128}, 0},
          {Q ".lora_down.weight", DT_F32, 2, {4, 32}, 0}},
         ST_FORMAT,
         "without rows or columns"},
        {{{Q ".lora_up.weight", DT_I64, 2, {32, 4}, 0},
          {Q ".lora_down.weight", DT_F32, 2, {4, 32}, 0}},
         ST_FORMAT,
         "of type i64, not of floats"},
        {{{Q ".lora_up.weight", DT_F32, 2, {32, 4}, 0},
          {Q ".lora_down.weight", DT_F32, 2, {4, 32}, 0},
          {Q ".alpha", DT_F32, 0, {0}, NAN}},
         ST_FORMAT,
         "an alpha that is no number"},
        {{{Q ".lora_up.weight", DT_F32, 2, {32, 4}, 0},
          {Q ".lora_down.weight", DT_F32, 2, {4, 32}, 0},
          {Q ".alpha", DT_F32, 1, {3}, 1}},
         ST_FORMAT,
         "not one number"},
        {{{Q ".lora_up.weight", DT_F32, 2, {32, 4}, INFINITY},
          {Q ".lora_down.weight", DT_F32, 2, {4, 32}, 1}},
         ST_FORMAT,
         "holds values that are no numbers"},
        {{{Q ".lora_up.weight", DT_F32, 2, {32, 4}, 0},
          {Q ".lora_down.weight", DT_F32, 2, {4, 32}, 0},
          {Q ".hada_w1_a", DT_F32, 2, {32, 4}, 0}},
         ST_FORMAT,
         "two kinds of LoRA"},
        {{{Q ".lora_up.weight", DT_F32, 2, {32, 4}, 0},
          {Q ".lora_down.weight", DT_F32, 2, {4, 32}, 0},
          {"unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_B.weight",
           DT_F32,
           2,
           {32, 4},
           0}},
         ST_FORMAT,
         "is there twice"},
        {{{Q ".lora_up.weight", DT_F32, 2, {32, 4}, 0},
          {Q ".lora_down.weight", DT_F32, 2, {4, 32}, 0},
          {Q ".dora_scale", DT_F32, 2, {32, 1}, 0}},
         ST_UNSUPPORTED,
         "DoRA"},
        {{{Q ".hada_w1_a", DT_F32, 2, {32, 4}, 0}, {Q ".hada_w1_b", DT_F32, 2, {4, 32}, 0}},
         ST_FORMAT,
         "hada_w1_a without hada_w2_a"},
        {{{Q ".lokr_w1", DT_F32, 2, {4, 4}, 0}}, ST_FORMAT, "lokr_w1 without lokr_w2"},
        {{{Q ".lokr_w1", DT_F32, 2, {4, 4}, 0}, {Q ".lokr_w2", DT_F32, 2, {8, 9}, 0}},
         ST_FORMAT,
         "a lokr_w2 that does not fit"},
        {{{Q ".lokr_w1", DT_F32, 2, {4, 4}, 0}, {Q ".lokr_w2_a", DT_F32, 2, {8, 3}, 0}},
         ST_FORMAT,
         "lokr_w2_a without lokr_w2_b"},
        {{{Q ".diff", DT_F32, 2, {32, 31}, 0}}, ST_FORMAT, "a diff that does not fit"},
        {{{"lora_unet_conv_in.lora_up.weight", DT_F32, 4, {32, 4, 1, 1}, 0},
          {"lora_unet_conv_in.lora_down.weight", DT_F32, 4, {4, 6, 3, 2}, 0}},
         ST_FORMAT,
         "32 x 4 x 3 x 3"},
    };
    struct checkpoint *c = open_toy();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(c, bad[i].r, bad[i].code, bad[i].part);
    checkpoint_close(c);
    sd_toy_remove(folder);
}

static void other_families_are_refused_with_both_names(void **state)
{
    (void)state;
    struct checkpoint *c = open_toy();
    static const struct {
        const char *key;
        int width;
        const char *part;
    } list[] = {
        {K, 768, "x.safetensors is a LoRA for Stable Diffusion 1 (prompts 768 wide), and toy"},
        {K, 1024, "Stable Diffusion 2 (prompts 1024 wide)"},
        {K, 2048, "Stable Diffusion XL (prompts 2048 wide)"},
        {"lora_te2_text_model_encoder_layers_0_mlp_fc1", 1280, "for Stable Diffusion XL, and toy"},
        {"lora_unet_double_blocks_0_img_attn_proj", 3072, "for Flux, and toy"},
        {"lora_unet_nothing", 768, "none of its 2 keys fits toy"}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        char up[128], down[128];
        snprintf(up, sizeof up, "%s.lora_up.weight", list[i].key);
        snprintf(down, sizeof down, "%s.lora_down.weight", list[i].key);
        const struct row r[4] = {{up, DT_F32, 2, {320, 4}, 0},
                                 {down, DT_F32, 2, {4, list[i].width}, 0}};
        refused(c, r, ST_UNSUPPORTED, list[i].part);
    }
    checkpoint_close(c);
    sd_toy_remove(folder);
}

static void a_prompt_is_only_used_with_its_loras_in_the_weights(void **state)
{
    (void)state;
    struct checkpoint *c = open_toy();
    struct error err = {0};
    struct arena arena = {0};
    struct cond cond;
    struct lora_list l;
    struct lora_patch *p = NULL;
    struct cond_source src = {.c = c, .run = {.arena = &arena, .err = &err}, .clip_skip = 1};
    const struct row r[4] = {{Q ".lora_up.weight", DT_F32, 2, {32, 4}, 1},
                             {Q ".lora_down.weight", DT_F32, 2, {4, 32}, 1},
                             {"lora_unet_nothing.alpha", DT_F32, 0, {0}, 1}};
    assert_int_equal(backend_open(&src.run.be, "cpu", 1, &err), ST_OK);
    assert_int_equal(cond_build(&cond, &src, "a <lora:x:0.5>", 1, true, &err), ST_UNSUPPORTED);
    assert_non_null(strstr(err.text, "lora:x:0.5"));
    assert_int_equal(cond_build(&cond, &src, "a <lora:x:0.5>", 1, false, &err), ST_OK);
    cond_release(&cond);
    write_rows(r);
    assert_int_equal(lora_list_read(&l, "a <lora:x:0.5>", folder, &err), ST_OK);
    assert_int_equal(lora_apply(&p, c, &l, 1, &err), ST_OK);
    assert_int_equal(l.item[0].keys, 3);
    assert_int_equal(l.item[0].applied, 2);
    assert_int_equal(cond_build(&cond, &src, "a <lora:x:0.5>", 1, true, &err), ST_OK);
    cond_release(&cond);
    assert_int_equal(cond_build(&cond, &src, "a <lora:x:0.6>", 1, true, &err), ST_UNSUPPORTED);
    lora_patch_free(p);
    lora_list_release(&l);
    backend_close(src.run.be);
    arena_release(&arena);
    checkpoint_close(c);
    sd_toy_remove(folder);
}

static void strengths_are_automatic1111s(void **state)
{
    (void)state;
    static const struct {
        const char *prompt;
        double tower, unet;
    } good[] = {{"<lora:x>", 1, 1},
                {"a <lora:x:0.8> b", 0.8, 0.8},
                {"<lora:x:0.8:0.5>", 0.8, 0.5},
                {"<lora:x:te=0.25>", 0.25, 0.25}, /* the tower's counts for both there */
                {"<lora:x:0.8:te=0.25>", 0.25, 0.25},
                {"<lora:x:0.8:0.5:te=0.25>", 0.25, 0.5},
                {"<lora:x:unet=0.25>", 1, 0.25},
                {"<lyco:x:-1:unet=2>", -1, 2}};
    static const char *const bad[] = {"<lora:x:y>",          "<lora:x:>",    "<lora:x:1:1:8>",
                                      "<lora:x:nan>",        "<lora:x:1e9>", "<lora:x:lbw=1>",
                                      "<hypernet:x:1>",      "<lora:x:1 2>", "<lora:../x>",
                                      "<lora:/etc/passwd>",  "<lora:>",      "<lora:x.y>",
                                      "<lora:x:0.8><lora:z>"};
    struct lora_list l;
    struct error err = {0};
    assert_int_equal(file_make_dirs(folder, NULL), ST_OK);
    sd_write_text(folder, "x.pt", "");
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (lora_list_read(&l, good[i].prompt, folder, &err))
            fail_msg("%s: %s", good[i].prompt, err.text);
        assert_int_equal(l.n, 1);
        assert_true(l.item[0].tower == good[i].tower && l.item[0].unet == good[i].unet);
        lora_list_release(&l);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        enum status st = lora_list_read(&l, bad[i], folder, &err);
        /* "<lora:>" is no network but text */
        if (strcmp(bad[i], "<lora:>") == 0 ? st != ST_OK : st != ST_USAGE && st != ST_NOT_FOUND)
            fail_msg("%s: %s", bad[i], status_name(st));
        lora_list_release(&l);
    }
    assert_int_equal(lora_list_read(&l, "<lora:x>", NULL, &err), ST_USAGE);
    assert_non_null(strstr(err.text, "--lora-dir"));
    assert_int_equal(lora_list_read(&l, "no network", NULL, &err), ST_OK);
    lora_list_release(&l);
    sd_toy_remove(folder);
}

static void names_are_looked_up_below_the_folder_and_nowhere_else(void **state)
{
    (void)state;
    struct shelf s;
    struct error err = {0};
    const char *path;
    assert_int_equal(file_make_dirs(folder, NULL), ST_OK);
    static const char *const files[] = {
        "ink.safetensors",  "styles/ink-wash.pt", "styles/oil.safetensors", "people/oil.bin",
        "styles/notes.txt", "styles/a.b.ckpt",    ".hidden/secret.pt"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        sd_write_text(folder, files[i], "x");
    assert_int_equal(symlink("..", "toy-lora-unit/up"), 0);
    assert_int_equal(shelf_open(&s, "toy-lora-unit/", &err), ST_OK);
    assert_int_equal(s.n, 5);
    assert_int_equal(shelf_find(&s, "ink", "LoRA", &path, &err), ST_OK);
    assert_string_equal(path, "toy-lora-unit/ink.safetensors");
    assert_int_equal(shelf_find(&s, "ink-wash", "LoRA", &path, &err), ST_OK);
    assert_int_equal(shelf_find(&s, "a.b", "LoRA", &path, &err), ST_OK);
    assert_string_equal(path, "toy-lora-unit/styles/a.b.ckpt");
    assert_int_equal(shelf_find(&s, "oil", "LoRA", &path, &err), ST_USAGE);
    assert_non_null(strstr(err.text, "styles/oil.safetensors"));
    assert_int_equal(shelf_find(&s, "people/oil", "LoRA", &path, &err), ST_OK);
    assert_int_equal(shelf_find(&s, "oil.bin", "LoRA", &path, &err), ST_OK);
    assert_int_equal(shelf_find(&s, "inkwash", "LoRA", &path, &err), ST_NOT_FOUND);
    assert_string_equal(err.text, "no LoRA is called \"inkwash\"; the nearest: ink-wash, ink, a.b");
    static const char *const outside[] = {"../toy-lora-unit/ink",
                                          "secret",
                                          ".hidden/secret",
                                          "notes",
                                          "up/toy-lora-unit/ink",
                                          "",
                                          "."};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        assert_int_equal(shelf_find(&s, outside[i], "LoRA", &path, &err), ST_NOT_FOUND);
    shelf_close(&s);
    assert_int_equal(shelf_open(&s, "no-such-folder", &err), ST_USAGE);
    sd_toy_remove(folder);
}

static void a_name_that_a_file_was_trained_under_finds_it(void **state)
{
    (void)state;
    static const char *const paths[] = {"toy-lora-unit/a.safetensors",
                                        "toy-lora-unit/b.safetensors",
                                        "toy-lora-unit/c.safetensors"};
    struct lora_list l;
    struct error err = {0};
    float x = 1;
    const struct weights_out_tensor t = {"x.alpha", tensor_view(&x, DT_F32, 0, NULL)};
    assert_int_equal(file_make_dirs(folder, NULL), ST_OK);
    for (int i = 0; i < 3; i++) {
        const char *const meta[] = {"ss_output_name", i ? "twice" : "ink wash v2", NULL};
        assert_int_equal(weights_write(paths[i], &t, 1, meta, NULL), ST_OK);
    }
    sd_write_text(folder, "broken.safetensors", "x");
    assert_int_equal(lora_list_read(&l, "<lora:ink wash v2:1>", folder, &err), ST_OK);
    assert_string_equal(l.item[0].path, paths[0]);
    lora_list_release(&l);
    assert_int_equal(lora_list_read(&l, "<lora:twice:1>", folder, &err), ST_NOT_FOUND);
    assert_int_equal(lora_list_read(&l, "<lora:ink:1>", folder, &err), ST_NOT_FOUND);
    sd_toy_remove(folder);
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    struct checkpoint *c = open_toy();
    struct error err = {0};
    lora_toy_write("lycoris", file);
    const void *first = c->unet.conv_in.w.data;
    for (uint64_t n = 1;; n += 1 + n / 8) {
        struct lora_list l = {0};
        struct lora_patch *p = NULL;
        mem_fail_at(n, true);
        enum status st = lora_list_read(&l, "<lora:x:0.5>", folder, &err);
        if (!st)
            st = lora_apply(&p, c, &l, 1, &err);
        mem_fail_at(0, false);
        lora_patch_free(p);
        lora_list_release(&l);
        assert_ptr_equal(c->unet.conv_in.w.data, first);
        if (st == ST_OK)
            break;
        assert_int_equal(st, ST_NOMEM);
    }
    checkpoint_close(c);
    sd_toy_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_that_do_not_fit_are_refused_by_key),
        cmocka_unit_test(other_families_are_refused_with_both_names),
        cmocka_unit_test(a_prompt_is_only_used_with_its_loras_in_the_weights),
        cmocka_unit_test(strengths_are_automatic1111s),
        cmocka_unit_test(names_are_looked_up_below_the_folder_and_nowhere_else),
        cmocka_unit_test(a_name_that_a_file_was_trained_under_finds_it),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests_name("lora", tests, NULL, NULL);
}
