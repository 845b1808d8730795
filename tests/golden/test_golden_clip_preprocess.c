/* Pixels as transformers' CLIPImageProcessor (Pillow backend) and open_clip's transform give them,
 * from pictures whose margins are odd, so that the two libraries' crops differ. Tolerance: resizing
 * is equal to Pillow within 1 of 255 (0.015 after normalising), and almost all pixels are equal to
 * rounding. */
#include "clip/preprocess.h"
#include "core/file.h"
#include "core/mem.h"
#include "golden/toy_picture.h"
#include <math.h>

static void check(const struct weights *want, const char *name, const struct clip_preprocess *p,
                  const struct image *img)
{
    struct tensor w;
    struct image sq = {0};
    struct error err = {0};
    int size = p->prep.size, off = 0;
    if (weights_get(want, name, 3, (int64_t[]){size, size, 3}, &w, &err) ||
        decoder_prepare(&sq, img, &p->prep, &err))
        fail_msg("%s", err.text);
    for (int i = 0; i < size * size * 3; i++) {
        float x = ((float)sq.data[i] * p->rescale - p->mean[i % 3]) / p->std[i % 3];
        float d = fabsf(x - ((float *)w.data)[i]);
        if (!(d <= 1.0f / 255.0f / p->std[i % 3] + 1e-4f))
            fail_msg("%s: pixel %d is %g, the reference has %g", name, i / 3, (double)x,
                     (double)((float *)w.data)[i]);
        off += d > 1e-4f;
    }
    assert_true(off <= size * size * 3 / 200);
    image_release(&sq);
}

static json_t *config(const char *text)
{
    json_t *o = json_loads(text, 0, NULL);
    assert_non_null(o);
    return o;
}

static void check_picture(const struct weights *want, const char *name, int w, int h)
{
    static const char *const modes[] = {"shortest", "squash", "longest"};
    struct image img = toy_picture(name, w, h);
    struct clip_preprocess p;
    char key[64], text[128];
    snprintf(key, sizeof key, "%s.hf", name);
    assert_int_equal(clip_preprocess_hf(&p, "no-such-folder", 32, NULL), ST_OK);
    check(want, key, &p, &img);
    for (int i = 0; i < 3; i++) {
        snprintf(key, sizeof key, "%s.%s", name, modes[i]);
        snprintf(text, sizeof text, "{\"resize_mode\": \"%s\"}", modes[i]);
        json_t *o = config(text);
        assert_int_equal(clip_preprocess_open_clip(&p, "test", o, 32, NULL), ST_OK);
        check(want, key, &p, &img);
        json_decref(o);
    }
    json_t *o = config("{\"resize_mode\": \"squash\", \"interpolation\": \"bilinear\", "
                       "\"mean\": [0.5, 0.5, 0.5], \"std\": [0.5, 0.5, 0.5]}");
    snprintf(key, sizeof key, "%s.half", name);
    assert_int_equal(clip_preprocess_open_clip(&p, "test", o, 32, NULL), ST_OK);
    check(want, key, &p, &img);
    json_decref(o);
    image_release(&img);
}

/* Made larger than the tower's square, then cropped. */
static void check_larger(const struct weights *want, const char *key, const char *config_text)
{
    struct image img = toy_picture("tall", 47, 90);
    struct clip_preprocess p;
    struct error err = {0};
    char *dir = mem_printf("larger-%d", (int)getpid());
    char *path = path_join(dir, "preprocessor_config.json");
    assert_int_equal(file_make_dirs(dir, NULL), ST_OK);
    assert_int_equal(file_write_atomic(path, config_text, strlen(config_text), NULL), ST_OK);
    if (clip_preprocess_hf(&p, dir, 32, &err))
        fail_msg("%s", err.text);
    check(want, key, &p, &img);
    mem_free(path);
    toy_remove(dir);
    image_release(&img);
}

static void pixels_match_transformers_and_open_clip(void **state)
{
    (void)state;
    struct weights *want = NULL;
    struct error err = {0};
    if (weights_open(&want, TEST_DATA "/clip/preprocess.safetensors", &err))
        fail_msg("%s", err.text);
    check_picture(want, "wide", 101, 64);
    check_picture(want, "tall", 47, 90);
    check_picture(want, "small", 20, 23);
    check_larger(want, "tall.larger", "{\"size\": {\"shortest_edge\": 41}, \"crop_size\": 32}");
    check_larger(want, "tall.larger_squash",
                 "{\"size\": {\"height\": 45, \"width\": 45}, \"crop_size\": 32}");
    weights_close(want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pixels_match_transformers_and_open_clip),
    };
    return cmocka_run_group_tests_name("golden_clip_preprocess", tests, NULL, NULL);
}
