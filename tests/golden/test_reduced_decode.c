/* Reduced JPEG decoding must not change what a picture means: every sample photograph, enlarged and
 * saved as JPEG, is embedded from a full and from a reduced decode. The size is the worst for the
 * starter's input of 260: 3:4 is just large enough for an eighth. The bounds are those of the
 * project: cosine >= 0.97 for each, >= 0.99 at the median. */
#include "clip/clip.h"
#include "core/path.h"
#include "image/decoder.h"
#include "test.h"
#include <dirent.h>
#include <math.h>
#include <unistd.h>

enum { LONG_SIDE = 4224, MAX_PHOTOS = 64 };

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void embed(struct clip_session *s, const struct clip *c, const char *path, bool exact,
                  float *out)
{
    struct decoder_prep prep = clip_prep(c, exact);
    struct image_opts o = {.min_side = exact ? 0 : decoder_min_side(&prep)};
    struct image img = {0}, ready = {0};
    struct image_meta meta;
    struct error err = {ST_OK, ""};
    assert_int_equal(image_load(&img, path, &o, &meta, &err), ST_OK);
    if (!exact)
        assert_true(img.width < LONG_SIDE); /* otherwise nothing is tested */
    enum status st = exact ? decoder_prepare(&ready, &img, &prep, &err)
                           : decoder_prepare_reduced(&ready, &img, &meta, &prep, &err);
    assert_int_equal(st, ST_OK);
    const uint8_t *pixels = ready.data;
    assert_int_equal(clip_encode_images(s, &pixels, 1, out, &err), ST_OK);
    image_release(&img);
    image_release(&ready);
}

static void enlarge(const char *from, const char *to)
{
    struct image small = {0}, large = {0};
    struct error err;
    assert_int_equal(image_load(&small, from, NULL, NULL, &err), ST_OK);
    int side = small.width > small.height ? small.width : small.height;
    int w = (int)((int64_t)small.width * LONG_SIDE / side);
    int h = (int)((int64_t)small.height * LONG_SIDE / side);
    assert_int_equal(image_resize(&large, w, h, &small, NULL, IMAGE_BICUBIC, &err), ST_OK);
    assert_int_equal(image_write_jpeg(to, &large, 90, &err), ST_OK);
    image_release(&small);
    image_release(&large);
}

static void reduced_decode_keeps_the_vector(void **state)
{
    (void)state;
    struct clip *c = NULL;
    struct clip_session *s = NULL;
    struct error err = {ST_OK, ""};
    float exact[CLIP_MAX_DIM], reduced[CLIP_MAX_DIM], cosine[MAX_PHOTOS];
    char large[] = "/tmp/eidetic-large-XXXXXX";
    size_t n = 0;
    int fd = mkstemp(large);
    assert_true(fd >= 0);
    close(fd);
    if (clip_open(&c, SOURCE_DIR "/models/starter", &(struct clip_opts){.no_text = true}, &err))
        fail_msg("%s", err.text);
    assert_int_equal(clip_session_new(&s, c, "cpu", 2, &err), ST_OK);
    DIR *d = opendir(SOURCE_DIR "/samples/photos");
    assert_non_null(d);
    for (struct dirent *e; n < MAX_PHOTOS && (e = readdir(d));) {
        if (!path_has_ext(e->d_name, "jpg"))
            continue;
        char *photo = path_join(SOURCE_DIR "/samples/photos", e->d_name);
        enlarge(photo, large);
        embed(s, c, large, true, exact);
        embed(s, c, large, false, reduced);
        cosine[n] = 0;
        for (int i = 0; i < clip_dim(c); i++)
            cosine[n] += exact[i] * reduced[i];
        if (cosine[n] < 0.97f)
            fail_msg("%s: cosine %.4f", e->d_name, (double)cosine[n]);
        n++;
        mem_free(photo);
    }
    closedir(d);
    assert_true(n >= 20);
    qsort(cosine, n, sizeof *cosine, compare_floats);
    print_message("%zu photographs: least cosine %.4f, median %.4f\n", n, (double)cosine[0],
                  (double)cosine[n / 2]);
    assert_true(cosine[n / 2] >= 0.99f);
    clip_session_free(s);
    clip_close(c);
    unlink(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reduced_decode_keeps_the_vector)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
