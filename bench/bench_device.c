/* A device of its own memory: its ops against the reference, then its speed in CLIP's towers, in
 * attention and convolutions, in Stable Diffusion 1.5's networks and a captioner's decoder, from
 * and to the device's memory.
 *
 *     bench_device [--backend cuda:0] [--precision bf16] [--only "VAE decode"] [--ms 500]
 *                  [--peak TFLOPS] [--bandwidth GBPS] [--small]
 *
 * Weights are random, shapes are the models': figures do not depend on values. "of peak" is the
 * share of --peak, the card's dense figure for 16 bits from its data sheet, and of --bandwidth;
 * without them no share is printed. --only times what has those words in its name, and checks
 * nothing. --small runs every path in tiny shapes, for the emulation. Exit code 77 where there is
 * no such device, 70 where an op is wrong. */
#include "bench/device.h"
#include "core/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tower {
    const char *name;
    int layers, width, heads, hidden, patch, side;
};

struct layer {
    struct tensor norm, zero, q, k, v, o, fc1, fc2, wide;
};

struct towers {
    struct device *d;
    const struct tower *t;
    char key[32];
    int64_t batch, tokens;
    struct layer *layer;
    struct tensor patches, pixels, flat, x, y, tq, tk, tv, h;
};

static enum status tower_ops(void *ctx)
{
    struct towers *r = ctx;
    struct backend *be = r->d->be;
    struct tensor rest = r->x, y = tensor_factor(r->y), h = tensor_factor(r->h);
    struct tensor q = tensor_factor(r->tq), k = tensor_factor(r->tk), v = tensor_factor(r->tv);
    rest.dim[1] = r->tokens - 1; /* without a class token: its row is one of all */
    op_patchify(be, &r->flat, &r->pixels, r->t->patch);
    op_linear(be, &rest, &r->flat, &r->patches, NULL, ACT_NONE, NULL);
    for (int i = 0; i < r->t->layers; i++) {
        struct layer *l = &r->layer[i];
        op_layernorm(be, &y, &r->x, &l->norm, &l->zero, 1e-5f);
        op_linear(be, &q, &y, &l->q, &l->zero, ACT_NONE, NULL);
        op_linear(be, &k, &y, &l->k, &l->zero, ACT_NONE, NULL);
        op_linear(be, &v, &y, &l->v, &l->zero, ACT_NONE, NULL);
        op_attention(be, &y, &q, &k, &v, &(struct attn_opts){.heads = r->t->heads});
        op_linear(be, &r->x, &y, &l->o, &l->zero, ACT_NONE, &r->x);
        op_layernorm(be, &y, &r->x, &l->norm, &l->zero, 1e-5f);
        op_linear(be, &h, &y, &l->fc1, &l->wide, ACT_QUICK_GELU, NULL);
        op_linear(be, &r->x, &h, &l->fc2, &l->zero, ACT_NONE, &r->x);
    }
    op_l2norm(be, &r->y, &r->x, 1e-12f);
    return ST_OK;
}

static void run_tower(struct device *d, void *ctx)
{
    struct towers *r = ctx;
    (void)backend_repeat(d->be, &d->arena, r->key, tower_ops, r);
}

static void bench_tower(struct device *d, const struct tower *t, int64_t batch)
{
    int64_t g = t->side / t->patch, w = t->width, area = 3 * (int64_t)t->patch * t->patch;
    struct towers r = {.d = d, .t = t, .batch = batch, .tokens = g * g + 1};
    char name[64];
    snprintf(name, sizeof name, "%s, batch %d", t->name, (int)batch);
    if (!device_wanted(d, name))
        return;
    snprintf(r.key, sizeof r.key, "tower %d", d->passes++);
    int64_t three[3] = {batch, r.tokens, w}, wide[3] = {batch, r.tokens, t->hidden};
    r.layer = device_must(mem_zarray((size_t)t->layers, sizeof *r.layer));
    for (int i = 0; i < t->layers; i++) {
        struct layer *l = &r.layer[i];
        struct tensor *square[] = {&l->q, &l->k, &l->v, &l->o};
        for (int j = 0; j < 4; j++)
            *square[j] = device_weight(d, 2, (int64_t[]){w, w});
        l->norm = device_weight(d, 1, &w);
        l->zero = device_weight(d, 1, &w);
        l->wide = device_weight(d, 1, &wide[2]);
        l->fc1 = device_weight(d, 2, (int64_t[]){t->hidden, w});
        l->fc2 = device_weight(d, 2, (int64_t[]){w, t->hidden});
    }
    r.patches = device_weight(d, 2, (int64_t[]){w, area});
    r.pixels = device_values(d, 4, (int64_t[]){batch, t->side, t->side, 3});
    r.flat = device_values(d, 3, (int64_t[]){batch, g * g, area});
    struct tensor *act[] = {&r.x, &r.y, &r.tq, &r.tk, &r.tv};
    for (int i = 0; i < 5; i++)
        *act[i] = device_values(d, 3, three);
    r.h = device_values(d, 3, wide);
    double rows = (double)batch * (double)r.tokens;
    double flops = 2 * rows * (double)w * (4.0 * (double)w + 2.0 * t->hidden) * t->layers +
                   4 * rows * (double)r.tokens * (double)w * t->layers +
                   2 * (double)(batch * g * g * area * w);
    device_report(d, name, device_timed(d, run_tower, &r), flops, (double)batch, "images");
    mem_free(r.layer);
    device_forget(d);
}

struct calls {
    struct tensor y, x, k, v, w, b;
    struct attn_opts attn;
    struct conv_opts conv;
};

static void run_attention(struct device *d, void *ctx)
{
    struct calls *c = ctx;
    op_attention(d->be, &c->y, &c->x, &c->k, &c->v, &c->attn);
}

static void bench_attention(struct device *d, int64_t tokens, int heads, int64_t dh)
{
    struct calls c = {.attn = {.heads = heads}};
    int64_t dims[3] = {1, tokens, heads * dh};
    struct tensor *all[] = {&c.y, &c.x, &c.k, &c.v};
    char name[64];
    snprintf(name, sizeof name, "attention, %d tokens, %d x %d", (int)tokens, heads, (int)dh);
    if (!device_wanted(d, name))
        return;
    for (int i = 0; i < 4; i++)
        *all[i] = device_values(d, 3, dims);
    double flops = 4.0 * (double)tokens * (double)tokens * (double)dims[2];
    device_report(d, name, device_timed(d, run_attention, &c), flops, 0, "");
    arena_rewind(&d->arena, 0);
}

static void run_conv(struct device *d, void *ctx)
{
    struct calls *c = ctx;
    op_conv2d(d->be, &c->y, &c->x, &c->w, &c->b, &c->conv);
}

static void bench_conv(struct device *d, int64_t b, int64_t side, int64_t channels)
{
    struct calls c = {.conv = {1, 1, 1, 1, 1, ACT_NONE, false}};
    char name[64];
    snprintf(name, sizeof name, "3x3 convolution, %d x %d x %d", (int)side, (int)side,
             (int)channels);
    if (!device_wanted(d, name))
        return;
    c.x = device_values(d, 4, (int64_t[]){b, side, side, channels});
    c.y = device_values(d, 4, c.x.dim);
    c.w = device_weight(d, 4, (int64_t[]){channels, 3, 3, channels});
    c.b = device_weight(d, 1, &channels);
    double flops = 18.0 * (double)(b * side * side) * (double)channels * (double)channels;
    device_report(d, name, device_timed(d, run_conv, &c), flops, 0, "");
    device_forget(d);
}

/* A tower of two layers on the device and on the reference in the same precision. */
static void check_tower(struct device *d)
{
    static const struct tower small = {"small", 2, 96, 3, 200, 8, 32};
    struct device cpu = *d;
    int64_t n = 3 * 17 * 96;
    float *got[2];
    for (int i = 0; i < 2; i++) {
        struct device *on = i ? &cpu : d;
        if (i) {
            cpu.be = d->ref;
            cpu.arena = (struct arena){0};
        }
        on->rng = (struct rng){5};
        struct towers r = {.d = on, .t = &small, .batch = 3, .tokens = 17, .key = "small"};
        struct layer l = {.q = device_weight(on, 2, (int64_t[]){96, 96}),
                          .fc1 = device_weight(on, 2, (int64_t[]){200, 96}),
                          .fc2 = device_weight(on, 2, (int64_t[]){96, 200}),
                          .norm = device_weight(on, 1, (int64_t[]){96}),
                          .wide = device_weight(on, 1, (int64_t[]){200})};
        for (int j = 0; j < 96; j++)
            ((float *)l.norm.data)[j] += 1;
        l.k = l.v = l.o = l.q;
        l.zero = l.norm;
        struct layer two[2] = {l, l};
        r.layer = two;
        r.patches = device_weight(on, 2, (int64_t[]){96, 192});
        r.pixels = device_values(on, 4, (int64_t[]){3, 32, 32, 3});
        r.flat = device_values(on, 3, (int64_t[]){3, 16, 192});
        struct tensor *act[] = {&r.x, &r.y, &r.tq, &r.tk, &r.tv};
        for (int j = 0; j < 5; j++)
            *act[j] = device_values(on, 3, (int64_t[]){3, 17, 96});
        r.h = device_values(on, 3, (int64_t[]){3, 17, 200});
        run_tower(on, &r);
        backend_download(on->be, &r.y);
        device_settle(on);
        got[i] = device_must(mem_dup(r.y.data, (size_t)n * sizeof(float)));
        arena_rewind(&on->arena, 0);
    }
    double cosine = device_cosine(got[0], got[1], n);
    enum precision p = backend_precision(d->be);
    bool ok = cosine >= (p == PREC_F32 ? 1 - 1e-6 : p == PREC_F16 ? 1 - 1e-5 : 1 - 1e-3);
    printf("a small tower against %s: cosine %.8f: %s\n", backend_name(d->ref), cosine,
           ok ? "ok" : "WRONG");
    d->wrong += !ok;
    arena_release(&cpu.arena);
    device_forget(d);
    mem_free(got[0]);
    mem_free(got[1]);
}

static void run_copy(struct device *d, void *ctx)
{
    struct calls *c = ctx;
    op_scale(d->be, &c->y, &c->x, 1.5f);
}

static void bench_copy(struct device *d)
{
    int64_t n = d->small ? 1000 : 64 << 20;
    if (!device_wanted(d, "scaling"))
        return;
    struct calls c = {.x = device_values(d, 1, &n), .y = device_values(d, 1, &n)};
    double gb = 8e-9 * (double)n / device_timed(d, run_copy, &c);
    printf("%-44s %10.0f GB/s", "scaling (read and written)", gb);
    if (d->bandwidth > 0)
        printf(" %5.1f %% of the memory's", 100 * gb / d->bandwidth);
    putchar('\n');
    device_forget(d);
}

static void bench_all(struct device *d)
{
    static const struct tower towers[] = {{"ViT-B/32", 12, 768, 12, 3072, 32, 224},
                                          {"ViT-L/14", 24, 1024, 16, 4096, 14, 224}};
    static const struct tower small = {"a small tower", 1, 64, 2, 128, 16, 32};
    static const int64_t batches[] = {1, 16, 64, 256};
    bench_copy(d);
    if (d->small) {
        bench_tower(d, &small, 2);
        bench_attention(d, 65, 2, 40);
        bench_conv(d, 1, 9, 16);
        device_nets_bench(d);
        return;
    }
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 4; j++)
            bench_tower(d, &towers[i], batches[j]);
    bench_attention(d, 4096, 8, 40);
    bench_attention(d, 4096, 16, 64);
    bench_conv(d, 2, 64, 320);
    bench_conv(d, 2, 32, 640);
    bench_conv(d, 2, 16, 1280);
    device_nets_bench(d);
}

int main(int argc, char **argv)
{
    struct device d = {.seconds = 0.5, .packs = device_must(packs_new())};
    const char *name = "cuda", *precision = NULL;
    char low[48];
    struct error err;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--backend") == 0 && i + 1 < argc)
            name = argv[++i];
        else if (strcmp(argv[i], "--ms") == 0 && i + 1 < argc)
            d.seconds = strtod(argv[++i], NULL) * 1e-3;
        else if (strcmp(argv[i], "--peak") == 0 && i + 1 < argc)
            d.peak = strtod(argv[++i], NULL);
        else if (strcmp(argv[i], "--bandwidth") == 0 && i + 1 < argc)
            d.bandwidth = strtod(argv[++i], NULL);
        else if (strcmp(argv[i], "--small") == 0)
            d.small = true;
        else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
            d.only = argv[++i];
        else if (strcmp(argv[i], "--precision") == 0 && i + 1 < argc)
            precision = argv[++i];
    }
    static const enum precision precisions[] = {PREC_F32, PREC_BF16, PREC_F16};
    for (int i = 0; i < 3; i++) {
        enum precision p = precisions[i];
        if (precision && strcmp(precision, precision_name(p)) != 0)
            continue;
        snprintf(low, sizeof low, "%.40s/%s", name, precision_name(p));
        enum status st = backend_open(&d.be, low, 1, &err);
        if (st) {
            fprintf(stderr, "bench_device: %s\n", err.text);
            if (st == ST_UNSUPPORTED) /* bf16 before sm_80 */
                continue;
            return st == ST_DEVICE ? 77 : 2;
        }
        /* the CPU has no arithmetic in f16: that is held to f32 */
        if (backend_open(&d.ref, p == PREC_BF16 ? "cpu:ref/bf16" : "cpu:ref", 0, &err)) {
            fprintf(stderr, "bench_device: %s\n", err.text);
            return 70;
        }
        d.arena = (struct arena){.memory = backend_memory(d.be)};
        printf("%s\n", backend_name(d.be));
        if (!d.only) {
            check_tower(&d);
            device_nets_check(&d);
        }
        bench_all(&d);
        arena_release(&d.arena);
        backend_close(d.ref);
        backend_close(d.be);
    }
    packs_free(d.packs);
    arena_release(&d.weights);
    return d.wrong ? 70 : 0;
}
