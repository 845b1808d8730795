/* The shipped starter's picture tower at its full size against torch
 * (scripts/make_golden_starter.py). 1 - cosine and every value to 2e-5: f32 on both sides, some
 * twenty layers deep, vectors of length 1. In int8 and bf16 the cosine may fall to 0.999, as
 * --precision promises. */
#include "clip/clip.h"
#include "core/file.h"
#include "core/mem.h"
#include "test.h"
#include <math.h>
#include <string.h>

static void check(enum status status, const struct error *err)
{
    if (status)
        fail_msg("%s", err->text);
}

enum { PICTURES = 3, SIZE = 260, DIM = 384 };

static uint8_t *picture(int i)
{
    uint8_t *p = mem_alloc((size_t)SIZE * SIZE * 3), *to = p;
    for (int y = 0; y < SIZE; y++)
        for (int x = 0; x < SIZE; x++)
            for (int c = 0; c < 3; c++)
                *to++ = (uint8_t)(y * (5 + i) + x * (11 - 2 * i) + x * y / (16 + 8 * i) + c * 60);
    return p;
}

static void agrees(const char *device, double far, double turned)
{
    struct clip *clip = NULL;
    struct clip_session *s = NULL;
    struct error err = {0};
    char *want = NULL;
    size_t size = 0;
    uint8_t *pixels[PICTURES];
    float got[PICTURES * DIM];
    for (int i = 0; i < PICTURES; i++)
        pixels[i] = picture(i);
    check(
        clip_open(&clip, SOURCE_DIR "/models/starter", &(struct clip_opts){.no_text = true}, &err),
        &err);
    assert_int_equal(clip_dim(clip), DIM);
    check(file_read_all(&want, &size, TEST_DATA "/clip/shipped.bin", sizeof got, &err), &err);
    assert_int_equal(size, sizeof got);
    check(clip_session_new(&s, clip, device, 2, &err), &err);
    check(clip_encode_images(s, (const uint8_t *const *)pixels, PICTURES, got, &err), &err);
    for (int i = 0; i < PICTURES; i++) {
        double cosine = 0;
        for (int k = 0; k < DIM; k++) {
            float w;
            memcpy(&w, want + sizeof w * (size_t)(i * DIM + k), sizeof w);
            cosine += (double)w * got[i * DIM + k];
            if (fabs(w - got[i * DIM + k]) > far)
                fail_msg("%s: picture %d, value %d: %g, not %g", device, i, k, got[i * DIM + k], w);
        }
        if (1 - cosine > turned)
            fail_msg("%s: picture %d: cosine %.7f", device, i, cosine);
        mem_free(pixels[i]);
    }
    clip_session_free(s);
    mem_free(want);
    clip_close(clip);
}

static void equals_torch_at_full_size(void **state)
{
    (void)state;
    agrees(test_device(), 2e-5, 2e-5);
}

static void low_precision_keeps_its_promise(void **state)
{
    (void)state;
    if (!backend_has_low_precision()) {
        print_message("skipped: no AVX512_BF16 and AVX512_VNNI here\n");
        return;
    }
    agrees("cpu/bf16", 1, 1e-3);
    agrees("cpu/int8", 1, 1e-3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_torch_at_full_size),
        cmocka_unit_test(low_precision_keeps_its_promise),
    };
    return cmocka_run_group_tests_name("golden_starter", tests, NULL, NULL);
}
