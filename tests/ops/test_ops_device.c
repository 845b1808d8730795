/* A device of its own memory: products in bf16, f16 and int8, attention and convolutions in bf16
 * and f16 against the reference's, and tensors that stay on the device. Where there is no device,
 * exit code 77. Tolerances: the reference rounds the same factors to bf16 and sums in double, but a
 * weight of attention that falls on the other side of a rounding differs by 2^-8 of itself, and
 * cuDNN rounds the sums of convolutions too (not with EIDETIC_CUDNN=off). The CPU
 * has no arithmetic in f16: its values are rounded beforehand and computed in f32, so that products
 * are held to the rounding of sums, and weights of attention differ by 2^-11. */
#include "core/arena.h"
#include "harness.h"
#include "nn/packs.h"
#include "test.h"

struct pair {
    struct backend *ref, *be;
    struct rng rng;
    bool f16;
};

/* [0]: bf16, not on devices before sm_80, and [1]: f16 */
struct pairs {
    struct pair pair[2];
    bool bf16;
};

static void fill(struct pair *p, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = rng_normal(&p->rng);
        if (p->f16)
            x[i] = f16_to_f32(f32_to_f16(x[i]));
    }
}

static float *values(struct pair *p, size_t n)
{
    float *x = mem_array(n, sizeof *x);
    assert_non_null(x);
    fill(p, x, n);
    return x;
}

static void check_near(struct pair *p, const char *what, float *y, float *ref, size_t n,
                       struct tolerance tol)
{
    assert_int_equal(backend_sync(p->ref, NULL), ST_OK);
    assert_int_equal(backend_sync(p->be, NULL), ST_OK);
    compare(what, backend_name(p->be), y, ref, n, tol);
}

/* w [n, k] in f32 or f16, or in 8 bits with scales, which f16 holds. */
static void check_product(struct pair *p, const char *what, enum dtype type, int64_t m, int64_t n,
                          int64_t k)
{
    float *x = values(p, (size_t)(m * k)), *w = values(p, (size_t)(n * k));
    float *b = values(p, (size_t)n), *y = values(p, (size_t)(m * n));
    float *ref = values(p, (size_t)(m * n)), *r = values(p, (size_t)(m * n));
    float *scale = values(p, (size_t)n);
    int8_t *bytes = mem_alloc((size_t)(n * k));
    uint16_t *halves = mem_array((size_t)(n * k), sizeof *halves);
    assert_true(bytes && halves);
    for (int64_t i = 0; i < n * k; i++) {
        halves[i] = f32_to_f16(w[i]);
        bytes[i] = (int8_t)((int)rng_below(&p->rng, 200) - 100);
    }
    struct tensor tx = f32_view(x, 2, (int64_t[]){m, k}), tb = f32_view(b, 1, &n);
    struct tensor ty = f32_view(y, 2, (int64_t[]){m, n}), tref = ty, tr = ty;
    void *data = type == DT_I8 ? (void *)bytes : type == DT_F16 ? (void *)halves : w;
    struct tensor tw = tensor_view(data, type, 2, (int64_t[]){n, k});
    tref.data = ref;
    tr.data = r;
    for (int64_t i = 0; i < n; i++)
        scale[i] = p->f16 ? 0x1p-6f : 0.01f + fabsf(scale[i]) * 0.02f;
    if (type == DT_I8)
        tw.scale = scale;
    tw.use = TENSOR_WEIGHT;
    tw.packs = packs_new();
    op_linear(p->ref, &tref, &tx, &tw, &tb, ACT_GELU, &tr);
    op_linear(p->be, &ty, &tx, &tw, &tb, ACT_GELU, &tr);
    check_near(p, what, y, ref, (size_t)(m * n),
               tolerance(4.0f * 0x1p-24f * (float)k + 4e-6f, 2e-6f));
    packs_free(tw.packs);
    float *all[] = {x, w, b, y, ref, r, scale};
    for (int j = 0; j < 7; j++)
        mem_free(all[j]);
    mem_free(bytes);
    mem_free(halves);
}

static void low_products_match_the_reference(void **state)
{
    static const int64_t shapes[][3] = {{5, 3, 7}, {17, 33, 40}, {64, 130, 96}, {50, 31, 1}};
    struct pairs *all = *state;
    struct pair whole = {.rng = {8}};
    char name[48];
    struct error err;
    snprintf(name, sizeof name, "%s/int8", test_device());
    if (all->bf16 && (backend_open(&whole.be, name, 1, &err) ||
                      backend_open(&whole.ref, "cpu:ref/int8", 2, &err)))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < 3 * sizeof shapes / sizeof *shapes; i++) {
        static const enum dtype types[] = {DT_F32, DT_I8, DT_F16};
        const int64_t *s = shapes[i / 3];
        enum dtype type = types[i % 3];
        for (int j = !all->bf16; j < 2; j++)
            check_product(&all->pair[j], "linear in halves", type, s[0], s[1], s[2]);
        if (all->bf16 && type != DT_F16)
            check_product(&whole, "linear in int8", type, s[0], s[1], s[2]);
    }
    backend_close(whole.be);
    backend_close(whole.ref);
}

static void low_attention_matches_the_reference(void **state)
{
    static const int shapes[][6] = {
        /* b tq tk heads dh causal */
        {2, 70, 70, 2, 64, 1},  {1, 5, 130, 3, 40, 0}, {2, 33, 77, 1, 80, 0}, {1, 65, 65, 2, 17, 1},
        {1, 20, 40, 1, 160, 0}, {1, 3, 9, 2, 128, 0},  {2, 33, 64, 1, 200, 0}};
    struct pairs *both = *state;
    for (size_t j = !both->bf16; j < 2 * sizeof shapes / sizeof *shapes; j += 1 + !both->bf16) {
        struct pair *p = &both->pair[j % 2];
        size_t i = j / 2;
        int64_t b = shapes[i][0], tq = shapes[i][1], tk = shapes[i][2],
                d = shapes[i][3] * shapes[i][4];
        size_t nq = (size_t)(b * tq * d), nk = (size_t)(b * tk * d);
        float *q = values(p, nq), *k = values(p, nk), *v = values(p, nk);
        float *y = values(p, nq), *ref = values(p, nq);
        int32_t len[2] = {(int32_t)tk - 2, 1};
        struct attn_opts o = {.heads = shapes[i][3], .causal = shapes[i][5]};
        o.kv_len = i % 2 ? len : NULL;
        struct tensor tq3 = f32_view(q, 3, (int64_t[]){b, tq, d}), ty = tq3, tr = tq3;
        struct tensor tk3 = f32_view(k, 3, (int64_t[]){b, tk, d}), tv3 = tk3;
        tv3.data = v;
        ty.data = y;
        tr.data = ref;
        op_attention(p->ref, &tr, &tq3, &tk3, &tv3, &o);
        op_attention(p->be, &ty, &tq3, &tk3, &tv3, &o);
        check_near(p, "attention in halves", y, ref, nq, tolerance(p->f16 ? 1e-3f : 8e-3f, 0));
        float *all[] = {q, k, v, y, ref};
        for (int n = 0; n < 5; n++)
            mem_free(all[n]);
    }
}

static void low_convolutions_match_the_reference(void **state)
{
    static const int shapes[][8] = {/* b h w c n k stride circular */
                                    {1, 9, 11, 8, 70, 3, 1, 0},
                                    {2, 13, 12, 16, 5, 3, 2, 0},
                                    {1, 7, 6, 24, 65, 3, 1, 1},
                                    {1, 16, 17, 40, 3, 5, 1, 0},
                                    {2, 6, 5, 32, 64, 3, 1, 0}};
    struct pairs *both = *state;
    for (size_t at = !both->bf16; at < 2 * sizeof shapes / sizeof *shapes; at += 1 + !both->bf16) {
        struct pair *p = &both->pair[at % 2];
        const int *s = shapes[at / 2];
        int64_t pad = s[5] / 2, ho = (s[1] - 1) / s[6] + 1, wo = (s[2] - 1) / s[6] + 1, n = s[4];
        int64_t depth = (int64_t)s[5] * s[5] * s[3];
        size_t count = (size_t)(s[0] * ho * wo * n);
        float *x = values(p, (size_t)s[0] * (size_t)(s[1] * s[2] * s[3]));
        float *w = values(p, (size_t)(n * depth)), *b = values(p, (size_t)n);
        float *y = values(p, count), *ref = values(p, count);
        struct tensor tx = f32_view(x, 4, (int64_t[]){s[0], s[1], s[2], s[3]});
        struct tensor tw = f32_view(w, 4, (int64_t[]){n, s[5], s[5], s[3]});
        struct tensor tb = f32_view(b, 1, &n);
        struct tensor ty = f32_view(y, 4, (int64_t[]){s[0], ho, wo, n}), tr = ty;
        struct conv_opts o = {s[6], (int)pad, (int)pad, (int)pad, (int)pad, ACT_SILU, s[7]};
        tr.data = ref;
        tw.use = TENSOR_WEIGHT;
        tw.packs = packs_new();
        op_conv2d(p->ref, &tr, &tx, &tw, &tb, &o);
        op_conv2d(p->be, &ty, &tx, &tw, &tb, &o);
        const char *dnn = getenv("EIDETIC_CUDNN");
        float sums = 4 * sqrtf((float)depth); /* how large they are */
        float round = dnn && !strcmp(dnn, "off") ? 0 : p->f16 ? 0x1p-11f : 0x1p-8f;
        check_near(p, "conv2d in halves", y, ref, count,
                   tolerance(4.0f * 0x1p-24f * (float)depth + 4e-6f + round * sums, 2e-6f));
        packs_free(tw.packs);
        float *all[] = {x, w, b, y, ref};
        for (int j = 0; j < 5; j++)
            mem_free(all[j]);
    }
}

/* How often it fails where one of the first allocations fails. What it gives all the same is right:
 * that of the first answer, by whichever kernel. */
static int failures_of(struct pair *p, bool circular)
{
    enum { IN = 6 * 6 * 16, OUT = 6 * 6 * 8, TRIES = 16 };
    float *x = values(p, IN), *w = values(p, 8 * 9 * 16), *y = values(p, OUT), *first = NULL;
    struct tensor tx = f32_view(x, 4, (int64_t[]){1, 6, 6, 16});
    struct tensor tw = f32_view(w, 4, (int64_t[]){8, 3, 3, 16});
    struct tensor ty = f32_view(y, 4, (int64_t[]){1, 6, 6, 8});
    struct conv_opts o = {1, 1, 1, 1, 1, ACT_NONE, circular};
    int failures = 0;
    tw.use = TENSOR_WEIGHT;
    tw.packs = packs_new();
    for (unsigned n = 0; n < TRIES; n++) { /* 0: none fails */
        memset(y, 0, OUT * sizeof *y);
        mem_fail_at(n, false);
        op_conv2d(p->be, &ty, &tx, &tw, NULL, &o);
        mem_fail_at(0, false);
        bool failed = backend_sync(p->be, NULL) != ST_OK;
        failures += failed;
        if (!first) {
            first = values(p, OUT);
            memcpy(first, y, OUT * sizeof *y);
        } else if (!failed) {
            check_near(p, "conv2d without scratch", y, first, OUT, tolerance(4e-3f, 0x1p-8f));
        }
    }
    packs_free(tw.packs);
    float *all[] = {x, w, y, first};
    for (int j = 0; j < 4; j++)
        mem_free(all[j]);
    return failures;
}

/* A circular picture is never the library's. */
static void scratch_of_a_library_is_not_needed(void **state)
{
    struct pairs *both = *state;
    for (int i = !both->bf16; i < 2; i++)
        assert_int_equal(failures_of(&both->pair[i], false), failures_of(&both->pair[i], true));
}

/* Values beyond f16's largest: the answer is none, and shows it; a weight that expects such is not
 * multiplied in f16. */
static void what_f16_does_not_hold_shows(void **state)
{
    struct pair *p = &((struct pairs *)*state)->pair[1];
    for (int wide = 0; wide < 2; wide++) {
        float x[8 * 16], w[3 * 16], y[8 * 3], ref[8 * 3];
        fill(p, x, 8 * 16);
        fill(p, w, 3 * 16);
        x[5 * 16 + 3] = 1e5f;
        struct tensor tx = f32_view(x, 2, (int64_t[]){8, 16});
        struct tensor tw = f32_view(w, 2, (int64_t[]){3, 16});
        struct tensor ty = f32_view(y, 2, (int64_t[]){8, 3}), tr = ty;
        tr.data = ref;
        tw.use = wide ? TENSOR_WEIGHT_WIDE : TENSOR_WEIGHT;
        tw.packs = packs_new();
        op_linear(p->ref, &tr, &tx, &tw, NULL, ACT_NONE, NULL);
        op_linear(p->be, &ty, &tx, &tw, NULL, ACT_NONE, NULL);
        if (wide)
            check_near(p, "linear of wide values", y, ref, 8 * 3, tolerance(0.2f, 0x1p-7f));
        assert_int_equal(backend_sync(p->be, NULL), ST_OK);
        for (int i = 0; i < 8 * 3; i++)
            assert_true(isfinite(y[i]) || (!wide && i / 3 == 5));
        assert_true(wide || !isfinite(y[5 * 3]));
        packs_free(tw.packs);
    }
}

/* Uploaded, doubled, added, downloaded: between the ops the host sees nothing, and what it writes
 * in the meantime does no harm. */
static void tensors_of_its_arena_stay_on_the_device(void **state)
{
    struct pair *p = &((struct pairs *)*state)->pair[1];
    struct arena arena = {.memory = backend_memory(p->be)};
    int64_t n = 1000;
    assert_non_null(arena.memory);
    for (int turn = 0; turn < 3; turn++) {
        float *x = arena_array(&arena, (size_t)n, sizeof *x),
              *y = arena_array(&arena, (size_t)n, 4);
        struct tensor tx = f32_view(x, 1, &n), ty = f32_view(y, 1, &n);
        assert_true(x && y);
        for (int i = 0; i < n; i++)
            x[i] = (float)i;
        backend_upload(p->be, &tx);
        for (int i = 0; i < n; i++)
            x[i] = -1, y[i] = -1;
        op_scale(p->be, &ty, &tx, 2);
        op_add(p->be, &ty, &ty, &tx);
        assert_true(y[7] == -1);
        backend_download(p->be, &ty);
        assert_int_equal(backend_sync(p->be, NULL), ST_OK);
        for (int i = 0; i < n; i++)
            assert_true(y[i] == 3.0f * (float)i);
        arena_rewind(&arena, 0);
    }
    arena_release(&arena);
}

/* A layer's ops, all between them factors; each one's values, as another op reads them, near the
 * reference's, which rounds no more than what it multiplies. */
struct layer {
    struct pair *p;
    bool on_device;
    struct arena arena;
    struct packs *packs;
    struct rng rng; /* the same for both */
    float *seen[16];
    size_t count[16];
    int n;
};

static struct tensor take(struct layer *l, int ndim, const int64_t *dims)
{
    struct tensor t = f32_view(NULL, ndim, dims);
    t.data = arena_array(&l->arena, (size_t)tensor_count(&t), sizeof(float));
    assert_non_null(t.data);
    return t;
}

static struct tensor make(struct layer *l, int ndim, const int64_t *dims, float mean, bool weight)
{
    struct tensor t = take(l, ndim, dims);
    float *x = t.data;
    for (int64_t i = 0; i < tensor_count(&t); i++)
        x[i] = mean + rng_normal(&l->rng) * (weight && ndim > 1 ? 0.2f : 1);
    if (weight) {
        t.use = TENSOR_WEIGHT;
        t.packs = l->packs;
    } else {
        backend_upload(l->on_device ? l->p->be : l->p->ref, &t);
    }
    return t;
}

static void see(struct layer *l, const struct tensor *t)
{
    struct backend *be = l->on_device ? l->p->be : l->p->ref;
    struct tensor y = take(l, t->ndim, t->dim);
    op_scale(be, &y, t, 1);
    backend_download(be, &y);
    assert_int_equal(backend_sync(be, NULL), ST_OK);
    l->count[l->n] = (size_t)tensor_count(t);
    l->seen[l->n] = mem_dup(y.data, l->count[l->n] * sizeof(float));
    assert_non_null(l->seen[l->n++]);
}

/* side * side tokens. */
static void layer_ops(struct layer *l, int64_t side, int heads, int64_t dh, bool fused)
{
    struct backend *be = l->on_device ? l->p->be : l->p->ref;
    int64_t d = heads * dh, t = side * side, three = 3 * d, wide = 2 * d;
    int64_t dims[3] = {2, t, d}, grid[4] = {2, side, side, d},
            twice[4] = {2, 2 * side, 2 * side, d};
    struct tensor x = make(l, 3, dims, 0, false), w = make(l, 1, &d, 1, true);
    struct tensor b = make(l, 1, &d, 0, true), b3 = make(l, 1, &three, 0, true);
    struct tensor w3 = make(l, 2, (int64_t[]){three, d}, 0, true);
    struct tensor n = tensor_factor(take(l, 3, dims)), a = tensor_factor(take(l, 3, dims));
    struct tensor q = tensor_factor(take(l, 3, (int64_t[]){2, t, three})), k = q, v = q, all = q;
    const int32_t len[2] = {5, 7};
    struct attn_opts o = {.heads = heads, .causal = fused};
    if (heads > 1 && !fused)
        o.kv_len = len;
    op_layernorm(be, &n, &x, &w, &b, 1e-5f);
    see(l, &n);
    k.data = (float *)q.data + (fused ? d : 2 * t * d);
    v.data = (float *)q.data + (fused ? 2 * d : 4 * t * d);
    q.dim[2] = k.dim[2] = v.dim[2] = d;
    if (fused) {
        o.ld_q = o.ld_k = o.ld_v = three;
        op_linear(be, &all, &n, &w3, &b3, ACT_NONE, NULL);
    } else {
        struct tensor *part[] = {&q, &k, &v};
        for (int i = 0; i < 3; i++) {
            struct tensor wi = w3;
            wi.dim[0] = d;
            wi.data = (float *)w3.data + i * d * d;
            op_linear(be, part[i], &n, &wi, i ? NULL : &b, ACT_NONE, NULL);
        }
    }
    see(l, &all);
    op_attention(be, &a, &q, &k, &v, &o);
    see(l, &a);
    struct tensor h = tensor_factor(take(l, 3, (int64_t[]){2, t, wide})), g = h;
    struct tensor w1 = make(l, 2, (int64_t[]){wide, d}, 0, true), b1 = make(l, 1, &wide, 0, true);
    struct tensor w2 = make(l, 2, (int64_t[]){d, wide}, 0, true);
    g = tensor_factor(take(l, 3, h.dim));
    op_linear(be, &h, &a, &w1, &b1, ACT_GELU, NULL);
    op_linear(be, &g, &a, &w1, NULL, ACT_NONE, NULL);
    op_mul(be, &h, &h, &g);
    see(l, &h);
    op_linear(be, &x, &h, &w2, &b, ACT_NONE, &x);
    see(l, &x);
    struct tensor picture = f32_view(x.data, 4, grid);
    struct tensor m = tensor_factor(f32_view(n.data, 4, grid)),
                  u = tensor_factor(take(l, 4, twice));
    struct tensor y = take(l, 4, twice), kernel = make(l, 4, (int64_t[]){d, 3, 3, d}, 0, true);
    op_groupnorm(be, &m, &picture, NULL, &w, &b,
                 &(struct groupnorm_opts){.groups = heads, .eps = 1e-5f, .act = ACT_SILU});
    see(l, &m);
    op_upsample2x(be, &u, &m);
    see(l, &u);
    op_conv2d(be, &y, &u, &kernel, &b, &(struct conv_opts){1, 1, 1, 1, 1, ACT_NONE, false});
    see(l, &y);
}

static void factors_stay_near_their_values(void **state)
{
    static const int shapes[][4] = {/* side heads dh fused */
                                    {3, 2, 40, 1},
                                    {4, 3, 64, 0},
                                    {3, 2, 17, 1},
                                    {3, 2, 20, 0},
                                    {4, 1, 168, 0}};
    struct pairs *both = *state;
    for (size_t i = !both->bf16; i < 2 * sizeof shapes / sizeof *shapes; i += 1 + !both->bf16) {
        const int *s = shapes[i / 2];
        struct layer l[2];
        for (int j = 0; j < 2; j++) {
            struct pair *p = &both->pair[i % 2];
            l[j] = (struct layer){.p = p, .on_device = j, .packs = packs_new(), .rng = {i + 1}};
            l[j].arena.memory = j ? backend_memory(p->be) : NULL;
            layer_ops(&l[j], s[0], s[1], s[2], s[3]);
        }
        for (int k = 0; k < l[0].n; k++) {
            double square = 0;
            for (size_t at = 0; at < l[0].count[k]; at++)
                square += l[0].seen[k][at] * l[0].seen[k][at];
            float size = (float)sqrt(square / (double)l[0].count[k]);
            char what[48];
            snprintf(what, sizeof what, "factor %d of %d x %d", k, s[1], s[2]);
            check_near(l[0].p, what, l[1].seen[k], l[0].seen[k], l[0].count[k],
                       tolerance(0.06f * size, 0.02f));
            mem_free(l[0].seen[k]);
            mem_free(l[1].seen[k]);
        }
        for (int j = 0; j < 2; j++) {
            packs_free(l[j].packs);
            arena_release(&l[j].arena);
        }
    }
}

static int setup(void **state)
{
    static struct pairs all = {{{.rng = {7}}, {.rng = {9}, .f16 = true}}, true};
    static const char *const refs[] = {"cpu:ref/bf16", "cpu:ref"};
    struct error err;
    *state = &all;
    for (int i = 0; i < 2; i++) {
        struct pair *p = &all.pair[i];
        char name[48];
        snprintf(name, sizeof name, "%s/%s", test_device(), i ? "f16" : "bf16");
        enum status st = backend_open(&p->be, name, 1, &err);
        if (st == ST_UNSUPPORTED && i == 0) {
            print_message("skipped: bf16 and int8 (%s)\n", err.text);
            all.bf16 = false;
        } else if (st || backend_open(&p->ref, refs[i], 2, &err)) {
            fail_msg("%s", err.text);
        }
    }
    return 0;
}

static int teardown(void **state)
{
    struct pairs *all = *state;
    for (int i = 0; i < 2; i++) {
        backend_close(all->pair[i].be);
        backend_close(all->pair[i].ref);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(low_products_match_the_reference),
        cmocka_unit_test(low_attention_matches_the_reference),
        cmocka_unit_test(low_convolutions_match_the_reference),
        cmocka_unit_test(scratch_of_a_library_is_not_needed),
        cmocka_unit_test(what_f16_does_not_hold_shows),
        cmocka_unit_test(tensors_of_its_arena_stay_on_the_device),
        cmocka_unit_test(factors_stay_near_their_values),
    };
    if (strncmp(test_device(), "cuda", 4) != 0) {
        print_message("skipped: EIDETIC_TEST_DEVICE names no device of its own memory\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
