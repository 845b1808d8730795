/* Safetensors files: what the reference library writes is read to the last value, what breaks any
 * rule of the format is refused with a sentence, and what we write is read back. */
#include "weights_expect.h"

#include <unistd.h>

#define FILES TEST_DATA "/weights/"

static struct weights *open_file(const char *path)
{
    struct weights *w;
    struct error err = {0};
    if (weights_open(&w, path, &err))
        fail_msg("%s", err.text);
    return w;
}

static void every_dtype_is_read(void **state)
{
    (void)state;
    struct weights *w = open_file(FILES "state.safetensors");
    expect_plain_tensors(w);
    assert_int_equal(weights_count(w), 11);
    for (int i = 1; i < weights_count(w); i++)
        assert_true(strcmp(weights_name(w, i - 1), weights_name(w, i)) < 0);
    assert_string_equal(weights_format(w), "safetensors");
    assert_string_equal(weights_meta(w, "format"), "pt");
    assert_string_equal(weights_meta(w, "quote\"\n"), "\xc3\xa4\\");
    assert_null(weights_meta(w, "none"));
    assert_null(weights_find(w, "none"));
    assert_int_equal(weights_bytes(w), 953);
    weights_close(w);
}

static void a_wrong_shape_is_named(void **state)
{
    (void)state;
    struct weights *w = open_file(FILES "state.safetensors");
    struct tensor t;
    struct error err;
    assert_int_equal(weights_get(w, "a.f32", 2, (int64_t[]){3, -1}, &t, &err), ST_OK);
    assert_int_equal(weights_get(w, "a.f32", -1, NULL, &t, &err), ST_OK);
    assert_int_equal(weights_get(w, "a.f32", 2, (int64_t[]){4, -1}, &t, &err), ST_FORMAT);
    assert_non_null(strstr(err.text, "'a.f32' is [3,5], not [4,?]"));
    assert_int_equal(weights_get(w, "a.f32", 1, (int64_t[]){15}, &t, &err), ST_FORMAT);
    assert_int_equal(weights_get(w, "gone", 1, (int64_t[]){15}, &t, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.text, "'gone' is missing"));
    weights_close(w);
}

static void shards_are_joined(void **state)
{
    (void)state;
    static const char *const files[] = {"model.safetensors.index.json",
                                        "pytorch_model.bin.index.json"};
    char id[2][33];
    for (int i = 0; i < 2; i++) {
        char *path = mem_printf(FILES "%s", files[i]);
        struct weights *w = open_file(path);
        assert_int_equal(weights_count(w), 4);
        expect_tensor(w, "a.f32", DT_F32, 2, (int64_t[]){3, 5});
        expect_tensor(w, "a.f64", DT_F64, 2, (int64_t[]){2, 2});
        assert_string_equal(weights_meta(w, "note"), "two parts");
        weights_id(w, id[i]);
        weights_close(w);
        mem_free(path);
    }
    assert_string_equal(id[0], id[1]); /* the format does not matter to the id */
}

/* A file of this header, with `data` zero bytes behind it. */
static struct buf with_header(const char *header, size_t data)
{
    struct buf b;
    size_t n = strlen(header);
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 8; i++)
        buf_putc(&b, (char)(n >> (8 * i) & 0xff));
    buf_puts(&b, header);
    for (size_t i = 0; i < data; i++)
        buf_putc(&b, 0);
    assert_false(b.failed);
    return b;
}

static void broken_headers_are_refused(void **state)
{
    (void)state;
#define T(dtype, shape, from, to)                                                                  \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" from "," to "]}"
    static const struct {
        const char *header;
        size_t data;
        enum status code;
        const char *word;
    } bad[] = {
        {"{\"a\":" T("F32", "[4294967296,4294967296]", "0", "0") "}", 0, ST_FORMAT, "impossible"},
        {"{\"a\":" T("F32", "[4294967296,4294967296,0]", "0", "0") "}", 0, ST_FORMAT, "impossible"},
        {"{\"a\":" T("F32", "[4611686018427387905]", "0", "4") "}", 4, ST_FORMAT, "impossible"},
        {"{\"a\":" T("F32", "[99999999999999999999]", "0", "4") "}", 4, ST_FORMAT, "JSON"},
        {"{\"a\":" T("F32", "[-1]", "0", "4") "}", 4, ST_FORMAT, "natural"},
        {"{\"a\":" T("F32", "[-1,-1]", "0", "4") "}", 4, ST_FORMAT, "natural"},
        {"{\"a\":" T("F32", "[1.0]", "0", "4") "}", 4, ST_FORMAT, "natural"},
        {"{\"a\":" T("F32", "[\"1\"]", "0", "4") "}", 4, ST_FORMAT, "natural"},
        {"{\"a\":" T("F32", "[NaN]", "0", "4") "}", 4, ST_FORMAT, "JSON"},
        {"{\"a\":" T("F32", "[1,1,1,1,1,1]", "0", "4") "}", 4, ST_UNSUPPORTED, "6 dimensions"},
        {"{\"a\":" T("F32", "1", "0", "4") "}", 4, ST_FORMAT, "no shape"},
        {"{\"a\":" T("F32", "[1]", "0.0", "4") "}", 4, ST_FORMAT, "data_offsets"},
        {"{\"a\":" T("F32", "[1]", "-4", "0") "}", 4, ST_FORMAT, "outside"},
        {"{\"a\":" T("F32", "[1]", "4", "0") "}", 4, ST_FORMAT, "outside"},
        {"{\"a\":" T("F32", "[1]", "0", "8") "}", 4, ST_FORMAT, "outside"},
        {"{\"a\":" T("F32", "[1]", "0", "4,5") "}", 8, ST_FORMAT, "data_offsets"},
        {"{\"a\":" T("F32", "[2]", "0", "4") "}", 4, ST_FORMAT, "match its bytes"},
        {"{\"a\":" T("F32", "[1]", "4", "8") "}", 8, ST_FORMAT, "hole"},
        {"{\"a\":" T("F32", "[1]", "0", "4") ",\"b\":" T("F32", "[1]", "8", "12") "}", 12,
         ST_FORMAT, "hole"},
        {"{\"a\":" T("F32", "[2]", "0", "8") ",\"b\":" T("F32", "[2]", "4", "12") "}", 12,
         ST_FORMAT, "overlap"},
        {"{\"a\":" T("F32", "[2]", "0", "8") ",\"b\":" T("F32", "[2]", "0", "8") "}", 8, ST_FORMAT,
         "overlap"},
        {"{\"a\":" T("F32", "[1]", "0", "4") "}", 5, ST_FORMAT, "behind the last"},
        {"{}", 1, ST_FORMAT, "behind the last"},
        {"{\"a\":" T("F32", "[1]", "0", "4") ",\"a\":" T("F32", "[1]", "0", "4") "}", 4, ST_FORMAT,
         "JSON"},
        {"{\"a\":" T("Q7", "[1]", "0", "4") "}", 4, ST_FORMAT, "unknown dtype 'Q7'"},
        {"{\"a\":" T("F8_E4M3", "[4]", "0", "4") "}", 4, ST_UNSUPPORTED, "F8_E4M3"},
        {"{\"a\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, ST_FORMAT, "no dtype"},
        {"{\"a\":[]}", 0, ST_FORMAT, "no dtype"},
        {"{\"a\\u0000b\":" T("F32", "[1]", "0", "4") "}", 4, ST_FORMAT, "JSON"},
        {"{\"\xff\":" T("F32", "[1]", "0", "4") "}", 4, ST_FORMAT, "JSON"},
        {"{\"a\":" T("F32", "[1]", "0", "4") "} x", 4, ST_FORMAT, "JSON"},
        {"{\"a\":", 4, ST_FORMAT, "JSON"},
        {"{\"__metadata__\":{\"k\":1}}", 0, ST_FORMAT, "metadata value"},
        {"{\"__metadata__\":[]}", 0, ST_FORMAT, "__metadata__"},
        {"{\"__metadata__\":{\"eidetic.q8_0:a\":\"32\"}}", 0, ST_FORMAT, "q8_0 mark without"},
        {"{\"__metadata__\":{\"eidetic.q8_0:a\":\"64\"},\"a\":" T("U8", "[34]", "0", "34") "}", 34,
         ST_FORMAT, "q8_0 mark that"},
        {"{\"__metadata__\":{\"eidetic.q8_0:a\":\"\"},\"a\":" T("U8", "[34]", "0", "34") "}", 34,
         ST_FORMAT, "q8_0 mark that"},
        {"{\"__metadata__\":{\"eidetic.q8_0:a\":\"99999999999999999999\"},\"a\":" T("U8", "[34]",
                                                                                    "0", "34") "}",
         34, ST_FORMAT, "q8_0 mark that"},
        {"{\"__metadata__\":{\"eidetic.q8_0:a\":\"32\"},\"a\":" T("I8", "[34]", "0", "34") "}", 34,
         ST_FORMAT, "q8_0 mark that"},
        {"{\"a\":" T("I8", "[2,2]", "0", "4") ",\"a.scale\":" T("F32", "[1]", "4", "8") "}", 8,
         ST_FORMAT, "one f32 per row"},
        {"{\"a\":" T("I8", "[2,2]", "0", "4") ",\"a.scale\":" T("F16", "[2]", "4", "8") "}", 8,
         ST_FORMAT, "one f32 per row"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf b = with_header(bad[i].header, bad[i].data);
        expect_refused(b.data, b.len, bad[i].code, bad[i].word);
        buf_release(&b);
    }
}

static void bombs_are_refused(void **state)
{
    (void)state;
    struct buf h;
    buf_init(&h, 8 << 20);
    buf_puts(&h, "{\"a\":");
    for (int i = 0; i < 100000; i++)
        buf_putc(&h, '[');
    struct buf b = with_header(h.data, 0);
    expect_refused(b.data, b.len, ST_FORMAT, "JSON"); /* nested beyond jansson's depth */
    buf_release(&b);
    buf_clear(&h);
    buf_puts(&h, "{\"a\":[0");
    for (int i = 0; i < 1100000; i++)
        buf_puts(&h, ",0");
    buf_puts(&h, "]}");
    uint64_t n = h.len;
    struct buf big;
    buf_init(&big, 8 << 20);
    for (int i = 0; i < 8; i++)
        buf_putc(&big, (char)(n >> (8 * i) & 0xff));
    buf_append(&big, h.data, h.len);
    expect_refused(big.data, big.len, ST_LIMIT, "values");
    buf_release(&big);
    buf_release(&h);
}

static void cut_files_are_refused(void **state)
{
    (void)state;
    char *data;
    size_t size;
    struct weights *w;
    struct error err;
    assert_int_equal(file_read_all(&data, &size, FILES "state.safetensors", 1 << 20, &err), ST_OK);
    for (size_t n = 0; n < size; n++) {
        char *copy = mem_dup(data, n ? n : 1);
        assert_int_not_equal(weights_open_memory(&w, copy, n, "cut.safetensors", &err), ST_OK);
        assert_true(err.text[0] && !strchr(err.text, '\n'));
        mem_free(copy);
    }
    data[5] = 1; /* a header of 2^40 bytes */
    expect_refused(data, size, ST_FORMAT, "not a weight file");
    assert_int_equal(weights_open_memory(&w, data, size, "x.safetensors", &err), ST_LIMIT);
    data[5] = 0;
    data[3] = 100; /* 1.6 GB */
    expect_refused(data, size, ST_LIMIT, "header of");
    data[3] = 5; /* 83 MB: allowed, but not there */
    expect_refused(data, size, ST_FORMAT, "cut short");
    mem_free(data);
    expect_refused("", 0, ST_FORMAT, "empty");
    expect_refused("GGUF....", 8, ST_UNSUPPORTED, "GGUF version");
    expect_refused("\x89PNG", 4, ST_FORMAT, "not a weight file");
}

static void messages_show_hostile_names_safely(void **state)
{
    (void)state;
    struct buf b = with_header("{\"\\u001b[31m\\n\":{\"dtype\":\"F32\",\"shape\":[],\"data_"
                               "offsets\":[0,8]}}",
                               8);
    struct weights *w;
    struct error err;
    assert_int_equal(weights_open_memory(&w, b.data, b.len, "a\x1b\n.safetensors", &err),
                     ST_FORMAT);
    for (const char *s = err.text; *s; s++)
        assert_true((unsigned char)*s >= 0x20);
    buf_release(&b);
}

static void unaligned_tensors_are_copied(void **state)
{
    (void)state;
    struct buf b = with_header("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                               "\"b\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[1,17]}}",
                               17);
    for (int shift = 0; shift < 8; shift++) {
        char *moved = mem_alloc(b.len + 8);
        memcpy(moved + shift, b.data, b.len);
        double two[2] = {1.5, -2.25};
        memcpy(moved + shift + b.len - 16, two, 16);
        struct weights *w;
        assert_int_equal(weights_open_memory(&w, moved + shift, b.len, "x", NULL), ST_OK);
        const struct tensor *t = weights_find(w, "b");
        assert_int_equal((uintptr_t)t->data % 8, 0);
        assert_memory_equal(t->data, two, 16);
        weights_close(w);
        mem_free(moved);
    }
    buf_release(&b);
}

static const char *temp_path(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "/tmp/eidetic-test-%ld-%s", (long)getpid(), name);
    return path;
}

static void an_index_stays_in_its_folder(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
        enum status code;
    } bad[] = {
        {"{\"weight_map\":{\"a\":\"../x.safetensors\"}}", "same folder", ST_FORMAT},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "same folder", ST_FORMAT},
        {"{\"weight_map\":{\"a\":\"..\"}}", "same folder", ST_FORMAT},
        {"{\"weight_map\":{\"a\":\"\"}}", "same folder", ST_FORMAT},
        {"{\"weight_map\":{\"a\":\"b\\\\c\"}}", "same folder", ST_FORMAT},
        {"{\"weight_map\":{\"a\":1}}", "not a string", ST_FORMAT},
        {"{\"weight_map\":{}}", "weight_map", ST_FORMAT},
        {"{\"weight_map\":[]}", "weight_map", ST_FORMAT},
        {"{\"weight_map\":{\"a\":\"none-such\"}}", "none-such", ST_NOT_FOUND},
        {"[]", "not a weight file", ST_FORMAT},
        {"{", "JSON", ST_FORMAT},
    };
    struct weights *w;
    struct error err;
    const char *path = temp_path("index.json");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(file_write_atomic(path, bad[i].text, strlen(bad[i].text), &err), ST_OK);
        assert_int_equal(weights_open(&w, path, &err), bad[i].code);
        assert_non_null(strstr(err.text, bad[i].word));
    }
    /* An index that names itself does not recurse. */
    char *self = mem_printf("{\"weight_map\":{\"a\":\"%s\"}}", strrchr(path, '/') + 1);
    assert_int_equal(file_write_atomic(path, self, strlen(self), &err), ST_OK);
    assert_int_equal(weights_open(&w, path, &err), ST_FORMAT);
    assert_non_null(strstr(err.text, "an index where"));
    mem_free(self);
    unlink(path);
}

static void a_tensor_must_be_in_its_shard(void **state)
{
    (void)state;
    struct error err;
    struct weights *w;
    const char *path = temp_path("index.json");
    char *shard = mem_printf("%s.safetensors", path);
    float one = 1;
    struct weights_out_tensor t = {"a", tensor_view(&one, DT_F32, 1, (int64_t[]){1})};
    assert_int_equal(weights_write(shard, &t, 1, NULL, &err), ST_OK);
    char *text = mem_printf("{\"weight_map\":{\"b\":\"%s\"}}", strrchr(shard, '/') + 1);
    assert_int_equal(file_write_atomic(path, text, strlen(text), &err), ST_OK);
    assert_int_equal(weights_open(&w, path, &err), ST_FORMAT);
    assert_non_null(strstr(err.text, "'b' is not in its shard"));
    unlink(shard);
    unlink(path);
    mem_free(shard);
    mem_free(text);
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    enum { N = 7 };
    static const float f[64] = {1, -2, 3.5f, 0, 7};
    static const float scale[2] = {0.5f, 0.25f};
    static const int8_t q[6] = {1, -2, 3, 127, -127, 0};
    static uint8_t blocks[2 * 68];
    tensor_from_f32(f, 1, 64, DT_Q8_0, blocks, NULL);
    tensor_from_f32(f, 1, 64, DT_Q8_0, blocks + 68, NULL);
    struct weights_out_tensor t[N] = {
        {"z", tensor_view((void *)(uintptr_t)f, DT_F32, 2, (int64_t[]){2, 2})},
        {"q", tensor_view((void *)(uintptr_t)q, DT_I8, 2, (int64_t[]){2, 3})},
        {"blocks", tensor_view(blocks, DT_Q8_0, 3, (int64_t[]){2, 2, 32})},
        {"odd", tensor_view((void *)(uintptr_t)q, DT_U8, 1, (int64_t[]){5})},
        {"half", tensor_view((void *)(uintptr_t)q, DT_F16, 1, (int64_t[]){3})},
        {"name \"\\\x01\xc3\xa4", tensor_view((void *)(uintptr_t)f, DT_I64, 0, NULL)},
        {"none", tensor_view(NULL, DT_F32, 2, (int64_t[]){0, 4})},
    };
    t[1].t.scale = scale;
    const char *meta[] = {"key", "line\n\"x\"", "b", "", NULL};
    const char *path = temp_path("out.safetensors");
    struct error err = {0};
    if (weights_write(path, t, N, meta, &err))
        fail_msg("%s", err.text);
    struct weights *w = open_file(path);
    assert_int_equal(weights_count(w), N);
    for (int i = 0; i < N; i++) {
        const struct tensor *g = weights_find(w, t[i].name);
        size_t bytes;
        assert_non_null(g);
        assert_int_equal(g->dtype, t[i].t.dtype);
        assert_true(g->ndim == t[i].t.ndim && tensor_same_shape(g, &t[i].t));
        assert_true(dtype_bytes(g->dtype, (size_t)tensor_count(g), &bytes));
        assert_true(!bytes || !memcmp(g->data, t[i].t.data, bytes));
        assert_true((const uint8_t *)g->data < w->data + w->size); /* aligned, so not copied */
        assert_true((const uint8_t *)g->data >= w->data);
    }
    assert_memory_equal(weights_find(w, "q")->scale, scale, sizeof scale);
    assert_null(weights_find(w, "q.scale"));
    assert_string_equal(weights_meta(w, "key"), "line\n\"x\"");
    assert_int_equal(weights_meta_count(w), 2); /* marks are not shown */
    const char *value;
    assert_string_equal(weights_meta_at(w, 0, &value), "b");
    assert_string_equal(value, "");
    weights_close(w);
    unlink(path);
}

static void bad_output_is_refused(void **state)
{
    (void)state;
    static const float f[4];
    struct tensor v = tensor_view((void *)(uintptr_t)f, DT_F32, 1, (int64_t[]){4});
    struct weights_out_tensor twice[] = {{"a", v}, {"a", v}};
    struct weights_out_tensor reserved[] = {{"__metadata__", v}};
    struct weights_out_tensor latin[] = {{"\xe4", v}};
    struct error err;
    const char *path = temp_path("bad.safetensors");
    assert_int_equal(weights_write(path, twice, 2, NULL, &err), ST_FORMAT);
    assert_int_equal(weights_write(path, reserved, 1, NULL, &err), ST_FORMAT);
    assert_int_equal(weights_write(path, latin, 1, NULL, &err), ST_FORMAT);
    assert_false(file_exists(path));
    assert_int_equal(weights_write("/none/such/file", twice, 1, NULL, &err), ST_NOT_FOUND);
}

static void writing_survives_every_failure(void **state)
{
    (void)state;
    static const float f[4];
    struct weights_out_tensor t[] = {
        {"a", tensor_view((void *)(uintptr_t)f, DT_F32, 1, (int64_t[]){4})},
        {"b", tensor_view((void *)(uintptr_t)f, DT_I8, 1, (int64_t[]){4})},
    };
    t[1].t.scale = f;
    const char *path = temp_path("fail.safetensors");
    struct error err;
    enum status st = ST_NOMEM;
    for (uint64_t n = 1; st; n++) {
        mem_fail_at(n, false);
        st = weights_write(path, t, 2, (const char *[]){"k", "v", NULL}, &err);
        mem_fail_at(0, false);
        assert_true(!st || st == ST_NOMEM);
        if (file_exists(path)) { /* whole or not at all */
            weights_close(open_file(path));
            unlink(path);
        }
        assert_true(n < 1000);
    }
    unlink(path);
    st = ST_IO;
    for (uint64_t n = 1; st; n++) {
        file_fail_at(n, FILE_OP_WRITE | FILE_OP_FSYNC | FILE_OP_RENAME, 28 /* ENOSPC */, false);
        st = weights_write(path, t, 2, NULL, &err);
        file_fail_at(0, 0, 0, false);
        assert_true(!st || st == ST_NOSPACE);
        assert_true(n < 1000);
    }
    unlink(path);
}

static void opening_survives_every_failed_allocation(void **state)
{
    (void)state;
    expect_survives_no_memory(FILES "state.safetensors");
    expect_survives_no_memory(FILES "model.safetensors.index.json");
}

static void the_id_follows_the_content(void **state)
{
    (void)state;
    char id[3][33];
    struct weights *w = open_file(FILES "state.safetensors");
    weights_id(w, id[0]);
    weights_close(w);
    static float f[4] = {1, 2, 3, 4};
    struct weights_out_tensor t = {"a", tensor_view(f, DT_F32, 1, (int64_t[]){4})};
    const char *path = temp_path("id.safetensors");
    const char *with_id[] = {"eidetic.source_id", "0123456789abcdef0123456789abcdef", NULL};
    const char *no_id[] = {"eidetic.source_id", "0123456789ABCDEF0123456789abcdef", NULL};
    assert_int_equal(weights_write(path, &t, 1, with_id, NULL), ST_OK);
    w = open_file(path);
    weights_id(w, id[1]);
    assert_string_equal(id[1], with_id[1]);
    weights_close(w);
    assert_int_equal(weights_write(path, &t, 1, no_id, NULL), ST_OK);
    w = open_file(path);
    weights_id(w, id[1]);
    weights_close(w);
    f[3] = 5;
    assert_int_equal(weights_write(path, &t, 1, NULL, NULL), ST_OK);
    w = open_file(path);
    weights_id(w, id[2]);
    weights_close(w);
    assert_string_not_equal(id[0], id[1]);
    assert_string_not_equal(id[1], id[2]);
    assert_string_not_equal(id[1], no_id[1]);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_dtype_is_read),
        cmocka_unit_test(a_wrong_shape_is_named),
        cmocka_unit_test(shards_are_joined),
        cmocka_unit_test(broken_headers_are_refused),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(cut_files_are_refused),
        cmocka_unit_test(messages_show_hostile_names_safely),
        cmocka_unit_test(unaligned_tensors_are_copied),
        cmocka_unit_test(an_index_stays_in_its_folder),
        cmocka_unit_test(a_tensor_must_be_in_its_shard),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(bad_output_is_refused),
        cmocka_unit_test(writing_survives_every_failure),
        cmocka_unit_test(opening_survives_every_failed_allocation),
        cmocka_unit_test(the_id_follows_the_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
