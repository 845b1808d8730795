/* Opening backends, and the sticky failure: an op that gets no scratch memory leaves the process
 * standing, backend_sync says so once, and the backend works again afterwards. */
#include "core/cpu.h"
#include "harness.h"
#include <stdlib.h>

static void names_that_exist_open_and_others_say_why(void **state)
{
    (void)state;
    struct backend *be;
    struct error err;
    for (const char *const *name = backend_list(); *name; name++) {
        assert_int_equal(backend_open(&be, *name, 2, &err), ST_OK);
        assert_int_equal(backend_threads(be), 2);
        assert_int_equal(pool_threads(backend_pool(be)), 2);
        backend_close(be);
    }
    assert_int_equal(backend_open(&be, "cpu", 0, &err), ST_OK); /* as many as there are */
    assert_int_equal(backend_threads(be), cpu_count());
    backend_close(be);
    static const char *const bad[] = {"gpu", "", "cpux", "cpu:", "cpu:mmx", ":"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(backend_open(&be, bad[i], 1, &err), ST_USAGE);
        assert_null(be);
        assert_true(strlen(err.text) > 0);
        assert_int_equal(backend_open(&be, bad[i], 1, NULL), ST_USAGE);
    }
    backend_close(NULL);
    assert_non_null(strstr(backend_blas_info(), "OpenBLAS"));
}

static void the_environment_lowers_the_level_and_never_raises_it(void **state)
{
    (void)state;
    struct backend *be;
    struct error err;
    char *old = getenv("EIDETIC_CPU") ? mem_strdup(getenv("EIDETIC_CPU")) : NULL;
    setenv("EIDETIC_CPU", "ref", 1);
    assert_int_equal(backend_open(&be, "cpu", 1, &err), ST_OK);
    assert_string_equal(backend_name(be), "cpu:blas");
    backend_close(be);
    assert_int_equal(backend_open(&be, "cpu:avx2", 1, &err), ST_UNSUPPORTED);
    setenv("EIDETIC_CPU", "avx512vnni", 1);
    assert_int_equal(backend_open(&be, "cpu", 1, &err), ST_OK);
    backend_close(be);
    setenv("EIDETIC_CPU", "fast", 1);
    assert_int_equal(backend_open(&be, "cpu", 1, &err), ST_USAGE);
    assert_non_null(strstr(err.text, "fast"));
    unsetenv("EIDETIC_CPU");
    if (old)
        setenv("EIDETIC_CPU", old, 1);
    mem_free(old);
}

static void opening_survives_every_failed_allocation(void **state)
{
    (void)state;
    struct backend *be;
    struct error err;
    for (unsigned n = 1;; n++) {
        assert_in_range(n, 1, 50);
        mem_fail_at(n, true);
        enum status st = backend_open(&be, "cpu", 3, &err);
        mem_fail_at(0, false);
        if (st == ST_OK)
            break;
        assert_int_equal(st, ST_NOMEM);
        assert_null(be);
    }
    backend_close(be);
}

/* Sizes that no earlier op has asked scratch for. */
static void run_all(struct backend *be)
{
    static float x[64 * 64], w[64 * 64], y[64 * 64];
    struct tensor tx = f32_view(x, 2, (int64_t[]){64, 64}),
                  tw = f32_view(w, 2, (int64_t[]){64, 64});
    struct tensor ty = f32_view(y, 2, (int64_t[]){64, 64});
    op_linear(be, &ty, &tx, &tw, NULL, ACT_GELU, NULL);
    op_matmul(be, &ty, &tx, &tw);
    struct tensor ta = f32_view(x, 3, (int64_t[]){1, 64, 64}),
                  tb = f32_view(y, 3, (int64_t[]){1, 64, 64});
    op_attention(be, &tb, &ta, &ta, &ta, &(struct attn_opts){.heads = 4});
    struct tensor tc = f32_view(x, 4, (int64_t[]){1, 16, 16, 16});
    struct tensor td = f32_view(y, 4, (int64_t[]){1, 14, 14, 4});
    struct tensor tk = f32_view(w, 4, (int64_t[]){4, 3, 3, 16});
    op_conv2d(be, &td, &tc, &tk, NULL, &(struct conv_opts){.stride = 1});
}

static void a_failed_scratch_is_kept_and_reported_once(void **state)
{
    struct harness *h = *state;
    for (int i = 0; i < h->n; i++) {
        struct backend *be = h->be[i][2];
        struct error err;
        int failures = 0;
        if (!strncmp(backend_name(be), "cuda:", 5) && !strstr(backend_name(be), "emulated"))
            continue; /* a card's scratch is the driver's, and no allocation here fails */
        for (unsigned n = 1;; n++) {
            assert_in_range(n, 1, 50);
            mem_fail_at(n, false);
            run_all(be);
            mem_fail_at(0, false);
            enum status st = backend_sync(be, &err);
            if (st == ST_OK)
                break;
            failures++;
            assert_int_equal(st, ST_NOMEM);
            assert_non_null(strstr(err.text, "scratch"));
            assert_int_equal(backend_sync(be, &err), ST_OK);
        }
        assert_true(failures > 0);
    }
}

static void every_activation_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < ACT_COUNT; i++)
        assert_string_not_equal(act_name((enum act)i), "unknown");
    assert_string_equal(act_name(ACT_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_exist_open_and_others_say_why),
        cmocka_unit_test(the_environment_lowers_the_level_and_never_raises_it),
        cmocka_unit_test(opening_survives_every_failed_allocation),
        cmocka_unit_test(a_failed_scratch_is_kept_and_reported_once),
        cmocka_unit_test(every_activation_has_a_name),
    };
    return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
