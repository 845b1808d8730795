/* Textual inversions of every form in prompts, against transformers' text tower with their rows in
 * its token table (scripts/make_golden_embedding.py), to 2e-5 of the largest state as in
 * test_golden_sampler.c; and files and prompts that are not so simple. */
#include "golden/sd_toy.h"
#include "sampler/cond.h"
#include <math.h>

static const char *const folder = "toy-embedding", *const own = "toy-embedding/own";
static const char *const forms = TEST_DATA "/sampler/embeddings";

struct fixture {
    struct checkpoint *c;
    struct cond_source src;
    struct arena arena;
    struct error err;
    struct cond cond;
};

static void fixture_open(struct fixture *f, const char *dir)
{
    *f = (struct fixture){0};
    char *path = sd_toy_write(folder, &(struct sd_toy){0});
    assert_int_equal(file_make_dirs(own, NULL), ST_OK);
    if (checkpoint_open(&f->c, path, NULL, &f->err))
        fail_msg("%s", f->err.text);
    f->src = (struct cond_source){
        .c = f->c, .run = {.arena = &f->arena, .err = &f->err}, .clip_skip = 1};
    if (backend_open(&f->src.run.be, "cpu", 1, &f->err) ||
        (dir && embeddings_open(&f->src.embeddings, dir, f->c, &f->err)))
        fail_msg("%s", f->err.text);
    mem_free(path);
}

static void reopen(struct fixture *f)
{
    embeddings_close(f->src.embeddings);
    if (embeddings_open(&f->src.embeddings, own, f->c, &f->err))
        fail_msg("%s", f->err.text);
}

static void fixture_close(struct fixture *f)
{
    cond_release(&f->cond);
    embeddings_close(f->src.embeddings);
    backend_close(f->src.run.be);
    arena_release(&f->arena);
    checkpoint_close(f->c);
    sd_toy_remove(folder);
}

static const struct cond_text *build(struct fixture *f, const char *prompt)
{
    cond_release(&f->cond);
    f->src.run.status = ST_OK;
    if (cond_build(&f->cond, &f->src, prompt, 1, true, &f->err))
        fail_msg("%s", f->err.text);
    return cond_at(&f->cond.part[0], 0);
}

static void every_form_equals_transformers(void **state)
{
    (void)state;
    static const char *const prompts[][2] = {{"a boat in old-style by night", "old-style"},
                                             {"a boat in param_dict by night", "param_dict"},
                                             {"a boat in easytoy by night", "EasyToy"},
                                             {"a boat in clipl by night", "clipl"},
                                             {"a boat in cat-toy by night", "cat-toy"},
                                             {"a boat in cat-toy-2 by night", "cat-toy-2"},
                                             {"a boat in bare by night", "bare"},
                                             {"a boat in half by night", "half"},
                                             {"EASYTOY and Cat-Toy-2", "two"}};
    struct fixture f;
    struct weights *want = NULL;
    fixture_open(&f, forms);
    assert_int_equal(weights_open(&want, TEST_DATA "/sampler/embeddings.safetensors", &f.err),
                     ST_OK);
    for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++) {
        const struct cond_text *t = build(&f, prompts[i][0]);
        const struct tensor *w = weights_find(want, prompts[i][1]);
        const float *x = w->data;
        float scale = 0, worst = 0;
        assert_int_equal(t->tokens, 77);
        for (int64_t k = 0; k < tensor_count(w); k++) {
            scale = fmaxf(scale, fabsf(x[k]));
            worst = fmaxf(worst, fabsf(x[k] - t->states[k]));
        }
        printf("%s: largest difference %.2g of the largest state\n", prompts[i][1],
               (double)(worst / scale));
        assert_true(worst <= 2e-5f * scale);
    }
    const char *path = NULL;
    int rows = 0;
    assert_string_equal(embeddings_used(f.src.embeddings, 0, &rows, &path), "old-style");
    assert_int_equal(rows, 3);
    assert_non_null(strstr(path, "embeddings/"));
    assert_null(embeddings_used(f.src.embeddings, 8, &rows, &path));
    weights_close(want);
    fixture_close(&f);
}

/* One tensor of n rows, zero but for the first value. */
static void write_one(const char *name, const char *key, enum dtype dtype, int64_t n, int64_t width,
                      float first)
{
    struct error err = {0};
    char *path = mem_printf("%s/%s.safetensors", own, name);
    struct tensor v = tensor_view(NULL, dtype, 2, (int64_t[]){n, width});
    v.data = mem_zarray((size_t)tensor_count(&v) + 1, 8);
    if (dtype == DT_F32)
        *(float *)v.data = first;
    struct weights_out_tensor t = {key, v};
    if (weights_write(path, &t, 1, NULL, &err))
        fail_msg("%s", err.text);
    mem_free(v.data);
    mem_free(path);
}

static void files_that_do_not_fit_are_refused_when_they_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        enum dtype dtype;
        int64_t n, width;
        float first;
        enum status code;
        const char *part;
    } bad[] = {
        {"emb_params", DT_F32, 1, 768, 0, ST_UNSUPPORTED, "Stable Diffusion 1 (768 wide), and"},
        {"emb_params", DT_F32, 1, 1024, 0, ST_UNSUPPORTED, "for Stable Diffusion 2"},
        {"emb_params", DT_F32, 76, 64, 0, ST_LIMIT, "76 vectors"},
        {"emb_params", DT_F32, 0, 64, 0, ST_FORMAT, "rows of floats"},
        {"emb_params", DT_I64, 2, 64, 0, ST_FORMAT, "not i64"},
        {"emb_params", DT_F32, 2, 64, NAN, ST_FORMAT, "no numbers"},
    };
    struct fixture f;
    fixture_open(&f, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_one("wrong", bad[i].key, bad[i].dtype, bad[i].n, bad[i].width, bad[i].first);
        reopen(&f);
        build(&f, "another word");
        cond_release(&f.cond);
        enum status st = cond_build(&f.cond, &f.src, "a wrong word", 1, true, &f.err);
        if (st != bad[i].code || !strstr(f.err.text, bad[i].part))
            fail_msg("%s: %s", status_name(st), f.err.text);
        assert_int_equal(cond_build(&f.cond, &f.src, "a wrong word", 1, false, &f.err), st);
    }
    float x[64] = {0};
    struct tensor v = tensor_view(x, DT_F32, 1, (int64_t[]){64});
    static const char *const keys[][2] = {
        {"string_to_param.*", "string_to_param.a"}, {"clip_l", "clip_g"}, {"<a>", "<b>"}};
    for (size_t i = 0; i < 3; i++) {
        const struct weights_out_tensor two[] = {{keys[i][0], v}, {keys[i][1], v}};
        assert_int_equal(weights_write("toy-embedding/own/wrong.safetensors", two, 2, NULL, NULL),
                         ST_OK);
        reopen(&f);
        assert_int_equal(cond_build(&f.cond, &f.src, "a wrong word", 1, true, &f.err),
                         i == 1 ? ST_UNSUPPORTED : ST_FORMAT);
    }
    sd_write_text(own, "wrong.safetensors", "no weights");
    assert_int_not_equal(cond_build(&f.cond, &f.src, "a wrong word", 1, true, &f.err), ST_OK);
    assert_non_null(strstr(f.err.text, "wrong.safetensors"));
    fixture_close(&f);
}

/* So many words, then the end. */
static void prompt_of(char *out, size_t size, int words, const char *end)
{
    size_t at = 0;
    for (int i = 0; i < words; i++)
        at += (size_t)snprintf(out + at, size - at, "dog ");
    snprintf(out + at, size - at, "%s", end);
}

static void vectors_stay_together(void **state)
{
    (void)state;
    struct fixture f;
    char prompt[1024];
    fixture_open(&f, NULL);
    write_one("manyvec", "emb_params", DT_F32, 6, 64, 1);
    reopen(&f);
    prompt_of(prompt, sizeof prompt, 69, "manyvec");
    assert_int_equal(build(&f, prompt)->tokens, 77);
    prompt_of(prompt, sizeof prompt, 70, "manyvec");
    assert_int_equal(build(&f, prompt)->tokens, 154);
    /* behind a comma they move on together with the words there */
    prompt_of(prompt, sizeof prompt, 60, ", cat manyvec cat cat cat cat cat cat");
    const struct cond_text *t = build(&f, prompt);
    assert_int_equal(t->tokens, 77);
    prompt_of(prompt, sizeof prompt, 60, ", cat manyvec cat cat cat cat cat cat cat cat");
    t = build(&f, prompt);
    assert_int_equal(t->tokens, 154);
    size_t chunk = 77 * 64;
    float *second = mem_dup(t->states + chunk, chunk * sizeof *second);
    t = build(&f, "cat manyvec cat cat cat cat cat cat cat cat");
    for (size_t i = 0; i < chunk; i++)
        assert_true(fabsf(t->states[i] - second[i]) <= 1e-5f);
    mem_free(second);
    fixture_close(&f);
}

static void two_files_of_one_name_are_refused_when_named(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL);
    write_one("Twice", "emb_params", DT_F32, 1, 64, 1);
    write_one("twice", "emb_params", DT_F32, 1, 64, 2);
    reopen(&f);
    assert_int_equal(build(&f, "once")->tokens, 77);
    cond_release(&f.cond);
    assert_int_equal(cond_build(&f.cond, &f.src, "twice", 1, true, &f.err), ST_USAGE);
    assert_non_null(strstr(f.err.text, "Twice.safetensors and twice.safetensors"));
    fixture_close(&f);
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL);
    for (uint64_t n = 1;; n += 1 + n / 8) {
        mem_fail_at(n, true);
        f.src.run.status = ST_OK;
        enum status st = embeddings_open(&f.src.embeddings, forms, f.c, &f.err);
        if (!st)
            st = cond_build(&f.cond, &f.src, "old-style, cat-toy and easytoy", 1, true, &f.err);
        mem_fail_at(0, false);
        cond_release(&f.cond);
        embeddings_close(f.src.embeddings);
        f.src.embeddings = NULL;
        arena_rewind(&f.arena, 0);
        if (st == ST_OK)
            break;
        assert_int_equal(st, ST_NOMEM);
    }
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_equals_transformers),
        cmocka_unit_test(files_that_do_not_fit_are_refused_when_they_are_named),
        cmocka_unit_test(vectors_stay_together),
        cmocka_unit_test(two_files_of_one_name_are_refused_when_named),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests_name("golden_embedding", tests, NULL, NULL);
}
