/* Conversion of weight files: each tensor takes the type that its shape allows, values stay close,
 * the source's id and metadata travel along, and a failure leaves no file. */
#include "weights_expect.h"

#include "core/rng.h"
#include "nn/convert.h"
#include <math.h>
#include <unistd.h>

#define FILES TEST_DATA "/weights/"

static void temp_path(char *path, size_t size, const char *name)
{
    snprintf(path, size, "/tmp/eidetic-test-%ld-%s.safetensors", (long)getpid(), name);
}

static struct weights *open_file(const char *path)
{
    struct weights *w;
    struct error err = {0};
    if (weights_open(&w, path, &err))
        fail_msg("%s", err.text);
    return w;
}

static float big[2048];

/* A model of every shape that matters. */
static void write_source(const char *path)
{
    struct rng r = {5};
    static float large[64];
    static int64_t positions[6] = {0, 1, 2, 3, 4, 5};
    for (size_t i = 0; i < sizeof big / sizeof *big; i++)
        big[i] = rng_normal(&r) * 0.02f;
    large[0] = 1e6f;
    large[1] = 1;
    struct weights_out_tensor t[] = {
        {"bias", tensor_view(big, DT_F32, 1, (int64_t[]){24})},
        {"conv", tensor_view(big, DT_F32, 4, (int64_t[]){8, 3, 8, 8})},
        {"depthwise", tensor_view(big, DT_F32, 4, (int64_t[]){12, 1, 3, 3})},
        {"empty", tensor_view(big, DT_F32, 2, (int64_t[]){0, 32})},
        {"large", tensor_view(large, DT_F32, 2, (int64_t[]){8, 8})},
        {"matrix", tensor_view(big, DT_F32, 2, (int64_t[]){24, 64})},
        {"positions", tensor_view(positions, DT_I64, 2, (int64_t[]){1, 6})},
        {"small", tensor_view(big, DT_F32, 2, (int64_t[]){2, 384})},
        {"scalar", tensor_view(big, DT_F32, 0, NULL)},
    };
    const char *meta[] = {"format", "pt", "license", "MIT", NULL};
    struct error err = {0};
    if (weights_write(path, t, (int)(sizeof t / sizeof *t), meta, &err))
        fail_msg("%s", err.text);
}

static const char *type_of(const struct weights *w, const char *name)
{
    const struct tensor *t = weights_find(w, name);
    return t ? dtype_name(t->dtype) : "absent";
}

static void each_tensor_takes_the_type_that_suits_it(void **state)
{
    (void)state;
    static const struct {
        enum dtype to;
        const char *conv, *depthwise, *large, *matrix;
        double error;
    } want[] = {
        {DT_F32, "f32", "f32", "f32", "f32", 0},         {DT_F16, "f16", "f16", "f32", "f16", 4e-4},
        {DT_BF16, "bf16", "bf16", "bf16", "bf16", 3e-3}, {DT_I8, "i8", "f16", "f32", "i8", 9e-3},
        {DT_Q8_0, "f16", "f16", "f32", "q8_0", 6e-3},
    };
    char in[128], out[128], id[33];
    temp_path(in, sizeof in, "in");
    temp_path(out, sizeof out, "out");
    write_source(in);
    struct weights *source = open_file(in);
    weights_id(source, id);
    weights_close(source);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct convert_stats s;
        struct error err = {0};
        if (convert_weights(in, out, want[i].to, NULL, &s, &err))
            fail_msg("%s", err.text);
        struct weights *w = open_file(out);
        assert_string_equal(type_of(w, "conv"), want[i].conv);
        assert_string_equal(type_of(w, "depthwise"), want[i].depthwise);
        assert_string_equal(type_of(w, "large"), want[i].large);
        assert_string_equal(type_of(w, "matrix"), want[i].matrix);
        assert_string_equal(type_of(w, "bias"), "f32");
        bool eight = want[i].to == DT_I8 || want[i].to == DT_Q8_0;
        assert_string_equal(type_of(w, "small"), eight ? "f16" : dtype_name(want[i].to));
        assert_string_equal(type_of(w, "scalar"), "f32");
        assert_string_equal(type_of(w, "positions"), "i64");
        assert_string_equal(weights_meta(w, "license"), "MIT");
        assert_string_equal(weights_meta(w, "eidetic.source_id"), id);
        assert_string_equal(s.source_id, id);
        assert_true(s.worst_error <= want[i].error);
        assert_true(s.tensors == 9 && s.bytes_out <= s.bytes_in);
        struct tensor t;
        assert_int_equal(weights_get(w, "matrix", 2, (int64_t[]){24, 64}, &t, NULL), ST_OK);
        float y[24 * 64];
        tensor_to_f32(&t, y);
        double e = 0;
        for (int k = 0; k < 24 * 64; k++)
            e += (double)(y[k] - big[k]) * (y[k] - big[k]);
        assert_true(sqrt(e / (24 * 64)) <= want[i].error * 0.021);
        weights_close(w);
    }
    unlink(in);
    unlink(out);
}

static void the_id_survives_a_chain_of_conversions(void **state)
{
    (void)state;
    char a[128], b[128], first[33], last[33];
    temp_path(a, sizeof a, "a");
    temp_path(b, sizeof b, "b");
    write_source(a);
    struct weights *w = open_file(a);
    weights_id(w, first);
    weights_close(w);
    static const enum dtype chain[] = {DT_F16, DT_I8, DT_Q8_0, DT_F32};
    for (int i = 0; i < 4; i++)
        assert_int_equal(convert_weights(i ? b : a, b, chain[i], NULL, NULL, NULL), ST_OK);
    w = open_file(b);
    weights_id(w, last);
    assert_string_equal(first, last);
    assert_string_equal(type_of(w, "matrix"), "f32");
    weights_close(w);
    unlink(a);
    unlink(b);
}

static void pytorch_files_become_safetensors(void **state)
{
    (void)state;
    char out[128], a[33], b[33];
    temp_path(out, sizeof out, "pt");
    assert_int_equal(convert_weights(FILES "training.ckpt", out, DT_F32, NULL, NULL, NULL), ST_OK);
    struct weights *w = open_file(out), *s = open_file(FILES "training.ckpt");
    assert_int_equal(weights_count(w), weights_count(s));
    for (int i = 0; i < weights_count(w); i++) {
        assert_string_equal(weights_name(w, i), weights_name(s, i));
        assert_true(tensor_same_shape(weights_at(w, i), weights_at(s, i)));
    }
    expect_tensor(w, "view.last", DT_F32, 4, (int64_t[]){2, 3, 4, 5});
    expect_tensor(w, "a.f16", DT_F32, 3, (int64_t[]){2, 3, 4});
    weights_id(w, a);
    weights_id(s, b);
    assert_string_equal(a, b);
    weights_close(w);
    weights_close(s);
    unlink(out);
}

static int stop_half_way(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    return done > total / 2;
}

static void options_are_obeyed(void **state)
{
    (void)state;
    static const char *const keep[] = {"mat*", NULL};
    static const char *const meta[] = {"license", "other", "note", "x", NULL};
    char in[128], out[128];
    temp_path(in, sizeof in, "in");
    temp_path(out, sizeof out, "out");
    write_source(in);
    struct convert_opts o = {.keep = keep, .meta = meta};
    assert_int_equal(convert_weights(in, out, DT_I8, &o, NULL, NULL), ST_OK);
    struct weights *w = open_file(out);
    assert_string_equal(type_of(w, "matrix"), "f16");
    assert_string_equal(type_of(w, "conv"), "i8");
    assert_string_equal(weights_meta(w, "license"), "other");
    assert_string_equal(weights_meta(w, "note"), "x");
    weights_close(w);
    unlink(out);
    o.progress = stop_half_way;
    assert_int_equal(convert_weights(in, out, DT_I8, &o, NULL, NULL), ST_INTERRUPTED);
    assert_false(file_exists(out));
    unlink(in);
}

static void a_causal_mask_is_no_weight(void **state)
{
    (void)state;
    char in[128], out[128];
    struct error err = {0};
    temp_path(in, sizeof in, "in");
    temp_path(out, sizeof out, "out");
    static float mask[64 * 64];
    for (int i = 0; i < 64 * 64; i++)
        mask[i] = i % 64 > i / 64 ? -INFINITY : 0.0f;
    struct weights_out_tensor t = {"transformer.attn_mask",
                                   tensor_view(mask, DT_F32, 2, (int64_t[]){64, 64})};
    assert_int_equal(weights_write(in, &t, 1, NULL, NULL), ST_OK);
    for (int i = 0; i < 2; i++) {
        if (convert_weights(in, out, i ? DT_I8 : DT_Q8_0, NULL, NULL, &err))
            fail_msg("%s", err.text);
        struct weights *w = open_file(out);
        assert_string_equal(type_of(w, "transformer.attn_mask"), "f16");
        static float y[64 * 64];
        tensor_to_f32(weights_find(w, "transformer.attn_mask"), y);
        assert_memory_equal(y, mask, sizeof y);
        weights_close(w);
    }
    unlink(in);
    unlink(out);
}

static void bad_requests_leave_no_file(void **state)
{
    (void)state;
    char in[128], out[128];
    struct error err;
    temp_path(in, sizeof in, "in");
    temp_path(out, sizeof out, "out");
    write_source(in);
    assert_int_equal(convert_weights(in, out, DT_I64, NULL, NULL, &err), ST_USAGE);
    assert_int_equal(convert_weights("/none/such", out, DT_I8, NULL, NULL, &err), ST_NOT_FOUND);
    static float bad[1024] = {1, NAN};
    struct weights_out_tensor t = {"m", tensor_view(bad, DT_F32, 2, (int64_t[]){2, 512})};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(weights_write(in, &t, 1, NULL, NULL), ST_OK);
        assert_int_equal(convert_weights(in, out, DT_I8, NULL, NULL, &err), ST_FORMAT);
        assert_non_null(strstr(err.text, "'m' holds NaN or infinity"));
        assert_int_equal(convert_weights(in, out, DT_Q8_0, NULL, NULL, &err), ST_FORMAT);
        bad[1] = INFINITY;
    }
    assert_false(file_exists(out));
    unlink(in);
}

static void converting_survives_every_failed_allocation(void **state)
{
    (void)state;
    char in[128], out[128];
    struct error err;
    temp_path(in, sizeof in, "in");
    temp_path(out, sizeof out, "out");
    write_source(in);
    enum status st = ST_NOMEM;
    for (uint64_t n = 1; st; n++) {
        mem_fail_at(n, false);
        st = convert_weights(in, out, DT_I8, NULL, NULL, &err);
        mem_fail_at(0, false);
        assert_true(!st || st == ST_NOMEM);
        assert_true(n < 10000);
    }
    unlink(in);
    unlink(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_tensor_takes_the_type_that_suits_it),
        cmocka_unit_test(the_id_survives_a_chain_of_conversions),
        cmocka_unit_test(pytorch_files_become_safetensors),
        cmocka_unit_test(options_are_obeyed),
        cmocka_unit_test(a_causal_mask_is_no_weight),
        cmocka_unit_test(bad_requests_leave_no_file),
        cmocka_unit_test(converting_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
