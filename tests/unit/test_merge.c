/* Mixing weight files: AUTOMATIC1111's two formulas, types, and files that do not fit each other.
 */
#include "core/file.h"
#include "core/mem.h"
#include "nn/merge.h"
#include "test.h"
#include <math.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {"merge-a.safetensors", "merge-b.safetensors",
                                    "merge-c.safetensors"};
static const char *const out = "merge-out.safetensors";

static double by_name(void *ctx, const char *name)
{
    return *name == 'x' ? 0.25 : *(double *)ctx;
}

/* x [2,2] of `first`, 2 first, ...; "only" is in this file alone; ids are integers. */
static void write_file(int which, enum dtype type, float first, int64_t rows)
{
    float x[4] = {first, 2 * first, 3 * first, 4 * first}, y[2] = {first, -first};
    uint16_t h[4];
    int64_t ids[2] = {which, which};
    char only[] = "only a";
    only[5] = (char)('a' + which);
    tensor_from_f32(x, 1, 4, type == DT_F32 ? DT_F16 : type, h, NULL);
    const struct weights_out_tensor t[] = {{"ids", tensor_view(ids, DT_I64, 1, (int64_t[]){2})},
                                           {only, tensor_view(y, DT_F32, 1, (int64_t[]){2})},
                                           {"x", tensor_view(type == DT_F32 ? (void *)x : (void *)h,
                                                             type, 2, (int64_t[]){rows, 4 / rows})},
                                           {"y", tensor_view(y, DT_F32, 1, (int64_t[]){2})}};
    assert_int_equal(weights_write(names[which], t, 4, NULL, NULL), ST_OK);
}

static enum status merge(int files, double ratio, const struct merge_opts *more,
                         struct merge_stats *s, struct error *err)
{
    const char *in[4] = {names[0], names[1], files == 3 ? names[2] : NULL, NULL};
    struct merge_opts o = more ? *more : (struct merge_opts){0};
    o.ratio = by_name;
    o.ctx = &ratio;
    return merge_weights(in, out, &o, s, err);
}

static void remove_all(void)
{
    for (int i = 0; i < 3; i++)
        unlink(names[i]);
    unlink(out);
}

static void expect(const char *name, enum dtype type, float first, float second)
{
    struct weights *w = NULL;
    float x[4];
    assert_int_equal(weights_open(&w, out, NULL), ST_OK);
    const struct tensor *t = weights_find(w, name);
    assert_non_null(t);
    assert_int_equal(t->dtype, type);
    tensor_to_f32(t, x);
    assert_float_equal(x[0], first, 1e-3);
    assert_float_equal(x[1], second, 1e-3);
    weights_close(w);
}

static void sums_and_differences_are_weighted(void **state)
{
    (void)state;
    struct merge_stats s;
    struct error err = {0};
    write_file(0, DT_F16, 1, 2);
    write_file(1, DT_F32, 5, 2);
    write_file(2, DT_F32, 2, 2);
    assert_int_equal(merge(2, 0.5, NULL, &s, &err), ST_OK);
    assert_int_equal(s.tensors, 4);
    assert_int_equal(s.mixed, 2);
    assert_int_equal(s.left_out, 1);
    expect("x", DT_F16, 2, 4); /* 1 + 0.25 * (5 - 1) */
    expect("y", DT_F32, 3, -3);
    expect("only a", DT_F32, 1, -1);
    expect("ids", DT_I64, 0, 0);
    assert_int_equal(merge(3, 2, NULL, &s, &err), ST_OK);
    expect("x", DT_F16, 1.75f, 3.5f); /* 1 + 0.25 * (5 - 2) */
    expect("y", DT_F32, 7, -7);
    const struct merge_opts o = {.has_type = true, .type = DT_BF16};
    assert_int_equal(merge(2, 0.5, &o, &s, &err), ST_OK);
    expect("x", DT_BF16, 2, 4);
    expect("only a", DT_BF16, 1, -1);
    expect("ids", DT_I64, 0, 0);
    remove_all();
}

static void what_does_not_fit_is_named(void **state)
{
    (void)state;
    struct merge_stats s;
    struct error err = {0};
    write_file(0, DT_F16, 1, 2);
    write_file(1, DT_F32, 5, 1);
    assert_int_equal(merge(2, 0.5, NULL, &s, &err), ST_FORMAT);
    assert_non_null(strstr(err.text, "'x' has another shape"));
    write_file(1, DT_F32, 1e6f, 2);
    assert_int_equal(merge(2, 0.5, NULL, &s, &err), ST_FORMAT);
    assert_non_null(strstr(err.text, "f16 does not hold"));
    write_file(1, DT_F32, NAN, 2);
    assert_int_equal(merge(2, 0.5, NULL, &s, &err), ST_FORMAT);
    unlink(names[1]);
    assert_int_equal(merge(2, 0.5, NULL, &s, &err), ST_NOT_FOUND);
    assert_false(file_exists(out));
    remove_all();
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    struct merge_stats s;
    struct error err = {0};
    for (int i = 0; i < 3; i++)
        write_file(i, DT_F16, (float)i, 2);
    for (uint64_t n = 1;; n++) {
        mem_fail_at(n, true);
        enum status st = merge(3, 0.5, NULL, &s, &err);
        mem_fail_at(0, false);
        if (st == ST_OK)
            break;
        assert_int_equal(st, ST_NOMEM);
    }
    remove_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_and_differences_are_weighted),
        cmocka_unit_test(what_does_not_fit_is_named),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}
