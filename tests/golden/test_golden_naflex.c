/* SigLIP 2 with pictures of any shape, block by block against transformers, and the lists of
 * patches that its image processor makes (scripts/make_golden_families.py). */
#include "golden/clip_golden.h"
#include "golden/toy_picture.h"

struct one {
    struct check check;
    int picture;
};

/* The reference's rows of this picture; what it padded is not there. */
static void on_picture_trace(void *ctx, const char *name, const struct tensor *t)
{
    struct one *o = ctx;
    const struct tensor *w = weights_find(o->check.want, name);
    if (!w || strstr(name, "vector"))
        return;
    int64_t row = tensor_count(w) / w->dim[0];
    assert_true(tensor_count(t) <= row);
    o->check.compared++;
    compare(o->check.toy, name, t->data, (float *)w->data + o->picture * row, tensor_count(t),
            BLOCK_TOLERANCE);
}

static void check_pictures(struct toy_run *r)
{
    json_t *shapes = json_object_get(r->m, "shapes");
    int n = (int)json_array_size(shapes), d = clip_dim(r->clip);
    int side = (int)json_integer_value(json_object_get(r->m, "image_size"));
    size_t one = (size_t)side * (size_t)side * 3;
    struct error err = {0};
    uint8_t *px = toy_pixels(r->toy, n, side);
    const uint8_t *all[8];
    float v[8 * 64];
    assert_int_equal(clip_prep(r->clip, true).size, side);
    for (int i = 0; i < n; i++) {
        json_t *shape = json_array_get(shapes, (size_t)i);
        uint8_t *p = px + (size_t)i * one;
        all[i] = p;
        p[0] = (uint8_t)json_integer_value(json_array_get(shape, 0));
        p[2] = (uint8_t)json_integer_value(json_array_get(shape, 1));
        p[1] = p[3] = 0;
        struct one o = {{.want = r->want, .toy = r->toy}, i};
        clip_session_trace(r->session, on_picture_trace, &o);
        if (clip_encode_images(r->session, &all[i], 1, v, &err))
            fail_msg("%s", err.text);
        clip_session_trace(r->session, NULL, NULL);
        assert_int_equal(o.check.compared, clip_info(r->clip)->image_layers + 2);
    }
    if (clip_encode_images(r->session, all, n, v, &err))
        fail_msg("%s", err.text);
    compare_vectors(r->toy, "image.vector", v, wanted(r->want, "image.vector", n, d), n, d);
    px[0] = 13;
    assert_int_equal(clip_encode_images(r->session, all, 1, v, &err), ST_USAGE);
    mem_free(px);
}

static void siglip_2_with_pictures_of_any_shape(void **state)
{
    (void)state;
    struct toy_run r = {.toy = "siglip2_naflex", .m = toy_manifest("siglip2_naflex")};
    struct error err = {0};
    char path[512], *dir = toy_make(r.toy, "", NULL, NULL);
    snprintf(path, sizeof path, "%s/clip/%s.safetensors", TEST_DATA, r.toy);
    if (weights_open(&r.want, path, &err) || clip_open(&r.clip, dir, NULL, &err) ||
        clip_session_new(&r.session, r.clip, test_device(), 2, &err))
        fail_msg("%s", err.text);
    r.check = (struct check){.want = r.want, .toy = r.toy};
    assert_string_equal(clip_info(r.clip)->arch, "siglip");
    check_pictures(&r);
    check_texts(&r);
    check_text_blocks(&r);
    check_states(&r);
    check_logits(&r);
    clip_session_free(r.session);
    clip_close(r.clip);
    weights_close(r.want);
    json_decref(r.m);
    toy_remove(dir);
}

static void lists_of_patches_match_transformers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int w, h;
    } all[] = {{"wide", 101, 64}, {"tall", 47, 90}, {"strip", 200, 9}};
    struct weights *want = NULL;
    struct decoder_prep prep = {
        .fit = DECODER_FIT_PATCHES, .filter = IMAGE_BILINEAR, .patch = 4, .patches = 40};
    prep.size = decoder_patches_side(4, 40);
    assert_int_equal(weights_open(&want, TEST_DATA "/clip/siglip2_naflex.safetensors", NULL),
                     ST_OK);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct image img = toy_picture(all[i].name, all[i].w, all[i].h), list = {0};
        char key[64];
        int rows, columns, off = 0;
        snprintf(key, sizeof key, "prep.%s", all[i].name);
        const struct tensor *values = weights_find(want, key);
        snprintf(key, sizeof key, "prep.%s.shape", all[i].name);
        const float *shape = weights_find(want, key)->data;
        assert_int_equal(decoder_prepare(&list, &img, &prep, NULL), ST_OK);
        decoder_patches(list.data, &rows, &columns);
        assert_true((float)rows == shape[0] && (float)columns == shape[1]);
        assert_int_equal(tensor_count(values), rows * columns * 48);
        for (int k = 0; k < rows * columns * 48; k++) {
            float w = ((float *)values->data)[k];
            float d = fabsf((float)list.data[DECODER_PATCHES_AT * 3 + k] - w);
            assert_true(d <= 1.0f);
            off += d > 0.0f;
        }
        assert_true(off <= rows * columns * 48 / 200);
        image_release(&list);
        image_release(&img);
    }
    weights_close(want);
}

/* A picture that is all length has as many patches as are allowed, or says why not. */
static void extreme_shapes_stay_within_the_list(void **state)
{
    (void)state;
    static const int shapes[][2] = {{1, 1}, {1, 60000}, {60000, 1}, {3, 2000}, {500, 500}};
    struct decoder_prep prep = {
        .fit = DECODER_FIT_PATCHES, .filter = IMAGE_BILINEAR, .patch = 16, .patches = 256};
    prep.size = decoder_patches_side(16, 256);
    assert_int_equal(prep.size, 257);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct image img = {0}, list = {0};
        int rows, columns;
        assert_int_equal(image_alloc(&img, shapes[i][0], shapes[i][1], NULL), ST_OK);
        memset(img.data, 7, (size_t)shapes[i][0] * (size_t)shapes[i][1] * 3);
        assert_int_equal(decoder_prepare(&list, &img, &prep, NULL), ST_OK);
        decoder_patches(list.data, &rows, &columns);
        assert_true(rows >= 1 && columns >= 1 && rows * columns <= 256);
        assert_int_equal(list.data[DECODER_PATCHES_AT * 3], 7);
        image_release(&list);
        image_release(&img);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siglip_2_with_pictures_of_any_shape),
        cmocka_unit_test(lists_of_patches_match_transformers),
        cmocka_unit_test(extreme_shapes_stay_within_the_list),
    };
    return cmocka_run_group_tests_name("golden_naflex", tests, NULL, NULL);
}
