/* The exact scan against what memory gives, and the IVF index against the exact scan; on made-up
 * vectors.
 *
 *     bench_search [--rows N] [--dim D] [--ivf-rows N] [--ivf-dim D] [--threads N]      0 rows =
 * leave out
 *
 * The limit is memory's: the same bytes summed by 64-bit loads with the same threads. */
#include "core/cpu.h"
#include "core/mem.h"
#include "core/progress.h"
#include "core/rng.h"
#include "search/flat.h"
#include "search/vindex.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long option(int argc, char **argv, const char *name, long otherwise)
{
    for (int i = 1; i + 1 < argc; i++)
        if (!strcmp(argv[i], name))
            return strtol(argv[i + 1], NULL, 10);
    return otherwise;
}

struct rows {
    uint16_t *data;
    int64_t *ids;
    size_t n, dim;
    float *centres;
};

#define CLUSTERS 500

static void make_row(const struct rows *d, struct rng *r, float *v)
{
    const float *c = d->centres + rng_below(r, CLUSTERS) * d->dim;
    double s = 0;
    for (size_t j = 0; j < d->dim; j++) {
        v[j] = c[j] + 0.7f * rng_normal(r);
        s += (double)v[j] * v[j];
    }
    for (size_t j = 0; j < d->dim; j++)
        v[j] = (float)(v[j] / sqrt(s));
}

static bool make_rows(struct rows *d, size_t n, size_t dim)
{
    struct flat_ops ops;
    struct rng r = {.state = 1};
    float *v = mem_array(dim, sizeof *v);
    flat_ops_init(&ops, cpu_level_max());
    *d = (struct rows){.n = n,
                       .dim = dim,
                       .data = mem_aligned(n * dim * 2, 64),
                       .ids = mem_array(n, sizeof(int64_t)),
                       .centres = mem_array(CLUSTERS * dim, sizeof(float))};
    if (!v || !d->data || !d->ids || !d->centres)
        return false;
    for (size_t i = 0; i < CLUSTERS * dim; i++)
        d->centres[i] = rng_normal(&r);
    for (size_t i = 0; i < n; i++) {
        d->ids[i] = (int64_t)i + 1;
        make_row(d, &r, v);
        ops.to_f16(d->data + i * dim, v, dim);
    }
    mem_free(v);
    return true;
}

static void release_rows(struct rows *d)
{
    mem_free(d->data);
    mem_free(d->ids);
    mem_free(d->centres);
}

struct summing {
    const uint64_t *p;
    size_t n, parts;
    uint64_t sums[256];
};

static void sum_part(void *ctx, int i, int thread)
{
    struct summing *s = ctx;
    size_t from = s->n * (size_t)i / s->parts, to = s->n * ((size_t)i + 1) / s->parts;
    uint64_t a[8] = {0};
    (void)thread;
    for (size_t j = from; j + 8 <= to; j += 8)
        for (int k = 0; k < 8; k++)
            a[k] += s->p[j + (size_t)k];
    for (int k = 0; k < 8; k++)
        s->sums[i] += a[k];
}

static double seconds_to_read(const struct rows *d, struct pool *pool)
{
    struct summing s = {.p = (const uint64_t *)d->data, .n = d->n * d->dim / 4, .parts = 64};
    double best = 1e9;
    for (int i = 0; i < 9; i++) {
        double t = time_now();
        pool_for(pool, (int)s.parts, sum_part, &s);
        t = time_now() - t;
        best = t < best ? t : best;
    }
    return s.sums[0] == 42 ? 1e9 : best; /* the sums are used */
}

static double seconds_to_scan(const struct rows *d, const struct flat_ops *ops, struct pool *pool,
                              const float *q, const uint8_t *keep, struct flat_hit *hits)
{
    struct vec_block b = {.images = d->ids, .gens = d->ids, .rows = d->data, .n = d->n};
    double best = 1e9;
    size_t n;
    for (int i = 0; i < 9; i++) {
        struct flat_scan a = {.blocks = &b,
                              .n_blocks = 1,
                              .dim = (int)d->dim,
                              .ops = ops,
                              .query = q,
                              .k = 10,
                              .keep = keep};
        double t = time_now();
        if (flat_topk(&a, pool, hits, &n, NULL))
            return 1e9;
        t = time_now() - t;
        best = t < best ? t : best;
    }
    return best;
}

/* Under filters that keep rows here and there: the share of the bits that are set. */
static void scan_filtered(const struct rows *d, const struct flat_ops *ops, struct pool *pool,
                          const float *q)
{
    static const double shares[] = {0.5, 0.05, 0.005};
    uint8_t *keep = mem_alloc(d->n / 8 + 1);
    struct flat_hit hits[10];
    for (int i = 0; i < 3 && keep; i++) {
        struct rng r = {.state = 17};
        memset(keep, 0, d->n / 8 + 1);
        for (size_t j = 0; j < d->n; j++)
            keep[j / 8] |= (uint8_t)((rng_uniform(&r) < (float)shares[i]) << (j % 8));
        printf("  %d thread%s  %-6s %.3f %7.2f ms\n", pool_threads(pool),
               pool_threads(pool) > 1 ? "s" : " ", ops->name, shares[i],
               seconds_to_scan(d, ops, pool, q, keep, hits) * 1e3);
    }
    mem_free(keep);
}

static int bench_flat(size_t n, size_t dim, int most_threads)
{
    struct rows d;
    struct rng r = {.state = 3};
    float *q = mem_array(dim, sizeof *q);
    struct flat_hit hits[10];
    if (!q || !make_rows(&d, n, dim))
        return 1;
    make_row(&d, &r, q);
    double gb = (double)n * (double)dim * 2 / 1e9;
    printf("exact scan, f16, %zu x %zu (%.0f MB), best of 9\n", n, dim, gb * 1e3);
    for (int threads = 1; threads <= most_threads; threads *= 2) {
        struct pool *pool = threads > 1 ? pool_new(threads) : NULL;
        double t = seconds_to_read(&d, pool);
        printf("  %d thread%s  %-8s %7.2f ms  %6.2f GB/s\n", threads, threads > 1 ? "s" : " ",
               "memory", t * 1e3, gb / t);
        for (int level = CPU_REF; level <= CPU_AVX512 && level <= (int)cpu_level_max(); level++) {
            struct flat_ops ops;
            flat_ops_init(&ops, (enum cpu_level)level);
            double s = seconds_to_scan(&d, &ops, pool, q, NULL, hits);
            printf("  %d thread%s  %-8s %7.2f ms  %6.2f GB/s  %3.0f %% of memory's\n", threads,
                   threads > 1 ? "s" : " ", ops.name, s * 1e3, gb / s, 100 * t / s);
            if (level > CPU_REF)
                scan_filtered(&d, &ops, pool, q);
        }
        pool_free(pool);
    }
    release_rows(&d);
    mem_free(q);
    return 0;
}

static void say(void *ctx, const char *step)
{
    double *last = ctx, now = time_now();
    if (*last > 0)
        printf("  %.1f s\n", now - *last);
    printf("  %-24s", step);
    fflush(stdout);
    *last = now;
}

static int bench_ivf(size_t n, size_t dim, int threads)
{
    struct rows d;
    struct error err;
    double last = 0;
    char path[64];
    struct search_opts o = {.threads = threads, .progress = say, .progress_ctx = &last};
    if (!make_rows(&d, n, dim))
        return 1;
    snprintf(path, sizeof path, "/tmp/bench-search-%ld.idx", (long)getpid());
    struct vec_block block = {.images = d.ids, .gens = d.ids, .rows = d.data, .n = n};
    struct vindex_build b = {.blocks = &block,
                             .n_blocks = 1,
                             .n_rows = n,
                             .opts = &o,
                             .info = {.model = "be", .dim = (int)dim, .generation = (int64_t)n}};
    const struct vindex_kind *k = vindex_find("ivf");
    printf("IVF index, %zu x %zu, %d threads\n", n, dim, threads);
    void *state;
    double start = time_now();
    if (k->build(path, &b, &err) || k->open(&state, path, "be", (int)dim, false, &b.info, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    printf("  %.1f s\n  built in %.1f s: %s, nprobe %d, recall@20 %.4f, %.0f MB\n",
           time_now() - last, time_now() - start, b.info.description, b.info.nprobe, b.info.recall,
           (double)b.info.bytes / 1e6);
    struct rng r = {.state = 9};
    float q[4096];
    struct flat_hit found[64];
    struct pool *pool = pool_new(threads);
    struct vindex_query ask = {
        .q = q, .n = 64, .effort = 1, .blocks = &block, .n_blocks = 1, .below = n, .pool = pool};
    double total = 0;
    for (int i = 0; i < 100; i++) {
        size_t n_found;
        bool all;
        make_row(&d, &r, q);
        double t = time_now();
        if (k->search(state, &ask, found, &n_found, &all, &err))
            return 1;
        total += time_now() - t;
    }
    struct flat_ops ops;
    struct flat_hit hits[10];
    flat_ops_init(&ops, cpu_level_max());
    double exact = seconds_to_scan(&d, &ops, pool, q, NULL, hits);
    printf("  a query: index %.2f ms (mean of 100), exact scan %.2f ms\n", total * 10, exact * 1e3);
    pool_free(pool);
    k->close(state);
    unlink(path);
    release_rows(&d);
    return 0;
}

int main(int argc, char **argv)
{
    int threads = (int)option(argc, argv, "--threads", cpu_count());
    long rows = option(argc, argv, "--rows", 100000), dim = option(argc, argv, "--dim", 512);
    long ivf = option(argc, argv, "--ivf-rows", 200000),
         ivf_dim = option(argc, argv, "--ivf-dim", 384);
    if (rows < 0 || dim < 1 || dim > 4096 || ivf < 0 || ivf_dim < 1 || ivf_dim > 4096 ||
        threads < 1) {
        fprintf(stderr, "bench_search: sizes out of range\n");
        return 2;
    }
    if (rows && bench_flat((size_t)rows, (size_t)dim, threads))
        return 1;
    return ivf ? bench_ivf((size_t)ivf, (size_t)ivf_dim, threads) : 0;
}
