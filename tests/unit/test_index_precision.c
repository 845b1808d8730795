/* What --precision auto comes to where the model's family does not say: the choice follows the
 * cosines, is remembered with the library, and is not made from too little; and on a card. */
#undef TEST_DATA
#define TEST_DATA SOURCE_DIR "/tests/golden"
#include "app/index_precision.h"
#include "golden/clip_toy.h"
#include "test.h"
#include "unit/library_fixture.h"

enum { PICTURES = 10 };

struct scene {
    struct app a;
    char *model;
    uint8_t *data;
    const uint8_t *pixels[PICTURES];
};

static void open_scene(struct scene *s, const char *toy)
{
    *s = (struct scene){.a = {.threads = 2}};
    s->model = toy_make(toy, "-auto", NULL, NULL);
    OK(clip_open(&s->a.clip, s->model, NULL, &e));
    int size = clip_info(s->a.clip)->image_size;
    s->data = toy_pixels(toy, PICTURES, size);
    for (int i = 0; i < PICTURES; i++)
        s->pixels[i] = s->data + (size_t)i * (size_t)size * (size_t)size * 3;
    s->a.db = open_mode(DB_CREATE);
    OK(app_new_session(&s->a, app_precision(&s->a), &s->a.session, &e));
}

static void close_scene(struct scene *s)
{
    app_close(&s->a);
    mem_free(s->data);
    toy_remove(s->model);
}

/* The least cosine of the first pictures, as index_precision_choose must have found it. */
static double least(struct scene *s)
{
    float v[2][INDEX_PRECISION_PICTURES * CLIP_MAX_DIM];
    const enum precision p[2] = {PREC_F32, PREC_INT8};
    double worst = 1;
    int dim = clip_dim(s->a.clip);
    for (int i = 0; i < 2; i++) {
        struct clip_session *session = NULL;
        OK(app_new_session(&s->a, p[i], &session, &e));
        OK(clip_encode_images(session, s->pixels, INDEX_PRECISION_PICTURES, v[i], &e));
        clip_session_free(session);
    }
    for (int i = 0; i < INDEX_PRECISION_PICTURES; i++) {
        double c = 0;
        for (int j = 0; j < dim; j++)
            c += (double)v[0][i * dim + j] * v[1][i * dim + j];
        worst = c < worst ? c : worst;
    }
    return worst;
}

static void the_choice_follows_the_cosines(void **state)
{
    (void)state;
    static const char *const toys[] = {"open_clip_quick", "hf_gelu", "openai", "resnet"};
    if (!backend_has_low_precision())
        skip();
    for (size_t i = 0; i < sizeof toys / sizeof *toys; i++) {
        struct scene s;
        open_scene(&s, toys[i]);
        assert_int_equal(app_precision(&s.a), PREC_BF16);
        assert_true(app_precision_open(&s.a));
        struct clip_session *session = s.a.session;
        OK(index_precision_choose(&s.a, s.pixels, INDEX_PRECISION_PICTURES - 1, &session, &e));
        assert_true(session == s.a.session && app_precision_open(&s.a)); /* too few */
        OK(index_precision_choose(&s.a, s.pixels, PICTURES, &session, &e));
        double worst = least(&s);
        enum precision want = worst >= INDEX_PRECISION_NEAR ? PREC_INT8 : PREC_BF16;
        print_message("%s: int8 keeps %.5f, %s is used\n", toys[i], worst, precision_name(want));
        assert_ptr_equal(session, s.a.session);
        assert_int_equal(clip_session_precision(session), want);
        assert_false(app_precision_open(&s.a));
        assert_int_equal(app_precision(&s.a), want);
        s.a.precision = "f32"; /* who asks for something gets it */
        assert_int_equal(app_precision(&s.a), PREC_F32);
        s.a.precision = "auto";
        assert_int_equal(app_precision(&s.a), want);
        close_scene(&s);
    }
}

static void what_is_known_is_not_measured(void **state)
{
    (void)state;
    struct scene s;
    struct index_opts o = {0};
    open_scene(&s, "hf_gelu");
    s.a.precision = "bf16";
    index_precision_measure(&s.a, &o);
    assert_null(o.first_batch);
    s.a.precision = NULL;
    index_precision_measure(&s.a, &o);
    assert_int_equal(o.first_batch != NULL, backend_has_low_precision());
    OK(app_remember_precision(&s.a, PREC_BF16, &e));
    index_precision_measure(&s.a, &o);
    assert_null(o.first_batch);
    close_scene(&s);
    open_scene(&s, "starter"); /* its family says int8 */
    index_precision_measure(&s.a, &o);
    assert_null(o.first_batch);
    close_scene(&s);
}

static void a_card_without_bf16_computes_in_f16(void **state)
{
    (void)state;
    const char *sm = getenv("EIDETIC_EMULATED_SM");
    if (strcmp(test_device(), "cuda:emulated") != 0)
        skip();
    struct scene s;
    float v[CLIP_MAX_DIM];
    open_scene(&s, "hf_gelu");
    clip_session_free(s.a.session);
    s.a.device = test_device();
    s.a.precision = "auto";
    assert_int_equal(app_open_session(&s.a), 0);
    assert_int_equal(clip_session_precision(s.a.session), sm ? PREC_F16 : PREC_BF16);
    OK(clip_encode_images(s.a.session, s.pixels, 1, v, &e));
    close_scene(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_choice_follows_the_cosines, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_known_is_not_measured, setup, teardown),
        cmocka_unit_test_setup_teardown(a_card_without_bf16_computes_in_f16, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
