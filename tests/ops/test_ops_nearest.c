/* The nearest rows on every backend against the reference. Values are small whole numbers: sums are
 * exact, equal scores are many, and so the rows must be the same ones in the same order. */
#include "harness.h"

struct search {
    struct tensor q, v;
    const uint8_t *keep;
    int64_t k;
};

/* y: scores, then rows. */
static void run(struct backend *be, float *y, void *ctx)
{
    struct search *s = ctx;
    int64_t m = s->q.dim[0], dims[2] = {m, s->k};
    struct tensor score = f32_view(y, 2, dims), row = f32_view(y + m * s->k, 2, dims);
    op_nearest(be, &score, &row, &s->q, &s->v, s->keep);
}

static void check(struct harness *h, enum dtype type, int64_t m, int64_t n, int64_t d, int64_t k,
                  unsigned share)
{
    float *q = mem_array((size_t)(m * d), sizeof *q), *v = mem_array((size_t)(n * d), sizeof *v);
    uint16_t *half = mem_array((size_t)(n * d), sizeof *half);
    uint8_t *keep = mem_zalloc((size_t)(n + 7) / 8);
    char what[96];
    assert_true(q && v && half && keep);
    for (int64_t i = 0; i < n; i++)
        if (rng_below(&h->rng, 100) < share)
            keep[i / 8] |= (uint8_t)(1 << i % 8);
    for (int64_t i = 0; i < m * d; i++)
        q[i] = (float)rng_below(&h->rng, 7) - 3;
    for (int64_t i = 0; i < n * d; i++) {
        v[i] = (float)rng_below(&h->rng, 7) - 3;
        half[i] = f32_to_f16(v[i]);
    }
    if (n > 3)
        half[2 * d] = 0x7E00, v[2 * d] = NAN;
    struct search s = {.q = f32_view(q, 2, (int64_t[]){m, d}), .k = k};
    s.keep = share < 100 ? keep : NULL;
    s.v = tensor_view(type == DT_F16 ? (void *)half : (void *)v, type, 2, (int64_t[]){n, d});
    snprintf(what, sizeof what, "nearest %s m%d n%d d%d k%d of %u %%", dtype_name(type), (int)m,
             (int)n, (int)d, (int)k, share);
    check_op(h, what, run, &s, NULL, (size_t)(2 * m * k), tolerance(0, 0));
    mem_free(q);
    mem_free(v);
    mem_free(half);
    mem_free(keep);
}

static void the_nearest_rows_are_those_of_the_reference(void **state)
{
    struct harness *h = *state;
    for (int i = 0; i < 18; i++) {
        int64_t n = odd_size(h, 130) + (i % 3 ? 0 : 200), k = odd_size(h, 97);
        check(h, i % 2 ? DT_F16 : DT_F32, odd_size(h, 17), n, odd_size(h, 80), k < n ? k : n,
              i % 5 ? 100 : 60);
    }
}

/* Segments end within, at and behind a multiple of their size; best of best. */
static void over_several_segments(void **state)
{
    check(*state, DT_F16, 1, 4096, 3, 5, 100);
    check(*state, DT_F32, 2, 4097, 4, 4, 100);
    check(*state, DT_F16, 2, 8300, 3, 40, 100);
    check(*state, DT_F16, 67, 40, 33, 40, 100);
}

/* Down to fewer than are asked for, and to none. */
static void rows_that_do_not_count_are_left_out(void **state)
{
    check(*state, DT_F16, 3, 300, 17, 40, 50);
    check(*state, DT_F32, 2, 8300, 4, 64, 1);
    check(*state, DT_F16, 2, 4097, 3, 100, 1);
    check(*state, DT_F32, 2, 65, 8, 65, 90);
    check(*state, DT_F16, 5, 33, 8, 7, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_rows_are_those_of_the_reference),
        cmocka_unit_test(over_several_segments),
        cmocka_unit_test(rows_that_do_not_count_are_left_out),
    };
    return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
