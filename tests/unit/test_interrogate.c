/* Interrogation with the starter's text tower and short lists: each way against what a plain search
 * over the same sentences finds. The "picture" is the vector of a sentence. */
#include "caption/interrogate.h"
#include "core/mem.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct error e;
#define OK(call)                                                                                   \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s", #call, e.text);                                                     \
    } while (0)

static const char *const texts[INTERROGATE_LISTS][12] = {
    {"snow", "playing", "two dogs", "sunny", "beach", "at night", "winter", "fluffy", "castle",
     "car"},
    {"by Ansel Adams", "inspired by Rembrandt"},
    {"a photo", "a drawing", "a sculpture"},
    {"realism", "cubism", "pop art"},
    {"flickr", "trending on pixiv"},
    {"blurry", "bad anatomy", "cropped"},
};
enum { FLAVORS = 10 };

static struct clip *clip;
static struct interrogator q;
static float x[CLIP_MAX_DIM];

static float score_of(const char *text)
{
    float v[CLIP_MAX_DIM], s = 0;
    OK(clip_encode_text(q.session, &text, 1, v, &e));
    for (size_t i = 0; i < q.dim; i++)
        s += v[i] * x[i];
    return s;
}

static void read_list(int list, const char *const *lines, size_t n)
{
    static const char *const templates[] = {"%s", NULL};
    OK(lexicon_from_texts(&q.list[list], lines, n, &e));
    OK(labels_open(&q.vectors[list], q.session, clip, &q.list[list],
                   &(struct labels_opts){.templates = templates}, &e));
}

static int open_all(void **state)
{
    const char *sentence = "two dogs playing in the snow";
    (void)state;
    OK(clip_open(&clip, SOURCE_DIR "/models/starter", &(struct clip_opts){.no_image = 1}, &e));
    OK(clip_session_new(&q.session, clip, "cpu", 2, &e));
    OK(tokenizer_open(&q.clip, TOKENIZER_CLIP_HF, NULL, &e));
    q.model = clip_tokenizer(clip);
    q.context = (size_t)clip_info(clip)->context;
    q.dim = (size_t)clip_dim(clip);
    OK(clip_encode_text(q.session, &sentence, 1, x, &e));
    for (int i = 0; i < INTERROGATE_LISTS; i++) {
        size_t n = 0;
        while (texts[i][n])
            n++;
        read_list(i, texts[i], n);
    }
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    clip_session_free(q.session);
    interrogator_close(&q);
    clip_close(clip);
    return 0;
}

static struct interrogation ask(enum interrogate_mode mode, const char *caption)
{
    struct interrogation r;
    struct token_list l = {0};
    OK(interrogator_ask(&q, mode, x, caption, &r, &e));
    OK(tokenizer_encode(q.clip, r.prompt, strlen(r.prompt), &l, &e));
    assert_true(l.n <= 77);
    OK(tokenizer_encode(q.model, r.prompt, strlen(r.prompt), &l, &e));
    assert_true(l.n <= q.context);
    token_list_release(&l);
    assert_true(fabsf(r.score - score_of(r.prompt)) < 1e-5F);
    return r;
}

static const char *nearest(int list)
{
    const char *top = NULL;
    float best = -2;
    for (size_t i = 0; texts[list][i]; i++) {
        float s = score_of(texts[list][i]);
        if (s > best) {
            best = s;
            top = texts[list][i];
        }
    }
    return top;
}

static void fast_takes_the_nearest_of_all_lists(void **state)
{
    (void)state;
    struct interrogation r = ask(INTERROGATE_FAST, "dogs");
    assert_memory_equal(r.prompt, "dogs, ", 6);
    float last = 2;
    size_t n = 0;
    char *rest = r.prompt + 6;
    for (char *p; (p = strsep(&rest, ","));) {
        float s = score_of(p + (*p == ' '));
        assert_true(s <= last + 1e-5F);
        last = s;
        n++;
    }
    assert_int_equal(n, FLAVORS + 2 + 3 + 3 + 2); /* they all fit, and no fault is among them */
    interrogation_release(&r);
}

static void classic_takes_one_of_each_list(void **state)
{
    char wanted[512];
    (void)state;
    int n =
        snprintf(wanted, sizeof wanted, "dogs, %s %s, %s, %s, %s, ", nearest(INTERROGATE_MEDIUMS),
                 nearest(INTERROGATE_ARTISTS), nearest(INTERROGATE_TRENDING),
                 nearest(INTERROGATE_MOVEMENTS), nearest(INTERROGATE_FLAVORS));
    struct interrogation r = ask(INTERROGATE_CLASSIC, "dogs");
    assert_memory_equal(r.prompt, wanted, (size_t)n);
    interrogation_release(&r);
    r = ask(INTERROGATE_CLASSIC, "a photo of dogs"); /* names its medium already */
    if (!strcmp(nearest(INTERROGATE_MEDIUMS), "a photo"))
        assert_null(strstr(r.prompt, ", a photo"));
    interrogation_release(&r);
}

static void best_is_no_farther_than_any_other_way(void **state)
{
    (void)state;
    struct interrogation best = ask(INTERROGATE_BEST, "an animal");
    struct interrogation fast = ask(INTERROGATE_FAST, "an animal");
    struct interrogation classic = ask(INTERROGATE_CLASSIC, "an animal");
    assert_true(best.score >= fast.score - 1e-6F && best.score >= classic.score - 1e-6F);
    assert_true(best.score >= score_of("an animal"));
    assert_true(best.score > 0.6F); /* "two dogs", "snow", "playing" are there to be found */
    assert_memory_equal(best.prompt, "an animal", 9);
    interrogation_release(&best);
    interrogation_release(&fast);
    interrogation_release(&classic);
}

/* A step takes what brings the whole nearest; the first is found here by trying all. */
static void negative_leads_away_from_the_picture(void **state)
{
    (void)state;
    struct interrogation r = ask(INTERROGATE_NEGATIVE, "an animal");
    const char *farthest = NULL;
    float least = 2;
    for (int list = 0; list < 2; list++)
        for (size_t i = 0; texts[list ? INTERROGATE_FAULTS : INTERROGATE_FLAVORS][i]; i++) {
            const char *t = texts[list ? INTERROGATE_FAULTS : INTERROGATE_FLAVORS][i];
            if (score_of(t) < least) {
                least = score_of(t);
                farthest = t;
            }
        }
    assert_memory_equal(r.prompt, farthest, strlen(farthest));
    assert_true(r.score <= least + 1e-6F);
    assert_null(strstr(r.prompt, "an animal"));
    interrogation_release(&r);
}

static void captions_are_made_plain_and_cut(void **state)
{
    char *caption = mem_alloc(5000);
    (void)state;
    for (size_t i = 0; i < 499; i++)
        memcpy(caption + 10 * i, "some words", 11);
    for (size_t i = 9; i < 4990; i += 10)
        caption[i] = ' ';
    struct interrogation r = ask(INTERROGATE_CLASSIC, caption);
    assert_true(strlen(r.prompt) > 100);
    interrogation_release(&r);
    r = ask(INTERROGATE_CLASSIC, "a (dog:1.3) <lora:x:1> [a|b]");
    assert_null(strpbrk(r.prompt, "()[]<>|:"));
    interrogation_release(&r);
    r = ask(INTERROGATE_BEST, "");
    assert_true(*r.prompt && *r.prompt != ',');
    interrogation_release(&r);
    mem_free(caption);
}

static void an_interrupted_chain_says_so(void **state)
{
    volatile sig_atomic_t stop = 1;
    struct interrogation r;
    (void)state;
    q.stop = &stop;
    assert_int_equal(interrogator_ask(&q, INTERROGATE_BEST, x, "dogs", &r, &e), ST_INTERRUPTED);
    assert_null(r.prompt);
    q.stop = NULL;
}

static void memory_may_run_out_at_any_point(void **state)
{
    enum status st = ST_NOMEM;
    (void)state;
    for (uint64_t n = 1; st && n < 100000; n += n < 40 ? 1 : n / 3) {
        struct interrogation r;
        mem_fail_at(n, false);
        st = interrogator_ask(&q, INTERROGATE_CLASSIC, x, "dogs", &r, &e);
        mem_fail_at(0, false);
        assert_true(!st == !!r.prompt);
        interrogation_release(&r);
    }
    assert_int_equal(st, ST_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_takes_the_nearest_of_all_lists),
        cmocka_unit_test(classic_takes_one_of_each_list),
        cmocka_unit_test(best_is_no_farther_than_any_other_way),
        cmocka_unit_test(negative_leads_away_from_the_picture),
        cmocka_unit_test(captions_are_made_plain_and_cut),
        cmocka_unit_test(an_interrupted_chain_says_so),
        cmocka_unit_test(memory_may_run_out_at_any_point),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
