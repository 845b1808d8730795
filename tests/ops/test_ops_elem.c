/* Activations, elementwise ops, conversions, look-ups and moves on every backend against the
 * reference. */
#include "harness.h"

enum elem_op { ACT, ADD, MUL, SCALE, MEAN_TOKENS, EMBEDDING, CONVERT, NORMALIZE, PATCHIFY };

struct elem_case {
    enum elem_op op;
    enum act act;
    struct tensor x, r, y; /* y without data */
    const int32_t *len;
    bool in_place;
    int patch;
};

static void run_elem(struct backend *be, float *y, void *ctx)
{
    struct elem_case *c = ctx;
    struct tensor t = c->y, x = c->x;
    t.data = y;
    if (c->in_place)
        x.data = y;
    switch (c->op) {
    case ACT:
        op_act(be, &t, &x, c->act);
        break;
    case ADD:
        op_add(be, &t, &x, &c->r);
        break;
    case MUL:
        op_mul(be, &t, &x, &c->r);
        break;
    case SCALE:
        op_scale(be, &t, &x, 0.37f);
        break;
    case MEAN_TOKENS:
        op_mean_tokens(be, &t, &x, c->len);
        break;
    case EMBEDDING:
        op_embedding(be, &t, &x, &c->r);
        break;
    case CONVERT:
        op_convert(be, &t, &x);
        break;
    case NORMALIZE:
        op_normalize_u8(be, &t, &x, 1.0f / 255,
                        (const float[]){0.48145466f, 0.4578275f, 0.40821073f},
                        (const float[]){0.26862954f, 0.26130258f, 0.27577711f});
        break;
    case PATCHIFY:
        op_patchify(be, &t, &x, c->patch);
    }
}

/* exp, erf and tanh are within 5e-7 relative; GELU multiplies that by |x| <= 5 before it is flat.
 */
static void activations_match_reference(void **state)
{
    struct harness *h = *state;
    enum { N = 40000 };
    struct guarded g;
    float *x = random_floats(h, &g, N, 1);
    for (int i = 0; i < N; i++)
        x[i] = ((float)i * (20.0f / N) - 10.0f) + x[i] * 1e-3f;
    static const float special[] = {0.0f,   -0.0f,  1e-30f, -1e-30f, 1e-38f, -1e-42f, 87.0f,
                                    -87.5f, 88.8f,  -104,   3.92f,   -3.92f, 1000.0f, -1000.0f,
                                    1e20f,  -1e20f, 9.1f,   -9.1f,   6.0f,   5.9999f};
    memcpy(x, special, sizeof special);
    for (int act = 0; act < ACT_COUNT; act++) {
        struct elem_case c = {.op = ACT, .act = (enum act)act, .in_place = act % 2};
        c.x = c.y = f32_view(x, 1, (int64_t[]){N - act});
        bool exact = act == ACT_NONE || act == ACT_RELU || act == ACT_RELU6;
        check_op(h, act_name((enum act)act), run_elem, &c, c.in_place ? x : NULL, (size_t)(N - act),
                 exact ? tolerance(0, 0) : tolerance(1e-6f, 6e-7f));
    }
    guarded_free(&g, "x");
}

static void exponential_forms_keep_relative_accuracy_in_the_tail(void **state)
{
    struct harness *h = *state;
    float x[1000];
    for (int i = 0; i < 1000; i++)
        x[i] = -80.0f * (float)(i + 1) / 1000.0f;
    for (int i = 0; i < 2; i++) {
        struct elem_case c = {.op = ACT, .act = i ? ACT_SILU : ACT_SIGMOID};
        c.x = c.y = f32_view(x, 1, (int64_t[]){1000});
        check_op(h, "tail", run_elem, &c, NULL, 1000, tolerance(0, 6e-7f));
    }
}

static void binary_ops_match_reference_bit_for_bit(void **state)
{
    struct harness *h = *state;
    for (int i = 0; i < 60; i++) {
        int64_t b = odd_size(h, 8), t = odd_size(h, 33), d = odd_size(h, 130);
        struct guarded gx, gr;
        float *x = random_floats(h, &gx, (size_t)(b * t * d), 1);
        struct elem_case c = {.op = i % 3 == 0 ? ADD : i % 3 == 1 ? MUL : SCALE, .in_place = i % 2};
        c.x = c.y = f32_view(x, 3, (int64_t[]){b, t, d});
        int64_t rdims[3] = {b, t, d};
        int lead = (int)rng_below(&h->rng, 3);
        float *r = random_floats(h, &gr, (size_t)(b * t * d), 1);
        c.r = f32_view(r, 3 - lead, rdims + lead);
        check_op(h, "binary", run_elem, &c, c.in_place ? x : NULL, (size_t)(b * t * d),
                 tolerance(0, 0));
        guarded_free(&gx, "x");
        guarded_free(&gr, "r");
    }
}

static void mean_tokens_matches_reference(void **state)
{
    struct harness *h = *state;
    for (int i = 0; i < 40; i++) {
        int64_t b = odd_size(h, 8), t = odd_size(h, 80), d = odd_size(h, 130);
        int32_t len[8];
        for (int j = 0; j < 8; j++)
            len[j] = (int32_t)rng_below(&h->rng, (uint32_t)t + 1);
        struct guarded gx;
        struct elem_case c = {.op = MEAN_TOKENS, .len = i % 2 ? len : NULL};
        c.x = f32_view(random_floats(h, &gx, (size_t)(b * t * d), 1), 3, (int64_t[]){b, t, d});
        c.y = f32_view(NULL, 2, (int64_t[]){b, d});
        check_op(h, "mean_tokens", run_elem, &c, NULL, (size_t)(b * d), tolerance(2e-6f, 1e-6f));
        guarded_free(&gx, "x");
    }
}

static void lookups_and_conversions_match_reference_bit_for_bit(void **state)
{
    struct harness *h = *state;
    static const enum dtype types[] = {DT_F32, DT_F16, DT_BF16, DT_I8, DT_Q8_0};
    for (int i = 0; i < 50; i++) {
        enum dtype type = types[i % 5];
        int64_t rows = odd_size(h, 80), d = odd_size(h, 130), n = odd_size(h, 80);
        if (type == DT_Q8_0)
            d = (d + 31) / 32 * 32;
        struct weight w = random_weight(h, type, 2, (int64_t[]){rows, d});
        int32_t ids[80];
        for (int j = 0; j < 80; j++)
            ids[j] = (int32_t)rng_below(&h->rng, (uint32_t)rows);
        struct elem_case c = {.op = EMBEDDING, .x = w.t};
        c.r = tensor_view(ids, DT_I32, 1, &n);
        c.y = f32_view(NULL, 2, (int64_t[]){n, d});
        check_op(h, "embedding", run_elem, &c, NULL, (size_t)(n * d), tolerance(0, 0));
        c.op = CONVERT;
        c.y = f32_view(NULL, 2, (int64_t[]){rows, d});
        check_op(h, "convert", run_elem, &c, NULL, (size_t)(rows * d), tolerance(0, 0));
        weight_free(&w);
    }
}

/* Every kind of float, so that rounding, overflow, subnormals and NaN are compared bit for bit. */
static void narrowing_matches_the_scalar_conversions(void **state)
{
    struct harness *h = *state;
    enum { N = 4099 };
    static float x[N];
    for (int i = 0; i < N; i++) {
        uint32_t u = (uint32_t)rng_u64(&h->rng);
        if (i % 4 == 0)
            u = (u & 0x80ffffffu) | 0x38000000u; /* near f16's subnormals */
        if (i % 64 == 1)
            u |= 0x7f800000u;
        memcpy(x + i, &u, 4);
    }
    for (int i = 0; i < h->n; i++) {
        for (int type = DT_F16; type <= DT_BF16; type++) {
            struct guarded g = guarded_new(N * 2, 3);
            struct tensor tx = f32_view(x, 1, (int64_t[]){N});
            struct tensor ty = tensor_view(g.data, (enum dtype)type, 1, (int64_t[]){N});
            op_convert(h->be[i][1], &ty, &tx);
            for (int j = 0; j < N; j++) {
                uint16_t want = type == DT_F16 ? f32_to_f16(x[j]) : f32_to_bf16(x[j]), got;
                memcpy(&got, g.data + 2 * j, 2);
                uint16_t top = type == DT_F16 ? 0x7C00 : 0x7F80;
                if (isnan(x[j])) { /* hardware gives one NaN for all */
                    assert_true((got & 0x7FFF) > top);
                    continue;
                }
                if (got != want)
                    fail_msg("%s %s: %a gives %04x, not %04x", backend_name(h->be[i][1]),
                             dtype_name((enum dtype)type), (double)x[j], got, want);
            }
            guarded_free(&g, "convert");
        }
    }
}

static void pictures_become_patches(void **state)
{
    struct harness *h = *state;
    for (int i = 0; i < 20; i++) {
        int p = (int)odd_size(h, 16);
        int64_t b = odd_size(h, 5), rows = odd_size(h, 7) * p, cols = odd_size(h, 7) * p;
        size_t n = (size_t)(b * rows * cols * 3);
        struct guarded gx = guarded_new(n, rng_below(&h->rng, 8)), gf;
        for (size_t j = 0; j < n; j++)
            gx.data[j] = (unsigned char)rng_below(&h->rng, 256);
        struct elem_case c = {.op = NORMALIZE, .patch = p};
        c.x = tensor_view(gx.data, DT_U8, 4, (int64_t[]){b, rows, cols, 3});
        c.y = f32_view(NULL, 4, (int64_t[]){b, rows, cols, 3});
        check_op(h, "normalize_u8", run_elem, &c, NULL, n, tolerance(0, 0));
        c.op = PATCHIFY;
        c.x = f32_view(random_floats(h, &gf, n, 1), 4, (int64_t[]){b, rows, cols, 3});
        c.y = f32_view(NULL, 3, (int64_t[]){b, rows / p * (cols / p), 3 * p * p});
        check_op(h, "patchify", run_elem, &c, NULL, n, tolerance(0, 0));
        guarded_free(&gx, "x");
        guarded_free(&gf, "x");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_match_reference),
        cmocka_unit_test(exponential_forms_keep_relative_accuracy_in_the_tail),
        cmocka_unit_test(binary_ops_match_reference_bit_for_bit),
        cmocka_unit_test(mean_tokens_matches_reference),
        cmocka_unit_test(lookups_and_conversions_match_reference_bit_for_bit),
        cmocka_unit_test(narrowing_matches_the_scalar_conversions),
        cmocka_unit_test(pictures_become_patches),
    };
    return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
