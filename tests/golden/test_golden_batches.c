/* Many pictures and sentences come out as each does alone, whatever batches a session makes of
 * them: on a device two batches are under way at once, and where its memory is small
 * (EIDETIC_EMULATED_MEMORY) they are halved. Tolerance: sums of a few hundred products in another
 * order differ by some 1e-7 of unit vectors' values. */
#include "golden/clip_toy.h"
#include <math.h>

enum { PICTURES = 140, AGAIN = 20, TEXTS = 40 };

static void compare(const char *what, const float *got, const float *want, int n, int d)
{
    for (int i = 0; i < n * d; i++)
        if (!(fabsf(got[i] - want[i]) <= 2e-6f))
            fail_msg("%s %d: value %d is %.8g, alone %.8g", what, i / d, i % d, (double)got[i],
                     (double)want[i]);
}

static void vectors_do_not_depend_on_batches(void **state)
{
    (void)state;
    static const char *const words[] = {"a", "dog on the beach", "two cats",
                                        "the quick brown fox jumps over"};
    char *dir = toy_make("hf_quick", "-batches", NULL, NULL);
    struct clip *c = NULL;
    struct clip_session *s = NULL, *one = NULL;
    struct error err = {0};
    if (clip_open(&c, dir, NULL, &err) || clip_session_new(&s, c, test_device(), 2, &err) ||
        clip_session_new(&one, c, "cpu:ref", 2, &err))
        fail_msg("%s", err.text);
    int size = clip_info(c)->image_size, d = clip_dim(c);
    uint8_t *pixels = toy_pixels("hf_quick", PICTURES, size);
    const uint8_t *each[PICTURES];
    const char *texts[TEXTS];
    float *got = mem_array((size_t)PICTURES * (size_t)d, 4), *want = mem_array((size_t)d, 4);
    assert_true(got && want);
    for (int i = 0; i < PICTURES; i++)
        each[i] = pixels + (size_t)i * (size_t)(size * size * 3);
    for (int i = 0; i < TEXTS; i++)
        texts[i] = words[i % 4];
    if (clip_encode_images(s, each, PICTURES, got, &err))
        fail_msg("%s", err.text);
    for (int i = 0; i < PICTURES; i++) {
        assert_int_equal(clip_encode_images(one, each + i, 1, want, &err), ST_OK);
        compare("picture", got + i * d, want, 1, d);
    }
    float *first = mem_dup(got, (size_t)(AGAIN * d) * sizeof *got);
    assert_non_null(first);
    for (int turn = 0; turn < 3; turn++) { /* the last time a device replays the batch */
        assert_int_equal(clip_encode_images(s, each, AGAIN, got, &err), ST_OK);
        compare("picture", got, first, AGAIN, d);
    }
    mem_free(first);
    if (clip_encode_text(s, texts, TEXTS, got, &err))
        fail_msg("%s", err.text);
    for (int i = 0; i < TEXTS; i++) {
        assert_int_equal(clip_encode_text(one, texts + i, 1, want, &err), ST_OK);
        compare("sentence", got + i * d, want, 1, d);
    }
    mem_free(got);
    mem_free(want);
    mem_free(pixels);
    clip_session_free(s);
    clip_session_free(one);
    clip_close(c);
    toy_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(vectors_do_not_depend_on_batches)};
    return cmocka_run_group_tests_name("golden_batches", tests, NULL, NULL);
}
