/* Group norm, channels last: one pass sums per channel in chunks of rows, the other scales and
 * shifts. Sums are of differences from a chunk's first row, and chunks and channels are put
 * together by Chan, Golub and LeVeque's formula in double, so that a mean far from zero costs no
 * digits. */
#include "nn/cpu/gnorm.h"
#include "core/mem.h"
#include <math.h>

enum { CHUNK_FLOATS = 1 << 15, CHUNK_ROWS = 256 };

struct gnorm {
    const struct cpu_kernels *k;
    const float *x, *e, *w, *b;
    float *y;
    int64_t images, rows, c, chunk, chunks; /* rows of an image, of a chunk, chunks of an image */
    int groups;
    float eps;
    enum act act;
    double *sum, *square; /* [images * chunks, c] */
    float *scale, *shift; /* [images, c] */
};

static int64_t chunk_rows(const struct gnorm *g, int64_t i)
{
    return min_i64(g->chunk, g->rows - i % g->chunks * g->chunk);
}

static const float *chunk_start(const struct gnorm *g, int64_t i)
{
    return g->x + (i / g->chunks * g->rows + i % g->chunks * g->chunk) * g->c;
}

static void sum_chunks(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    const struct gnorm *g = ctx;
    for (int64_t i = i0; i < i1; i++)
        g->k->gnorm_sums(g->sum + i * g->c, g->square + i * g->c, chunk_start(g, i),
                         chunk_rows(g, i), g->c);
}

struct moments {
    double n, mean, m2;
};

static void moments_add(struct moments *m, double n, double mean, double m2)
{
    double d = mean - m->mean, all = m->n + n;
    m->mean += d * n / all;
    m->m2 += m2 + d * d * m->n * n / all;
    m->n = all;
}

static void image_factors(const struct gnorm *g, int64_t image)
{
    int64_t width = g->c / g->groups;
    const float *e = g->e ? g->e + image * g->c : NULL;
    for (int64_t j0 = 0; j0 < g->c; j0 += width) {
        struct moments m = {0};
        for (int64_t i = image * g->chunks; i < (image + 1) * g->chunks; i++) {
            double n = (double)chunk_rows(g, i);
            for (int64_t j = j0; j < j0 + width; j++) {
                double s = g->sum[i * g->c + j] / n;
                moments_add(&m, n, s + chunk_start(g, i)[j] + (e ? e[j] : 0.0f),
                            g->square[i * g->c + j] - s * s * n);
            }
        }
        double inv = 1.0 / sqrt(m.m2 / m.n + (double)g->eps);
        for (int64_t j = j0; j < j0 + width; j++) {
            double scale = inv * g->w[j];
            g->scale[image * g->c + j] = (float)scale;
            g->shift[image * g->c + j] =
                (float)(((e ? (double)e[j] : 0.0) - m.mean) * scale + g->b[j]);
        }
    }
}

static void apply_chunks(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    const struct gnorm *g = ctx;
    for (int64_t i = i0; i < i1; i++) {
        const float *x = chunk_start(g, i);
        int64_t image = i / g->chunks;
        g->k->gnorm_apply(g->y + (x - g->x), x, g->scale + image * g->c, g->shift + image * g->c,
                          chunk_rows(g, i), g->c, g->act);
    }
}

void cpu_groupnorm(struct backend *be, struct tensor *y, const struct tensor *x,
                   const struct tensor *e, const struct tensor *w, const struct tensor *b,
                   const struct groupnorm_opts *o)
{
    struct cpu *c = (struct cpu *)be;
    struct gnorm g = {.k = &c->k,
                      .x = x->data,
                      .e = e ? e->data : NULL,
                      .w = w->data,
                      .b = b->data,
                      .y = y->data,
                      .images = x->dim[0],
                      .c = tensor_cols(x),
                      .groups = o->groups,
                      .eps = o->eps,
                      .act = o->act};
    int64_t count = tensor_count(x);
    if (count == 0)
        return;
    g.rows = count / g.images / g.c;
    g.chunk = min_i64(CHUNK_ROWS, 1 + CHUNK_FLOATS / g.c);
    g.chunks = (g.rows + g.chunk - 1) / g.chunk;
    size_t sums = (size_t)(g.images * g.chunks * g.c), factors = (size_t)(g.images * g.c);
    float *scratch = cpu_scratch(c, SCRATCH_OP, 4 * sums + 2 * factors);
    if (!scratch)
        return;
    g.sum = (double *)(void *)scratch;
    g.square = g.sum + sums;
    g.scale = scratch + 4 * sums;
    g.shift = g.scale + factors;
    cpu_split(c, g.images * g.chunks, 1, sum_chunks, &g);
    for (int64_t i = 0; i < g.images; i++)
        image_factors(&g, i);
    cpu_split(c, g.images * g.chunks, 1, apply_chunks, &g);
}

void cpu_fill_gnorm(struct cpu_kernels *k, enum cpu_level level)
{
    k->gnorm_sums = gnorm_sums_ref;
    k->gnorm_apply = gnorm_apply_ref;
    if (level >= CPU_AVX2) {
        k->gnorm_sums = gnorm_sums_avx2;
        k->gnorm_apply = gnorm_apply_avx2;
    }
    if (level >= CPU_AVX512) {
        k->gnorm_sums = gnorm_sums_avx512;
        k->gnorm_apply = gnorm_apply_avx512;
    }
}
