/* From prompts to token states: chunks, weights, schedules. Expected states come from the same text
 * tower, given ids that are put together by hand. */
#include "golden/sd_toy.h"
#include "sampler/cond.h"
#include <math.h>

enum { CONTEXT = 77, WIDTH = 64, BOS = 49406, EOS = 49407 };

struct fixture {
    struct checkpoint *c;
    struct backend *be;
    struct arena arena;
    struct cond_source src;
};

static int setup(void **state)
{
    static struct fixture f;
    struct error err = {0};
    char *path = sd_toy_write("toy-cond", &(struct sd_toy){0});
    if (checkpoint_open(&f.c, path, NULL, &err) || backend_open(&f.be, "cpu", 1, &err))
        fail_msg("%s", err.text);
    f.src = (struct cond_source){
        .c = f.c, .run = {.be = f.be, .arena = &f.arena, .tower = "text"}, .clip_skip = 1};
    mem_free(path);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_release(&f->arena);
    backend_close(f->be);
    checkpoint_close(f->c);
    sd_toy_remove("toy-cond");
    return 0;
}

/* Ids of the words between begin and end, filled up with end tokens; how many words' tokens. */
static int ids_of(const struct fixture *f, const char *text, int32_t ids[CONTEXT])
{
    struct token_list l = {0};
    assert_int_equal(tokenizer_encode(f->c->tokenizer, text, strlen(text), &l, NULL), ST_OK);
    assert_in_range(l.n, 2, CONTEXT);
    for (int i = 0; i < CONTEXT; i++)
        ids[i] = (size_t)i < l.n ? l.id[i] : EOS;
    int n = (int)l.n - 2;
    token_list_release(&l);
    return n;
}

static void states_of(struct fixture *f, const int32_t *ids, float *y)
{
    struct tensor t = tensor_view(y, DT_F32, 3, (int64_t[]){1, CONTEXT, WIDTH});
    assert_int_equal(net_text_run(&f->src.run, &f->c->text, &t, ids, 1, f->src.clip_skip), ST_OK);
    assert_int_equal(backend_sync(f->be, NULL), ST_OK);
}

static struct cond build(struct fixture *f, const char *prompt, int steps, bool split)
{
    struct cond c;
    struct error err = {0};
    f->src.run.err = &err;
    if (cond_build(&c, &f->src, prompt, steps, split, &err))
        fail_msg("%s: %s", prompt, err.text);
    assert_int_equal(arena_mark(&f->arena), 0);
    return c;
}

/* Chunk `chunk` of a text has the states of exactly these words. */
static void expect_chunk(struct fixture *f, const struct cond_text *t, int chunk, const char *words)
{
    int32_t ids[CONTEXT];
    float want[CONTEXT * WIDTH];
    ids_of(f, words, ids);
    states_of(f, ids, want);
    assert_in_range(chunk, 0, t->tokens / CONTEXT - 1);
    for (int i = 0; i < CONTEXT * WIDTH; i++) /* alone or with others: another order of sums */
        assert_float_equal(t->states[chunk * CONTEXT * WIDTH + i], want[i], 1e-5);
}

static void a_plain_prompt_is_one_chunk_of_the_towers_states(void **state)
{
    struct fixture *f = *state;
    static const char *const prompts[] = {"a dog on a table", "", "Zürich \\(by night\\)"};
    static const char *const words[] = {"a dog on a table", "", "Zürich (by night)"};
    for (int i = 0; i < 3; i++) {
        struct cond c = build(f, prompts[i], 20, true);
        assert_int_equal(c.n, 1);
        assert_int_equal(c.part[0].n, 1);
        assert_int_equal(c.part[0].text[0].tokens, CONTEXT);
        expect_chunk(f, &c.part[0].text[0], 0, words[i]);
        cond_release(&c);
    }
}

static void weights_multiply_states_and_keep_their_mean(void **state)
{
    struct fixture *f = *state;
    int32_t ids[CONTEXT];
    float want[CONTEXT * WIDTH];
    struct cond c = build(f, "a (red:1.5) dog", 20, true);
    int n = ids_of(f, "a red dog", ids);
    assert_int_equal(n, 3);
    states_of(f, ids, want);
    double before = 0, after = 0;
    for (int i = 0; i < CONTEXT * WIDTH; i++)
        before += (double)want[i];
    for (int k = 0; k < WIDTH; k++)
        want[2 * WIDTH + k] *= 1.5f;
    for (int i = 0; i < CONTEXT * WIDTH; i++)
        after += (double)want[i];
    for (int i = 0; i < CONTEXT * WIDTH; i++)
        assert_float_equal(c.part[0].text[0].states[i], (double)want[i] * before / after, 1e-4);
    cond_release(&c);
}

static void break_and_the_75th_token_end_a_chunk(void **state)
{
    struct fixture *f = *state;
    struct cond c = build(f, "a dog BREAK a cat", 20, true);
    assert_int_equal(c.part[0].text[0].tokens, 2 * CONTEXT);
    expect_chunk(f, &c.part[0].text[0], 0, "a dog");
    expect_chunk(f, &c.part[0].text[0], 1, "a cat");
    cond_release(&c);
    struct buf all, first;
    buf_init(&all, 4096);
    buf_init(&first, 4096);
    for (int i = 0; i < 80; i++) {
        buf_puts(&all, "dog ");
        buf_puts(&first, i < 75 ? "dog " : "");
    }
    c = build(f, all.data, 20, true);
    expect_chunk(f, &c.part[0].text[0], 0, first.data);
    expect_chunk(f, &c.part[0].text[0], 1, "dog dog dog dog dog");
    cond_release(&c);
    c = build(f, first.data, 20, true); /* 75 exactly: no second one */
    assert_int_equal(c.part[0].text[0].tokens, CONTEXT);
    cond_release(&c);
    buf_release(&all);
    buf_release(&first);
}

static void a_chunk_breaks_at_a_comma_within_twenty_tokens(void **state)
{
    struct fixture *f = *state;
    static const int behind[] = {1, 10, 19, 20, 30}; /* the comma, when the chunk is full */
    for (size_t k = 0; k < sizeof behind / sizeof *behind; k++) {
        int words = behind[k];
        bool moves = words + 1 <= 20; /* the comma counts */
        struct buf all, first, second;
        buf_init(&all, 4096);
        buf_init(&first, 4096);
        buf_init(&second, 4096);
        for (int i = 0; i < 74 - words; i++)
            buf_puts(&first, "cat ");
        buf_puts(&first, ",");
        buf_puts(&all, first.data);
        for (int i = 0; i < words + 1; i++)
            buf_puts(&all, " dog");
        for (int i = 0; !moves && i < words; i++)
            buf_puts(&first, " dog");
        for (int i = 0; i < (moves ? words + 1 : 1); i++)
            buf_puts(&second, " dog");
        struct cond c = build(f, all.data, 20, true);
        assert_int_equal(c.part[0].text[0].tokens, 2 * CONTEXT);
        expect_chunk(f, &c.part[0].text[0], 0, first.data);
        expect_chunk(f, &c.part[0].text[0], 1, second.data);
        cond_release(&c);
        buf_release(&second);
        buf_release(&all);
        buf_release(&first);
    }
}

static void schedules_and_ands_are_parts_of_their_own(void **state)
{
    struct fixture *f = *state;
    struct cond c = build(f, "a [dog:cat:0.5] AND snow:0.7", 20, true);
    assert_int_equal(c.n, 2);
    assert_float_equal(c.part[0].weight, 1, 0);
    assert_float_equal(c.part[1].weight, 0.7, 1e-9);
    assert_int_equal(c.part[0].n, 2);
    expect_chunk(f, cond_at(&c.part[0], 0), 0, "a dog");
    expect_chunk(f, cond_at(&c.part[0], 10), 0, "a dog");
    expect_chunk(f, cond_at(&c.part[0], 11), 0, "a cat");
    expect_chunk(f, cond_at(&c.part[0], 500), 0, "a cat");
    expect_chunk(f, cond_at(&c.part[1], 3), 0, "snow");
    cond_release(&c);
    c = build(f, "dog AND cat", 20, false); /* a negative prompt: a word like others */
    assert_int_equal(c.n, 1);
    expect_chunk(f, cond_at(&c.part[0], 0), 0, "dog AND cat");
    cond_release(&c);
}

static void texts_of_a_schedule_have_equally_many_chunks(void **state)
{
    struct fixture *f = *state;
    struct cond c = build(f, "dog [BREAK cat::0.5]", 20, true);
    assert_int_equal(c.part[0].n, 2);
    assert_int_equal(cond_at(&c.part[0], 0)->tokens, 2 * CONTEXT);
    assert_int_equal(cond_at(&c.part[0], 19)->tokens, 2 * CONTEXT);
    expect_chunk(f, cond_at(&c.part[0], 19), 0, "dog");
    expect_chunk(f, cond_at(&c.part[0], 19), 1, "");
    cond_release(&c);
}

static void what_is_not_read_is_refused_by_name(void **state)
{
    struct fixture *f = *state;
    struct cond c;
    struct error err = {0};
    assert_int_equal(cond_build(&c, &f->src, "a <lora:thing:0.8> b", 20, true, &err),
                     ST_UNSUPPORTED);
    assert_non_null(strstr(err.text, "lora:thing:0.8"));
    assert_null(c.part);
}

static void running_out_of_memory_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct cond c;
    struct error err = {0};
    f->src.run.err = &err;
    for (uint64_t n = 1;; n++) {
        arena_release(&f->arena);
        f->src.run.status = ST_OK;
        mem_fail_at(n, true);
        enum status st = cond_build(&c, &f->src, "a (dog:2) [b:c:3] AND d", 20, true, &err);
        mem_fail_at(0, false);
        if (st == ST_OK)
            break;
        assert_int_equal(st, ST_NOMEM);
        assert_null(c.part);
        backend_sync(f->be, NULL);
        assert_in_range(n, 1, 2000);
    }
    cond_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_prompt_is_one_chunk_of_the_towers_states),
        cmocka_unit_test(weights_multiply_states_and_keep_their_mean),
        cmocka_unit_test(break_and_the_75th_token_end_a_chunk),
        cmocka_unit_test(a_chunk_breaks_at_a_comma_within_twenty_tokens),
        cmocka_unit_test(schedules_and_ands_are_parts_of_their_own),
        cmocka_unit_test(texts_of_a_schedule_have_equally_many_chunks),
        cmocka_unit_test(what_is_not_read_is_refused_by_name),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests_name("cond", tests, setup, teardown);
}
