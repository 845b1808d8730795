/* A toy model block by block against what its reference gave (scripts/make_golden_clip.py and
 * make_golden_families.py). Tolerances: sums of a few hundred products in another order differ
 * by about 1e-6 of the values' size (up to 10 in the residual stream), so blocks are held to 2e-4
 * absolute and unit vectors to 2e-6, with cosine >= 1 - 1e-6: far inside the promised 1e-4 and
 * 0.9999. A wrong GELU, epsilon or mask shows at 1e-3 and more. */
#ifndef EIDETIC_TESTS_CLIP_GOLDEN_H
#define EIDETIC_TESTS_CLIP_GOLDEN_H

#include "golden/clip_toy.h"
#include <math.h>

#define BLOCK_TOLERANCE 2e-4f
#define VECTOR_TOLERANCE 2e-6f

struct check {
    const struct weights *want;
    const char *toy;
    int compared;
};

static inline void compare(const char *toy, const char *name, const float *got, const float *want,
                           int64_t n, float tolerance)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabsf(got[i] - want[i]) <= tolerance))
            fail_msg("%s: %s[%lld] is %.8g, the reference has %.8g", toy, name, (long long)i,
                     (double)got[i], (double)want[i]);
}

/* Image blocks compare whole; text states in on_text_trace, as far as both go: what follows the end
 * token is not computed. */
static inline void on_trace(void *ctx, const char *name, const struct tensor *t)
{
    struct check *c = ctx;
    const struct tensor *w = weights_find(c->want, name);
    if (!w || strstr(name, "vector"))
        return;
    c->compared++;
    assert_true(tensor_same_shape(t, w));
    compare(c->toy, name, t->data, w->data, tensor_count(t), BLOCK_TOLERANCE);
}

static inline void compare_vectors(const char *toy, const char *name, const float *got,
                                   const float *want, int n, int d)
{
    compare(toy, name, got, want, (int64_t)n * d, VECTOR_TOLERANCE);
    for (int i = 0; i < n; i++) {
        double dot = 0, a = 0, b = 0;
        for (int j = 0; j < d; j++) {
            double x = (double)got[i * d + j], y = (double)want[i * d + j];
            dot += x * y, a += x * x, b += y * y;
        }
        assert_true(dot / sqrt(a * b) >= 1.0 - 1e-6);
        assert_true(fabs(a - 1.0) < 1e-5);
    }
}

static inline const float *wanted(const struct weights *w, const char *name, int n, int d)
{
    struct tensor t;
    struct error err = {0};
    if (weights_get(w, name, 2, (int64_t[]){n, d}, &t, &err))
        fail_msg("%s", err.text);
    return t.data;
}

struct toy_run {
    const char *toy;
    json_t *m;
    struct weights *want;
    struct clip *clip;
    struct clip_session *session;
    struct check check;
    char *file, *dir;
};

static inline void check_images(struct toy_run *r)
{
    int n = (int)json_integer_value(json_object_get(r->m, "images"));
    int size = (int)json_integer_value(json_object_get(r->m, "image_size")), d = clip_dim(r->clip);
    struct error err = {0};
    uint8_t *px = toy_pixels(r->toy, n, size);
    const uint8_t *one[8];
    float *v = mem_array((size_t)n * (size_t)d, sizeof *v);
    for (int i = 0; i < n; i++)
        one[i] = px + (size_t)i * (size_t)size * (size_t)size * 3;
    assert_int_equal(clip_prep(r->clip, true).size, size);
    if (clip_encode_images(r->session, one, n, v, &err))
        fail_msg("%s: %s", r->toy, err.text);
    compare_vectors(r->toy, "image.vector", v, wanted(r->want, "image.vector", n, d), n, d);
    mem_free(v);
    mem_free(px);
}

/* The trace sees texts in order of length: they are encoded one by one for it, then all at once. */
static inline void check_texts(struct toy_run *r)
{
    json_t *list = json_object_get(r->m, "texts");
    int n = (int)json_array_size(list), d = clip_dim(r->clip);
    const char *text[8];
    struct error err = {0};
    float *v = mem_array((size_t)n * (size_t)d, sizeof *v);
    const float *want = wanted(r->want, "text.vector", n, d);
    for (int i = 0; i < n; i++)
        text[i] = json_string_value(json_array_get(list, (size_t)i));
    if (clip_encode_text(r->session, text, n, v, &err))
        fail_msg("%s: %s", r->toy, err.text);
    compare_vectors(r->toy, "text.vector", v, want, n, d);
    for (int i = 0; i < n; i++) {
        float alone[CLIP_MAX_DIM];
        assert_int_equal(clip_encode_text(r->session, &text[i], 1, alone, &err), ST_OK);
        compare_vectors(r->toy, "text.vector alone", alone, want + (size_t)i * (size_t)d, 1, d);
    }
    mem_free(v);
}

struct text_rows {
    struct check *c;
    int row; /* of the reference's batch */
};

static inline void on_text_trace(void *ctx, const char *name, const struct tensor *t)
{
    struct text_rows *x = ctx;
    const struct tensor *w = weights_find(x->c->want, name);
    if (!w || w->ndim != 3)
        return;
    int64_t d = tensor_cols(t), both = t->dim[1] < w->dim[1] ? t->dim[1] : w->dim[1];
    x->c->compared++;
    compare(x->c->toy, name, t->data, (float *)w->data + x->row * w->dim[1] * d, both * d,
            BLOCK_TOLERANCE);
}

static inline void check_text_blocks(struct toy_run *r)
{
    json_t *list = json_object_get(r->m, "texts");
    for (int i = 0; i < (int)json_array_size(list); i++) {
        struct text_rows ctx = {&r->check, i};
        const char *text = json_string_value(json_array_get(list, (size_t)i));
        float v[CLIP_MAX_DIM];
        clip_session_trace(r->session, on_text_trace, &ctx);
        assert_int_equal(clip_encode_text(r->session, &text, 1, v, NULL), ST_OK);
        clip_session_trace(r->session, NULL, NULL);
    }
}

static inline void check_states(struct toy_run *r)
{
    const struct clip_info *info = clip_info(r->clip);
    size_t n = (size_t)info->context * (size_t)info->text_width;
    struct tensor want;
    struct error err = {0};
    float *states = mem_array(n, sizeof *states);
    uint8_t *mask = mem_alloc((size_t)info->context);
    json_t *text = json_array_get(json_object_get(r->m, "texts"), 1);
    assert_int_equal(weights_get(r->want, "states", 2, (int64_t[]){info->context, info->text_width},
                                 &want, &err),
                     ST_OK);
    assert_int_equal(clip_text_states(r->session, json_string_value(text), states, mask, &err),
                     ST_OK);
    compare(r->toy, "states", states, want.data, (int64_t)n, BLOCK_TOLERANCE);
    json_t *own = json_object_get(r->m, "states"); /* the text's own tokens; absent: all count */
    for (int i = 0; i < info->context; i++)
        assert_int_equal(mask[i], !own || i < json_integer_value(own));
    mem_free(mask);
    mem_free(states);
}

static inline void check_logits(struct toy_run *r)
{
    const struct clip_info *info = clip_info(r->clip);
    const struct tensor *want = weights_find(r->want, "logits");
    const float *a = weights_find(r->want, "image.vector")->data;
    const float *b = weights_find(r->want, "text.vector")->data;
    float dot = 0.0f;
    for (int i = 0; i < info->dim; i++)
        dot += a[i] * b[i];
    assert_float_equal(info->logit_scale * dot + info->logit_bias, ((float *)want->data)[0], 1e-4);
}

/* The toy made again, `suffix` as toy_make has it, opened as a file or as a folder. */
static inline void toy_run_open(struct toy_run *r, const char *toy, const char *suffix,
                                bool by_file, const char *device)
{
    struct error err = {0};
    char path[512];
    *r = (struct toy_run){.toy = toy, .m = toy_manifest(toy)};
    r->dir = toy_make(toy, suffix, NULL, &r->file);
    snprintf(path, sizeof path, "%s/clip/%s.safetensors", TEST_DATA, toy);
    if (weights_open(&r->want, path, &err) ||
        clip_open(&r->clip, by_file ? r->file : r->dir, NULL, &err) ||
        clip_session_new(&r->session, r->clip, device, 1, &err))
        fail_msg("%s: %s", toy, err.text);
}

static inline void toy_run_close(struct toy_run *r)
{
    clip_session_free(r->session);
    clip_close(r->clip);
    weights_close(r->want);
    json_decref(r->m);
    mem_free(r->file);
    toy_remove(r->dir);
}

static inline void run_toy(const char *toy, bool by_file, const char *layout)
{
    struct toy_run r;
    toy_run_open(&r, toy, by_file ? "-file" : "", by_file, test_device());
    r.check = (struct check){.want = r.want, .toy = toy};
    assert_string_equal(clip_info(r.clip)->arch, json_string_value(json_object_get(r.m, "arch")));
    assert_string_equal(clip_info(r.clip)->layout, layout);
    clip_session_trace(r.session, on_trace, &r.check);
    check_images(&r);
    clip_session_trace(r.session, NULL, NULL);
    assert_int_equal(r.check.compared, clip_info(r.clip)->image_layers + 2);
    check_images(&r); /* without a trace the last layer is computed for the class token alone */
    check_texts(&r);
    check_text_blocks(&r);
    check_states(&r);
    check_logits(&r);
    toy_run_close(&r);
}

#endif
