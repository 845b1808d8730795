/* Speed of the ops, per backend, at the shapes of ViT-B/32, ViT-L/14 and EfficientNet-Lite2.
 *
 *     bench_ops [--backend NAME] [--threads N] [--ms N] [WORD]
 *
 * A WORD keeps the cases whose name contains it. Each figure is the best of repeated runs within
 * --ms milliseconds (default 300), since other programs only ever make a run slower; with --threads
 * 1 it is processor time, which a busy machine distorts little. NAME may be "cpu/bf16" or
 * "cpu/int8". "peak" is the share of what this machine was measured to reach just before:
 * multiply-adds in registers for compute, a copy from memory for ops that only move data (which may
 * exceed 1 out of cache). */
#include "core/mem.h"
#include "core/peak.h"
#include "core/progress.h"
#include "core/rng.h"
#include "nn/ops.h"
#include "nn/packs.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bench {
    struct backend *be;
    struct peak peak;
    double seconds;     /* a case */
    const char *filter; /* or NULL */
};

static float *floats(int64_t n)
{
    struct rng r = {(uint64_t)n};
    float *x = mem_aligned((size_t)n * sizeof *x + 64, 64);
    if (!x) {
        fprintf(stderr, "bench_ops: out of memory\n");
        exit(70);
    }
    for (int64_t i = 0; i < n; i++)
        x[i] = rng_uniform(&r) - 0.5f;
    return x;
}

static struct tensor tensor4(int64_t a, int64_t b, int64_t c, int64_t d)
{
    return tensor_view(floats(a * b * c * d), DT_F32, 4, (int64_t[]){a, b, c, d});
}

static struct tensor tensor2(int64_t a, int64_t b)
{
    return tensor_view(floats(a * b), DT_F32, 2, (int64_t[]){a, b});
}

/* Runs until the time is up; the best run counts. */
static double best(const struct bench *b, void (*run)(struct backend *be, void *ctx), void *ctx)
{
    double fastest = 1e9, end = time_now() + b->seconds;
    int runs = 0;
    do {
        double t = peak_clock(backend_pool(b->be));
        run(b->be, ctx);
        t = peak_clock(backend_pool(b->be)) - t;
        fastest = t < fastest ? t : fastest;
    } while (++runs < 3 || time_now() < end);
    return fastest;
}

static bool wanted(const struct bench *b, const char *name)
{
    return !b->filter || strstr(name, b->filter);
}

static void report_flops(const struct bench *b, const char *name, enum precision precision,
                         double flops, double seconds)
{
    const double peak[] = {b->peak.flops, b->peak.bf16, b->peak.int8};
    printf("%-46s %9.3f ms %8.1f GFLOP/s  %4.2f peak\n", name, seconds * 1e3,
           flops / seconds * 1e-9, flops / seconds / peak[precision]);
}

static void report_bytes(const struct bench *b, const char *name, double bytes, double seconds)
{
    printf("%-46s %9.3f ms %8.1f GB/s     %4.2f peak\n", name, seconds * 1e3,
           bytes / seconds * 1e-9, bytes / seconds / b->peak.bytes);
}

struct linear_run {
    struct tensor x, w, b, r, y;
    enum act act;
    bool residual;
};

static void run_linear(struct backend *be, void *ctx)
{
    struct linear_run *l = ctx;
    op_linear(be, &l->y, &l->x, &l->w, &l->b, l->act, l->residual ? &l->r : NULL);
}

static void bench_linear(const struct bench *b, const char *model, enum dtype type, int64_t m,
                         int64_t n, int64_t k, enum act act, bool residual)
{
    char name[128];
    snprintf(name, sizeof name, "linear %s %s %dx%dx%d %s", model, dtype_name(type), (int)m, (int)n,
             (int)k, residual ? "+residual" : act_name(act));
    if (!wanted(b, name))
        return;
    struct linear_run l = {tensor2(m, k), tensor2(n, k), tensor2(1, n), tensor2(m, n),
                           tensor2(m, n), act,           residual};
    /* Other types reuse the f32 buffer's bytes as whatever they mean, but for q8_0's factors. */
    l.w.dtype = type;
    l.w.scale = type == DT_I8 ? l.b.data : NULL;
    memset(l.w.data, 1, (size_t)(n * k));
    l.w.use = TENSOR_WEIGHT;
    l.w.packs = packs_new();
    double t = best(b, run_linear, &l);
    size_t bytes = 0;
    dtype_bytes(type, (size_t)(n * k), &bytes);
    if (m > 4)
        report_flops(b, name, backend_precision(b->be), 2.0 * (double)(m * n * k), t);
    else
        report_bytes(b, name, (double)bytes, t);
    packs_free(l.w.packs);
    mem_free(l.x.data);
    mem_free(l.w.data);
    mem_free(l.b.data);
    mem_free(l.r.data);
    mem_free(l.y.data);
}

struct attn_run {
    struct tensor q, k, v, y;
    struct attn_opts o;
};

static void run_attention(struct backend *be, void *ctx)
{
    struct attn_run *a = ctx;
    op_attention(be, &a->y, &a->q, &a->k, &a->v, &a->o);
}

static void bench_attention(const struct bench *b, const char *model, int64_t batch, int64_t t,
                            int64_t heads, int64_t dh, bool causal)
{
    char name[128];
    snprintf(name, sizeof name, "attention %s b%d t%d h%d%s", model, (int)batch, (int)t, (int)heads,
             causal ? " causal" : "");
    if (!wanted(b, name))
        return;
    int64_t d = heads * dh;
    float *qkv = floats(batch * t * 3 * d), *y = floats(batch * t * d);
    int64_t dims[3] = {batch, t, d};
    struct attn_run a = {
        tensor_view(qkv, DT_F32, 3, dims),
        tensor_view(qkv + d, DT_F32, 3, dims),
        tensor_view(qkv + 2 * d, DT_F32, 3, dims),
        tensor_view(y, DT_F32, 3, dims),
        {.heads = (int)heads, .causal = causal, .ld_q = 3 * d, .ld_k = 3 * d, .ld_v = 3 * d}};
    double seconds = best(b, run_attention, &a);
    report_flops(b, name, backend_precision(b->be) == PREC_F32 ? PREC_F32 : PREC_BF16,
                 (causal ? 2.0 : 4.0) * (double)(batch * heads * t * t * dh), seconds);
    mem_free(qkv);
    mem_free(y);
}

enum row_op { LAYERNORM, SOFTMAX, GELU, QUICK_GELU, ADD };

struct row_run {
    enum row_op op;
    struct tensor x, w, y;
};

static void run_rows(struct backend *be, void *ctx)
{
    struct row_run *r = ctx;
    switch (r->op) {
    case LAYERNORM:
        op_layernorm(be, &r->y, &r->x, &r->w, &r->w, 1e-5f);
        break;
    case SOFTMAX:
        op_softmax(be, &r->y, &r->x, 1);
        break;
    case GELU:
        op_act(be, &r->y, &r->x, ACT_GELU);
        break;
    case QUICK_GELU:
        op_act(be, &r->y, &r->x, ACT_QUICK_GELU);
        break;
    case ADD:
        op_add(be, &r->y, &r->x, &r->x);
    }
}

static void bench_rows(const struct bench *b, enum row_op op, int64_t rows, int64_t d)
{
    static const char *const names[] = {"layernorm", "softmax", "gelu", "quick_gelu", "add"};
    char name[128];
    snprintf(name, sizeof name, "%s %dx%d", names[op], (int)rows, (int)d);
    if (!wanted(b, name))
        return;
    struct row_run r = {op, tensor2(rows, d), tensor2(1, d), tensor2(rows, d)};
    r.w.ndim = 1;
    r.w.dim[0] = d;
    report_bytes(b, name, 8.0 * (double)(rows * d), best(b, run_rows, &r));
    mem_free(r.x.data);
    mem_free(r.w.data);
    mem_free(r.y.data);
}

/* One layer of a convolutional network; batch x size x size x c. */
struct conv_layer {
    int64_t size, c, n; /* n = 0: depthwise */
    int kernel, stride;
};

struct conv_run {
    bool depthwise;
    struct tensor x, w, b, y;
    struct conv_opts o;
    double flops;
};

static void run_conv(struct backend *be, void *ctx)
{
    struct conv_run *c = ctx;
    if (c->depthwise)
        op_depthwise(be, &c->y, &c->x, &c->w, &c->b, &c->o);
    else
        op_conv2d(be, &c->y, &c->x, &c->w, &c->b, &c->o);
}

/* Padding is TensorFlow's SAME. x and y are the caller's buffers. */
static struct conv_run conv_new(const struct conv_layer *l, int64_t batch, float *x, float *y)
{
    struct conv_run c = {.depthwise = l->n == 0};
    int64_t out = (l->size + l->stride - 1) / l->stride, n = l->n ? l->n : l->c;
    int pad = (int)((out - 1) * l->stride + l->kernel - l->size);
    pad = pad < 0 ? 0 : pad;
    c.o = (struct conv_opts){.stride = l->stride,
                             .pad_top = pad / 2,
                             .pad_left = pad / 2,
                             .pad_bottom = pad - pad / 2,
                             .pad_right = pad - pad / 2,
                             .act = ACT_RELU6};
    c.x = tensor_view(x, DT_F32, 4, (int64_t[]){batch, l->size, l->size, l->c});
    c.y = tensor_view(y, DT_F32, 4, (int64_t[]){batch, out, out, n});
    c.b = tensor2(1, n);
    c.w = tensor4(l->n, l->kernel, l->kernel, l->c);
    if (c.depthwise) {
        mem_free(c.w.data);
        int64_t dims[] = {l->kernel, l->kernel, l->c};
        c.w = tensor_view(floats(l->kernel * l->kernel * l->c), DT_F32, 3, dims);
    }
    c.flops = 2.0 * (double)(batch * out * out * n * l->kernel * l->kernel * (l->n ? l->c : 1));
    return c;
}

static void conv_free(struct conv_run *c)
{
    mem_free(c->w.data);
    mem_free(c->b.data);
}

static void bench_conv(const struct bench *b, const struct conv_layer *l, int64_t batch)
{
    char name[128];
    snprintf(name, sizeof name, "%s b%d %dx%dx%d%s%.0d %dx%d s%d", l->n ? "conv2d" : "depthwise",
             (int)batch, (int)l->size, (int)l->size, (int)l->c, l->n ? " to " : "", (int)l->n,
             l->kernel, l->kernel, l->stride);
    if (!wanted(b, name))
        return;
    float *x = floats(batch * l->size * l->size * l->c);
    float *y = floats(batch * l->size * l->size * (l->n ? l->n : l->c));
    struct conv_run c = conv_new(l, batch, x, y);
    report_flops(b, name, PREC_F32, c.flops, best(b, run_conv, &c));
    conv_free(&c);
    mem_free(x);
    mem_free(y);
}

enum { MAX_LAYERS = 128 };

struct network {
    struct conv_run layer[MAX_LAYERS];
    int n;
};

static void run_network(struct backend *be, void *ctx)
{
    struct network *net = ctx;
    for (int i = 0; i < net->n; i++)
        run_conv(be, &net->layer[i]);
}

/* EfficientNet-Lite2 at 260 x 260: expansion, width, kernel, stride, repeats of its stages. */
static int lite2_layers(struct conv_layer *out)
{
    static const int stages[7][5] = {{1, 16, 3, 1, 1}, {6, 24, 3, 2, 3},  {6, 48, 5, 2, 3},
                                     {6, 88, 3, 2, 4}, {6, 120, 5, 1, 4}, {6, 208, 5, 2, 5},
                                     {6, 352, 3, 1, 1}};
    int n = 0;
    int64_t size = 130, c = 32;
    out[n++] = (struct conv_layer){260, 3, 32, 3, 2};
    for (int s = 0; s < 7; s++) {
        for (int i = 0; i < stages[s][4]; i++) {
            int64_t wide = c * stages[s][0];
            int stride = i == 0 ? stages[s][3] : 1;
            if (wide != c)
                out[n++] = (struct conv_layer){size, c, wide, 1, 1};
            out[n++] = (struct conv_layer){size, wide, 0, stages[s][2], stride};
            size = (size + stride - 1) / stride;
            c = stages[s][1];
            out[n++] = (struct conv_layer){size, wide, c, 1, 1};
        }
    }
    out[n++] = (struct conv_layer){size, c, 1280, 1, 1};
    return n;
}

static void bench_lite2(const struct bench *b, int64_t batch)
{
    struct conv_layer layers[MAX_LAYERS];
    int n = lite2_layers(layers);
    for (int i = 0; i < n; i++) {
        bool seen = false;
        for (int j = 0; j < i; j++)
            seen |= memcmp(&layers[i], &layers[j], sizeof *layers) == 0;
        if (!seen)
            bench_conv(b, &layers[i], batch);
    }
    char name[64];
    snprintf(name, sizeof name, "lite2 convolutions b%d", (int)batch);
    if (!wanted(b, name))
        return;
    struct network net = {.n = n};
    float *buf[2] = {floats(batch * 130 * 130 * 96), floats(batch * 130 * 130 * 96)};
    double flops = 0;
    for (int i = 0; i < n; i++) {
        net.layer[i] = conv_new(&layers[i], batch, buf[i % 2], buf[(i + 1) % 2]);
        flops += net.layer[i].flops;
    }
    double t = best(b, run_network, &net);
    report_flops(b, name, PREC_F32, flops, t);
    printf("%-46s %9.1f images/s\n", "", (double)batch / t);
    for (int i = 0; i < n; i++)
        conv_free(&net.layer[i]);
    mem_free(buf[0]);
    mem_free(buf[1]);
}

static void bench_all(const struct bench *b)
{
    bench_linear(b, "B/32", DT_F32, 800, 2304, 768, ACT_NONE, false);
    bench_linear(b, "B/32", DT_F32, 800, 768, 768, ACT_NONE, true);
    bench_linear(b, "B/32", DT_F32, 800, 3072, 768, ACT_QUICK_GELU, false);
    bench_linear(b, "B/32", DT_F32, 800, 768, 3072, ACT_NONE, true);
    bench_linear(b, "B/32 one", DT_F32, 50, 3072, 768, ACT_GELU, false);
    bench_linear(b, "L/14", DT_F32, 1028, 4096, 1024, ACT_GELU, false);
    bench_linear(b, "L/14", DT_F32, 1028, 1024, 4096, ACT_NONE, true);
    for (int i = DT_F32; i <= DT_Q8_0; i++)
        bench_linear(b, "text", (enum dtype)i, 77, 2048, 512, ACT_QUICK_GELU, false);
    for (int m = 6; m <= 36; m += m < 12 ? 2 : 6)
        bench_linear(b, "query", DT_F32, m, 2048, 512, ACT_QUICK_GELU, false);
    for (int m = 6; m <= 36; m += m < 12 ? 2 : 6)
        bench_linear(b, "query", DT_F32, m, 512, 2048, ACT_NONE, true);
    for (int i = DT_F32; i <= DT_Q8_0; i++)
        bench_linear(b, "wide", (enum dtype)i, 800, 3072, 768, ACT_NONE, false);
    for (int i = DT_F32; i <= DT_Q8_0; i++)
        bench_linear(b, "row", (enum dtype)i, 1, 4096, 4096, ACT_NONE, false);
    for (int i = DT_F32; i <= DT_Q8_0; i++)
        bench_linear(b, "rows", (enum dtype)i, 4, 4096, 4096, ACT_NONE, false);
    bench_attention(b, "B/32", 16, 50, 12, 64, false);
    bench_attention(b, "L/14", 4, 257, 16, 64, false);
    bench_attention(b, "text", 1, 77, 8, 64, true);
    bench_attention(b, "MiniLM", 16, 64, 12, 32, false);
    for (int i = LAYERNORM; i <= ADD; i++) {
        bench_rows(b, (enum row_op)i, 800, 768);
        bench_rows(b, (enum row_op)i, 20000, 1024);
    }
    bench_lite2(b, 1);
    bench_lite2(b, 8);
}

static int bench_backend(struct bench *b, const char *name, int threads)
{
    struct error err;
    if (backend_open(&b->be, name, threads, &err) != ST_OK) {
        fprintf(stderr, "bench_ops: %s\n", err.text);
        return 2;
    }
    peak_measure(&b->peak, backend_pool(b->be), strstr(name, "avx2") ? CPU_AVX2 : cpu_level_max());
    printf("%s (%s), %d threads: peak %.1f GFLOP/s f32, %.1f bf16, %.1f int8; copy %.1f GB/s\n",
           name, backend_name(b->be), backend_threads(b->be), b->peak.flops * 1e-9,
           b->peak.bf16 * 1e-9, b->peak.int8 * 1e-9, b->peak.bytes * 1e-9);
    bench_all(b);
    enum status st = backend_sync(b->be, &err);
    if (st != ST_OK)
        fprintf(stderr, "bench_ops: %s\n", err.text);
    backend_close(b->be);
    return st == ST_OK ? 0 : 70;
}

int main(int argc, char **argv)
{
    struct bench b = {.seconds = 0.3};
    const char *only = NULL;
    int threads = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--backend") == 0 && i + 1 < argc)
            only = argv[++i];
        else if (strcmp(argv[i], "--threads") == 0 && i + 1 < argc)
            threads = (int)strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--ms") == 0 && i + 1 < argc)
            b.seconds = (double)strtol(argv[++i], NULL, 10) * 1e-3;
        else
            b.filter = argv[i];
    }
    printf("%s\n", backend_blas_info());
    if (only)
        return bench_backend(&b, only, threads);
    int rc = 0;
    for (const char *const *name = backend_list(); *name && rc == 0; name++)
        if (strcmp(*name, "cpu") != 0 && strcmp(*name, "cpu:ref") != 0) /* the first is the last */
            rc = bench_backend(&b, *name, threads);
    return rc;
}
