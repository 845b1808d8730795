/* Decoding over tables of logits that can be reckoned by hand. What transformers gives is in
 * tests/golden/test_golden_caption.c. */
#include "caption/decode.h"
#include "test.h"
#include <math.h>
#include <string.h>

enum { VOCAB = 5, END = 4 };

struct chain {
    float after[VOCAB][VOCAB]; /* logits behind each token */
    int calls, rows;
};

static enum status step(void *ctx, int n, const int32_t *token, const int32_t *parent,
                        float *logits, struct error *err)
{
    struct chain *c = ctx;
    (void)parent;
    (void)err;
    c->calls++;
    c->rows += n;
    for (int i = 0; i < n; i++)
        memcpy(logits + i * VOCAB, c->after[token[i]], sizeof c->after[0]);
    return ST_OK;
}

/* 0 1 2 3 end, each by far the likeliest. */
static struct chain counting(void)
{
    struct chain c = {0};
    for (int i = 0; i + 1 < VOCAB; i++)
        c.after[i][i + 1] = 10.0f;
    return c;
}

static const int32_t end = END;
static const float first[VOCAB] = {10.0f};

static void greedy_follows_the_likeliest(void **state)
{
    (void)state;
    struct chain c = counting();
    struct decode_opts o = {.max_tokens = 9, .eos = &end, .n_eos = 1};
    struct decode_list l;
    assert_int_equal(decode_run(&o, VOCAB, first, step, &c, &l, NULL), ST_OK);
    assert_int_equal(l.n, 1);
    assert_int_equal(l.item[0].n, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(l.item[0].id[i], i);
    double each = -log(1.0 + 4.0 * exp(-10.0));
    assert_true(fabs((double)l.item[0].score - each) < 1e-5);
    assert_int_equal(c.calls, 4); /* nothing is asked behind the end */
    decode_list_release(&l);
}

static void lengths_are_kept(void **state)
{
    (void)state;
    struct chain c = {0};
    for (int i = 0; i < VOCAB; i++)
        c.after[i][END] = 10.0f;
    for (int beams = 1; beams <= 3; beams++) {
        struct decode_opts o = {
            .beams = beams, .min_tokens = 4, .max_tokens = 6, .eos = &end, .n_eos = 1};
        struct decode_list l;
        assert_int_equal(decode_run(&o, VOCAB, first, step, &c, &l, NULL), ST_OK);
        assert_int_equal(l.item[0].n, 5);
        decode_list_release(&l);
        o.max_tokens = 3;
        assert_int_equal(decode_run(&o, VOCAB, first, step, &c, &l, NULL), ST_OK);
        assert_int_equal(l.item[0].n, 3);
        assert_int_not_equal(l.item[0].id[2], END);
        decode_list_release(&l);
    }
}

static void a_penalty_keeps_words_from_coming_back(void **state)
{
    (void)state;
    struct chain c = {0};
    for (int i = 0; i < VOCAB; i++)
        c.after[i][0] = 2.0f, c.after[i][1] = 1.5f, c.after[i][2] = 1.4f;
    struct decode_opts o = {.max_tokens = 3, .repetition_penalty = 2.0f, .eos = &end, .n_eos = 1};
    struct decode_list l;
    assert_int_equal(decode_run(&o, VOCAB, c.after[0], step, &c, &l, NULL), ST_OK);
    assert_int_equal(l.item[0].id[0], 0);
    assert_int_equal(l.item[0].id[1], 1);
    assert_int_equal(l.item[0].id[2], 2);
    decode_list_release(&l);
    o.prompt = &(int32_t){0};
    o.n_prompt = 1;
    assert_int_equal(decode_run(&o, VOCAB, c.after[0], step, &c, &l, NULL), ST_OK);
    assert_int_equal(l.item[0].id[0], 1);
    decode_list_release(&l);
}

static void the_nucleus_is_the_smallest_set_that_holds_p(void **state)
{
    (void)state;
    const float p[VOCAB] = {0.4f, 0.3f, 0.15f, 0.1f, 0.05f};
    static const struct {
        float top_p;
        int left;
    } cases[] = {{0.3f, 1}, {0.5f, 2}, {0.69f, 2}, {0.75f, 3}, {0.93f, 4}, {0.97f, 5}, {1.0f, 5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float x[VOCAB];
        int left = 0;
        for (int k = 0; k < VOCAB; k++)
            x[k] = logf(p[(k + 2) % VOCAB]);
        assert_int_equal(decode_nucleus(x, VOCAB, cases[i].top_p, NULL), ST_OK);
        for (int k = 0; k < VOCAB; k++)
            left += x[k] > -INFINITY;
        assert_int_equal(left, cases[i].left);
        assert_true(x[3] > -INFINITY); /* the likeliest */
    }
}

/* A thousand draws of the first token come in the shares that the nucleus leaves. */
static void draws_come_in_their_shares(void **state)
{
    (void)state;
    struct chain c = {0};
    const float p[VOCAB] = {0.5f, 0.25f, 0.15f, 0.07f, 0.03f};
    float x[VOCAB];
    int count[VOCAB] = {0};
    for (int k = 0; k < VOCAB; k++)
        x[k] = logf(p[k]);
    struct decode_opts o = {.beams = 20, .max_tokens = 1, .top_p = 0.7f, .eos = &end, .n_eos = 1};
    for (o.seed = 0; o.seed < 50; o.seed++) {
        struct decode_list l;
        assert_int_equal(decode_run(&o, VOCAB, x, step, &c, &l, NULL), ST_OK);
        assert_int_equal(l.n, 20);
        for (int i = 0; i < l.n; i++)
            count[l.item[i].id[0]]++;
        decode_list_release(&l);
    }
    assert_int_equal(count[0] + count[1], 1000);
    assert_true(count[0] > 600 && count[0] < 733); /* 2/3, four deviations of 15 */
    assert_int_equal(c.calls, 0);
}

static void bad_numbers_and_limits_are_said(void **state)
{
    (void)state;
    struct chain c = {0};
    struct error err = {0};
    struct decode_list l;
    float x[VOCAB] = {NAN};
    struct decode_opts o = {.max_tokens = 3};
    assert_int_equal(decode_run(&o, VOCAB, x, step, &c, &l, &err), ST_FORMAT);
    o.beams = DECODE_MAX_BEAMS + 1;
    assert_int_equal(decode_run(&o, VOCAB, first, step, &c, &l, &err), ST_LIMIT);
    o = (struct decode_opts){.max_tokens = DECODE_MAX_TOKENS + 1};
    assert_int_equal(decode_run(&o, VOCAB, first, step, &c, &l, &err), ST_LIMIT);
    assert_null(l.item);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_follows_the_likeliest),
        cmocka_unit_test(lengths_are_kept),
        cmocka_unit_test(a_penalty_keeps_words_from_coming_back),
        cmocka_unit_test(the_nucleus_is_the_smallest_set_that_holds_p),
        cmocka_unit_test(draws_come_in_their_shares),
        cmocka_unit_test(bad_numbers_and_limits_are_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
