/* GGUF files: what the reference package writes is read as it reads it, what breaks any rule of the
 * format is refused with a sentence, and clip.cpp's and stable-diffusion.cpp's layouts give the
 * same models as the files that they were made of. */
#undef TEST_DATA
#define TEST_DATA SOURCE_DIR "/tests/golden"
#include "gguf_make.h"
#include "golden/sd_toy.h"
#include "sampler/checkpoint.h"
#include "unit/weights_expect.h"
#include <math.h>

#define FILES SOURCE_DIR "/tests/unit/weights/"

static struct weights *open_file(const char *path)
{
    struct weights *w;
    struct error err = {0};
    if (weights_open(&w, path, &err))
        fail_msg("%s", err.text);
    return w;
}

static float *values_of(const struct tensor *t)
{
    float *v = mem_array((size_t)tensor_count(t) + 1, sizeof *v);
    assert_non_null(v);
    tensor_to_f32(t, v);
    return v;
}

static void every_type_is_read_as_the_reference_reads_it(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum dtype dtype;
    } want[] = {{"f32", DT_F32},   {"f16", DT_F16},  {"bf16", DT_BF16}, {"q8_0", DT_Q8_0},
                {"q4_0", DT_Q8_0}, {"q4_1", DT_F32}, {"q5_0", DT_Q8_0}, {"q5_1", DT_F32},
                {"conv", DT_F16},  {"q2_k", DT_F32}, {"q3_k", DT_F32},  {"q4_k", DT_F32},
                {"q5_k", DT_F32},  {"q6_k", DT_F32}};
    struct weights *g = open_file(FILES "quants.gguf"), *r = open_file(FILES "quants.safetensors");
    assert_string_equal(weights_format(g), "gguf");
    assert_int_equal(weights_count(g), 15);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const struct tensor *a = weights_find(g, want[i].name), *b = weights_find(r, want[i].name);
        assert_non_null(a);
        assert_int_equal(a->dtype, want[i].dtype);
        assert_true(tensor_same_shape(a, b));
        float *x = values_of(a), *y = values_of(b);
        assert_memory_equal(x, y, (size_t)tensor_count(a) * sizeof *x);
        mem_free(x);
        mem_free(y);
    }
    weights_close(g);
    weights_close(r);
}

static void keys_become_metadata(void **state)
{
    (void)state;
    static const char *const want[][2] = {
        {"general.name", "quants"}, {"a.u32", "7"},        {"a.i32", "-7"},
        {"a.u64", "1099511627776"}, {"a.f32", "0.25"},     {"a.f64", "-1.5"},
        {"a.bool", "true"},         {"a.list", "1,0.5,-2"}};
    struct weights *w = open_file(FILES "quants.gguf");
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_string_equal(weights_meta(w, want[i][0]), want[i][1]);
    assert_null(weights_meta(w, "a.words"));
    assert_null(weights_meta(w, "a.long"));
    weights_close(w);
}

/* One tensor whose fields a case sets, behind `pairs`. */
struct one {
    int ndim;
    uint64_t dim[5];
    uint32_t type;
    uint64_t offset;
    size_t data; /* bytes of the section */
    enum status code;
    const char *word;
};

static struct buf one_tensor(const struct one *o)
{
    struct gguf_out g;
    gguf_begin(&g, 3);
    gguf_string(&g.list, "t");
    gguf_number(&g.list, (uint64_t)o->ndim, 4);
    for (int i = 0; i < o->ndim; i++)
        gguf_number(&g.list, o->dim[i], 8);
    gguf_number(&g.list, o->type, 4);
    gguf_number(&g.list, o->offset, 8);
    for (size_t i = 0; i < o->data; i++)
        buf_putc(&g.data, 0);
    g.n_tensors = 1;
    return gguf_take(&g);
}

static void absurd_tensors_are_refused(void **state)
{
    (void)state;
    static const uint64_t half = UINT64_C(1) << 32, top = UINT64_C(1) << 63;
    const struct one cases[] = {
        {1, {8}, GGUF_F32, 0, 31, ST_FORMAT, "beyond the end"},
        {1, {8}, GGUF_F32, 32, 32, ST_FORMAT, "beyond the end"},
        {1, {8}, GGUF_F32, UINT64_MAX - 31, 32, ST_FORMAT, "beyond the end"},
        {1, {8}, GGUF_F32, 4, 64, ST_FORMAT, "multiple of general.alignment"},
        {2, {half, half}, GGUF_F32, 0, 32, ST_FORMAT, "impossible shape"}, /* 2^64 values */
        {4, {half / 2, half, half, 4}, GGUF_F32, 0, 32, ST_FORMAT, "impossible shape"},
        {1, {top}, GGUF_F32, 0, 32, ST_FORMAT, "impossible shape"},
        {1, {UINT64_MAX}, GGUF_F32, 0, 32, ST_FORMAT, "impossible shape"},
        {1, {top / 2}, GGUF_F32, 0, 32, ST_FORMAT, "impossible shape"}, /* 2^64 bytes */
        {2, {0, top / 2}, GGUF_F32, 0, 32, ST_FORMAT, "impossible shape"},
        {2, {half, half / 128}, GGUF_Q5_1, 0, 32, ST_FORMAT, "beyond the end"},
        {5, {1, 1, 1, 1, 1}, GGUF_F32, 0, 32, ST_FORMAT, "4 dimensions"},
        {1, {48}, GGUF_Q4_0, 0, 64, ST_FORMAT, "blocks of 32"},
        {0, {0}, GGUF_Q8_0, 0, 64, ST_FORMAT, "blocks of 32"},
        {1, {128}, 12, 0, 256, ST_FORMAT, "blocks of 256"},
        {1, {256}, 12, 0, 143, ST_FORMAT, "beyond the end"},
        {2, {half, half / 64}, 14, 0, 32, ST_FORMAT, "beyond the end"}, /* 2^58 values */
        {1, {256}, 16, 0, 256, ST_UNSUPPORTED, "iq2_xxs, which is not read"},
        {1, {8}, 25, 0, 32, ST_UNSUPPORTED, "i16, which is not read"},
        {1, {8}, 4, 0, 32, ST_UNSUPPORTED, "unknown type 4"},
        {1, {8}, UINT32_MAX, 0, 32, ST_UNSUPPORTED, "unknown type"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b = one_tensor(&cases[i]);
        expect_refused(b.data, b.len, cases[i].code, cases[i].word);
        buf_release(&b);
    }
}

static void put(struct buf *b, size_t at, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        b->data[at + (size_t)i] = (char)(v >> (8 * i));
}

static void absurd_headers_are_refused(void **state)
{
    (void)state;
    static const struct one fine = {1, {8}, GGUF_F32, 0, 32, ST_OK, ""};
    static const struct {
        size_t at;
        int bytes;
        uint64_t v;
        enum status code;
        const char *word;
    } cases[] = {
        {4, 4, 1, ST_UNSUPPORTED, "version 1"},
        {4, 4, 0x03000000, ST_UNSUPPORTED, "little-endian"},
        {8, 8, UINT64_MAX, ST_FORMAT, "more than its size allows"},
        {8, 8, 4, ST_FORMAT, "more than its size allows"},
        {16, 8, UINT64_MAX, ST_FORMAT, "more than its size allows"},
        {24, 8, UINT64_MAX, ST_FORMAT, "middle of its header"}, /* the name's length */
        {24, 8, UINT64_MAX - 31, ST_FORMAT, "middle of its header"},
        {32, 1, 0, ST_FORMAT, "no name"},
        {33, 4, UINT32_MAX, ST_FORMAT, "4 dimensions"},
    };
    struct buf b = one_tensor(&fine);
    struct weights *w;
    struct error err = {0};
    assert_int_equal(weights_open_memory(&w, b.data, b.len, "fine", &err), ST_OK);
    weights_close(w);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf c = one_tensor(&fine);
        put(&c, cases[i].at, cases[i].v, cases[i].bytes);
        expect_refused(c.data, c.len, cases[i].code, cases[i].word);
        buf_release(&c);
    }
    for (size_t n = 5; n < b.len; n++) { /* cut anywhere */
        char *copy = mem_dup(b.data, n);
        assert_int_equal(weights_open_memory(&w, copy, n, "cut", &err), ST_FORMAT);
        mem_free(copy);
    }
    buf_release(&b);
}

static void expect_bad_pairs(struct gguf_out *g, enum status code, const char *word)
{
    struct buf b = gguf_take(g);
    expect_refused(b.data, b.len, code, word);
    buf_release(&b);
}

static void list_of(struct gguf_out *g, uint32_t type, uint64_t n)
{
    gguf_begin(g, 2);
    gguf_string(&g->pairs, "list");
    gguf_number(&g->pairs, 9, 4);
    gguf_number(&g->pairs, type, 4);
    gguf_number(&g->pairs, n, 8);
    g->n_pairs = 1;
}

static void absurd_keys_are_refused(void **state)
{
    (void)state;
    static const uint32_t alignments[] = {0, 1, 12, UINT32_MAX, 1u << 31};
    struct gguf_out g;
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++) {
        gguf_begin(&g, 3);
        gguf_u32(&g, "general.alignment", alignments[i]);
        expect_bad_pairs(&g, ST_FORMAT, "power of two");
    }
    list_of(&g, 10, UINT64_C(1) << 61); /* 2^64 bytes */
    expect_bad_pairs(&g, ST_FORMAT, "middle of its header");
    list_of(&g, 8, UINT64_MAX);
    expect_bad_pairs(&g, ST_FORMAT, "middle of its header");
    list_of(&g, 9, 1);
    expect_bad_pairs(&g, ST_FORMAT, "list of a kind");
    list_of(&g, 13, 1);
    expect_bad_pairs(&g, ST_FORMAT, "list of a kind");
    gguf_begin(&g, 3);
    gguf_scalar(&g, "key", 99, 0, 8);
    expect_bad_pairs(&g, ST_FORMAT, "key of a kind");
    gguf_begin(&g, 3);
    gguf_u32(&g, "\xff\xfe", 1);
    expect_bad_pairs(&g, ST_FORMAT, "key of a kind");
}

static void tensors_that_share_bytes_are_refused(void **state)
{
    (void)state;
    static const char zeros[64];
    struct gguf_out g;
    gguf_begin(&g, 3);
    gguf_tensor(&g, "a", 1, (int64_t[]){16}, GGUF_F32, zeros, 64);
    gguf_tensor(&g, "b", 1, (int64_t[]){8}, GGUF_F32, zeros, 32);
    put(&g.list, g.list.len - 8, 32, 8); /* b's offset: a's second half */
    expect_bad_pairs(&g, ST_FORMAT, "shares bytes");
    gguf_begin(&g, 3);
    gguf_tensor(&g, "a", 1, (int64_t[]){16}, GGUF_F32, zeros, 64);
    gguf_tensor(&g, "a", 1, (int64_t[]){8}, GGUF_F32, zeros, 32);
    expect_bad_pairs(&g, ST_FORMAT, "occurs twice");
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    expect_survives_no_memory(FILES "quants.gguf");
}

/* Everything after `from` by `to`. */
static void rename_part(char *name, size_t size, const char *from, const char *to)
{
    char *at = strstr(name, from), rest[256];
    if (!at)
        return;
    snprintf(rest, sizeof rest, "%s", at + strlen(from));
    snprintf(at, size - (size_t)(at - name), "%s%s", to, rest);
}

/* The rules of clip.cpp's convert_hf_to_gguf.py. */
static void clip_cpp_name(const char *from, char *name, size_t size)
{
    static const char *const rules[][2] = {
        {"text_model", "t"},   {"vision_model", "v"}, {"encoder.layers", "blk"},
        {"embeddings.", ""},   {"_proj", ""},         {"self_attn.", "attn_"},
        {"layer_norm", "ln"},  {"layernorm", "ln"},   {"mlp.fc1", "ffn_down"},
        {"mlp.fc2", "ffn_up"}, {"embedding", "embd"}, {"final", "post"},
        {"layrnorm", "ln"}};
    snprintf(name, size, "%s", from);
    for (size_t i = 0; i < sizeof rules / sizeof *rules && !strstr(from, "projection"); i++)
        rename_part(name, size, rules[i][0], rules[i][1]);
}

static void tower_keys(struct gguf_out *g, const char *tower, uint32_t width, uint32_t hidden,
                       uint32_t heads, uint32_t layers)
{
    char key[96];
    const struct {
        const char *name;
        uint32_t v;
    } keys[] = {{"embedding_length", width},
                {"feed_forward_length", hidden},
                {"projection_dim", 24},
                {"attention.head_count", heads},
                {"block_count", layers}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        snprintf(key, sizeof key, "clip.%s.%s", tower, keys[i].name);
        gguf_u32(g, key, keys[i].v);
    }
    snprintf(key, sizeof key, "clip.%s.attention.layer_norm_epsilon", tower);
    gguf_f32(g, key, 1e-5f);
}

/* The toy hf_quick as clip.cpp would write it; `leave` a key or tensor out, or NULL. */
static void write_clip_cpp(const char *from, const char *to, bool vision, float patch)
{
    static const float mean[] = {0.48145466f, 0.4578275f, 0.40821073f},
                       std[] = {0.26862954f, 0.26130258f, 0.27577711f};
    struct weights *w = open_file(from);
    struct gguf_out g;
    gguf_begin(&g, 3);
    gguf_text(&g, "general.architecture", "clip");
    gguf_text(&g, "general.license", "mit");
    gguf_bool(&g, "clip.has_text_encoder", true);
    gguf_bool(&g, "clip.has_vision_encoder", vision);
    gguf_bool(&g, "clip.use_gelu", false);
    tower_keys(&g, "text", 32, 128, 2, 2);
    tower_keys(&g, "vision", 64, 256, 4, 3);
    gguf_u32(&g, "clip.text.context_length", 77);
    gguf_u32(&g, "clip.vision.image_size", 32);
    if (patch == (float)(uint32_t)patch)
        gguf_u32(&g, "clip.vision.patch_size", (uint32_t)patch);
    else
        gguf_f32(&g, "clip.vision.patch_size", patch);
    gguf_f32_list(&g, "clip.vision.image_mean", mean, 3);
    gguf_f32_list(&g, "clip.vision.image_std", std, 3);
    for (int i = 0; i < weights_count(w); i++) {
        char name[256];
        clip_cpp_name(weights_name(w, i), name, sizeof name);
        if (strcmp(name, "logit_scale") != 0)
            gguf_copy(&g, name, weights_at(w, i));
    }
    gguf_write(&g, to);
    weights_close(w);
}

static void encode(const char *path, float *image, float *text, int *dim)
{
    struct clip *c = NULL;
    struct clip_session *s = NULL;
    struct error err = {0};
    const char *words = "two red flowers";
    uint8_t *px = toy_pixels("hf_quick", 1, 32);
    const uint8_t *one = px;
    if (clip_open(&c, path, NULL, &err) || clip_session_new(&s, c, "cpu", 1, &err) ||
        clip_encode_images(s, &one, 1, image, &err) || clip_encode_text(s, &words, 1, text, &err))
        fail_msg("%s", err.text);
    *dim = clip_dim(c);
    if (strstr(path, ".gguf")) {
        assert_string_equal(clip_info(c)->layout, "gguf file");
        assert_string_equal(clip_info(c)->arch, "clip.cpp vit");
        assert_string_equal(clip_info(c)->license, "mit");
        assert_float_equal(clip_info(c)->logit_scale, 100.0f, 1e-4);
    }
    clip_session_free(s);
    clip_close(c);
    mem_free(px);
}

static void expect_clip_refused(const char *path, enum status code, const char *word)
{
    struct clip *c = NULL;
    struct error err = {0};
    assert_int_equal(clip_open(&c, path, NULL, &err), code);
    assert_non_null(strstr(err.text, word));
}

static void clip_cpp_s_file_is_the_model_it_was_made_of(void **state)
{
    (void)state;
    char *file = NULL, *dir = toy_make("hf_quick", "-gguf", NULL, &file);
    char *gguf = mem_printf("toy-%d.gguf", (int)getpid());
    float a[2][CLIP_MAX_DIM], b[2][CLIP_MAX_DIM];
    int n = 0, k = 0;
    write_clip_cpp(file, gguf, true, 8);
    encode(dir, a[0], a[1], &n);
    encode(gguf, b[0], b[1], &k);
    assert_int_equal(n, k);
    assert_memory_equal(a[0], b[0], (size_t)n * sizeof(float));
    assert_memory_equal(a[1], b[1], (size_t)n * sizeof(float));
    write_clip_cpp(file, gguf, false, 8);
    expect_clip_refused(gguf, ST_UNSUPPORTED, "one of the two towers");
    write_clip_cpp(file, gguf, true, 0);
    expect_clip_refused(gguf, ST_FORMAT, "clip.vision.patch_size must be a number");
    write_clip_cpp(file, gguf, true, 8.5f);
    expect_clip_refused(gguf, ST_FORMAT, "clip.vision.patch_size must be a whole number");
    write_clip_cpp(file, gguf, true, 4);
    expect_clip_refused(gguf, ST_FORMAT, "v.patch_embd.weight");
    unlink(gguf);
    mem_free(gguf);
    mem_free(file);
    toy_remove(dir);
}

static void a_stable_diffusion_checkpoint_in_gguf_has_the_same_id(void **state)
{
    (void)state;
    char dir[64], id[2][33];
    snprintf(dir, sizeof dir, "sd-gguf-%d", (int)getpid());
    char *file = sd_toy_write(dir, &(struct sd_toy){0});
    char *gguf = path_join(dir, "toy.gguf");
    struct weights *w = open_file(file);
    struct gguf_out g;
    struct checkpoint *c = NULL;
    struct error err = {0};
    gguf_begin(&g, 3);
    for (int i = 0; i < weights_count(w); i++)
        gguf_copy(&g, weights_name(w, i), weights_at(w, i));
    gguf_write(&g, gguf);
    weights_id(w, id[0]);
    weights_close(w);
    w = open_file(gguf);
    weights_id(w, id[1]);
    weights_close(w);
    assert_string_equal(id[0], id[1]);
    if (checkpoint_open(&c, gguf, NULL, &err))
        fail_msg("%s", err.text);
    checkpoint_close(c);
    mem_free(gguf);
    mem_free(file);
    sd_toy_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_read_as_the_reference_reads_it),
        cmocka_unit_test(keys_become_metadata),
        cmocka_unit_test(absurd_tensors_are_refused),
        cmocka_unit_test(absurd_headers_are_refused),
        cmocka_unit_test(absurd_keys_are_refused),
        cmocka_unit_test(tensors_that_share_bytes_are_refused),
        cmocka_unit_test(running_out_of_memory_is_an_error),
        cmocka_unit_test(clip_cpp_s_file_is_the_model_it_was_made_of),
        cmocka_unit_test(a_stable_diffusion_checkpoint_in_gguf_has_the_same_id),
    };
    return cmocka_run_group_tests_name("gguf", tests, NULL, NULL);
}
