/* Captioners on toy weights against transformers and the authors' code
 * (scripts/make_golden_caption.py): logits to 1e-4 of values of about 3 (1e-3 is promised), and
 * every text of every beam, whose scores are held to 1e-4 and 1e-5 of themselves. */
#include "caption/captioner.h"
#include "golden/clip_toy.h"
#include <math.h>

struct toy {
    const char *name;
    char *dir;
    json_t *m;
    struct captioner *c;
    struct captioner_session *s;
    float *places; /* of the last picture, where the captioner wants them */
};

/* A tensor's seed is its name behind `skip` characters, behind `before`. */
static void write_tensors(const char *toy, const json_t *rows, const char *dir, const char *file,
                          const char *before, size_t skip)
{
    size_t n = json_array_size(rows);
    struct weights_out_tensor *t = mem_zarray(n + 1, sizeof *t);
    struct error err = {0};
    for (size_t i = 0; i < n; i++) {
        json_t *r = json_array_get(rows, i), *shape = json_array_get(r, 1);
        int64_t dims[TENSOR_MAX_DIMS] = {0};
        char seed[256];
        for (size_t j = 0; j < json_array_size(shape); j++)
            dims[j] = json_integer_value(json_array_get(shape, j));
        const char *name = json_string_value(json_array_get(r, 0));
        snprintf(seed, sizeof seed, "%s%s", before, name + skip);
        struct tensor v = tensor_view(NULL, DT_F32, (int)json_array_size(shape), dims);
        v.data = toy_values(toy, seed, (size_t)tensor_count(&v), DT_F32,
                            json_number_value(json_array_get(r, 3)),
                            json_number_value(json_array_get(r, 4)));
        t[i] = (struct weights_out_tensor){name, v};
    }
    char *path = path_join(dir, file);
    if (weights_write(path, t, (int)n, NULL, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < n; i++)
        mem_free(t[i].t.data);
    mem_free(path);
    mem_free(t);
}

static void copy_file(const char *from, const char *dir, const char *name)
{
    char *data = NULL, *path = path_join(dir, name);
    size_t size = 0;
    assert_int_equal(file_read_all(&data, &size, from, 1 << 24, NULL), ST_OK);
    assert_int_equal(file_write_atomic(path, data, size, NULL), ST_OK);
    mem_free(data);
    mem_free(path);
}

static void toy_write(struct toy *y, const char *name)
{
    char path[512];
    json_error_t je;
    *y = (struct toy){.name = name};
    snprintf(path, sizeof path, "%s/caption/%s.json", TEST_DATA, name);
    y->m = json_load_file(path, 0, &je);
    assert_non_null(y->m);
    y->dir = mem_printf("toy-caption-%d-%s", (int)getpid(), name);
    assert_int_equal(file_make_dirs(y->dir, NULL), ST_OK);
    toy_write_files(y->m, y->dir, NULL);
    const char *file = json_string_value(json_object_get(y->m, "weights"));
    json_t *rows = json_object_get(y->m, "tensors"), *more = json_object_get(y->m, "more");
    if (json_array_size(rows)) {
        write_tensors(name, rows, y->dir, file, "",
                      (size_t)json_integer_value(json_object_get(y->m, "seed_skip")));
    } else {
        snprintf(path, sizeof path, "%s/caption/%s.pt", TEST_DATA, name);
        copy_file(path, y->dir, file);
    }
    if (json_array_size(more))
        write_tensors(name, more, y->dir, "model.safetensors", "gpt.", 0);
}

static void toy_open(struct toy *y, const char *name)
{
    struct error err = {0};
    toy_write(y, name);
    if (captioner_open(&y->c, y->dir, &err) ||
        captioner_session_new(&y->s, y->c, test_device(), 2, &err))
        fail_msg("%s: %s", name, err.text);
}

static void toy_close(struct toy *y)
{
    static const char *const names[] = {"config.json", "vocab.json", "merges.txt",
                                        "toy.pt",      "mapper.pt",  "model.safetensors",
                                        "vocab.txt",   "toy.pth",    "preprocessor_config.json"};
    captioner_session_free(y->s);
    captioner_close(y->c);
    mem_free(y->places);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = path_join(y->dir, names[i]);
        unlink(path);
        mem_free(path);
    }
    rmdir(y->dir);
    mem_free(y->dir);
    json_decref(y->m);
}

/* Picture i of a toy, or its first one where i < 0. */
static void *picture(struct toy *y, int i, struct captioner_input *in)
{
    const struct captioner_info *info = captioner_info(y->c);
    char name[64] = "vector";
    if (info->wants == CAPTIONER_PIXELS) {
        uint8_t *px = toy_pixels(y->name, 64, captioner_prep(y->c).size);
        in->pixels = px + (size_t)(i + 1) * (size_t)captioner_prep(y->c).size *
                              (size_t)captioner_prep(y->c).size * 3;
        return px;
    }
    if (i >= 0)
        snprintf(name, sizeof name, "vector %d", i);
    float *v = toy_values(y->name, name, (size_t)info->clip_dim, DT_F32, 0.0, 1.0);
    in->vector = v;
    if (info->wants == CAPTIONER_PLACES) {
        char tail[64];
        snprintf(tail, sizeof tail, i >= 0 ? "places %d" : "places", i);
        mem_free(y->places);
        y->places =
            toy_values(y->name, tail, (size_t)(info->places * info->place_width), DT_F32, 0.0, 1.0);
        in->places = y->places;
    }
    return v;
}

static void check_logits(struct toy *y)
{
    struct captioner_input in = {0};
    struct weights *w = NULL;
    struct error err = {0};
    char path[512];
    snprintf(path, sizeof path, "%s/caption/%s.safetensors", TEST_DATA, y->name);
    assert_int_equal(weights_open(&w, path, &err), ST_OK);
    json_t *list = json_object_get(y->m, "ids");
    int32_t ids[64];
    int n = (int)json_array_size(list), vocab = captioner_info(y->c)->vocab;
    for (int i = 0; i < n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(list, (size_t)i));
    struct tensor want;
    if (weights_get(w, "logits", 2, (int64_t[]){n + 1, -1}, &want, &err))
        fail_msg("%s", err.text);
    float *got = mem_array((size_t)(n + 1) * (size_t)vocab, sizeof *got), worst = 0;
    void *held = picture(y, -1, &in);
    if (captioner_logits(y->s, &in, ids, n, got, &err))
        fail_msg("%s: %s", y->name, err.text);
    for (int64_t i = 0; i < tensor_count(&want); i++)
        worst = fmaxf(worst, fabsf(got[i / want.dim[1] * vocab + i % want.dim[1]] -
                                   ((const float *)want.data)[i]));
    printf("%s: logits differ by %.2g at most\n", y->name, (double)worst);
    assert_true(worst <= 1e-4f);
    mem_free(held);
    mem_free(got);
    weights_close(w);
}

static void check_case(struct toy *y, int i, const json_t *o)
{
    struct captioner_input in = {0};
    struct captions l = {0};
    struct error err = {0};
    struct caption_opts c = {
        .decode = {.beams = (int)json_integer_value(json_object_get(o, "beams")),
                   .max_tokens = (int)json_integer_value(json_object_get(o, "max")),
                   .min_tokens = (int)json_integer_value(json_object_get(o, "min"))}};
    const json_t *length = json_object_get(o, "length");
    c.prompt = json_string_value(json_object_get(o, "prompt"));
    c.decode.repetition_penalty = (float)json_number_value(json_object_get(o, "repetition"));
    if (length && c.decode.beams > 1)
        c.decode.length_penalty =
            json_number_value(length) == 0.0 ? DECODE_NO_LENGTH : (float)json_number_value(length);
    void *held = picture(y, i, &in);
    if (captioner_say(y->s, &in, &c, &l, &err))
        fail_msg("%s %d: %s", y->name, i, err.text);
    const json_t *texts = json_object_get(o, "texts"), *scores = json_object_get(o, "scores");
    assert_int_equal(l.n, json_array_size(texts));
    for (int k = 0; k < l.n; k++) {
        const char *want = json_string_value(json_array_get(texts, (size_t)k));
        if (strcmp(l.item[k].text, want) != 0)
            fail_msg("%s, case %d, beam %d: \"%s\" is not \"%s\"", y->name, i, k, l.item[k].text,
                     want);
        double score = json_number_value(json_array_get(scores, (size_t)k));
        if (json_array_size(scores) &&
            fabs((double)l.item[k].score - score) > 1e-4 + 1e-5 * fabs(score))
            fail_msg("%s, case %d, beam %d: score %g is not %g", y->name, i, k,
                     (double)l.item[k].score, score);
    }
    captions_release(&l);
    mem_free(held);
}

static void check_toy(const char *name)
{
    struct toy y;
    toy_open(&y, name);
    check_logits(&y);
    json_t *cases = json_object_get(y.m, "cases");
    size_t n = json_array_size(cases), step = strcmp(test_device(), "cuda:emulated") ? 1 : 7;
    for (size_t i = 0; i < n; i += step) /* an emulated device is slow */
        check_case(&y, (int)i, json_array_get(cases, i));
    for (int turn = 0; turn < 2; turn++) /* the second time a device replays its steps */
        check_case(&y, 0, json_array_get(cases, 0));
    printf("%s: %zu cases say the same\n", name, (n + step - 1) / step);
    toy_close(&y);
}

static void clipcap_of_one_file_equals_the_reference(void **state)
{
    (void)state;
    check_toy("clipcap_mlp");
}

static void clipcap_mapper_beside_gpt2_equals_the_reference(void **state)
{
    (void)state;
    check_toy("clipcap_transformer");
}

static void blip_of_transformers_equals_it(void **state)
{
    (void)state;
    check_toy("blip");
}

static void blip_of_the_authors_equals_the_reference(void **state)
{
    (void)state;
    check_toy("blip_lavis");
}

static void the_starters_own_equals_the_reference(void **state)
{
    (void)state;
    check_toy("starter");
}

static void folders_are_known_by_their_small_files(void **state)
{
    (void)state;
    static const char *const known[] = {"clipcap_mlp", "clipcap_transformer", "blip", "starter"};
    struct toy y;
    for (size_t i = 0; i < 4; i++) {
        toy_write(&y, known[i]);
        assert_true(captioner_probe(y.dir));
        toy_close(&y);
    }
    assert_false(captioner_probe(SOURCE_DIR "/models/starter"));
    assert_false(captioner_probe("/dev/null/none"));
}

static void gpt2_ids_and_texts_equal_transformers(void **state)
{
    (void)state;
    struct toy y;
    struct tokenizer *t = NULL;
    struct token_list l = {0};
    json_t *row;
    size_t i;
    toy_write(&y, "clipcap_mlp");
    assert_int_equal(tokenizer_open(&t, TOKENIZER_GPT2, y.dir, NULL), ST_OK);
    json_array_foreach(json_object_get(y.m, "encode"), i, row)
    {
        const char *text = json_string_value(json_array_get(row, 0));
        const json_t *ids = json_array_get(row, 1);
        struct buf b;
        buf_init(&b, 1 << 16);
        assert_int_equal(tokenizer_encode(t, text, strlen(text), &l, NULL), ST_OK);
        assert_int_equal(l.n, json_array_size(ids) + 2); /* begin and end */
        for (size_t k = 0; k < json_array_size(ids); k++)
            if (l.id[k + 1] != json_integer_value(json_array_get(ids, k)))
                fail_msg("\"%s\": id %zu is %d", text, k, l.id[k + 1]);
        assert_int_equal(tokenizer_decode(t, l.id, l.n, &b, NULL), ST_OK);
        assert_string_equal(b.data ? b.data : "", json_string_value(json_array_get(row, 2)));
        buf_release(&b);
    }
    token_list_release(&l);
    tokenizer_close(t);
    toy_close(&y);
}

static void check_refused(const char *toy, const char *file, const char *content, enum status code,
                          const char *part)
{
    struct toy y;
    struct error err = {0};
    toy_write(&y, toy);
    char *path = path_join(y.dir, file);
    assert_int_equal(file_write_atomic(path, content, strlen(content), NULL), ST_OK);
    enum status st = captioner_open(&y.c, y.dir, &err);
    if (st != code || !strstr(err.text, part))
        fail_msg("%s %s, \"%s\": %s: %s", toy, file, part, status_name(st), err.text);
    assert_null(y.c);
    mem_free(path);
    toy_close(&y);
}

static void files_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *file, *content;
        enum status code;
        const char *part;
    } bad[] = {
        {"config.json", "{\"n_embd\": 32", ST_FORMAT, "config.json"},
        {"config.json", "{\"n_embd\": 48, \"n_head\": 4}", ST_FORMAT, "is [420,32], not"},
        {"config.json", "{\"n_embd\": 32, \"n_head\": 5}", ST_FORMAT, "not a multiple of 5 heads"},
        {"config.json", "{\"n_embd\": 32, \"n_head\": 4, \"activation_function\": \"swish\"}",
         ST_UNSUPPORTED, "swish"},
        {"vocab.json", "{\"a\": 0}", ST_FORMAT, "merge"},
        {"vocab.json", "[1]", ST_FORMAT, "object"},
        {"merges.txt", "a\n", ST_FORMAT, "two pieces"},
        {"toy.pt", "not a weight file", ST_FORMAT, "toy.pt"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_refused("clipcap_mlp", bad[i].file, bad[i].content, bad[i].code, bad[i].part);
}

/* One key of the starter's config.json changed. */
static void check_changed(const char *key, json_t *value, enum status code, const char *part)
{
    char path[512];
    snprintf(path, sizeof path, "%s/caption/starter.json", TEST_DATA);
    json_t *m = json_load_file(path, 0, NULL);
    json_t *config = json_object_get(json_object_get(m, "files"), "config.json");
    assert_int_equal(json_object_set_new(config, key, value), 0);
    char *text = json_dumps(config, 0);
    check_refused("starter", "config.json", text, code, part);
    free(text);
    json_decref(m);
}

static void a_starters_config_must_fit_its_weights(void **state)
{
    (void)state;
    check_changed("tower", json_string("starter"), ST_FORMAT, "tower is no model's id");
    check_changed("tower", json_integer(3), ST_FORMAT, "tower");
    check_changed("hidden_size", json_integer(64), ST_FORMAT, "tokens.weight");
    check_changed("hidden_size", json_integer(1 << 30), ST_FORMAT, "hidden_size");
    check_changed("num_attention_heads", json_integer(5), ST_FORMAT, "not a multiple of 5 heads");
    check_changed("num_attention_heads", json_integer(0), ST_FORMAT, "num_attention_heads");
    check_changed("num_hidden_layers", json_integer(3), ST_NOT_FOUND, "layers.2");
    check_changed("intermediate_size", json_integer(100), ST_FORMAT, "layers.0.fc1");
    check_changed("max_position_embeddings", json_integer(29), ST_FORMAT, "positions.weight");
    check_changed("vocab_size", json_integer(4), ST_FORMAT, "tokens.weight");
    check_changed("place_width", json_integer(25), ST_FORMAT, "vector.weight");
    check_changed("places", json_integer(1 << 20), ST_FORMAT, "places");
    check_changed("layer_norm_eps", json_real(-1), ST_FORMAT, "layer_norm_eps");
    check_changed("bos_token_id", json_integer(100000), ST_FORMAT, "bos_token_id");
    check_changed("eos_token_id", json_integer(100000), ST_FORMAT, "end token");
    check_changed("model_type", json_string("other"), ST_UNSUPPORTED, "not a captioner");
    check_refused("starter", "config.json", "{\"model_type\": \"eidetic_captioner\"", ST_FORMAT,
                  "config.json");
    check_refused("starter", "vocab.txt", "a\nb\n", ST_FORMAT, "the vocabulary has");
    check_refused("starter", "model.safetensors", "x", ST_FORMAT, "model.safetensors");
}

/* At every length the file is either refused or, cut behind its last tensor, whole. */
static void a_starter_that_is_cut_off_is_refused(void **state)
{
    (void)state;
    struct toy y;
    char *data = NULL;
    size_t size = 0;
    toy_write(&y, "starter");
    char *path = path_join(y.dir, "model.safetensors");
    assert_int_equal(file_read_all(&data, &size, path, 1 << 24, NULL), ST_OK);
    for (size_t n = 0; n < size; n += n < 64 ? 1 : size / 61) {
        struct error err = {0};
        struct captioner *c = NULL;
        assert_int_equal(file_write_atomic(path, data, n, NULL), ST_OK);
        enum status st = captioner_open(&c, y.dir, &err);
        if (st != ST_FORMAT && st != ST_NOT_FOUND)
            fail_msg("%zu bytes: %s", n, status_name(st));
        assert_null(c);
    }
    mem_free(path);
    mem_free(data);
    toy_close(&y);
}

static void another_clip_is_refused_by_name(void **state)
{
    (void)state;
    struct toy y;
    struct error err = {0};
    struct clip_info clip = {.name = "other", .dim = 24, .places = 9, .place_width = 24};
    toy_open(&y, "starter");
    snprintf(clip.id, sizeof clip.id, "%s", captioner_info(y.c)->clip_id);
    assert_int_equal(captioner_fits(y.c, &clip, &err), ST_OK);
    clip.id[3] = 'f';
    assert_int_equal(captioner_fits(y.c, &clip, &err), ST_UNSUPPORTED);
    assert_non_null(strstr(err.text, "other is 012f456789abcdef0123456789abcdef"));
    snprintf(clip.id, sizeof clip.id, "%s", captioner_info(y.c)->clip_id);
    clip.places = 0;
    assert_int_equal(captioner_fits(y.c, &clip, &err), ST_FORMAT);
    clip.places = 9;
    clip.dim = 32;
    assert_int_equal(captioner_fits(y.c, &clip, &err), ST_FORMAT);
    toy_close(&y);
}

static void check_memory(const char *name)
{
    struct toy y;
    struct error err = {0};
    toy_write(&y, name);
    bool done = false;
    for (uint64_t n = 1; !done && n < 4000; n += n < 60 ? 1 : 37) {
        mem_fail_at(n, true);
        struct captioner *c = NULL;
        struct captioner_session *s = NULL;
        struct captions l = {0};
        float v[64] = {0}, places[512] = {0};
        struct caption_opts o = {.decode = {.beams = 2, .max_tokens = 4}};
        enum status st = captioner_open(&c, y.dir, &err);
        if (!st)
            st = captioner_session_new(&s, c, "cpu", 1, &err);
        if (!st)
            st = captioner_say(s, &(struct captioner_input){.vector = v, .places = places}, &o, &l,
                               &err);
        mem_fail_at(0, false);
        done = !st;
        captions_release(&l);
        captioner_session_free(s);
        captioner_close(c);
    }
    assert_true(done);
    toy_close(&y);
}

static void memory_that_runs_out_is_said(void **state)
{
    (void)state;
    check_memory("clipcap_mlp");
    check_memory("starter");
}
/* "write CASE" leaves a toy in $TOY_DIR for tests/e2e and prints it. */
static int write_only(const char *name)
{
    const char *to = getenv("TOY_DIR");
    struct toy y;
    toy_write(&y, name);
    if (!to || rename(y.dir, to))
        return 1;
    puts(to);
    json_decref(y.m);
    mem_free(y.dir);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "write"))
        return write_only(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clipcap_of_one_file_equals_the_reference),
        cmocka_unit_test(clipcap_mapper_beside_gpt2_equals_the_reference),
        cmocka_unit_test(blip_of_transformers_equals_it),
        cmocka_unit_test(blip_of_the_authors_equals_the_reference),
        cmocka_unit_test(folders_are_known_by_their_small_files),
        cmocka_unit_test(gpt2_ids_and_texts_equal_transformers),
        cmocka_unit_test(the_starters_own_equals_the_reference),
        cmocka_unit_test(files_that_do_not_fit_are_refused),
        cmocka_unit_test(a_starters_config_must_fit_its_weights),
        cmocka_unit_test(a_starter_that_is_cut_off_is_refused),
        cmocka_unit_test(another_clip_is_refused_by_name),
        cmocka_unit_test(memory_that_runs_out_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
