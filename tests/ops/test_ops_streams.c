/* A device's records and copies: what backend_repeat replays has the bits of what it ran, and
 * batches whose pixels are sent while others are computed do not mix. Where there is no device,
 * exit code 77. */
#include "core/arena.h"
#include "harness.h"
#include "nn/packs.h"
#include "test.h"

enum { B = 3, T = 7, D = 32, N = B * T * D };

struct net { /* what a tower's layer is made of */
    struct backend *be;
    struct arena *arena;
    struct tensor x, y, w, b, table;
    int32_t own_ids[B * T], own_len[B];
    int calls;
    float *plain; /* y goes here where it is not NULL */
};

/* Everything that ops take from the host lies on this function's stack. */
static enum status run_net(void *ctx)
{
    struct net *n = ctx;
    int32_t ids[B * T], len[B];
    int64_t count = B * T;
    struct tensor h = n->x, g = n->x, i = tensor_view(ids, DT_I32, 1, &count);
    n->calls++;
    memcpy(ids, n->own_ids, sizeof ids);
    memcpy(len, n->own_len, sizeof len);
    h.data = arena_array(n->arena, N, sizeof(float));
    g.data = arena_array(n->arena, N, sizeof(float));
    if (!h.data || !g.data)
        return ST_NOMEM;
    op_embedding(n->be, &h, &n->table, &i);
    op_add(n->be, &h, &h, &n->x);
    op_layernorm(n->be, &g, &h, &n->b, &n->b, 1e-5f);
    op_linear(n->be, &h, &g, &n->w, &n->b, ACT_QUICK_GELU, &h);
    op_attention(n->be, &g, &h, &h, &h, &(struct attn_opts){.heads = 2, .kv_len = len});
    struct tensor y = n->y;
    if (n->plain)
        y.data = n->plain;
    op_linear(n->be, &y, &g, &n->w, NULL, ACT_NONE, &g);
    memset(ids, 0x55, sizeof ids); /* as the next function's variables would */
    memset(len, 0x55, sizeof len);
    return ST_OK;
}

static void fill(struct rng *rng, const struct tensor *t)
{
    for (int64_t i = 0; i < tensor_count(t); i++)
        ((float *)t->data)[i] = rng_normal(rng) * 0.3f;
}

struct fixture {
    struct backend *be;
    struct arena io, arena, weights;
    struct net net;
    struct rng rng;
};

static struct tensor take(struct arena *a, int ndim, const int64_t *dims)
{
    struct tensor t = f32_view(NULL, ndim, dims);
    t.data = arena_array(a, (size_t)tensor_count(&t), sizeof(float));
    assert_non_null(t.data);
    return t;
}

static void open_net(struct fixture *f, const char *precision)
{
    char name[64];
    struct error err;
    int64_t d = D, wide[3] = {B, T, D};
    *f = (struct fixture){.rng = {3}};
    snprintf(name, sizeof name, "%s/%s", test_device(), precision);
    if (backend_open(&f->be, name, 1, &err))
        fail_msg("%s", err.text);
    f->io.memory = backend_staging(f->be);
    f->arena.memory = backend_memory(f->be);
    assert_true(f->io.memory && f->arena.memory);
    struct net *n = &f->net;
    *n = (struct net){.be = f->be, .arena = &f->arena};
    n->x = take(&f->io, 3, wide);
    n->y = take(&f->io, 3, wide);
    n->w = take(&f->weights, 2, (int64_t[]){D, D});
    n->b = take(&f->weights, 1, &d);
    n->table = take(&f->weights, 2, (int64_t[]){11, D});
    struct tensor *all[] = {&n->w, &n->b, &n->table};
    for (int i = 0; i < 3; i++) {
        fill(&f->rng, all[i]);
        all[i]->use = i ? TENSOR_VALUES : TENSOR_WEIGHT;
        all[i]->packs = i ? n->w.packs : packs_new();
    }
    for (int i = 0; i < B * T; i++)
        n->own_ids[i] = i * 5 % 11;
    for (int i = 0; i < B; i++)
        n->own_len[i] = 2 + 2 * i;
}

static void close_net(struct fixture *f)
{
    packs_free(f->net.w.packs);
    arena_release(&f->weights);
    arena_release(&f->arena);
    arena_release(&f->io);
    backend_close(f->be);
}

/* Sends x, runs, fetches y to `out`; by a record where `key` is given. */
static void pass(struct fixture *f, const char *key, float *out)
{
    struct error err;
    arena_rewind(&f->arena, 0);
    backend_send(f->be, &f->net.x);
    if (key)
        assert_int_equal(backend_repeat(f->be, &f->arena, key, run_net, &f->net), ST_OK);
    else
        assert_int_equal(run_net(&f->net), ST_OK);
    backend_fetch(f->be, &f->net.y, 0);
    if (backend_wait(f->be, 0, &err))
        fail_msg("%s", err.text);
    memcpy(out, f->net.y.data, N * sizeof *out);
}

static void a_replay_has_the_bits_of_a_run(void **state)
{
    (void)state;
    static const char *const precisions[] = {"f32", "bf16"};
    float ran[N], replayed[N];
    for (int p = 0; p < 2; p++) {
        struct fixture f;
        open_net(&f, precisions[p]);
        for (int turn = 0; turn < 6; turn++) {
            fill(&f.rng, &f.net.x);
            pass(&f, NULL, ran);
            int before = f.net.calls;
            pass(&f, "net", replayed);
            assert_memory_equal(ran, replayed, sizeof ran);
            assert_int_equal(f.net.calls - before, turn < 2); /* as it comes, recorded, replayed */
            assert_true(ran[N - 1] != 0 && ran[0] == ran[0]);
        }
        close_net(&f);
    }
}

static void a_record_is_made_again_where_memory_has_moved(void **state)
{
    (void)state;
    float ran[N], replayed[N];
    struct fixture f;
    open_net(&f, "f32");
    for (int turn = 0; turn < 9; turn++) {
        fill(&f.rng, &f.net.x);
        if (turn % 3 == 2) { /* the next block lies elsewhere */
            arena_release(&f.arena);
            f.arena.peak = (size_t)turn << 16;
        }
        pass(&f, "net", replayed);
        int calls = f.net.calls;
        pass(&f, NULL, ran);
        assert_memory_equal(ran, replayed, sizeof ran);
        f.net.calls = calls;
    }
    close_net(&f);
}

/* Other weights where the ones of before lay: their store is dropped, and a record with it. The
 * next run packs the new ones, the one behind it is recorded. */
static void a_record_is_made_again_where_weights_have_gone(void **state)
{
    (void)state;
    float ran[N], replayed[N], before[N] = {0};
    struct fixture f;
    open_net(&f, "bf16");
    fill(&f.rng, &f.net.x);
    for (int turn = 0; turn < 12; turn++) {
        int calls = f.net.calls;
        if (turn % 4 == 3) {
            packs_clear(f.net.w.packs);
            fill(&f.rng, &f.net.w);
            fill(&f.rng, &f.net.table);
        }
        pass(&f, "net", replayed);
        assert_int_equal(f.net.calls - calls, turn == 1 || turn % 4 == 3 || turn % 4 == 0);
        pass(&f, NULL, ran);
        assert_memory_equal(ran, replayed, sizeof ran);
        assert_true(turn % 4 != 3 || memcmp(ran, before, sizeof ran) != 0);
        memcpy(before, ran, sizeof ran);
    }
    close_net(&f);
}

/* y on the heap: a record could not bring it down. */
static void what_cannot_be_recorded_runs_as_it_comes(void **state)
{
    (void)state;
    float ran[N], y[N];
    struct fixture f;
    open_net(&f, "f32");
    for (int turn = 0; turn < 4; turn++) {
        fill(&f.rng, &f.net.x);
        pass(&f, NULL, ran);
        f.net.plain = y;
        memset(y, 0, sizeof y);
        float unused[N];
        pass(&f, "net", unused);
        f.net.plain = NULL;
        assert_memory_equal(ran, y, sizeof y);
    }
    close_net(&f);
}

/* Two batches take turns: while one waits to be computed the other's input is overwritten and sent.
 */
static void batches_under_way_do_not_mix(void **state)
{
    (void)state;
    enum { TURNS = 7 };
    struct backend *be;
    struct error err;
    struct arena io[2] = {{0}}, arena[2] = {{0}};
    struct tensor x[2], y[2], z[2];
    int64_t n = 5000;
    if (backend_open(&be, test_device(), 1, &err))
        fail_msg("%s", err.text);
    for (int i = 0; i < 2; i++) {
        io[i].memory = backend_staging(be);
        arena[i].memory = backend_memory(be);
        x[i] = take(&io[i], 1, &n);
        y[i] = take(&io[i], 1, &n);
        z[i] = take(&arena[i], 1, &n);
    }
    for (int turn = 0; turn < TURNS + 2; turn++) {
        int i = turn % 2;
        if (turn >= 2) {
            assert_int_equal(backend_wait(be, i, NULL), ST_OK);
            for (int64_t k = 0; k < n; k++)
                if (((float *)y[i].data)[k] != 6.0f * (float)(turn - 2) + (float)(k % 10) * 6.0f)
                    fail_msg("batch %d: value %d is %g", turn - 2, (int)k,
                             (double)((float *)y[i].data)[k]);
        }
        if (turn >= TURNS)
            continue;
        for (int64_t k = 0; k < n; k++)
            ((float *)x[i].data)[k] = (float)turn + (float)(k % 10);
        backend_send(be, &x[i]);
        op_scale(be, &z[i], &x[i], 2);
        op_add(be, &z[i], &z[i], &x[i]);
        op_scale(be, &y[i], &z[i], 2);
        backend_fetch(be, &y[i], i);
    }
    for (int i = 0; i < 2; i++) {
        arena_release(&io[i]);
        arena_release(&arena[i]);
    }
    backend_close(be);
}

/* "+low": weights of more than a megabyte are not kept, and what comes out is the same. */
static void weights_that_are_not_kept_give_the_same_bits(void **state)
{
    (void)state;
    static const char *const precisions[] = {"f32", "bf16"};
    int64_t m = 6, n = 600, k = 1000;
    float *x = mem_array((size_t)(m * k), 4), *y[2];
    uint16_t *w = mem_array((size_t)(n * k), 2);
    struct rng rng = {9};
    y[0] = mem_array((size_t)(m * n), 4);
    y[1] = mem_array((size_t)(m * n), 4);
    assert_true(x && w && y[0] && y[1]);
    for (int64_t i = 0; i < m * k; i++)
        x[i] = rng_normal(&rng);
    for (int64_t i = 0; i < n * k; i++)
        w[i] = f32_to_f16(rng_normal(&rng));
    for (int p = 0; p < 2; p++) {
        for (int low = 0; low < 2; low++) {
            char name[64];
            struct backend *be;
            struct error err;
            snprintf(name, sizeof name, "%s%s/%s", test_device(), low ? "+low" : "", precisions[p]);
            if (backend_open(&be, name, 1, &err))
                fail_msg("%s", err.text);
            struct tensor tx = f32_view(x, 2, (int64_t[]){m, k});
            struct tensor tw = tensor_view(w, DT_F16, 2, (int64_t[]){n, k});
            struct tensor ty = f32_view(y[low], 2, (int64_t[]){m, n});
            tw.use = TENSOR_WEIGHT;
            tw.packs = packs_new();
            op_linear(be, &ty, &tx, &tw, NULL, ACT_NONE, NULL);
            assert_int_equal(backend_sync(be, NULL), ST_OK);
            assert_int_equal(packs_count(tw.packs), !low);
            packs_free(tw.packs);
            backend_close(be);
        }
        assert_memory_equal(y[0], y[1], (size_t)(m * n) * 4);
    }
    float *all[] = {x, y[0], y[1]};
    for (int i = 0; i < 3; i++)
        mem_free(all[i]);
    mem_free(w);
}

/* Ops queued one after the other, each with weights of its own that take turns in two places, of
 * sizes that change; nothing is waited for until the end. */
static void weights_that_take_turns_do_not_mix(void **state)
{
    (void)state;
    enum { OPS = 7, M = 5, K = 700 };
    static const int64_t widths[OPS] = {420, 390, 700, 380, 900, 410, 400};
    struct backend *be[2];
    struct error err;
    struct arena arena = {0};
    struct rng rng = {21};
    char name[64];
    struct packs *packs = packs_new();
    struct tensor w[OPS], y[2][OPS];
    snprintf(name, sizeof name, "%s+low", test_device());
    if (backend_open(&be[0], name, 1, &err) || backend_open(&be[1], "cpu:ref", 2, &err))
        fail_msg("%s", err.text);
    struct arena there = {.memory = backend_memory(be[0])};
    struct tensor x = take(&there, 2, (int64_t[]){M, K});
    fill(&rng, &x);
    for (int i = 0; i < OPS; i++) {
        w[i] = take(&arena, 2, (int64_t[]){widths[i], K});
        fill(&rng, &w[i]);
        w[i].use = TENSOR_WEIGHT;
        w[i].packs = packs;
        y[0][i] = take(&there, 2, (int64_t[]){M, widths[i]});
        y[1][i] = take(&arena, 2, (int64_t[]){M, widths[i]});
    }
    backend_upload(be[0], &x);
    for (int turn = 0; turn < 2; turn++)
        for (int i = 0; i < OPS; i++)
            for (int k = 0; k < 2; k++)
                op_linear(be[k], &y[k][i], &x, &w[i], NULL, ACT_NONE, NULL);
    assert_int_equal(packs_count(packs), 0);
    for (int i = 0; i < OPS; i++)
        backend_download(be[0], &y[0][i]);
    for (int k = 0; k < 2; k++)
        assert_int_equal(backend_sync(be[k], NULL), ST_OK);
    for (int i = 0; i < OPS; i++)
        compare("linear with weights of the moment", backend_name(be[0]), y[0][i].data,
                y[1][i].data, (size_t)(M * widths[i]), tolerance(1e-4f, 1e-5f));
    arena_release(&there);
    arena_release(&arena);
    packs_free(packs);
    for (int k = 0; k < 2; k++)
        backend_close(be[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replay_has_the_bits_of_a_run),
        cmocka_unit_test(a_record_is_made_again_where_memory_has_moved),
        cmocka_unit_test(a_record_is_made_again_where_weights_have_gone),
        cmocka_unit_test(what_cannot_be_recorded_runs_as_it_comes),
        cmocka_unit_test(batches_under_way_do_not_mix),
        cmocka_unit_test(weights_that_are_not_kept_give_the_same_bits),
        cmocka_unit_test(weights_that_take_turns_do_not_mix),
    };
    if (strncmp(test_device(), "cuda", 4) != 0) {
        print_message("skipped: EIDETIC_TEST_DEVICE names no device of its own memory\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
