/* Attention on every backend against the reference: causal, padded, strided (fused qkv), more keys
 * than a block holds. Tolerance: scores of size 1 to 4 carry errors of dh * 2^-24, which exp turns
 * into relative errors of the weights; the outputs are means of normal values. */
#include "harness.h"

struct attn_case {
    struct tensor q, k, v;
    struct attn_opts o;
};

static void run_attention(struct backend *be, float *y, void *ctx)
{
    struct attn_case *c = ctx;
    struct tensor t = c->q;
    t.data = y;
    op_attention(be, &t, &c->q, &c->k, &c->v, &c->o);
}

struct attn_shape {
    int64_t b, tq, tk, heads, dh;
    bool causal, fused, padded, apart; /* apart: rows lie at three different distances */
};

static void check_attention(struct harness *h, struct attn_shape s)
{
    int64_t d = s.heads * s.dh, ld = s.fused ? 3 * d : s.apart ? d + 1 : d;
    int64_t ld_k = s.apart ? d + 2 : d, ld_v = s.apart ? d + 4 : d;
    if (s.fused)
        s.tk = s.tq;
    struct guarded gq, gk = {0}, gv = {0};
    struct attn_case c = {.o = {.heads = (int)s.heads, .causal = s.causal}};
    float *q = random_floats(h, &gq, (size_t)(s.b * s.tq * ld), 1), *k = q + d, *v = q + 2 * d;
    if (s.fused) {
        c.o.ld_q = c.o.ld_k = c.o.ld_v = ld;
    } else {
        k = random_floats(h, &gk, (size_t)(s.b * s.tk * ld_k), 1);
        v = random_floats(h, &gv, (size_t)(s.b * s.tk * ld_v), 1);
        c.o.ld_q = s.apart ? ld : 0;
        c.o.ld_k = s.apart ? ld_k : 0;
        c.o.ld_v = s.apart ? ld_v : 0;
    }
    c.q = f32_view(q, 3, (int64_t[]){s.b, s.tq, d});
    c.k = f32_view(k, 3, (int64_t[]){s.b, s.tk, d});
    c.v = f32_view(v, 3, (int64_t[]){s.b, s.tk, d});
    int32_t len[16];
    for (int i = 0; i < 16; i++)
        len[i] = (int32_t)rng_below(&h->rng, (uint32_t)s.tk + 1);
    if (s.padded)
        c.o.kv_len = len;
    if (rng_below(&h->rng, 4) == 0)
        c.o.scale = 0.3f;
    char what[128];
    snprintf(what, sizeof what, "attention b%d q%d k%d h%d dh%d%s%s%s%s", (int)s.b, (int)s.tq,
             (int)s.tk, (int)s.heads, (int)s.dh, s.causal ? " causal" : "", s.fused ? " fused" : "",
             s.padded ? " padded" : "", s.apart ? " apart" : "");
    check_op(h, what, run_attention, &c, NULL, (size_t)(s.b * s.tq * d), tolerance(1e-5f, 5e-6f));
    guarded_free(&gq, "q");
    if (!s.fused) {
        guarded_free(&gk, "k");
        guarded_free(&gv, "v");
    }
}

static void attention_matches_reference(void **state)
{
    struct harness *h = *state;
    for (int i = 0; i < 120; i++) {
        struct attn_shape s = {.b = odd_size(h, 3),
                               .tq = odd_size(h, 97),
                               .tk = odd_size(h, 97),
                               .heads = odd_size(h, 3),
                               .dh = odd_size(h, 80),
                               .causal = i % 2,
                               .fused = i % 3 == 0,
                               .padded = i % 5 == 0,
                               .apart = i % 3 == 1};
        check_attention(h, s);
    }
}

static void attention_matches_reference_over_many_blocks(void **state)
{
    check_attention(*state, (struct attn_shape){2, 257, 257, 2, 64, false, true, false, false});
    check_attention(*state, (struct attn_shape){1, 300, 0, 2, 33, true, true, false, false});
    check_attention(*state, (struct attn_shape){1, 1, 515, 2, 40, false, false, false, true});
    check_attention(*state, (struct attn_shape){3, 130, 390, 1, 64, false, false, true, false});
    check_attention(*state, (struct attn_shape){2, 70, 96, 1, 176, false, false, false, false});
}

/* The running maximum must keep up when later blocks hold the larger scores. */
static void attention_survives_large_and_growing_scores(void **state)
{
    struct harness *h = *state;
    enum { T = 300, D = 16 };
    struct guarded gq, gk, gv;
    float *q = random_floats(h, &gq, T * D, 1), *k = random_floats(h, &gk, T * D, 1);
    for (int t = 0; t < T; t++)
        for (int i = 0; i < D; i++)
            k[t * D + i] *= (float)t;
    struct attn_case c = {.o = {.heads = 1}};
    c.q = f32_view(q, 3, (int64_t[]){1, T, D});
    c.k = f32_view(k, 3, (int64_t[]){1, T, D});
    c.v = f32_view(random_floats(h, &gv, T * D, 1), 3, (int64_t[]){1, T, D});
    /* Scores reach 1000, whose f32 spacing is 6e-5. */
    check_op(h, "growing scores", run_attention, &c, NULL, T * D, tolerance(2e-3f, 0));
    guarded_free(&gq, "q");
    guarded_free(&gk, "k");
    guarded_free(&gv, "v");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_matches_reference),
        cmocka_unit_test(attention_matches_reference_over_many_blocks),
        cmocka_unit_test(attention_survives_large_and_growing_scores),
    };
    return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
